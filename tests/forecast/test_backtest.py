from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast import (
    GROUPS,
    LEVELS,
    MEASURES,
    MODELS,
    Backtest,
    bars_figure,
    dependence_figure,
    leaderboard,
    levels_figure,
    panel_of_series,
    reliability_figure,
    score_members,
)
from forecast.backtest import head
from forecast.clean import observed
from forecast.outcomes import outcome_of
from tests.forecast import market

FAST = ["seasonal_naive", "seasonal"]
PLAN = Backtest(horizon=48, windows=2, step=24)


@pytest.fixture(scope="module")
def scores():
    return score_members(market.panel(n=4, days=40, level=60.0), PLAN, members=FAST)


def test_each_member_and_the_blend_are_scored_in_each_window(scores):
    rows = scores.windows
    assert list(rows.columns) == ["member", "starts_at", *MEASURES, "seconds", "error"]
    assert rows.groupby("starts_at")["member"].apply(list).tolist() == [[*FAST, "blend"]] * 2
    starts = rows["starts_at"].unique()
    assert list(starts) == list(market.hours(24 * 40)[[24 * 37, 24 * 38]])
    assert np.isfinite(rows[[*MEASURES, "seconds"]].to_numpy()).all()
    assert set(rows["error"]) == {""}


def test_the_board_holds_means_over_the_windows_best_first(scores):
    board = scores.board()
    assert set(board["member"]) == {*FAST, "blend"}
    assert board["SQL"].is_monotonic_increasing
    for row in board.itertuples():
        own = scores.windows[scores.windows["member"] == row.member]
        assert pytest.approx(own["MASE"].mean()) == row.MASE


def test_calibration_frames_pool_every_window(scores):
    counts = scores.reliability[scores.reliability["kind"] == "bucket"].groupby("member")["count"]
    assert counts.sum().tolist() == [2 * 4 * 48] * 3
    assert scores.levels.groupby("member")["level"].apply(list).tolist() == [list(LEVELS)] * 3
    assert set(scores.levels["count"]) == {2 * 4 * 48}
    assert scores.levels["share"].between(0, 1).all()


def test_equal_input_and_seed_give_equal_scores(scores):
    again = score_members(market.panel(n=4, days=40, level=60.0), PLAN, members=FAST)
    pd.testing.assert_frame_equal(
        scores.windows.drop(columns="seconds"), again.windows.drop(columns="seconds")
    )
    pd.testing.assert_frame_equal(scores.reliability, again.reliability)


def test_a_member_that_fails_costs_its_own_row_only(monkeypatch):
    class Broken:
        def fit(self, task):
            raise ArithmeticError("it overflowed")

    monkeypatch.setitem(MODELS, "broken", Broken)
    whole = market.panel(n=2, days=30)
    board = leaderboard(whole, Backtest(horizon=24), members=["broken", "seasonal_naive"])
    rows = board.set_index("member")
    assert "it overflowed" in rows.loc["broken", "error"]
    assert rows.loc["broken", list(MEASURES)].isna().all()
    assert rows.loc["seasonal_naive", "error"] == ""
    assert np.isfinite(rows.loc["seasonal_naive", "SQL"])
    assert board["member"].iloc[0] == "seasonal_naive"


def test_progress_goes_from_window_to_window_and_never_back():
    told = []
    whole = market.panel(n=2, days=30)
    score_members(whole, PLAN, members=FAST[:1], progress=lambda *said: told.append(said))
    assert list(dict.fromkeys(step for step, _ in told)) == ["window 1 of 2", "window 2 of 2"]
    for step in ("window 1 of 2", "window 2 of 2"):
        shares = [share for name, share in told if name == step]
        assert shares == sorted(shares)
        assert shares[0] == 0
        assert shares[-1] == pytest.approx(1)


def test_days_on_which_a_shop_is_closed_are_scored_and_known():
    shop, shut = market.closed_for_christmas()
    whole = head(shop, 24 * 60)  # in the middle of it
    assert shut[24 * 53 : 24 * 60].all()
    settings = {"members": ["seasonal"], "country": "GB"}
    scores = score_members(whole, Backtest(horizon=24 * 7), **settings)
    assert set(scores.levels["count"]) == {5 * 24 * 7}
    known = outcome_of(whole, observed(shop, country="GB"), 48, country="GB")
    np.testing.assert_allclose(known.limit, np.quantile(whole.y[:, -24 * 28 :], 0.9, axis=1))
    assert (known.actual == 0).all()


