"""`peakahead.toml`: what it may say, read once, every mistake told at once."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pandas as pd
import sqlalchemy as sa

from planning import masking
from planning.problem import SEGMENTS
from planning.schema import TABLES, Column, Words
from planning.section import Section, is_text, nearest

FILE = "peakahead.toml"
FREQS = ("15min", "30min", "1h")
FORMATS = ("xlsx", "csv", "json")
LANGUAGES = ("en", "zh")
MOST_DAYS_AHEAD = 92
LEAST_TARGET = 0.1  # minutes: a ready unit takes 5 seconds, so that no order could be faster
FIRST_YEAR, LAST_YEAR = 1990, 2199  # in which stamps lie, of tables and --as-of


class ConfigError(ValueError):
    """The configuration or an option is wrong; the message tells every mistake in full."""

    def __init__(self, message: str) -> None:
        super().__init__(masking.masked(message))


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A folder of tables and what its `peakahead.toml` says about them."""

    root: Path
    timezone: str
    sources: Mapping[str, str] = field(
        repr=False
    )  # table -> absolute path or glob, or the URL of the orders
    orders_query: str | None
    renames: Mapping[str, Mapping[str, str]]  # table -> our column -> theirs
    words: Mapping[str, Mapping[str, Words]]  # table -> our column -> what their words mean
    max_quarantine_share: float
    freq: str
    horizon: pd.Timedelta
    working_capital: float
    target_minutes: float
    target_share: float
    delay_cost_per_minute: float
    capital_cost_per_year: float
    segment_weight: Mapping[str, float]
    worst_share: float
    export_formats: tuple[str, ...]
    language: str
    store_url: sa.URL = field(repr=False)  # may hold a password, as sources may
    config_sha256: str  # of what the file says, whatever its layout and comments


def is_url(source: str) -> bool:
    """Whether a source is a database's address rather than a file's."""
    return re.match(r"\s*(?:[A-Za-z][A-Za-z0-9+_.-]*:)+//", source) is not None


def masked(url: str | sa.URL) -> str:
    """Return a database's address without its password."""
    parsed = sa.make_url(url)
    hidden = {key: "***" for key in parsed.query if re.search("(?i)pass|pwd", key)}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True)


def _is_zone(name: object) -> bool:
    try:
        return isinstance(name, str) and ZoneInfo(name) is not None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _timezone(data: Section) -> str:
    given = data.content.get("timezone")
    near = nearest(given, tuple(available_timezones())) if isinstance(given, str) else ""
    needed = f'an IANA time zone such as "Asia/Shanghai"{near}'
    return data.value("timezone", None, _is_zone, needed) or "UTC"


def _source(data: Section, table: str, root: Path) -> str | None:
    """Absolute path, glob or URL of a table; None for an optional table that isn't there."""
    spec = TABLES[table]
    needed = "the path of a .parquet, .csv or .csv.gz file, or a glob of such files"
    if table not in data.content and spec.default is not None:
        data.seen.add(table)
        default = root / spec.default
        return str(default) if default.exists() else None
    given = data.text(table, None, needed)
    if is_url(given):
        if table != "orders":
            data.wrong(table, given, f"{needed} (only orders may come from a database)")
        elif not _is_address(given):
            needed = "a SQLAlchemy URL, dialect+driver://user:password@host/name"
            data.wrong(table, given, f"{needed}, an @ in the password written as %40")
        return given.strip()
    return str(root / given)


def _is_address(url: str) -> bool:
    """Whether a URL can be read, and without a piece of a password with an @ for its host."""
    try:
        parsed = sa.make_url(url.strip())
    except (sa.exc.ArgumentError, ValueError):
        return False
    return not (parsed.host and "@" in f"{parsed.host}/{parsed.database}")


def _sources(data: Section, root: Path) -> tuple[dict[str, str], str | None]:
    found = {table: _source(data, table, root) for table in TABLES}
    sources = {table: source for table, source in found.items() if source is not None}
    query = data.text("orders_query", "", "the SQL query that returns the orders") or None
    from_database = is_url(sources["orders"])
    if from_database and query is None and "orders_query" not in data.content:
        data.problems.append(
            "data.orders_query is missing: orders is a database, so say which query returns them"
        )
    if query is not None and not from_database:
        data.problems.append(
            "data.orders_query is given but data.orders is a file: drop one of the two"
        )
    return sources, query


