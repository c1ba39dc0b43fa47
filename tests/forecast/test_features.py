import numpy as np

from forecast.columns import design, slopes
from forecast.demand import Panel
from forecast.features import past_of, spread
from forecast.shapes import ordinary
from forecast.tasks import prepare
from tests.forecast import market


def test_movement_tells_a_wandering_level_from_a_steady_one():
    rng = np.random.default_rng(0)
    whole = market.panel(n=2, days=60, level=400.0)
    wander = np.exp(np.cumsum(rng.normal(0, 0.2, 60))).repeat(24)
    y = np.stack([whole.y[0] * wander, whole.y[0]]).astype(np.float32)
    task = prepare(Panel(ids=whole.ids, ds=whole.ds, y=y, orders=y), 24).task
    past = past_of(task, task.rows, task.origins[0])
    expected = ordinary(task, past)
    columns = design(task, past, expected, spread(task, past, expected))
    wandering, steady = (columns["moved_3"] - columns["moved_1"])[:, 0]
    assert wandering > steady + 0.2
    assert all(columns[f"moved_{k}"].shape == (2, 1) for k in (1, 2, 3, 7, 14))


def test_slopes_are_those_of_yesterday_and_a_week_ago_and_end_with_what_is_known():
    whole = market.panel(n=1, days=30)
    y = (10.0 + np.asarray(whole.ds.hour) ** 2)[None, :].astype(np.float32)
    task = prepare(Panel(ids=whole.ids, ds=whole.ds, y=y, orders=None), 24).task
    past = past_of(task, task.rows, task.origins[0])
    expected = ordinary(task, past)
    size = spread(task, past, expected)
    columns = slopes(task, past, expected, size)
    rise = np.append(np.diff(y[0, :24]), y[0, 0] - y[0, 23])
    for name in ("day_after", "week_after", "after"):
        np.testing.assert_allclose((columns[name] * size)[0, :23], rise[:23], rtol=0.02)
    for name in ("day_before", "week_before", "before"):
        np.testing.assert_allclose((columns[name] * size)[0, 1:], -rise[:-1], rtol=0.02)
    assert np.isnan(columns["day_after"][0, 23])
    np.testing.assert_allclose((columns["week_after"] * size)[0, 23], rise[23], rtol=0.02)
