from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast import forecast, metrics
from forecast.clean import clean
from tests.forecast import dirt


@pytest.fixture(scope="module")
def market():
    return dirt.clean_log(np.random.default_rng(0), days=42)


def planted(log, size, accounts, *, quantities=(7, 13, 23), minutes=50, trade=False):
    """The log with orders for product 5 from `accounts` strangers, in the week before last."""
    rng = np.random.default_rng(1)
    part = log.orders.iloc[:size].copy()
    start = log.as_of.tz_convert("UTC") - pd.Timedelta("9D")
    stamps = start + pd.to_timedelta(np.sort(rng.integers(0, 60 * minutes, size)), unit="s")
    part["ordered_at"] = pd.DatetimeIndex(stamps).as_unit("us")
    part["product_id"], part["status"] = log.ids[5], "delivered"
    part["quantity"] = rng.choice(quantities, size)
    part["account_id"] = [f"X{k}" for k in np.arange(size) % accounts]
    part["segment"] = "distributor" if trade else "individual"
    return replace(log, orders=pd.concat([log.orders, part], ignore_index=True))


def fakes(panel):
    none = panel.marks is None
    return panel.y[:0, :0] if none else panel.marks[panel.marks["kind"] == "fake_orders"]


@pytest.mark.parametrize("freq", ["15min", "1h"])
@pytest.mark.parametrize("named", [True, False])
def test_what_is_left_after_planted_bursts_are_removed_is_the_clean_log(market, freq, named):
    dirty = dirt.bursts(np.random.default_rng(3), market)
    drop = [] if named else ["account_id"]
    before = replace(market, orders=market.orders.drop(columns=drop)).panel(freq)
    after = clean(replace(dirty, orders=dirty.orders.drop(columns=drop)).panel(freq))
    left = np.abs(after.panel.y - before.y).sum() / np.abs(dirty.panel(freq).y - before.y).sum()
    assert left <= (0.0 if named else 0.15)
    listed = after.changes[after.changes["kind"] == "fake_orders"]
    assert set(listed["product_id"]) == {
        i for i, hit in zip(dirty.ids, dirty.hit, strict=True) if hit
    }
    gone = listed["units_before"] - listed["units_after"]
    assert gone.sum() == pytest.approx(dirty.panel(freq).y.sum() - after.panel.y.sum())


def test_removing_bursts_lowers_the_error(market):
    dirty = dirt.bursts(np.random.default_rng(3), market)
    panel = dirty.panel()
    losses = []
    for known in (panel, replace(panel, marks=None)):
        result = forecast(known, dirt.HORIZON, members=["seasonal"], n_paths=1)
        losses.append(
            metrics.wql(dirty.future[dirty.hit], result.quantiles[dirty.hit], result.levels)
        )
    assert losses[0] < 0.95 * losses[1]


@pytest.mark.parametrize("seed", range(4))
def test_a_clean_log_with_distributors_and_promotions_has_no_fakes(seed):
    log = dirt.clean_log(np.random.default_rng(seed), days=28)
    for columns in ([], ["account_id"], ["account_id", "segment", "delivered_at"]):
        panel = replace(log, orders=log.orders.drop(columns=columns)).panel()
        assert not len(fakes(panel))


@pytest.mark.parametrize(
    ("size", "accounts", "quantities", "trade"),
    [
        (300, 250, (7,), False),  # everybody takes the pack of seven
        (300, 60, (1,), False),  # everybody comes five times, one each
        (60, 1, (10,), True),  # a distributor fills his stock
        (6, 1, (13,), False),  # too few to do harm
    ],
)
def test_many_accounts_usual_quantities_and_few_orders_are_no_burst(
    market, size, accounts, quantities, trade
):
    log = planted(market, size, accounts, quantities=quantities, trade=trade)
    assert not len(fakes(log.panel()))


@pytest.mark.parametrize("quantities", [(7, 13, 23), (99,), (1,)])
def test_few_strangers_with_many_orders_are_a_burst(market, quantities):
    found = fakes(planted(market, 60, 3, quantities=quantities).panel())
    assert found["orders"].sum() == 60
    assert set(found["product_id"]) == {market.ids[5]}
    assert "60 orders from 3 accounts" in found["note"].iloc[0]


def test_an_account_that_always_orders_so_is_no_fake(market):
    log, parts = market, [market.orders]
    for day in range(2, 40):
        part = planted(log, 30, 1).orders.iloc[-30:]
        parts.append(part.assign(ordered_at=part["ordered_at"] + pd.Timedelta(days=9 - day)))
    often = replace(log, orders=pd.concat(parts, ignore_index=True))
    assert not len(fakes(often.panel()))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("days", "found"), [((0, 7, 14), 0), ((0, 9, 20, 29), 0), ((0, 2, 5), 3)])
def test_who_comes_again_week_after_week_at_that_time_is_no_fake(market, named, days, found):
    """A company that stocks up every Friday morning, or about every tenth; not one busy week."""
    part = planted(market, 30, 1, quantities=(20,), minutes=28).orders.iloc[-30:]
    parts = [part.assign(ordered_at=part["ordered_at"] - pd.Timedelta(days=k)) for k in days]
    orders = pd.concat([market.orders, *parts], ignore_index=True)
    drop = [] if named else ["account_id"]
    told = fakes(replace(market, orders=orders.drop(columns=drop)).panel())
    assert (
        len({(row.burst, row.product_id) for row in told.itertuples()} if found else told) == found
    )


def test_long_runs_of_other_customers_week_after_week_are_a_products_custom(market):
    """Who plays on this product's card orders 18 ones in a row, each on a day of his own."""
    part = planted(market, 18, 1, quantities=(1,)).orders.iloc[-18:]
    parts = [
        part.assign(ordered_at=part["ordered_at"] - pd.Timedelta(hours=31 * k), account_id=f"G{k}")
        for k in range(16)
    ]
    often = replace(market, orders=pd.concat([market.orders, *parts], ignore_index=True))
    assert not len(fakes(often.panel()))
    seldom = replace(market, orders=pd.concat([market.orders, *parts[::3]], ignore_index=True))
    assert fakes(seldom.panel())["orders"].sum() == 6 * 18


def test_failed_attempts_of_a_customer_are_no_burst(market):
    log = planted(market, 40, 3)
    mine = log.orders["account_id"].str.startswith("X")
    log.orders.loc[mine, "status"] = "failed"
    assert not len(fakes(log.panel()))


def test_orders_are_counted_without_the_fakes_too(market):
    dirty = dirt.bursts(np.random.default_rng(3), market)
    np.testing.assert_array_equal(clean(dirty.panel().counted()).panel.y, market.panel().orders)
