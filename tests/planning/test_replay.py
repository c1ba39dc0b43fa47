"""The fulfilment rules against known answers and a slow reference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.problem import DAY, HOUR, SEGMENTS, Market, Orders, Plan
from planning.replay import draw_arrivals, replay
from planning.simulate import futures_of
from planning.spot import FROM_READY, UNSERVED, SpotMarket, service_noise
from tests.planning.strategies import (
    AS_OF,
    a_market,
    a_plan,
    markets,
    orders_of,
    some_orders,
)

EMPTY = np.empty(0)


def on_spot(market: Market, orders: Orders, noise: np.ndarray) -> np.ndarray:
    """Minutes in the queue [M] when nothing is ready."""
    return SpotMarket(market).serve(
        at=orders.at,
        product=orders.product,
        quantity=orders.quantity,
        noise=noise,
        lot_product=EMPTY.astype(int),
        since=EMPTY,
        until=EMPTY,
        units=EMPTY,
    )[1]


def served(market: Market, orders: Orders, plan: Plan, seed: int = 0):
    return replay(
        market,
        orders,
        plan,
        as_of=AS_OF,
        horizon=72 * HOUR,
        target_minutes=5,
        rng=np.random.default_rng(seed),
    )


@pytest.mark.parametrize(
    ("arrivals", "service", "channels", "mean_wait"),
    [(8, 1, 10, 0.204590), (10, 1, 12, 0.224694), (4, 0.5, 3, 2 / 9)],
)
def test_exponential_service_waits_as_erlang_c_says(arrivals, service, channels, mean_wait):
    rng = np.random.default_rng(1)
    count = 2_000_000
    orders = some_orders(np.cumsum(rng.exponential(1 / arrivals, count)))
    market = a_market(
        channels=np.array([channels]),
        spot_minutes=np.array([float(service)]),
        qualified_until=np.array([np.inf]),
    )
    assert on_spot(market, orders, rng.exponential(1, count)).mean() == pytest.approx(
        mean_wait, rel=0.03
    )


@pytest.mark.parametrize(("variation", "mean_wait"), [(0.0, 2.0), (1.0, 4.0), (0.25, 2.5)])
def test_one_channel_waits_as_pollaczek_and_khinchine_say(variation, mean_wait):
    rng = np.random.default_rng(2)
    count = 2_000_000
    orders = some_orders(np.cumsum(rng.exponential(1 / 0.8, count)))
    noise = {
        0.0: np.ones(count),
        1.0: rng.exponential(1, count),
        0.25: service_noise(rng, count),
    }[variation]
    market = a_market(spot_minutes=np.array([1.0]), qualified_until=np.array([np.inf]))
    assert on_spot(market, orders, noise).mean() == pytest.approx(mean_wait, rel=0.05)


@pytest.mark.parametrize(
    ("channels", "kept", "mean_wait"),
    [
        (10, lambda minute, turn: True, 15.0),
        (15, lambda minute, turn: True, 5.0),
        (10, lambda minute, turn: minute < 30 * (1 - 0.423), 5.0),
        (10, lambda minute, turn: turn % 1000 >= 271, 5.0),
    ],
    ids=["10 channels", "15 channels", "last 42.3 % ready", "27.1 % ready throughout"],
)
def test_a_peak_of_twenty_a_minute_waits_as_the_fluid_says(channels, kept, mean_wait):
    scale = 100  # a hundred times the orders and channels: close to the fluid
    count = 600 * scale
    minute = np.arange(count) / (20 * scale)
    turn = np.arange(count) * 617  # spreads the ready share evenly over the peak
    spot = np.array([kept(m, n) for m, n in zip(minute, turn, strict=True)])
    market = a_market(  # short services: a channel is filled as soon as the fluid's is
        channels=np.array([channels * scale // 20]), spot_minutes=np.array([1 / 20])
    )
    wait = on_spot(market, some_orders(minute[spot]), np.ones(spot.sum()))
    assert wait.sum() / count == pytest.approx(mean_wait, abs=0.05)


def slow_reference(market: Market, orders: Orders, plan: Plan, noise, arrived):
    """The fulfilment rules line by line, with lists and loops: minutes and source of each order."""
    lots = [
        {"p": p, "from": -np.inf, "to": to, "left": int(units)}
        for p, units, to in zip(
            market.stock_product, market.stock_units, market.stock_expires, strict=True
        )
    ]
    lots += [
        {
            "p": market.offer_product[plan.offer[row]],
            "from": plan.available_from[row],
            "to": plan.available_to[row],
            "left": int(arrived[row]),
        }
        for row in range(len(plan))
    ]
    channels = [[-np.inf] * count for count in market.channels]
    minutes, sources = [], []
    for t, p, q, factor in zip(orders.at, orders.product, orders.quantity, noise, strict=True):
        ready = [lot for lot in lots if lot["p"] == p and lot["from"] <= t < lot["to"]]
        if sum(lot["left"] for lot in ready) >= q:
            for lot in sorted(ready, key=lambda lot: lot["to"]):
                taken = min(q, lot["left"])
                lot["left"] -= taken
                q -= taken
            minutes.append(5 / 60)
            sources.append(FROM_READY)
            continue
        options = [
            (max(0.0, (min(channels[s]) - t) / 60) + market.spot_minutes[o], o)
            for o, s in enumerate(market.offer_supplier)
            if market.offer_product[o] == p and t < market.qualified_until[s]
        ]
        if not options:
            minutes.append(np.nan)
            sources.append(UNSERVED)
            continue
        _, best = min(options)
        free = channels[market.offer_supplier[best]]
        start = max(t, min(free))
        end = start + market.spot_minutes[best] * factor * 60
        free[free.index(min(free))] = end
        minutes.append((end - t) / 60)
        sources.append(best)
    return np.array(minutes), np.array(sources, dtype=int)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_replay_equals_a_slow_reference(data):
    market = data.draw(markets())
    orders = data.draw(orders_of(market))
    lines = [
        (offer, hour, hour + (1 if market.direct[market.offer_product[offer]] else 5), units)
        for offer in range(len(market.unit_cost))
        for hour, units in ((2.0, 6), (3.0, 2))
    ]
    plan = a_plan(market, *lines) if lines else Plan.empty()
    result = served(market, orders, plan, seed=3)
    rng = np.random.default_rng(3)
    noise = service_noise(rng, len(orders))
    arrived = draw_arrivals(market, plan, rng)
    minutes, source = slow_reference(market, orders, plan, noise, arrived)
    np.testing.assert_allclose(result.minutes, minutes, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(result.source, source)


def test_units_are_ready_from_their_first_instant_until_just_before_the_last():
    market = a_market()
    plan = a_plan(market, (0, 1.0, 2.0, 10))
    result = served(market, some_orders([59.99, 60, 119.99, 120]), plan)
    assert (result.source == FROM_READY).tolist() == [False, True, True, False]
    assert result.minutes[1] == pytest.approx(5 / 60)


def test_an_order_larger_than_what_is_ready_goes_to_spot_whole():
    plan = a_plan(a_market(), (0, 1.0, 2.0, 5))
    result = served(a_market(), some_orders([60, 61, 62], quantity=[6, 5, 1]), plan)
    assert result.source.tolist() == [0, FROM_READY, 0]


def test_a_licence_ends_after_its_last_local_day():
    market = a_market(qualified_until=np.array([AS_OF + DAY]))
    result = served(market, some_orders([24 * 60 - 0.01, 24 * 60]), Plan.empty())
    assert result.source.tolist() == [0, UNSERVED]
    assert np.isnan(result.minutes[1])
    assert result.kpis()["on_time_share"] <= 0.5


def test_money_of_units_used_unused_and_kept():
    market = a_market()
    plan = a_plan(market, (0, 1.0, 5.0, 10), (0, 2.0, 100.0, 4))
    kpis = served(market, some_orders([70, 80]), plan).kpis()
    # 10 bought: 2 used, 8 gone at hour 5 at a loss of a tenth; 4 outlive the horizon
    assert kpis["lost_value"] == pytest.approx(8 * 10 * 0.1)
    assert kpis["left_value"] == pytest.approx(40)
    assert kpis["prealloc_spend"] == pytest.approx(2 * 10 + 8)
    assert kpis["spend"] == kpis["prealloc_spend"] + kpis["spot_spend"]


def test_units_that_end_with_the_horizon_are_gone():
    plan = a_plan(a_market(), (0, 1.0, 72.0, 10))
    assert served(a_market(), some_orders([]), plan).kpis()["left_value"] == 0


def test_stock_serves_first_to_expire_first_and_costs_nothing():
    market = a_market(
        stock_product=np.array([0, 0]),
        stock_supplier=np.array([-1, 0]),
        stock_units=np.array([1, 1]),
        stock_expires=np.array([np.inf, AS_OF + HOUR]),
    )
    result = served(market, some_orders([10, 70]), Plan.empty())
    assert (result.source == FROM_READY).all()
    assert result.kpis()["spend"] == 0


def test_arrivals_share_one_draw_per_offer_and_clock_hour():
    market = a_market(fill_rate=np.array([0.9]))
    rows = [(0, 1 + n / 10, 9.0, 10_000) for n in range(4)] + [(0, 2.0, 9.0, 10_000)]
    plan = a_plan(market, *rows)
    share = np.array(
        [draw_arrivals(market, plan, np.random.default_rng(n)) / 10_000 for n in range(400)]
    )
    assert share.mean() == pytest.approx(0.9, abs=0.01)
    assert share[:, 0].std() == pytest.approx(np.sqrt(0.9 * 0.1 / 21), rel=0.15)
    assert np.corrcoef(share[:, 0], share[:, 3])[0, 1] > 0.98  # same hour
    assert abs(np.corrcoef(share[:, 0], share[:, 4])[0, 1]) < 0.15  # the next hour


def test_no_orders_have_no_minutes():
    kpis = served(a_market(), some_orders([]), Plan.empty()).kpis()
    assert kpis["mean_minutes"] is None
    assert kpis["spend"] == 0


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_figures_by_group_are_those_of_its_orders(data):
    market = data.draw(markets())
    orders = data.draw(orders_of(market))
    segment = np.random.default_rng(len(orders)).integers(0, 3, len(orders)).astype("int8")
    result = served(market, replace(orders, segment=segment), Plan.empty())
    for table, group, names in (
        (result.by_product(market.product_ids), orders.product, list(market.product_ids)),
        (result.by_segment(), segment, list(SEGMENTS)),
    ):
        for name, row in table.iterrows():
            own = group == names.index(name)
            minutes = result.minutes[own][~np.isnan(result.minutes[own])]
            assert row["orders"] == own.sum()
            on_time = (result.minutes[own] <= 5).mean() if own.any() else np.nan
            assert row["on_time_share"] == pytest.approx(on_time, nan_ok=True)
            wanted = (
                [minutes.mean(), *np.quantile(minutes, [0.5, 0.95])]
                if len(minutes)
                else [np.nan] * 3
            )
            told = row[["mean_minutes", "p50_minutes", "p95_minutes"]].astype(float).tolist()
            assert told == pytest.approx(wanted, nan_ok=True)
        assert table["orders"].sum() == len(orders)
        assert table["spot_spend"].sum() == pytest.approx(result.spot_spend)


def test_what_is_left_of_stock_is_told_row_by_row():
    market = a_market(
        stock_product=np.array([0, 0]),
        stock_supplier=np.array([-1, 0]),
        stock_units=np.array([9, 1]),
        stock_expires=np.array([np.inf, AS_OF + HOUR]),
    )
    result = served(market, some_orders([10, 70], quantity=[1, 4]), Plan.empty())
    assert result.stock_left.tolist() == [5, 0]


@pytest.mark.parametrize(
    ("orders", "told"),
    [
        (some_orders([1, 2], product=[0, 1]), "market has 1 products"),
        (some_orders([1, 2], product=[-1, 0]), "market has 1 products"),
        (some_orders([2, 1]), "not in order of arrival"),
        (some_orders([1, np.nan]), "not in order of arrival"),
    ],
)
def test_orders_that_compiled_code_would_serve_wrongly_are_refused(orders, told):
    market, rng = a_market(), np.random.default_rng(0)
    with pytest.raises(ValueError, match=told):
        futures_of(market, [orders], np.ones(len(SEGMENTS)), rng)
    with pytest.raises(ValueError, match=told):
        replay(market, orders, Plan.empty(), as_of=AS_OF, horizon=DAY, target_minutes=5, rng=rng)
