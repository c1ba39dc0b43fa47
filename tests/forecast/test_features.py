import numpy as np

from forecast.demand import Panel
from forecast.features import design, ordinary, past_of, spread
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
