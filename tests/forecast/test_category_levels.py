"""What a category's products share: levels that last are followed, levels that return are not."""

import numpy as np
import pandas as pd
import pytest

from forecast import MODELS, Panel, explain, forecast
from forecast.calendars import clock_of
from forecast.category_levels import learn_category_levels
from forecast.effects import Effects
from forecast.features import past_of
from forecast.tasks import prepare
from tests.forecast import market

PRODUCTS, DAYS = 16, 60
SHAPE = 0.3 + np.exp(-0.5 * ((np.arange(24) - 20) / 3.0) ** 2)


def category_of(n=PRODUCTS):
    """Half of the products in one category, half in another."""
    return pd.DataFrame(
        {
            "product_id": [f"P{k}" for k in range(n)],
            "category": np.where(np.arange(n) < n / 2, "cards", "calls"),
        }
    )


def wandering(stays, noise, *, seed=0, level=1.0, days=DAYS, n=PRODUCTS):
    """Counts of few orders, whose two categories' log levels are AR(1) by hour; and those."""
    rng = np.random.default_rng(seed)
    whole = market.panel(n, days)
    log = np.zeros((2, len(whole.ds)))
    shocks = rng.normal(0, noise, log.shape)
    for at in range(1, log.shape[1]):
        log[:, at] = stays * log[:, at - 1] + shocks[:, at]
    mine = (np.arange(n) >= n / 2).astype(int)
    y = rng.poisson(level * SHAPE[whole.ds.hour] * np.exp(log)[mine]).astype(np.float32)
    return Panel(ids=whole.ids, ds=whole.ds, y=y, orders=y.copy()), log


def ahead(panel, cut, horizon=24):
    """[2, H] logarithm of each category's expected level, `cut` buckets ago; the week is known."""
    past = Panel(
        ids=panel.ids, ds=panel.ds[:-cut], y=panel.y[:, :-cut], orders=panel.orders[:, :-cut]
    )
    clock = clock_of(past, horizon, season=None)
    week = np.tile(SHAPE / SHAPE.mean(), (2, clock.week, 1))
    still = np.ones((len(past.y), int(clock.date[-1]) + 1), dtype=np.float32)
    category = (np.arange(len(past.y)) >= len(past.y) / 2).astype(int)
    levels = learn_category_levels(
        past.y,
        clock=clock,
        effects=Effects(
            calendar=still,
            within=None,
            category=category,
            weekday=week.mean(axis=2),
            shape=week,
            event=np.ones((0, 0, len(past.y)), dtype=np.float32),
            around=None,
            boost=None,
        ),
        category=category,
        lump=np.ones(len(past.y)),
        first=past.y.shape[1],
        horizon=horizon,
    )
    return np.log(levels.ahead(np.arange(2), past.y.shape[1], horizon))


@pytest.mark.parametrize(("stays", "noise"), [(0.97, 0.06), (0.995, 0.03), (0.9, 0.1)])
def test_a_level_is_followed_as_far_as_it_lasts(stays, noise):
    """Nearly as well as by one who knows the process and its present state."""
    ours, known, week = [], [], []
    decay = (stays ** np.arange(1, 25)).mean()
    for seed in range(4):
        panel, log = wandering(stays, noise, seed=seed, level=40.0)
        for cut in range(24, 10 * 24, 48):
            came = log[:, -cut:][:, :24].mean(axis=1)
            usual = np.log(np.exp(log[:, :-cut]).mean(axis=1))
            ours.append(usual + ahead(panel, cut).mean(axis=1) - came)
            known.append(decay * log[:, -cut - 1] - came)
            week.append(log[:, -cut - 168 : -cut].mean(axis=1) - came)
    ours, known, week = (np.sqrt(np.mean(np.square(each))) for each in (ours, known, week))
    assert ours < 1.4 * known
    assert ours < week


def test_a_steady_level_is_left_alone():
    panel, _ = wandering(0.0, 0.0, level=2.0)
    assert np.abs(ahead(panel, 24)).max() < 0.04