def _renames(data: Section) -> dict[str, Mapping[str, str]]:
    columns = data.section("columns")
    renames: dict[str, Mapping[str, str]] = {}
    for name, table in TABLES.items():
        section = columns.section(name)
        section.seen.update(table.names)
        for ours, theirs in section.content.items():
            if ours in table.names and not is_text(theirs):
                section.wrong(ours, theirs, "the name of a column in your file")
        section.close()
        renames[name] = MappingProxyType(dict(section.content))
    columns.close()
    return renames


def _words(data: Section) -> dict[str, Mapping[str, Words]]:
    """What the shop's own words in a column of few words mean."""
    values = data.section("values")
    words: dict[str, Mapping[str, Words]] = {}
    for name, table in TABLES.items():
        section = values.section(name)
        columns = (column for column in table.columns if column.choices)
        found = {column.name: _meanings(section, column) for column in columns}
        section.close()
        words[name] = MappingProxyType({column: said for column, said in found.items() if said})
    values.close()
    return words


def _meanings(section: Section, column: Column) -> Words:
    given = section.section(column.name)
    words: dict[str, str] = {}
    for ours in column.choices:
        came = given.value(ours, [], _are_words, 'a word of your file such as "ok", or a list')
        for theirs in [came] if isinstance(came, str) else came:
            if words.setdefault(theirs, ours) != ours:
                given.wrong(ours, theirs, f"one meaning a word; it also means {words[theirs]!r}")
    given.close()
    return tuple(words.items())


def _are_words(came: object) -> bool:
    return is_text(came) or (isinstance(came, list) and all(is_text(one) for one in came))


_MINUTES = {"min": 1, "h": 60, "d": 1440}


def _horizon(forecast: Section, freq: str) -> pd.Timedelta:
    needed = (
        f'a whole number of {freq} buckets such as "72h", "90min" or "3d", '
        f"at most {MOST_DAYS_AHEAD} days"
    )

    def length(text: object) -> pd.Timedelta | None:
        match = re.fullmatch(r"([1-9]\d{0,5})(min|h|d)", text) if isinstance(text, str) else None
        if match is None:
            return None
        return pd.Timedelta(minutes=int(match[1]) * _MINUTES[match[2]])

    def valid(text: object) -> bool:
        wanted = length(text)
        return (
            wanted is not None
            and wanted <= pd.Timedelta(days=MOST_DAYS_AHEAD)
            and wanted % pd.Timedelta(freq) == pd.Timedelta(0)
        )

    return length(forecast.value("horizon", "72h", valid, needed)) or pd.Timedelta(hours=72)


def _weights(planning: Section) -> Mapping[str, float]:
    section = planning.section("segment_weight")
    weights = {name: section.number(name, 1.0, 0, 1e6) for name in SEGMENTS}
    section.close()
    return MappingProxyType(weights)


def _formats(export: Section) -> tuple[str, ...]:
    def valid(came: object) -> bool:
        return (
            isinstance(came, list)
            and len(came) > 0
            and all(isinstance(one, str) and one in FORMATS for one in came)
            and len(set(came)) == len(came)
        )

    needed = "a list of some of " + ", ".join(f'"{name}"' for name in FORMATS)
    return tuple(export.value("formats", list(FORMATS), valid, needed))


def _store_url(store: Section, root: Path) -> sa.URL:
    """Address of the ledger; a relative SQLite path starts at the workspace."""
    needed = (
        '"sqlite:///file.db" or "postgresql+psycopg://user:password@host/database", '
        "an @ in the password written as %40"
    )
    given = store.text("url", "sqlite:///peakahead.db", needed)
    try:
        url = sa.make_url(given)
    except (sa.exc.ArgumentError, ValueError):
        store.wrong("url", given, needed)
        return sa.make_url("sqlite://")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url.set(database=str(root / url.database))
    ours = url.drivername in ("postgresql", "postgresql+psycopg")
    if ours and url.database and _is_address(given):
        return url.set(drivername="postgresql+psycopg")
    store.wrong("url", given, needed)
    return url


