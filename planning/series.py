"""Any long frame `unique_id, ds, y` from a file -> its forecast; no workspace needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pandas.api.extensions import ExtensionDtype

from forecast import Panel, forecast, panel_of_series
from planning.decide import Forecaster, Progress
from planning.problem import Array
from planning.tables import InputRefused
from planning.workspace import ConfigError

COLUMNS = ("unique_id", "ds", "y")
MOST_GAPS = 0.05  # of the buckets of all series, without a word


def require_options(given: Mapping[str, object]) -> None:
    """Raise ConfigError unless the options beside --series tell what such a file needs told."""
    if given["freq"] is None or given["horizon"] is None:
        raise ConfigError("--series needs --freq and --horizon")
    if given["as_of"] is not None:
        raise ConfigError(
            "--as-of belongs to a workspace; of --series every row counts as history: leave the "
            "later ones out of the file"
        )


def refuse_options(given: Mapping[str, object]) -> None:
    """Raise ConfigError where an option of --series is given for a workspace."""
    for name in ("freq", "horizon", "season"):
        if given[name] is not None:
            told = "a workspace's are set in its peakahead.toml under [forecast]"
            raise ConfigError(f"--{name} belongs to --series; {told}")


def forecast_series(
    path: Path,
    *,
    freq: str,
    horizon: int,
    season: int | None,
    seed: int,
    progress: Progress,
    forecaster: Forecaster = forecast,
) -> tuple[pd.DataFrame, Array, list[str]]:
    """Forecast every series of a file: rows of unique_id, ds, mean, q0.01 …, models used, notes.

    Raises
    ------
    planning.tables.InputRefused
        When the file can't be read as such a frame; the message says what to do.
    planning.workspace.ConfigError
        When `freq` is no length of a bucket of that frame.
    """
    panel, kind = _read(path, freq=freq, season=season)
    ahead = forecaster(panel, horizon, season=season, n_paths=1, seed=seed, progress=progress)
    frame = ahead.frame().rename(columns={ahead.id_name: "unique_id"})
    return frame.assign(ds=_of_kind(frame["ds"], kind)), ahead.model, gap_notes(panel)


def _of_kind(ds: pd.Series, kind: np.dtype | ExtensionDtype) -> pd.Series:
    """`ds` in the type that the history had, unless that is too narrow for what follows it."""
    cast = ds.astype(kind)
    return cast if (cast.astype(ds.dtype) == ds).all() else ds


def gap_notes(panel: Panel) -> list[str]:
    """A note where many buckets between a series' first and last value hold none."""
    known = ~np.isnan(panel.y)
    begun = np.maximum.accumulate(known, axis=1)
    over = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    span = int((begun & over).sum())
    gaps = span - int(known.sum())
    if gaps <= MOST_GAPS * span:
        return []
    return [
        f"{gaps / span:.0%} of the buckets between the first and last value of their series have "
        "no row or an empty y: they count as not observed; write 0 where nothing was asked for"
    ]


def read_panel(path: Path, *, freq: str, season: int | None) -> Panel:
    """The series of a file as a panel; raises as `forecast_series` does."""
    return _read(path, freq=freq, season=season)[0]


def _read(path: Path, *, freq: str, season: int | None) -> tuple[Panel, np.dtype | ExtensionDtype]:
    """The series of a file, and the type of its ds."""
    try:
        frame = read_series(path)
        _check_freq(freq, frame["ds"])
        return panel_of_series(frame, freq=freq, season=season), frame["ds"].dtype
    except ConfigError:
        raise
    except ValueError as error:
        raise InputRefused([f"{path}: {error}"]) from error


