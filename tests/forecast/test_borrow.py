"""What a new product borrows, and what is no new product."""

import time

import numpy as np
import pandas as pd
import pytest

from forecast import Panel, forecast
from forecast.clean import clean, launches, observed
from forecast.silences import silences
from forecast.tasks import prepare
from tests.forecast import market

FAST = ["seasonal"]
DAY = 24


def shop(n=10, days=60, *, new=(), age=0, level=20.0, seed=0):
    """Equal products of one category; those in `new` sell from `age` days before the end."""
    past = market.panel(n=1, days=days, level=level)
    rng = np.random.default_rng(seed)
    rate = np.tile(past.y.reshape(days, DAY).mean(axis=0), days)
    y = rng.poisson(rate, (n, days * DAY))
    y = y.astype(np.float32)
    y[list(new), : (days - age) * DAY] = 0
    ids = np.array([f"P{k}" for k in range(n)], dtype=object)
    return Panel(ids=ids, ds=past.ds, y=y, orders=y.copy())


def scaled(panel, factors):
    y = panel.y.copy()
    for row, factor in factors.items():
        y[row] = np.round(y[row] * factor)
    return Panel(ids=panel.ids, ds=panel.ds, y=y, orders=y.copy())


def listed(panel, *, launched=None, similar=None, price=None, category=None):
    table = pd.DataFrame({"product_id": panel.ids, "category": category or "c"})
    table["launched_at"] = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us, UTC]")
    for row, age in (launched or {}).items():
        stamp = panel.future(1)[0] - pd.Timedelta(days=age)
        table.loc[row, "launched_at"] = stamp.tz_convert("UTC")
    table["similar_to"] = [(similar or {}).get(k) for k in range(len(table))]
    if price is not None:
        table["list_price"] = price
    return table


def units(panel, products, horizon=48):
    return forecast(panel, horizon, products=products, members=FAST, n_paths=2).mean.sum(axis=1)


@pytest.mark.parametrize("age", [0, 1, 3, 7, 13])
def test_a_new_product_sells_as_the_one_it_is_said_to_resemble(age):
    panel = shop(new=[9], age=age)
    panel = scaled(panel, {0: 3.0, 9: 3.0})
    told = units(panel, listed(panel, launched={9: age}, similar={9: "P0"}))
    assert told[9] == pytest.approx(told[0], rel=0.2)


@pytest.mark.parametrize("age", [0, 2])
def test_the_doubt_about_a_new_product_s_level_is_in_its_quantiles_and_in_its_sums(age):
    n, new = 60, range(30)
    past = shop(n=n, days=40, new=new, age=age)
    truth = np.exp(0.5 * np.random.default_rng(1).standard_normal(30))
    past = scaled(past, dict(enumerate(truth)))
    products = listed(
        past, launched=dict.fromkeys(new, age), similar={k: f"P{30 + k}" for k in new}
    )
    ahead = forecast(past, DAY, products=products, members=FAST, n_paths=200)
    usual = ahead.mean[30:].mean(axis=0)
    came = np.random.default_rng(2).poisson(usual * truth[:, None])
    inside = (came >= ahead.quantiles[:30, :, 2]) & (came <= ahead.quantiles[:30, :, 10])
    assert ahead.levels[[2, 10]].tolist() == [0.1, 0.9]
    assert 0.7 <= inside.mean() <= 0.92
    low, high = np.quantile(ahead.paths[:, :30].sum(axis=2), [0.1, 0.9], axis=0)
    day = came.sum(axis=1)
    assert ((day >= low) & (day <= high)).mean() >= 0.6


def test_own_orders_overrule_what_was_borrowed_ever_more():
    """Told to resemble one that sells a tenth, the forecast moves to its own level with age."""
    found = []
    for age in (0, 1, 3, 7, 13):
        panel = scaled(shop(new=[9], age=age), {0: 0.1})
        told = units(panel, listed(panel, launched={9: age}, similar={9: "P0"}))
        found.append(told[9] / told[1:9].mean())
    assert found[0] < 0.15
    assert (np.diff(found) > -0.02).all()
    assert found[-1] == pytest.approx(1.0, abs=0.1)


