import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import LEVELS, Forecast, aggregate, by_category
from forecast.hierarchy import aggregate_scores
from forecast.metrics import sample_crps
from tests.forecast import market


def made(seed, n=5, horizon=12, k=8):
    rng = np.random.default_rng(seed)
    paths = rng.gamma(2, 8, (k, n, horizon)).round().astype(np.float32)
    return Forecast(
        ids=np.array([f"P{i}" for i in range(n)], dtype=object),
        ds=market.hours(horizon),
        freq="1h",
        levels=LEVELS,
        mean=rng.gamma(2, 8, (n, horizon)).round().astype(np.float32),
        quantiles=np.sort(rng.gamma(2, 8, (n, horizon, len(LEVELS))), axis=2).astype(np.float32),
        paths=paths,
        model=np.array(["x"] * n, dtype=object),
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    labels=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    every=st.sampled_from([1, 2, 3, 4, 6, 12]),
)
def test_aggregates_add_up_in_any_order(seed, labels, every):
    low = made(seed)
    groups: dict[str, list[str]] = {}
    for i, label in enumerate(labels):
        groups.setdefault(f"G{label}", []).append(f"P{i}")
    middle = aggregate(low, groups, every=every)
    straight = aggregate(low, {"all": list(low.ids)}, every=every)
    for total in (
        aggregate(middle, {"all": list(middle.ids)}),
        aggregate(aggregate(low, {"all": list(low.ids)}), every=every),
        aggregate(aggregate(low, every=every), {"all": list(low.ids)}),
    ):
        np.testing.assert_array_equal(total.paths, straight.paths)
        np.testing.assert_array_equal(total.mean, straight.mean)
        np.testing.assert_array_equal(total.quantiles, straight.quantiles)
        assert list(total.ds) == list(straight.ds) == list(low.ds[::every])
        assert total.freq == straight.freq
    assert (np.diff(middle.quantiles, axis=2) >= 0).all()
    assert straight.paths.sum() == low.paths.sum()
    for g, name in enumerate(groups):
        rows = [int(i[1:]) for i in groups[name]]
        wanted = low.paths[:, rows].sum(axis=1).reshape(8, -1, every).sum(axis=2)
        np.testing.assert_array_equal(middle.paths[:, g], wanted)


def test_a_product_may_be_in_many_groups_or_in_none():
    low = made(0)
    both = aggregate(low, {"s1": ["P0", "P1"], "s2": ["P1", "P1", "P4"]})
    np.testing.assert_array_equal(both.paths[:, 1], low.paths[:, 1] + low.paths[:, 4])
    assert list(both.frame().columns[:2]) == ["group", "ds"]
    products = pd.DataFrame({"product_id": ["P0", "P1", "P2"], "category": ["b", "a", None]})
    assert by_category(products) == {"": ["P2"], "a": ["P1"], "b": ["P0"]}
    series = products.rename(columns={"product_id": "unique_id"})
    assert by_category(series) == by_category(products)


@pytest.mark.parametrize(
    ("groups", "every", "told"),
    [({"g": ["P9"]}, 1, "P9"), ({"g": []}, 1, "'g'"), (None, 5, "12"), (None, 0, "0")],
)
def test_what_cannot_be_summed_is_refused(groups, every, told):
    with pytest.raises(ValueError, match=told):
        aggregate(made(0), groups, every=every)


def test_sums_of_series_that_end_apart_are_refused():
    apart = Forecast(**{**vars(made(0)), "shift": np.array([0, 0, 3, 0, 0])})
    with pytest.raises(ValueError, match="different times"):
        aggregate(apart)


