"""The shape of a rarely ordered product's week: its category's, and what its own orders tell."""

import numpy as np
import pandas as pd

from forecast import Panel
from forecast.features import past_of
from forecast.shapes import ordinary, pooled_shape
from forecast.tasks import prepare
from tests.forecast import market

N, DAYS = 30, 56


def shape_of(rate, *, bulk=None, seed=0):
    """[N, 168] expected share of each hour of a week, after eight weeks of counts."""
    whole = market.panel(N, DAYS)
    y = np.random.default_rng(seed).poisson(rate).astype(np.float32)
    orders = y.copy()
    if bulk is not None:
        y[bulk], orders[bulk] = y[bulk] + 500, orders[bulk] + 1
    products = pd.DataFrame({"product_id": whole.ids, "category": "cards"})
    panel = Panel(ids=whole.ids, ds=whole.ds, y=y, orders=orders)
    task = prepare(panel, 168, products=products).task
    past = past_of(task, task.rows, task.origins[0])
    expected, pooled = ordinary(task, past), pooled_shape(task, past)
    return tuple(each / each.mean(axis=1, keepdims=True) for each in (expected, pooled))


def rates(level):
    """[N, T] everyone peaks at 20, the first product at 9 and not on weekends."""
    ds = market.hours(24 * DAYS)
    evening, morning = (
        0.3 + 3 * np.exp(-0.5 * ((ds.hour.to_numpy() - at) / 2.0) ** 2) for at in (20, 9)
    )
    own = morning * np.where(ds.day_of_week >= 5, 0.3, 1.0)
    return level * np.concatenate([own[None], np.repeat(evening[None], N - 1, axis=0)])


def far(shape, truth):
    return float(np.sqrt(np.mean((shape - truth) ** 2)))


def test_a_few_orders_tell_a_products_hours_and_weekdays():
    """Half an order an hour: its own week is known to a third of the category's error."""
    rate = rates(0.5)
    truth = rate[0, :168] / rate[0, :168].mean()
    found, pooled = shape_of(rate)
    assert far(found[0], truth) < 0.35 * far(pooled[0], truth)


def test_a_product_of_saturdays_alone_is_no_series_of_bulk_orders():
    rate = rates(1.0)
    ds = market.hours(24 * DAYS)
    rate[0] *= np.where(ds.day_of_week == 5, 7.0, 0.05)
    saturday = np.asarray(ds.day_of_week[:168]) == 5
    share = rate[0, :168][saturday].sum() / rate[0, :168].sum()
    found = np.mean([shape_of(rate, seed=k)[0][0][saturday].sum() / 168 for k in range(5)])
    assert found > 0.945 * share  # 0.929 with bulk orders told apart before weekdays


def test_products_like_their_category_keep_its_week():
    """What chance alone moved is shrunk: hardly worse than the category's own error."""
    rate = rates(0.05)
    truth = rate[1, :168] / rate[1, :168].mean()
    found, pooled = shape_of(rate)
    assert far(found[1:], truth) < 1.25 * far(pooled[1:], truth)


def panel_of(y, orders=None):
    """[N, 168] units of the week ahead, against the level: products of one category."""
    n, length = y.shape
    ids = np.array([f"P{k:02d}" for k in range(n)], dtype=object)
    panel = Panel(ids=ids, ds=market.hours(length), y=y.astype(np.float32), orders=orders)
    task = prepare(panel, 168).task
    past = past_of(task, task.rows, task.origins[0])
    return ordinary(task, past) / past.level[:, None]


def test_weekdays_that_are_alike_share_their_hours():
    """Noise of a quarter in each hour: ten weeks of all days tell the hours, not ten Tuesdays."""
    rng = np.random.default_rng(3)
    clock = np.arange(24 * 70)
    usual = 50 * (0.3 + 3 * np.exp(-0.5 * ((clock % 24 - 20) / 2.0) ** 2))
    found = panel_of(usual * rng.gamma(15, 1 / 15, (12, len(clock))))
    truth = usual[:168] / usual[:168].mean()
    assert np.sqrt(np.mean((found / truth - 1) ** 2)) < 0.07  # 0.13 by the same weekdays' hours


def test_weekdays_that_differ_keep_their_hours():
    """Fridays peak at nine, other days at eight in the evening."""
    rng = np.random.default_rng(4)
    ds = market.hours(24 * 70)
    at = np.where(ds.day_of_week == 4, 9, 20)
    usual = 50 * (0.3 + 3 * np.exp(-0.5 * ((ds.hour.to_numpy() - at) / 2.0) ** 2))
    found = panel_of(usual * rng.gamma(15, 1 / 15, (12, len(ds))))
    friday = found[:, ds.day_of_week[:168] == 4]
    assert (friday[:, 9] > 4 * friday[:, 20]).all()


def test_bulk_orders_are_in_the_level():
    """One order in a hundred has 500 units: as many are expected as usual."""
    rng = np.random.default_rng(5)
    came = rng.poisson(1.0, (20, 24 * 70))
    bulks = rng.binomial(came, 0.01)
    found = panel_of(came + 499 * bulks, came.astype(np.float32))
    assert 0.85 < found.mean() < 1.1  # 0.3 where bulks count in the level but not in the shape


def test_one_bulk_order_moves_no_hour():
    """Five hundred units at four in the morning, once, are no habit of all days."""
    rate = rates(0.5)
    at = 24 * (DAYS - 20) + 4
    calm, _ = shape_of(rate)
    moved, _ = shape_of(rate, bulk=(5, at))
    four = np.arange(168) % 24 == 4
    assert np.median(moved[5, four]) < 2 * np.median(calm[5, four])