def _document(root: Path) -> dict[str, Any]:
    path = root / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); a workspace is a folder with a "
            f"{FILE}: name one with --workspace, or make a sample with `peakahead init DIR`"
        ) from error
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def load_workspace(root: Path) -> Workspace:
    """Read and check `root`/peakahead.toml.

    Raises
    ------
    ConfigError
        Naming every key that is unknown, missing or wrong, with what is allowed.
    """
    root = Path(root).absolute()
    document = _document(root)
    problems: list[str] = []
    top = Section(document, "", problems)
    workspace = _workspace(top, root, document)
    top.close()
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"{root / FILE}: {len(problems)} to correct{listed}")
    return workspace


def _workspace(top: Section, root: Path, document: dict[str, Any]) -> Workspace:
    data, forecast, planning = (top.section(name) for name in ("data", "forecast", "planning"))
    export, store = top.section("export"), top.section("store")
    sources, query = _sources(data, root)
    freq = forecast.choice("freq", "1h", FREQS)
    workspace = Workspace(
        root=root,
        timezone=_timezone(data),
        sources=MappingProxyType(sources),
        orders_query=query,
        renames=MappingProxyType(_renames(data)),
        words=MappingProxyType(_words(data)),
        max_quarantine_share=data.number("max_quarantine_share", 0.1, 0, 1),
        freq=freq,
        horizon=_horizon(forecast, freq),
        working_capital=planning.number("working_capital", None, 0, 1e15),
        target_minutes=planning.number("target_minutes", 5, LEAST_TARGET, 1e6),
        target_share=planning.number("target_share", 0.95, 0, 1),
        delay_cost_per_minute=planning.number("delay_cost_per_minute", 0.05, 0, 1e6),
        capital_cost_per_year=planning.number("capital_cost_per_year", 0.08, 0, 100),
        segment_weight=_weights(planning),
        worst_share=planning.number("worst_share", 1, 0, 1, above=True),
        export_formats=_formats(export),
        language=export.choice("language", "en", LANGUAGES),
        store_url=_store_url(store, root),
        config_sha256=_digest(document),
    )
    for section in (data, forecast, planning, export, store):
        section.close()
    return workspace


def _digest(document: dict[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


_STAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.]\d{1,9})?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?"
)


def parse_as_of(text: str | None, tz: str, now: pd.Timestamp) -> pd.Timestamp:
    """Return the instant a run pretends it is: naive is local, a date its midnight, None now.

    Raises
    ------
    ConfigError
        When the text is no ISO 8601 date or time, names a local time that does not exist, or a
        year in which no stamp of a table can lie.
    """
    if text is None:
        return now.tz_convert(tz)
    try:
        if _STAMP.fullmatch(text.strip()) is None:
            raise ValueError("not of the form YYYY-MM-DD[THH:MM[:SS][offset]]")
        stamp = datetime.fromisoformat(re.sub(r" (?=[Z+-])", "", text.strip()))
    except ValueError as error:
        raise ConfigError(
            f"--as-of {text!r}: is no ISO 8601 date or time ({error}); "
            'write "2026-10-01", "2026-10-01T08:00" or "2026-10-01T08:00+08:00"'
        ) from error
    if not FIRST_YEAR <= stamp.year <= LAST_YEAR:
        raise ConfigError(
            f"--as-of {text!r}: lies outside the years {FIRST_YEAR} to {LAST_YEAR} of every table; "
            "correct it"
        )
    zone = ZoneInfo(tz)
    if stamp.tzinfo is None:
        local = stamp.replace(tzinfo=zone, fold=0)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != stamp:
            raise ConfigError(
                f"--as-of {text!r}: this local time does not exist in {tz} (the clocks go "
                "forward); give another time, or one with its UTC offset"
            )
        stamp = local
    return pd.Timestamp(stamp.astimezone(UTC)).as_unit("us").tz_convert(tz)
