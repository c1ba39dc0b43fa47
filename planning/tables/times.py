"""Local wall clocks to instants, as SQL that DuckDB runs over millions of rows.

Instants are whole microseconds since the Unix epoch (UTC); wall times are the same count, read as
if the local clock stood still at UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from planning.workspace import FIRST_YEAR, LAST_YEAR

EARLIEST = datetime(FIRST_YEAR, 1, 1)  # what lies before is a clock that was never set
LATEST = datetime(LAST_YEAR + 1, 1, 1)  # and what lies after a placeholder

# A date, or a date and a time to the minute at least; an offset only after a time.
OFFSET = r"Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?"
TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?"
STAMP = rf"\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{TIME}(?: ?(?:{OFFSET}))?)?"
SHORTEST = len("2026-10-01T08:30")  # only what is longer can end in an offset


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of wall time from `start` to the next segment's start."""

    start: int  # wall microseconds
    offset: int | None  # microseconds ahead of UTC; None: this wall time does not exist
    twice: bool = False  # it comes twice, and the earlier instant is meant


def micros(stamp: datetime) -> int:
    """Whole microseconds from 1970-01-01 to a naive stamp."""
    delta = stamp - datetime(1970, 1, 1)
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def instant(stamp: datetime) -> int:
    """Whole microseconds from the Unix epoch to an aware stamp."""
    if stamp.tzinfo is None:
        raise ValueError(f"as-of {stamp} has no time zone; make it with parse_as_of")
    return micros(stamp.astimezone(UTC).replace(tzinfo=None))


def _offset(zone: ZoneInfo, second: int) -> int:
    delta = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
    return 0 if delta is None else delta.days * 86400 + delta.seconds


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """First second with the offset of `high`, by bisection."""
    after = _offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == after:
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=8)
def segments(tz: str) -> tuple[Segment, ...]:
    """How far the zone's wall clock is ahead of UTC, for every wall time we accept.

    The first segment reaches back without end, the last forward.
    """
    zone = ZoneInfo(tz)
    day = 86400
    first = micros(EARLIEST) // 1_000_000 - 2 * day
    last = micros(LATEST) // 1_000_000 + 2 * day
    before = _offset(zone, first)
    found = [Segment(start=first * 1_000_000, offset=before * 1_000_000)]
    for second in range(first + day, last, day):
        after = _offset(zone, second)
        if after == before:
            continue
        at = _change(zone, second - day, second)
        forward = after > before
        found += [
            Segment(
                start=(at + min(before, after)) * 1_000_000,
                offset=None if forward else before * 1_000_000,
                twice=not forward,
            ),
            Segment(start=(at + max(before, after)) * 1_000_000, offset=after * 1_000_000),
        ]
        before = after
    return tuple(found)


def between(tz: str, first_year: int, last_year: int) -> tuple[Segment, ...]:
    """Return the segments that wall times of these years fall into: few keep SQL short."""
    found = segments(tz)
    low = micros(datetime(min(max(first_year, 2), 9998), 1, 1))
    high = micros(datetime(min(max(last_year, 2), 9998) + 1, 1, 1))
    ends = [segment.start for segment in found[1:]]
    first = next((at for at, end in enumerate(ends) if end > low), len(found) - 1)
    return (
        tuple(segment for at, segment in enumerate(found) if at >= first and segment.start < high)
        or found[:1]
    )


def _step(column: str, starts: Sequence[int], values: Sequence[str]) -> str:
    """SQL of a step function, as a balanced tree: the last value whose start is reached."""
    if len(set(values)) == 1:
        return values[0]
    half = len(values) // 2
    left = _step(column, starts[:half], values[:half])
    right = _step(column, starts[half:], values[half:])
    return f"CASE WHEN {column} < {starts[half]} THEN {left} ELSE {right} END"


def offset_sql(wall: str, found: Sequence[Segment]) -> str:
    """SQL: microseconds that the wall time in column `wall` is ahead of UTC, NULL in a gap."""
    values = ["NULL::BIGINT" if s.offset is None else f"{s.offset}::BIGINT" for s in found]
    return _step(wall, [s.start for s in found], values)


def twice_sql(wall: str, found: Sequence[Segment]) -> str:
    """SQL: whether the wall time in column `wall` comes twice."""
    return _step(wall, [s.start for s in found], ["true" if s.twice else "false" for s in found])


def stamp_sql(text: str) -> tuple[str, str]:
    """SQL of an ISO 8601 text: its wall microseconds and its offset in microseconds (or NULL).

    The wall time is NULL where the text is no such stamp or names a day that doesn't exist.
    """
    body = f"regexp_replace({text}, ' ?({OFFSET})$', '')"
    body = f"CASE WHEN length({text}) > {SHORTEST} THEN {body} ELSE {text} END"
    wall = (
        f"CASE WHEN regexp_full_match({text}, '{STAMP}') "
        f"THEN epoch_us(TRY_CAST({body} AS TIMESTAMP)) END"
    )
    zone = f"regexp_extract({text}, '({OFFSET})$', 1)"
    none = f"length({text}) <= {SHORTEST} OR {zone} = ''"
    digits = f"replace({zone}, ':', '')"
    seconds = (
        f"(CASE WHEN {zone}[1] = '-' THEN -1 ELSE 1 END) * "
        f"(TRY_CAST({digits}[2:3] AS BIGINT) * 3600 "
        f"+ coalesce(TRY_CAST(nullif({digits}[4:5], '') AS BIGINT), 0) * 60)"
    )
    ahead = f"CASE WHEN {none} THEN NULL WHEN {zone} = 'Z' THEN 0 ELSE ({seconds}) * 1000000 END"
    return wall, ahead
