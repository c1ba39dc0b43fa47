"""Local times become instants as zoneinfo says, at every clock change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.tables.times import between, micros, offset_sql, segments, stamp_sql, twice_sql

CON = duckdb.connect()
ZONES = [
    "Asia/Shanghai",
    "Europe/London",
    "Australia/Lord_Howe",  # half an hour forward and back
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Pacific/Apia",  # left out a whole day in 2011
    "Europe/Dublin",  # winter is its daylight saving
    "UTC",
]


def slow(wall: datetime, tz: str) -> tuple[int | None, bool]:
    """Offset of the earlier instant (None in a gap), and whether there are two."""
    zone = ZoneInfo(tz)
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    exists = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall
    if not exists:
        return None, False
    offset = first.utcoffset() // timedelta(microseconds=1)
    return offset, first.utcoffset() != second.utcoffset()


def quick(walls: list[datetime], tz: str) -> list[tuple[int | None, bool]]:
    values = ", ".join(f"({n}, {micros(wall)})" for n, wall in enumerate(walls))
    clock = between(tz, min(walls).year, max(walls).year)
    found = CON.execute(
        f"SELECT {offset_sql('w', clock)}, {twice_sql('w', clock)} "
        f"FROM (VALUES {values}) AS t(n, w) ORDER BY n"
    ).fetchall()
    return [(offset, bool(twice)) for offset, twice in found]


@pytest.mark.parametrize("tz", ZONES)
def test_at_every_change_of_a_century_as_zoneinfo_says(tz):
    starts = [segment.start for segment in segments(tz)]
    near = [
        datetime(1970, 1, 1) + timedelta(microseconds=start + delta)
        for start in starts[:220]
        for delta in (-1, 0, 1, 1_799_000_000)
    ]
    assert quick(near, tz) == [slow(wall, tz) for wall in near]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2199, 12, 31)), min_size=1, max_size=40),
    st.sampled_from(ZONES),
)
def test_anywhere_as_zoneinfo_says(walls, tz):
    assert quick(walls, tz) == [slow(wall, tz) for wall in walls]


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2199, 12, 31)),
    st.sampled_from(["", "Z", "+08:00", "-0330", "+05", " +00:00"]),
    st.sampled_from("T "),
)
def test_iso_text_is_read_as_python_reads_it(stamp, offset, between):
    text = stamp.isoformat(sep=between) + offset
    known = datetime.fromisoformat(text.replace(" +", "+"))
    wall, ahead = stamp_sql("t")
    found = CON.execute(f"SELECT {wall}, {ahead} FROM (SELECT ? AS t)", [text]).fetchall()
    delta = known.utcoffset()
    wanted = None if delta is None else delta // timedelta(microseconds=1)
    assert found == [(micros(stamp), wanted)]


SPRING = {
    # zone, a time in the gap, the moment before it, the moment after it
    "Europe/London": ("2026-03-29T01:30", "2026-03-29T00:59:59", "2026-03-29T02:00", 1),
    "Australia/Lord_Howe": ("2026-10-04T02:15", "2026-10-04T01:59:59", "2026-10-04T02:30", 1),
}


@pytest.mark.parametrize("tz", SPRING)
def test_a_time_that_the_clocks_skip_is_quarantined(desk, tz):
    gap, before, after, seconds = SPRING[tz]
    desk.tz = tz
    line = desk.orders(*(f"X{n},P1,{t},1,failed" for n, t in enumerate((before, gap, after))))
    inputs = desk.read(as_of="2027-01-01")
    told = inputs.quarantine["orders"]
    assert list(told["line"]) == [line + 1]
    assert f"does not exist in {tz}" in told["rule"].iloc[0]
    first, second = inputs.orders.column("ordered_at").to_pylist()[-2:]
    assert second - first == timedelta(seconds=seconds)


AUTUMN = {
    "Europe/London": ("2026-10-25T01:30", "2026-10-25T00:30:00+00:00"),
    "Australia/Lord_Howe": ("2026-04-05T01:45", "2026-04-04T14:45:00+00:00"),
}


@pytest.mark.parametrize("tz", AUTUMN)
def test_a_time_that_comes_twice_is_the_earlier_and_noted(desk, tz):
    wall, instant = AUTUMN[tz]
    desk.tz = tz
    desk.orders(f"X,P1,{wall},1,failed", f"Y,P1,{instant},1,failed")
    inputs = desk.read(as_of="2027-01-01")
    stamps = inputs.orders.column("ordered_at").to_pylist()[-2:]
    assert [stamp.isoformat() for stamp in stamps] == [instant, instant]
    assert any(note.startswith("orders: 1 rows hold a local time") for note in inputs.notes)
