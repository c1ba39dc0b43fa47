"""Any long frame in, its forecast out: ds as it came, and every bad value named."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from forecast import panel_of_series
from planning.cli import USAGE
from planning.series import gap_notes
from tests.planning.workspaces import call

LEVELS = ["q0.01", "q0.05", *[f"q0.{k}" for k in range(1, 10)], "q0.95", "q0.99"]
N = 24 * 10
STAMPS = {
    "naive": pd.date_range("2026-03-01", periods=N + 3, freq="1h"),
    "aware": pd.date_range("2026-03-01", periods=N + 3, freq="1h", tz="Asia/Shanghai"),
    "integer": pd.Index(np.arange(5, N + 8)),
}


def frame_of(ds: pd.Index) -> pd.DataFrame:
    y = 10 + 5 * np.sin(np.arange(N) * np.pi / 12)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": ds[:N], "y": np.round(y * k)})
        for name, k in (("00123", 1), ("NA", 2))
    ]
    return pd.concat(parts, ignore_index=True)


def put(frame: pd.DataFrame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def ahead(path, out, *options):
    freq = [] if "--freq" in options else ["--freq", "1h"]
    return call("forecast", "--series", path, "--horizon", 3, "--out", out, *freq, *options)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", STAMPS)
def test_ds_comes_back_as_it_came_and_continues(tmp_path, kind, ending):
    ds = STAMPS[kind]
    path = put(frame_of(ds), tmp_path / f"in{ending}")
    freq = ("--freq", "1", "--season", "24") if kind == "integer" else ()
    answer = ahead(path, tmp_path / "out.parquet", *freq)
    assert answer.code == 0, answer.err
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert list(out.columns) == ["unique_id", "ds", "mean", *LEVELS]
    assert out["unique_id"].tolist() == ["00123"] * 3 + ["NA"] * 3
    assert out["ds"].tolist() == list(ds[N:]) * 2
    assert out["ds"].dt.tz is not None if kind == "aware" else True
    quantiles = out[LEVELS].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (quantiles >= 0).all()
    assert answer.said["rows"] == 6
    assert sum(answer.said["models"].values()) == 2


@pytest.mark.parametrize(
    ("kind", "dtype", "wanted"),
    [
        ("naive", "datetime64[ns]", "datetime64[ns]"),
        ("naive", "datetime64[ms]", "datetime64[ms]"),
        ("aware", "datetime64[ns, Asia/Shanghai]", "datetime64[ns, Asia/Shanghai]"),
        ("integer", "int32", "int32"),
        ("integer", "uint8", "int64"),  # 16 to 255 fit, and what follows doesn't
    ],
)
def test_ds_comes_back_in_its_type(tmp_path, kind, dtype, wanted):
    ds = STAMPS[kind] + 11 if dtype == "uint8" else STAMPS[kind]
    history = frame_of(ds)
    path = put(history.assign(ds=history["ds"].astype(dtype)), tmp_path / "in.parquet")
    freq = ("--freq", "1", "--season", "24") if kind == "integer" else ()
    assert ahead(path, tmp_path / "out.parquet", *freq).code == 0
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert str(out["ds"].dtype) == wanted
    assert out["ds"].tolist() == list(ds[N:]) * 2


def test_csv_and_parquet_say_the_same(tmp_path):
    path = put(frame_of(STAMPS["aware"]), tmp_path / "in.parquet")
    for name in ("out.csv", "out.parquet"):
        assert ahead(path, tmp_path / name).code == 0
    text = pd.read_csv(tmp_path / "out.csv", dtype={"unique_id": str}, keep_default_na=False)
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert text["ds"].tolist() == [at.isoformat() for at in table["ds"]]
    assert np.allclose(text[LEVELS], table[LEVELS])


def test_a_compressed_csv_and_further_columns_are_read(tmp_path):
    path = tmp_path / "in.csv.gz"
    text = frame_of(STAMPS["naive"]).assign(more="x").to_csv(index=False)
    path.write_bytes(gzip.compress(text.encode()))
    assert ahead(path, tmp_path / "out.csv").code == 0


def test_a_history_below_zero_may_go_on_below_zero(tmp_path):
    frame = frame_of(STAMPS["naive"])
    path = put(frame.assign(y=frame["y"] - 100), tmp_path / "in.csv")
    assert ahead(path, tmp_path / "out.csv").code == 0
    assert (pd.read_csv(tmp_path / "out.csv")["q0.5"] < 0).all()


HEAD = "unique_id,ds,y\na,2026-03-01T00:00,1\na,2026-03-01T01:00,2\n"
BAD = {
    "text for y": (HEAD + "a,2026-03-01T02:00,many\n", ["line 4", "'many'"]),
    "infinite y": (HEAD + "a,2026-03-01T02:00,inf\n", ["line 4", "infinite"]),
    "NaN y": (HEAD + "a,2026-03-01T02:00,nan\n", ["line 4", "'nan'"]),
    "no stamp": (HEAD + "a,yesterday,1\n", ["line 4", "'yesterday'", "ISO 8601"]),
    "empty ds": (HEAD + "a,,1\n", ["line 4", "ds", "empty"]),
    "empty id": (HEAD + ",2026-03-01T02:00,1\n", ["line 4", "unique_id", "empty"]),
    "a number among stamps": (HEAD + "a,7,1\n", ["line 4", "'7'"]),
    "mixed offsets": (HEAD + "a,2026-03-01T02:00Z,1\n", ["line 4", "has an offset"]),
    "off the grid": (HEAD + "a,2026-03-01T02:30,1\na,2026-03-01T03:00,1\n", ["02:30", "grid"]),
    "twice": (HEAD + "a,2026-03-01T01:00,1\n", ["twice", "keep one"]),
    "missing column": ("unique_id,y\na,1\n", ["ds is missing"]),
    "semicolons": ("unique_id;ds;y\na;1;1\n", ["it has 'unique_id;ds;y'", "commas"]),
    "column twice": ("unique_id,ds,y,y\na,1,1,1\n", ["y comes more than once"]),
    "header only": ("unique_id,ds,y\n", ["no rows"]),
    "empty": ("", ["can't be read"]),
    "ragged": (HEAD + "a,b\n", ["can't be read"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_refused_with_its_row_and_a_remedy(tmp_path, case):
    text, told = BAD[case]
    (tmp_path / "in.csv").write_text(text)
    answer = ahead(tmp_path / "in.csv", tmp_path / "out.csv")
    assert answer.code == 1
    for part in ("in.csv", *told):
        assert part in answer.said["error"]
    assert not (tmp_path / "out.csv").exists()


def test_a_file_of_another_encoding_is_told_what_to_save_it_as(tmp_path):
    (tmp_path / "in.csv").write_bytes(HEAD.replace("a,", "点,").encode("gbk"))
    answer = ahead(tmp_path / "in.csv", tmp_path / "out.csv")
    assert answer.code == 1
    assert "save it as UTF-8" in answer.said["error"]


def test_offsets_that_change_with_the_clocks_are_one_time_line(tmp_path):
    stamps = pd.date_range("2026-10-23", periods=80, freq="1h", tz="Europe/Berlin")
    text = [stamp.isoformat() for stamp in stamps]
    assert len({stamp[-6:] for stamp in text}) == 2
    frame = pd.DataFrame({"unique_id": "a", "ds": text, "y": 1.0 + np.arange(80) % 24})
    frame.to_csv(tmp_path / "in.csv", index=False)
    assert ahead(tmp_path / "in.csv", tmp_path / "out.csv").code == 0
    found = pd.to_datetime(pd.read_csv(tmp_path / "out.csv")["ds"], utc=True)
    assert found.iloc[0] == stamps[-1] + pd.Timedelta("1h")


@pytest.mark.parametrize("option", ["freq", "horizon", "season"])
def test_the_shape_of_a_series_belongs_to_one(tmp_path, option):
    answer = call("forecast", f"--{option}", "1", "-w", tmp_path)
    assert (answer.code, option in answer.said["error"]) == (USAGE, True)


@pytest.mark.parametrize("name", ["gone.csv", "folder.parquet", "in.xlsx"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "in.xlsx").write_text("x")
    answer = ahead(tmp_path / name, tmp_path / "out.csv")
    assert answer.code == 1
    assert name in answer.said["error"]


@pytest.mark.parametrize("freq", ["0", "-1", "0h", "-1h", "soon", "", "1"])
def test_a_frequency_that_is_no_length_is_a_wrong_option(tmp_path, freq):
    path = put(frame_of(STAMPS["naive"]), tmp_path / "in.csv")
    answer = call(
        *("forecast", "--series", path, "--horizon", 3, "--out", tmp_path / "out.csv"),
        f"--freq={freq}",
    )
    assert answer.code == 2
    assert "--freq" in answer.said["error"]


@pytest.mark.parametrize("missing", ["--freq", "--horizon"])
def test_series_need_frequency_and_horizon(tmp_path, missing):
    options = {"--freq": "1h", "--horizon": "3"}
    del options[missing]
    path = put(frame_of(STAMPS["naive"]), tmp_path / "in.csv")
    words = [word for pair in options.items() for word in pair]
    answer = call("forecast", "--series", path, *words)
    assert answer.code == 2
    assert missing in answer.said["error"]


def test_where_to_write_is_checked_before_the_work(tmp_path):
    answer = ahead(tmp_path / "gone.csv", tmp_path / "out.txt")
    assert answer.code == 2
    assert ".parquet or a .csv" in answer.said["error"]
    answer = ahead(tmp_path / "gone.csv", tmp_path / "nowhere" / "out.csv")
    assert answer.code == 2
    assert "there is no folder" in answer.said["error"]


def test_a_kept_model_is_trained_once_and_used_until_it_is_a_day_old(tmp_path):
    ds, model = STAMPS["naive"], tmp_path / "kept.model"
    whole = frame_of(ds)

    def told(last, name):
        path = put(whole[whole["ds"] < ds[last]], tmp_path / f"{name}.csv")
        answer = ahead(path, tmp_path / f"{name}.parquet", "--model", model)
        assert answer.code == 0, answer.err
        assert answer.said["model"]["file"] == str(model)
        return answer.said["model"]["update"], answer.said["model"]["why"]

    assert told(N - 30, "first") == ("full", "there was no such file")
    assert told(N - 29, "hour") == ("quick", "")
    assert pd.read_parquet(tmp_path / "hour.parquet")["ds"].min() == ds[N - 29]
    update, why = told(N, "day")
    assert update == "full"
    assert "1.2 days before" in why
    assert told(N, "again")[0] == "quick"
    assert (tmp_path / "day.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_a_file_that_is_no_model_is_left_alone(tmp_path):
    path = put(frame_of(STAMPS["naive"]), tmp_path / "in.csv")
    before = path.read_bytes()
    answer = ahead(path, tmp_path / "out.csv", "--model", path)
    assert answer.code == 1
    assert "no model" in answer.err
    assert path.read_bytes() == before
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(("every", "told"), [(25, ""), (5, "20% of the buckets")])
def test_many_buckets_that_nobody_observed_are_told(every, told):
    frame = frame_of(STAMPS["naive"])
    row = frame.groupby("unique_id").cumcount()
    seen = frame[row % every != 1]
    notes = gap_notes(panel_of_series(seen, freq="1h"))
    assert [told in note for note in notes] == ([True] if told else [])


def test_a_series_that_begins_late_is_no_gap():
    frame = frame_of(STAMPS["naive"])
    late = frame[frame["unique_id"] == "NA"].iloc[N // 2 :].assign(unique_id="late")
    assert gap_notes(panel_of_series(pd.concat([frame, late]), freq="1h")) == []