def test_demand_cut_short_is_learned_from_raised_and_scored_nowhere():
    shop = market.panel(n=2, days=40, level=60.0)
    jam = np.array([24 * 39 + 19, 24 * 39 + 20])
    shop.y[0, jam] = shop.orders[0, jam] = 4
    marks = {"kind": "jam", "product_id": "P0", "ds": shop.ds[jam], "burst": 0, "units": 0.0}
    shop = replace(shop, marks=pd.DataFrame(marks | {"orders": 0.0, "note": ""}))
    assert (observed(shop).y[0, jam] > 10).all()
    unseen = np.isnan(observed(shop, raised=False).y)
    assert np.argwhere(unseen).tolist() == [[0, at] for at in jam]
    scores = score_members(shop, Backtest(horizon=24), members=["seasonal"])
    assert set(scores.levels["count"]) == {2 * 24 - 2}


def test_wrong_requests_are_told_before_the_work():
    whole = market.panel(n=1, days=5)
    with pytest.raises(ValueError, match="oracle"):
        score_members(whole, PLAN, members=["oracle"])
    with pytest.raises(ValueError, match="windows"):
        Backtest(horizon=24, windows=9, step=24).cutoffs(100)
    for wrong in ({"windows": 0}, {"step": 0}, {"horizon": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* 0"):
            score_members(whole, Backtest(**{"horizon": 24, **wrong}))


def test_the_best_is_the_nearest_to_the_ideal_as_shown():
    board = pd.DataFrame(
        {
            "member": list("abcd"),
            "coverage80": [0.9, 0.81, 0.8101, np.nan],
            "MASE": [0.8, 0.7, 0.9, 1.0],
            "peak_f1": [0.2, 0.4, 0.3, 0.1],
            "max_crps_independent": [1.0, 2.0, 3.0, 4.0],
            "SQL": [np.nan] * 4,
        }
    )
    best = {name: MEASURES[name].best(board, name) for name in board.columns[1:]}
    assert best == {
        "coverage80": ["b", "c"],
        "MASE": ["b"],
        "peak_f1": ["b"],
        "max_crps_independent": [],
        "SQL": [],
    }


def test_figures_show_every_number_of_the_frames(scores):
    board = scores.board()
    for group in GROUPS:
        shown = [list(bar.x) for bar in bars_figure(board, group).data]
        mine = [name for name, m in MEASURES.items() if m.group == group and m.rival]
        assert shown == [board[name].tolist() for name in mine]
    with pytest.raises(ValueError, match="'Peaks'; there are accuracy, calibration, peaks"):
        bars_figure(board, "Peaks")
    pairs = dependence_figure(board).data
    assert list(pairs[1].y) == board["sum24_crps_independent"].tolist()
    lines = [line for line in reliability_figure(scores.reliability).data if line.name]
    assert sum(len(line.x) for line in lines) == len(scores.reliability)
    assert sum(len(line.x) for line in levels_figure(scores.levels).data) == len(scores.levels)


@pytest.mark.parametrize("season", [24, 7, 1])
def test_series_without_time_or_order_counts_are_scored(season):
    t = np.arange(400)
    rng = np.random.default_rng(0)
    y = 3 * np.sin(t / season * 2 * np.pi) + rng.normal(0, 1, 400)  # below zero too
    panel = panel_of_series(
        pd.DataFrame({"unique_id": "a", "ds": t, "y": y}), freq="1", season=season
    )
    board = leaderboard(panel, Backtest(horizon=28), members=["seasonal"], season=season)
    assert (board["error"] == "").all()
    assert np.isfinite(board[["MASE", "SQL", "twCRPS", "brier", "sum24_crps"]].to_numpy()).all()
    assert board["peak_hour_hits"].notna().all() == (season > 1)


@pytest.mark.parametrize("freq", ["1D", "W", "MS"])
def test_series_of_longer_buckets_are_scored(freq):
    ds = pd.date_range("2015-01-04", periods=150, freq=freq)
    y = 30 + 10 * np.sin(np.arange(150) / 6) + np.random.default_rng(0).normal(0, 3, 150)
    panel = panel_of_series(pd.DataFrame({"unique_id": "a", "ds": ds, "y": y}), freq=freq)
    board = leaderboard(panel, Backtest(horizon=12, windows=2, step=12), members=["seasonal"])
    assert (board["error"] == "").all()
    assert np.isfinite(board[["MASE", "SQL", "twCRPS", "brier", "sum24_crps"]].to_numpy()).all()