def test_a_category_moves_its_own_products():
    """Its last day doubled: more is expected of its products, no more of the others'."""
    calm, _ = wandering(0.995, 0.03, level=4.0)
    y = calm.y.copy()
    y[: PRODUCTS // 2, -24:] *= 2
    moved = Panel(ids=calm.ids, ds=calm.ds, y=y, orders=y.copy())
    both = [
        forecast(panel, 24, products=category_of(), members=["seasonal"]).mean.sum(axis=1)
        for panel in (calm, moved)
    ]
    change = both[1] / both[0]
    assert (change[: PRODUCTS // 2] > 1.15).all()
    assert np.abs(change[PRODUCTS // 2 :] - 1).max() < 0.05


def test_products_that_move_alike_are_expected_in_proportion():
    """However long the windows are in which their own levels were measured."""
    whole, log = wandering(0.97, 0.06)
    size = np.geomspace(0.02, 50, PRODUCTS)
    y = (size[:, None] * SHAPE[whole.ds.hour] * np.exp(log[0])).astype(np.float32)
    orders = np.ones_like(y) * size.mean()  # so that lumps, and trust in own levels, differ
    task = prepare(Panel(ids=whole.ids, ds=whole.ds, y=y, orders=orders), 24).task
    past = past_of(task, task.rows, task.origins[0])
    share = past.level[:, None] * past.shared / size[:, None]
    np.testing.assert_allclose(share, np.broadcast_to(share[-1], share.shape), rtol=0.01)


def test_a_day_that_surprised_a_whole_category_is_told():
    panel, _ = wandering(0.0, 0.0, level=20.0)
    origin = len(panel.ds) - 72
    task = prepare(panel, 72, products=category_of()).task
    came = task.category_levels.orders[task.category[0]]
    came[origin + 30 :] += 0.5 * (came[origin + 48] - came[origin + 24])
    rows = np.arange(PRODUCTS)
    found = task.category_levels.surprise(task.category[rows], origin, 72)[:, ::24]
    expected = np.ones((PRODUCTS, 3))
    expected[: PRODUCTS // 2, 1] = 1.5
    np.testing.assert_allclose(found, expected, atol=0.08)


@pytest.mark.parametrize("member", ["lightgbm", "network"])
def test_learners_do_not_learn_a_categorys_surprises_by_heart(member):
    """Two categories that wander for two months: few surprises, each told by many rows."""
    panel, _ = wandering(0.97, 0.06, level=2.0)
    task = prepare(panel, 72, products=category_of()).task
    days = []
    for each in ("seasonal", member):
        units = MODELS[each]().fit(task).predict(task, task.origins[0]).mean
        days.append(units.reshape(2, PRODUCTS // 2, 3, 24).sum(axis=(1, 3)))
    assert np.sqrt(np.mean(np.log(days[1] / days[0]) ** 2)) < 0.08


def test_what_comes_after_an_origin_is_not_looked_at():
    panel, _ = wandering(0.97, 0.06)
    task = prepare(panel, 24, products=category_of()).task
    origin = task.y.shape[1] - 48
    before = past_of(task, task.rows, origin).shared
    task.category_levels.orders[:, origin + 1 :] += 1e6
    np.testing.assert_array_equal(past_of(task, task.rows, origin).shared, before)


def test_hours_that_were_not_observed_tell_nothing():
    """A day without observations is no day without orders."""
    panel, _ = wandering(0.0, 0.0, level=4.0)
    panel.y[:, -24:], panel.orders[:, -24:] = np.nan, np.nan
    task = prepare(panel, 24, products=category_of()).task
    assert np.abs(np.log(past_of(task, task.rows, task.origins[0]).shared)).max() < 0.04


def test_series_that_count_no_orders_have_no_shared_level():
    whole = market.panel(4, 40)
    y = whole.y + 0.5
    assert (
        prepare(Panel(ids=whole.ids, ds=whole.ds, y=y, orders=None), 24).task.category_levels
        is None
    )


def test_the_category_is_named_among_what_drives_a_forecast():
    calm, _ = wandering(0.995, 0.03, level=4.0)
    y = calm.y.copy()
    y[: PRODUCTS // 2, -24:] *= 2
    panel = Panel(ids=calm.ids, ds=calm.ds, y=y, orders=y.copy())
    told = explain(panel, 24, "P1", products=category_of(), members=["seasonal"])
    assert told.loc[told["part"] == "its category's level", "units"].sum() > 0
