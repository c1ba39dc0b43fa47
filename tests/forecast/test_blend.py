from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from forecast import LEVELS, Panel
from forecast.blend import FEW, Blend, _beside, believed, borne_out, holdout, learn, segments, weigh
from forecast.calibrate import neutral
from forecast.engine import pick
from forecast.models import MODELS, Prediction
from forecast.tasks import prepare
from tests.forecast import market

NAMES = ("seasonal", "ridge", "lightgbm", "lightgbm_daily")


def members(errors, spread=1.0):
    """[M, S, H, Q] normal forecasts around 0, each off by its error."""
    off = np.asarray(errors, dtype=float)[:, None, None, None]
    return np.broadcast_to(off + spread * ndtri(LEVELS), (len(errors), 400, 24, 13))


def test_the_member_that_is_right_gets_the_weight():
    y = np.random.default_rng(0).standard_normal((400, 24))
    found = weigh(
        y, members([3.0, 0.0, 3.0]), LEVELS, size=np.ones(400), belief=np.zeros(3), trust=600
    )
    assert found[1] > 0.95
    assert found.sum() == pytest.approx(1)


def test_two_that_err_apart_are_better_together():
    y = np.random.default_rng(0).standard_normal((400, 24))
    found = weigh(y, members([-1.0, 1.0]), LEVELS, size=np.ones(400), belief=np.zeros(2), trust=600)
    np.testing.assert_allclose(found, 0.5, atol=0.05)


def test_few_rows_leave_the_belief():
    y = np.random.default_rng(0).standard_normal((400, 24))
    belief = np.array([1.0, 0.0])
    few = weigh(
        y[:2], members([1.0, 0.0])[:, :2], LEVELS, size=np.ones(2), belief=belief, trust=600
    )
    many = weigh(y, members([1.0, 0.0]), LEVELS, size=np.ones(400), belief=belief, trust=600)
    assert few[0] > 0.95 > 0.7 > many[0]


def test_of_few_series_the_belief_is_divided_by_what_members_erred():
    y = np.random.default_rng(0).standard_normal((400, 24))
    told, size = members([0.0, 0.0, 3.0]), np.ones(400)
    found = borne_out(y, told, LEVELS, size=size, belief=np.array([0.5, 0.0, 0.5]))
    np.testing.assert_allclose(found[1] / found[0], 0.05)  # no worse, but not believed
    assert found[2] < 0.001
    assert found.sum() == pytest.approx(1)
    blind = borne_out(y, told, LEVELS, size=np.full(400, np.nan), belief=found)
    np.testing.assert_array_equal(blind, found)
    exact = borne_out(
        y, y[None, ..., None] + np.zeros((3, 1, 1, 13)), LEVELS, size=size, belief=found
    )
    assert np.isfinite(exact).all()


def test_what_was_best_in_a_month_of_one_series_does_not_get_all():
    y = np.random.default_rng(0).standard_normal((30, 24))
    told = members([0.1, 0.0])[:, :30]
    found = borne_out(y, told, LEVELS, size=np.ones(30), belief=np.array([0.5, 0.5]))
    assert 0.3 < found[0] < found[1]


@given(
    st.lists(st.sampled_from(sorted(MODELS)), min_size=1, max_size=5, unique=True),
    st.sampled_from(["", *sorted(MODELS)]),
)
def test_a_belief_is_convex(names, beside):
    found = believed(tuple(names), beside)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()


def test_where_orders_are_counted_the_rule_that_learns_least_is_believed_too():
    counts = prepare(market.panel(n=6, days=50), 48).task
    assert _beside(counts)[-1] == "seasonal"
    measured = replace(counts, lump=np.zeros(len(counts.lump)))
    assert _beside(measured)[-1] == ""
    assert believed(("seasonal", "network"), "seasonal")[0] == 0.5
    assert believed(("seasonal", "network"))[0] == 0.0