def read_series(path: Path) -> pd.DataFrame:
    """A .parquet, .csv or .csv.gz file as unique_id (text), ds (as it came) and y (float).

    Raises
    ------
    ValueError
        When the file, a column or a value is not what a long frame holds.
    """
    table = _open(path)
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        has = ", ".join(repr(name) for name in table.column_names)
        raise ValueError(
            f"column {', '.join(missing)} is missing, it has {has}; unique_id, ds and y are "
            "needed, in a .csv parted by commas"
        )
    twice = [name for name in COLUMNS if table.column_names.count(name) > 1]
    if twice:
        raise ValueError(f"column {', '.join(twice)} comes more than once; keep one of each")
    frame: pd.DataFrame = table.select(COLUMNS).to_pandas()
    if path.suffix != ".parquet":
        frame.index = pd.RangeIndex(2, len(frame) + 2, name="line")
    for name in ("unique_id", "ds"):
        _refuse(frame[name], frame[name].isna() | (frame[name].astype(str) == ""), "is empty")
    frame["unique_id"] = frame["unique_id"].astype(str)
    if not pd.api.types.is_numeric_dtype(frame["y"]):
        frame["y"] = _numbers(frame["y"])
    _refuse(frame["y"], frame["y"].isin([np.inf, -np.inf]), "is infinite")
    if not pd.api.types.is_numeric_dtype(frame["ds"]):
        frame["ds"] = _stamps(frame["ds"])
    return frame


def _check_freq(freq: str, ds: pd.Series) -> None:
    """Raise ConfigError unless `freq` is a positive offset, or a step where ds is whole numbers."""
    stamps = pd.api.types.is_datetime64_any_dtype(ds.dtype)
    try:
        length = pd.tseries.frequencies.to_offset(freq).n if not freq.isdigit() else int(freq)
    except ValueError:
        length = 0
    if length < 1 or (stamps and freq.isdigit()):
        what = "a length such as 15min, 1h, 1D, 1W or MS" if stamps else "a step such as 1"
        raise ConfigError(f"--freq {freq!r}: write {what}")


def _refuse(column: pd.Series, bad: pd.Series, what: str) -> None:
    """Raise ValueError that names the first bad row, in a .csv by its line."""
    if bad.any():
        row, count = int(bad.to_numpy().argmax()), int(bad.sum())
        where = f"{column.index.name or 'row'} {column.index[row]}"
        rows = "it" if count == 1 else f"the {count:,} such rows"
        raise ValueError(
            f"{where}: {column.name} {str(column.iloc[row])!r} {what}; correct or remove {rows}"
        )


def _open(path: Path) -> pa.Table:
    if not path.is_file():
        raise ValueError("no such file")
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        if path.name.endswith((".csv", ".csv.gz")):
            text = pa_csv.ConvertOptions(
                column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False
            )
            return pa_csv.read_csv(path, convert_options=text)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"the file can't be read ({error}); {_remedy(str(error))}") from error
    raise ValueError("use a .parquet, .csv or .csv.gz file")


def _remedy(told: str) -> str:
    if "UTF8" in told:
        return "save it as UTF-8"
    if "Empty" in told:
        return "it needs a line of headings and the rows under it"
    return "correct that line, or write the file anew"


def _numbers(column: pd.Series) -> pd.Series:
    text = column.astype(str).str.strip()
    values = pd.to_numeric(text.where(text != ""), errors="coerce").astype(float)
    bad = values.isna() & (text != "")
    _refuse(text, bad, "is no number (leave it empty where nothing was observed)")
    return values


def _stamps(column: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    text = column.astype(str).str.strip()
    if text.str.fullmatch(r"[+-]?[0-9]+").all():
        return text.astype("int64")
    bad = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).isna()
    _refuse(text, bad, "is no ISO 8601 stamp, or no whole number like the others")
    aware = text.str.contains(r"[T ].*(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$")
    told = "has no offset as others have" if aware.iloc[0] else "has an offset, others have none"
    _refuse(text, aware != aware.iloc[0], f"{told}: write all alike")
    try:
        return pd.to_datetime(text, format="ISO8601")
    except ValueError:  # offsets differ, as they do where clocks change: the same instants in UTC
        return pd.to_datetime(text, format="ISO8601", utc=True)