def test_a_chain_of_new_products_ends_at_one_that_sells():
    panel = scaled(shop(new=[7, 8, 9]), {0: 4.0})
    products = listed(panel, launched={7: 0, 8: 0, 9: 0}, similar={9: "P8", 8: "P7", 7: "P0"})
    ready = prepare(panel, 24, products=products)
    assert list(ready.borrowed[7:]) == ["borrowed:P0"] * 3


@pytest.mark.parametrize(
    "similar", [{8: "P9", 9: "P8"}, {8: "P8", 9: "nobody"}, {8: "P7", 9: "P7"}]
)
def test_a_cycle_a_stranger_or_a_dead_product_is_no_donor(similar):
    panel = scaled(shop(new=[8, 9]), {7: 0.0})
    ready = prepare(panel, 24, products=listed(panel, launched={8: 0, 9: 0}, similar=similar))
    assert list(ready.borrowed[8:]) == ["borrowed:category"] * 2
    assert (np.nanmean(ready.task.y[8:], axis=1) > 0).all()


def test_an_outage_of_the_donor_is_not_borrowed_as_no_demand():
    panel = shop(new=[9])
    start = panel.ds[-10 * DAY]
    outage = market.events([("outage", start, 9 * DAY, "P0", None)])
    y = panel.y.copy()
    y[0, -10 * DAY : -DAY] = 0
    panel = Panel(ids=panel.ids, ds=panel.ds, y=y, orders=y.copy())
    products = listed(panel, launched={9: 0}, similar={9: "P0"})
    told = forecast(panel, 48, products=products, events=outage, members=FAST).mean.sum(axis=1)
    assert told[9] == pytest.approx(told[1:9].mean(), rel=0.25)


def test_dear_products_sell_as_dear_products_do():
    panel = shop(n=30, new=[28, 29])
    panel = scaled(panel, dict.fromkeys(range(0, 28, 2), 8.0))
    price = [10.0 if k % 2 == 0 else 100.0 for k in range(30)]
    told = units(panel, listed(panel, launched={28: 0, 29: 0}, price=price))
    assert told[28] > 2 * told[29]


def test_products_delivered_alike_sell_alike():
    panel = shop(n=30, new=[28, 29])
    panel = scaled(panel, dict.fromkeys(range(0, 28, 2), 8.0))
    way = pd.Series(["code" if k % 2 == 0 else "direct" for k in range(30)])
    told = units(panel, listed(panel, launched={28: 0, 29: 0}).assign(fulfilment=way))
    assert told[28] > 2 * told[29]


def test_a_listed_product_that_never_sold_is_dead_unless_it_is_new():
    panel = shop(n=40, new=range(20, 40))
    products = listed(panel, launched={37: 100, 38: 5, 39: 0})
    told = units(panel, products)
    usual = told[:20].mean()
    assert (told[20:38] < 0.01 * usual).all()
    assert 0 < told[38] < 0.1 * usual  # five days on sale and no order
    assert told[39] > 0.5 * usual


def test_a_product_to_be_launched_sells_from_its_launch_on():
    panel = shop(new=[9])
    result = forecast(panel, 48, products=listed(panel, launched={9: -1}), members=FAST)
    assert not result.mean[9, :DAY].any()
    assert result.mean[9, DAY:].sum() == pytest.approx(result.mean[:9, DAY:].sum() / 9, rel=0.3)


def test_the_first_order_alone_makes_no_product_new():
    panel = shop(new=[8, 9], age=2)
    y = panel.y.copy()
    y[9] = 0
    y[9, -1] = 1
    panel = Panel(ids=panel.ids, ds=panel.ds, y=y, orders=y.copy())
    start = launches(panel, None)
    assert start[9] == 0
    assert start[8] == np.argmax(y[8] > 0) > 0
    assert units(panel, listed(panel))[9] < 3


