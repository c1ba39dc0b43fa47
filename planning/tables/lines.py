"""CSV text to columns of text, one physical line a row, so that every row keeps its line number.

A line that cannot be one row is taken out before parsing and told of: a byte that is no text, a
quote that doesn't close on its line, an overlong line, too few or too many fields.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from planning.tables.files import Text
from planning.tables.problems import InputRefused

BLOCK = 64 << 20  # bytes parsed at a time
LONGEST = 1 << 20  # bytes of a line
NEWLINE, QUOTE, COMMA = 10, 34, 44
Positions = npt.NDArray[np.int64]

FAULTS = {
    "nul": ("a NUL byte in the line", "export the file again as plain text"),
    "invalid": ("bytes that are not UTF-8 text", "save the file as UTF-8"),
    "quote": (
        "a quote that does not open or close a field of this line",
        'write a quote inside a field as "" and keep each row on one line',
    ),
    "long": (f"a line of more than {LONGEST} bytes", "take out the overlong field"),
    "fields": (
        "another number of fields than the header",
        "quote a field that holds a comma, and fill missing fields",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A line that could not be a row."""

    line: int
    value: str
    fault: str  # key of FAULTS


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some consecutive rows of a file: text columns, their line numbers, and what was broken."""

    columns: list[pa.ChunkedArray]
    lines: Positions
    broken: list[Broken]


def header(text: Text, name: str) -> tuple[list[str], int, int]:
    """Column names, the line they stand on and the byte offset behind it.

    Raises
    ------
    InputRefused
        When the header cannot be read.
    """
    start, number = 0, 1
    while text.data.startswith(b"\n", start):
        start, number = start + 1, number + 1
    end = text.data.find(b"\n", start)
    end = len(text.data) if end < 0 else end
    raw = text.data[start:end]
    broken = bool(((text.invalid >= start) & (text.invalid < end)).any())
    if broken or b"\0" in raw or len(raw) > LONGEST:
        raise InputRefused([f"{name} line {number}: the header is not text; save it as UTF-8 CSV"])
    try:
        names = next(csv.reader([raw.decode()], strict=True))
    except csv.Error as error:
        raise InputRefused(
            [f"{name} line {number}: the header cannot be read ({error}); correct its quotes"]
        ) from error
    return names, number, min(end + 1, len(text.data))


def blocks(text: Text, names: list[str], line: int, start: int) -> Iterator[Block]:
    """Rows from byte `start`, which is the beginning of line `line`."""
    while start < len(text.data):
        stop = len(text.data)
        if start + BLOCK < stop:
            cut = text.data.rfind(b"\n", start, start + BLOCK)
            cut = text.data.find(b"\n", start + BLOCK) if cut < 0 else cut
            stop = stop if cut < 0 else cut + 1
        invalid = text.invalid[(text.invalid >= start) & (text.invalid < stop)] - start
        data = np.frombuffer(text.data, dtype=np.uint8, count=stop - start, offset=start)
        ends = _ends(data)
        yield _block(data, ends, invalid, names, line)
        line, start = line + len(ends), stop


def _ends(data: npt.NDArray[np.uint8]) -> Positions:
    """Offset behind the last byte of each line, its newline left out."""
    ends = np.flatnonzero(data == NEWLINE)
    return ends if len(ends) and ends[-1] == len(data) - 1 else np.append(ends, len(data))


def _block(
    data: npt.NDArray[np.uint8], ends: Positions, invalid: Positions, names: list[str], first: int
) -> Block:
    starts = np.concatenate([[0], ends[:-1] + 1])
    faults: dict[int, str] = {}  # line of the block -> why it is no row; the first reason stays
    for fault, lines in (
        ("long", np.flatnonzero(ends - starts > LONGEST)),
        ("nul", np.searchsorted(ends, np.flatnonzero(data == 0))),
        ("invalid", np.searchsorted(ends, invalid)),
        ("quote", _misquoted(data, starts, ends)),
    ):
        faults.update({int(at): fault for at in np.unique(lines) if int(at) not in faults})
    broken = [_told(data, starts, ends, at, fault, first) for at, fault in sorted(faults.items())]
    blank = ends - starts == 0
    keep = ~blank
    keep[list(faults)] = False
    if faults:
        lengths = np.append(starts[1:], len(data)) - starts
        data = data[np.repeat(keep, lengths)]
    rows = np.flatnonzero(keep) + first
    columns, misfits = _parse(data, names)
    wrong = np.array([number - 1 for number, _ in misfits], dtype=np.int64)
    broken += [
        Broken(line=int(rows[number - 1]), value=value[:200], fault="fields")
        for number, value in misfits
    ]
    return Block(columns=columns, lines=np.delete(rows, wrong), broken=broken)


def _told(
    data: npt.NDArray[np.uint8], starts: Positions, ends: Positions, at: int, fault: str, first: int
) -> Broken:
    raw = data[starts[at] : min(ends[at], starts[at] + 200)].tobytes()
    value = raw.decode("utf-8", "backslashreplace").replace("\0", "\\0")
    return Broken(line=at + first, value=value, fault=fault)


def _misquoted(data: npt.NDArray[np.uint8], starts: Positions, ends: Positions) -> Positions:
    """Lines whose quotes do not each open a field, close one, or stand doubled in one."""
    quotes = np.flatnonzero(data == QUOTE)
    if not len(quotes):
        return quotes
    line = np.searchsorted(ends, quotes)
    order = np.arange(len(quotes)) - np.searchsorted(line, line)  # nth quote of its line
    opens = order % 2 == 0
    before = np.where(quotes == starts[line], COMMA, data[quotes - 1])
    after = np.where(quotes + 1 == ends[line], COMMA, data[np.minimum(quotes + 1, len(data) - 1)])
    # The second of a doubled quote counts as opening again, right behind the first.
    fits_open = (before == COMMA) | ((before == QUOTE) & (order > 0))
    fits_close = (after == COMMA) | (after == QUOTE)
    last = np.append(line[1:] != line[:-1], True)
    wrong = np.where(opens, ~fits_open | last, ~fits_close)
    misquoted: Positions = line[wrong]
    return misquoted


def _parse(
    data: npt.NDArray[np.uint8], names: list[str]
) -> tuple[list[pa.ChunkedArray], list[tuple[int, str]]]:
    """Columns of text, and the rows (from 1) with another number of fields."""
    misfits: list[tuple[int, str]] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        misfits.append((row.number, row.text))
        return "skip"

    unique = [str(position) for position in range(len(names))]
    if not len(data) or not (data != NEWLINE).any():
        return [pa.chunked_array([], pa.string()) for _ in unique], misfits
    table = pa_csv.read_csv(
        pa.BufferReader(pa.py_buffer(np.ascontiguousarray(data))),
        read_options=pa_csv.ReadOptions(
            use_threads=False, column_names=unique, block_size=len(data) + 1
        ),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=skip),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(unique, pa.string()), null_values=[]
        ),
    )
    return table.columns, misfits