def test_aggregate_scores_are_those_of_sums_taken_one_by_one():
    rng = np.random.default_rng(3)
    actual = rng.poisson(5, (4, 6)).astype(float)
    actual[2, 1] = np.nan
    paths = rng.poisson(5, (9, 4, 6)).astype(np.float32)
    day, category = np.array([-1, 0, 0, 1, 1, -1]), np.array([1, 0, 1, 0])
    found = aggregate_scores(actual, paths, day, category, np.random.default_rng(0))
    loss = {"sum24_crps": 0.0, "max_crps": 0.0, "category_crps": 0.0}
    size = dict.fromkeys(loss, 0.0)

    def add(name, truth, draws):
        loss[name] += float(sample_crps(np.array(truth), np.array(draws)))
        size[name] += abs(truth)

    for i in range(4):
        for d in (0, 1):
            at = [h for h in range(6) if day[h] == d and np.isfinite(actual[i, h])]
            add("sum24_crps", actual[i, at].sum(), paths[:, i, at].sum(axis=1))
            add("max_crps", actual[i, at].max(), paths[:, i, at].max(axis=1))
    for c in (0, 1):
        for h in range(6):
            at = [i for i in range(4) if category[i] == c and np.isfinite(actual[i, h])]
            add("category_crps", actual[at, h].sum(), paths[:, at, h].sum(axis=1))
    for name, total in loss.items():
        assert found[name] == pytest.approx(total / size[name], rel=1e-5)


def test_dependence_that_is_there_is_worth_its_score():
    """Demand with a factor shared by all: draws that share it beat the same draws made apart."""
    rng = np.random.default_rng(0)
    factor = rng.lognormal(0, 0.5, 201)
    draws = rng.poisson(20 * factor[:, None, None], (201, 30, 48)).astype(np.float32)
    day, category = np.arange(48) // 24, np.zeros(30, dtype=int)
    scores = [
        aggregate_scores(truth.astype(float), draws[1:], day, category, np.random.default_rng(0))
        for truth in (rng.poisson(20 * f, (30, 48)) for f in rng.lognormal(0, 0.5, 12))
    ]
    board = pd.DataFrame(scores).mean()
    for name in ("sum24_crps", "category_crps", "max_crps"):
        assert board[name] < 0.95 * board[f"{name}_independent"]


def test_draws_that_are_the_truth_score_nothing():
    truth = np.random.default_rng(0).poisson(5, (3, 24)).astype(float)
    draws = np.repeat(truth[None].astype(np.float32), 5, axis=0)
    rng = np.random.default_rng(0)
    found = aggregate_scores(truth, draws, np.zeros(24, dtype=int), np.arange(3), rng)
    assert {value for name, value in found.items() if "crps" in name} == {0.0}


@pytest.mark.parametrize(
    ("spread", "low", "high"), [(0.5, 0.3, 0.65), (1.0, 0.73, 0.87), (3.0, 0.95, 1.0)]
)
def test_sums_are_as_often_inside_their_interval_as_the_paths_allow(spread, low, high):
    """Levels that all share: half their spread is too narrow, three times too wide."""
    rng = np.random.default_rng(1)

    def sums(n, size):
        return np.exp(size * rng.normal(0, 0.3, (n, 1, 1))) * rng.uniform(90, 110, (n, 6, 24))

    day, category = np.zeros(24, dtype=int), np.arange(6) // 3
    boards = [
        aggregate_scores(truth, sums(99, spread), day, category, np.random.default_rng(0))
        for truth in sums(200, 1.0)
    ]
    for name in ("sum24_coverage80", "category24_coverage80"):
        assert low <= np.mean([board[name] for board in boards]) <= high


def test_a_day_that_was_not_observed_is_neither_inside_nor_outside():
    actual, paths = np.full((1, 48), 1000.0), np.ones((9, 1, 48), dtype=np.float32)
    actual[:, :24] = np.nan
    day, rng = np.arange(48) // 24, np.random.default_rng(0)
    found = aggregate_scores(actual, paths, day, np.zeros(1, dtype=int), rng)
    assert found["sum24_coverage80"] == found["category24_coverage80"] == 0.0
