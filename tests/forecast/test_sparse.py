from dataclasses import replace

import numpy as np
import pytest

from forecast import forecast
from forecast.sparse import sparse_effects
from tests.forecast import market


def wandering(rng, n_days, linger=0.6, noise=0.12):
    level = np.zeros(n_days)
    for day in range(1, n_days):
        level[day] = linger * level[day - 1] + rng.normal(0, noise)
    return level


def days_of_month(n_days):
    return (np.arange(n_days)[:, None] % 30 == np.arange(30)[None, :]).astype(float)


def found(y, columns, chance=0.05):
    p = columns.shape[1]
    return sparse_effects(y, columns, np.full(p, 0.4), np.full(p, chance))


@pytest.mark.parametrize("size", [0.8, -0.7])
def test_a_pay_day_stands_out_of_a_wandering_level_and_no_other_day_does(size):
    columns, rng = days_of_month(90), np.random.default_rng(1)
    y = np.stack([wandering(rng, 90) + size * columns[:, 25] for _ in range(40)])
    effect = found(y, columns)
    assert effect[:, 25].mean() == pytest.approx(size, rel=0.12)
    assert np.abs(np.delete(effect, 25, axis=1)).mean() < 0.02


def test_effects_that_nearly_all_columns_have_are_found_too():
    columns, rng = days_of_month(600), np.random.default_rng(2)
    true = rng.normal(0, 0.3, 30)
    y = (columns @ true + rng.normal(0, 0.05, 600))[None, :]
    effect = found(y, columns, chance=0.3)[0]
    off = (effect - np.median(effect)) - (true - np.median(true))
    assert np.abs(off).max() < 0.1


def test_days_that_were_not_observed_teach_nothing():
    columns, rng = days_of_month(90), np.random.default_rng(3)
    y = wandering(rng, 90)[None, :] + 0.8 * columns[:, 25]
    y[:, 40:47] = np.nan
    y[:, 10::30] = np.nan
    effect = found(y, columns)[0]
    assert effect[25] == pytest.approx(0.8, rel=0.2)
    assert effect[10] == 0


def test_a_freak_day_teaches_little():
    columns, rng = days_of_month(90), np.random.default_rng(4)
    y = rng.normal(0, 0.05, (1, 90))
    y[0, 40] += 3.0
    assert abs(found(y, columns)[0, 10]) < 0.5


def test_a_series_is_fitted_alone():
    columns, rng = days_of_month(60), np.random.default_rng(5)
    y = np.stack([wandering(rng, 60) for _ in range(3)])
    y[1, 12:] = np.nan  # too short to learn from
    together = found(y, columns)
    assert (together[1] == 0).all()
    assert together[[0, 2]] == pytest.approx(
        np.concatenate([found(y[[k]], columns) for k in (0, 2)]), abs=2e-3
    )


def test_without_columns_there_is_no_effect():
    assert found(np.zeros((2, 40)), np.zeros((40, 0))).shape == (2, 0)


@pytest.mark.parametrize("factor", [2.2, 0.4])
def test_a_level_that_all_products_changed_together_is_no_matter_of_the_days(factor):
    """With a month of history each day of the month comes once, the last ones at the new level."""
    panel = replace(market.panel(n=8, days=28), ds=market.hours(24 * 28, "2026-06-27"))
    y = panel.y.copy()
    y[:, -4 * 24 :] = np.round(factor * y[:, -4 * 24 :])
    moved = replace(panel, y=y, orders=y.copy())
    for member in ("seasonal", "ridge"):
        before, after = (
            forecast(each, 48, members=[member], country="CN").mean.sum() for each in (panel, moved)
        )
        assert np.log(after / before) / np.log(factor) > 0.6
