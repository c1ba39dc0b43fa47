"""What the calendar's days do to products that don't do as their category does."""

import numpy as np
import pandas as pd
import pytest

from forecast import Panel
from forecast.calendar_effects import DayEffects
from forecast.calendars import clock_of, days_of

DS = pd.date_range("2026-01-12", "2026-06-09", freq="1h", tz="Asia/Shanghai", inclusive="left")
AHEAD = 48
PAST, TENTH = DS.day == 10, slice(len(DS) + 24, len(DS) + 48)  # as-of is the 9th of June
CATEGORY = np.arange(12) % 2


def factors(own, units=8.0, category=CATEGORY, seed=0):
    """[products, hours] by category and by product, of products that sell `own` on the 10th."""
    rng = np.random.default_rng(seed)
    lift = np.where(PAST, np.asarray(own)[:, None], 1.0)
    shape = 1 + 0.6 * np.sin((np.asarray(DS.hour) - 8) / 24 * 2 * np.pi)
    fate = np.repeat(rng.normal(0, 0.08, (len(lift), len(DS) // 24)), 24, axis=1)
    y = rng.poisson(units * shape * lift * np.exp(fate)).astype(np.float32)
    ids = np.array([f"P{k}" for k in range(len(y))], dtype=object)
    panel = Panel(ids=ids, ds=DS.as_unit("us"), y=y, orders=y.copy())
    days = days_of(panel, AHEAD, country="CN")
    clock = clock_of(panel, AHEAD, season=None, days=days)
    found = DayEffects.learned(y, clock, days, category)
    told = found.by_product(y, clock, days, category, order=np.ones(len(y)))
    return found.calendar[category].astype(np.float32)[:, clock.date], told[:, clock.date]


@pytest.mark.parametrize(
    ("factor", "units", "near"),  # with few orders it can't be told that the others differ
    [(3.0, 8.0, 0.15), (0.4, 8.0, 0.15), (3.0, 1.0, 0.3)],
)
def test_a_product_with_a_pay_day_of_its_own_has_it_and_the_others_have_not(factor, units, near):
    _, told = factors([factor] + [1.0] * 11, units)
    np.testing.assert_allclose(told[0, TENTH], factor, rtol=0.25)
    np.testing.assert_allclose(told[1:, TENTH], 1.0, atol=near)
    np.testing.assert_allclose(told[:, len(DS) : TENTH.start], 1.0, atol=0.15)


def test_each_product_may_have_its_own_size():
    own = np.exp(np.linspace(-0.5, 1.5, 12))
    _, told = factors(own)
    np.testing.assert_allclose(told[:, TENTH.start], own, rtol=0.2)


@pytest.mark.parametrize("units", [0.5, 8.0])
@pytest.mark.parametrize("own", [1.0, 2.0])
def test_products_that_do_as_their_category_keep_its_factors(own, units):
    apart = [np.subtract(*np.log(factors([own] * 12, units, seed=seed))) for seed in range(4)]
    assert np.sqrt(np.mean(np.square(apart))) < 0.05


@pytest.mark.parametrize(
    ("units", "category"), [(0.15, CATEGORY), (8.0, np.arange(12))], ids=["few orders", "alone"]
)
def test_few_orders_or_a_product_alone_tell_no_more_than_the_category(units, category):
    by_category, told = factors([3.0] + [1.0] * 11, units, category)
    assert np.array_equal(told, by_category)