def test_without_learners_everyone_is_believed_alike_and_the_past_decides():
    names = ("seasonal", "ridge", "weekly_naive")
    np.testing.assert_allclose(believed(names, "seasonal"), 1 / 3)
    ds = market.hours(24 * 60)
    y = 50.0 + 40 * ((np.arange(len(ds)) // 24 % 5)[None] == 0)  # the ridge member finds five days
    y = np.random.default_rng(0).poisson(y).astype(np.float32)
    series = Panel(ids=np.array(["a"], dtype=object), ds=ds, y=y)
    weights = learn(prepare(series, 24).task, pick(names, series)).weights[-1]
    assert weights[:, 1].min() > 0.45  # 1/3 before; thirty held-out days against as many


class Off:
    """A member whose forecasts are off by so much, whatever it learns from."""

    def __init__(self, by: float) -> None:
        self.by = by

    def fit(self, task):
        return self

    def predict(self, task, origin):
        told = task.y[task.rows, origin : origin + task.horizon] + self.by
        return Prediction(mean=told, quantiles=told[..., None] + ndtri(LEVELS))


def test_what_few_series_held_out_outweighs_the_belief_in_learners():
    models = {"ridge": Off(0.0), "lightgbm": Off(9.0), "network": Off(9.0)}
    few = learn(prepare(market.panel(n=1, days=90), 48).task, models).weights[-1]
    assert few[:, 0].min() > 0.9  # 0.02 by the belief alone
    many = learn(prepare(market.panel(n=60, days=90), 48).task, models).weights[-1]
    assert many[:, 0].max() < few[:, 0].min()


class Lucky(Off):
    """A member that is right from a bucket on, and off before."""

    def __init__(self, by: float, since: int) -> None:
        super().__init__(by)
        self.since = since

    def predict(self, task, origin):
        return Off(self.by if origin < self.since else 0.0).predict(task, origin)


def test_six_days_alike_choose_no_members_of_products_that_share_them():
    task = prepare(market.panel(n=6, days=56), 24).task
    models = {"seasonal_naive": Lucky(9.0, 24 * 50), "ridge": Off(1.0), "lightgbm": Off(1.0)}
    weights = learn(task, models).weights[-1]
    assert weights[:, 0].max() < 0.5  # 0.9 by the last six days alone


@pytest.mark.parametrize(
    ("n", "days", "horizon", "count", "first"),
    [
        (1, 365, 48, 30, 365 - 2 - 29),  # day by day
        (1, 365, 24 * 7, 30, 365 - 7 - 58),  # every second day: neighbours tell much the same
        (1, 84, 48, 27, 56),  # none but the last ten in the first two thirds
        (1, 30, 48, 8, 21),  # nor any in the first three weeks
        (49, 365, 48, 30, 365 - 2 - 29),
        (6, 56, 24, 18, 38),
        (6, 38, 48, 6, 31),  # none but the last six in the first five weeks
        (6, 49, 48, 13, 35),
        (50, 365, 48, 3, 365 - 6),
    ],
)
def test_few_series_hold_out_many_days(n, days, horizon, count, first):
    origins = holdout(prepare(market.panel(n=n, days=days), horizon).task).origins
    assert (len(origins), origins[0] / 24) == (count, first)


def test_few_series_have_time_for_a_slow_member():
    counts = market.panel(n=2, days=30)
    series = replace(counts, orders=None)
    assert "mstl" in pick(None, series)
    assert "mstl" not in pick(None, counts)
    assert "mstl" not in pick(None, replace(market.panel(n=FEW, days=30), orders=None))


def test_weights_are_convex_in_every_segment_and_part():
    panel = market.panel(n=6, days=50)
    task = prepare(panel, 48).task
    found = learn(task, pick(["seasonal_naive", "seasonal", "ridge"], panel))
    assert found.weights.shape == (4, 2, 3)
    np.testing.assert_allclose(found.weights.sum(axis=2), 1.0)
    assert (found.weights >= 0).all()
    told = found.label(int(segments(task)[0]))
    assert "seasonal" in told
    shown = [float(part.split(":")[1]) for part in told.split("+")]
    assert sum(shown) == pytest.approx(1, abs=0.02)


def test_the_weights_that_a_label_shows_sum_to_one():
    members = ("seasonal", "ridge", "lightgbm", "network", "mstl")
    weights = np.full((1, 2, 5), [0.24, 0.24, 0.24, 0.24, 0.04])
    found = Blend(members=members, weights=weights, calibration=neutral(np.array([0, 1]), LEVELS))
    assert found.label(0) == "seasonal:0.24+ridge:0.24+lightgbm:0.24+network:0.24+mstl:0.04"


def test_present_levels_of_the_hold_out_are_those_known_at_its_first_origin():
    panel = market.panel(n=9, days=90, level=60.0)
    panel.y[3, 24 * 40 :] *= 3
    task = prepare(panel, 48).task
    first = holdout(task).origins[0]
    later = task.y.copy()
    later[5, first - 24 :] *= 3
    known = replace(task, y=later, level_start=np.full(9, first - 24))
    np.testing.assert_array_equal(holdout(known).level_start, holdout(task).level_start)
    assert abs(holdout(task).level_start[3] - 24 * 40) <= 24