def test_thousands_of_new_products_borrow_at_once():
    panel = shop(n=4000, days=30, new=range(400, 4000), age=2, level=3.0)
    similar = {k: f"P{k % 400}" for k in range(400, 2000)}
    products = listed(panel, launched=dict.fromkeys(range(400, 4000), 2), similar=similar)
    began = time.process_time()
    ready = prepare(panel, 24, products=products)
    assert (ready.borrowed[400:] != "").all()
    assert time.process_time() - began < 60


# Relaunches


def silenced(panel, row, first, last):
    y = panel.y.copy()
    y[row, first * DAY : last * DAY] = 0
    return Panel(ids=panel.ids, ds=panel.ds, y=y, orders=y.copy())


@pytest.mark.parametrize("back", [1, 3, 10])
def test_the_silence_before_a_relaunch_is_no_demand_of_zero(back):
    panel = silenced(shop(days=90), 9, 30, 90 - back)
    seen = observed(panel)
    assert np.isnan(seen.y[9, 30 * DAY : (90 - back) * DAY]).all()
    assert np.isfinite(np.delete(seen.y, 9, axis=0)).all()
    told = units(panel, listed(panel))
    assert told[9] == pytest.approx(told[:9].mean(), rel=0.25)


@pytest.mark.parametrize(
    ("last", "launched"), [(85, {}), (85, {9: 5}), (85, {9: 4.5}), (90, {9: -1})]
)
def test_a_relaunch_is_listed_once_with_all_of_its_silence(last, launched):
    panel = silenced(shop(days=90), 9, 30, last)
    done = clean(panel, products=listed(panel, launched=launched))
    (row,) = done.changes.to_dict("records")
    assert (row["product_id"], row["kind"]) == (panel.ids[9], "relaunch")
    unseen = np.flatnonzero(np.isnan(done.panel.y[9]))
    assert len(unseen) >= (last - 30) * DAY
    assert (row["starts_at"], row["ends_at"]) == tuple(
        panel.ds.append(panel.future(1))[[unseen[0], unseen[-1] + 1]]
    )
    assert row["units_before"] == 0
    assert np.isnan(row["units_after"])


def test_a_silence_that_is_not_over_is_demand_that_ended():
    panel = silenced(shop(days=90), 9, 50, 90)
    assert not silences(panel).any()
    assert units(panel, listed(panel))[9] < 0.1 * units(panel, listed(panel))[0]


@pytest.mark.parametrize("level", [0.02, 0.1, 1.0, 20.0])
def test_products_that_were_never_off_sale_are_left_alone(level):
    panel = shop(n=200, days=120, level=level)
    assert not silences(panel).any()


def test_a_short_silence_or_one_of_a_rarely_ordered_product_is_left_alone():
    assert not silences(silenced(shop(days=90), 9, 50, 70)).any()
    assert not silences(silenced(shop(days=90, level=0.02), 9, 30, 70)).any()


@pytest.mark.parametrize("back", [0, 1, 5])
def test_a_pause_that_is_told_by_its_end_is_no_demand_of_zero(back):
    panel = scaled(silenced(shop(days=60), 9, 42 - back, 60 - back), {9: 2.0})
    products = listed(panel, launched={9: back})
    told = units(panel, products)
    assert prepare(panel, 24, products=products).borrowed[9] == ""
    assert told[9] == pytest.approx(2 * told[:9].mean(), rel=0.2)


def test_a_product_that_is_to_come_back_sells_from_then_on_at_its_own_level():
    panel = scaled(silenced(shop(days=60), 9, 40, 60), {9: 2.0})
    result = forecast(panel, 48, products=listed(panel, launched={9: -1}), members=FAST)
    assert not result.mean[9, :DAY].any()
    assert not result.paths[:, 9, :DAY].any()
    usual = result.mean[:9, DAY:].sum() / 9
    assert result.mean[9, DAY:].sum() == pytest.approx(2 * usual, rel=0.25)
