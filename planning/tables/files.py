"""Files as they lie on the disk: which ones, what they are, their bytes as UTF-8 lines."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from planning.tables.problems import InputRefused

CHUNK = 1 << 20
MOST_BYTES = 4 << 30  # of text; more than that belongs in Parquet
BOMB_BYTES = 64 << 20  # below this no ratio is suspicious
BOMB_RATIO = 250  # order logs compress 5 to 30 times, a bomb a thousand times
TABLES = (".parquet", ".csv", ".csv.gz")
_FOREIGN = (  # leading bytes of files that are not what their name says
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Office document"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%YAML", "a YAML file"),
    (b"--- !", "a YAML file"),
    (b"!!python", "a YAML file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF"),
)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A CSV file as UTF-8 with lines ended by a newline alone."""

    data: bytes
    invalid: npt.NDArray[np.int64]  # byte offsets in `data` of what is no valid character
    notes: tuple[str, ...]
    sha256: str  # of the file as it lies there


def shown(path: Path, root: Path) -> str:
    """Name of a file for people and records: from the workspace where it lies inside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def resolve(source: str, root: Path, kinds: tuple[str, ...] = TABLES) -> list[Path]:
    """Return the files that a path or glob names, in the order of their names.

    `kinds`: how their names may end.

    Raises
    ------
    InputRefused
        When there are none, or one is no regular file of a kind that we read.
    """
    literal = Path(source)
    if os.path.lexists(literal) or not glob.has_magic(source):
        found = [literal]
    else:
        found = _matches(literal, root)
    if not found:
        raise InputRefused([f"{source}: no file matches this pattern; correct it"])
    problems = [problem for path in found if (problem := _unfit(path, root, kinds))]
    if problems:
        raise InputRefused(problems)
    return found


def _matches(pattern: Path, root: Path) -> list[Path]:
    """Files that match; brackets in the name of the workspace itself are no pattern."""
    if not pattern.is_relative_to(root):
        return [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]
    inside = str(pattern.relative_to(root))
    return [root / match for match in sorted(glob.glob(inside, root_dir=root, recursive=True))]


def _unfit(path: Path, root: Path, kinds: tuple[str, ...]) -> str | None:
    name = shown(path, root)
    try:
        mode = path.stat().st_mode  # follows links: what counts is what they lead to
    except OSError as error:
        return f"{name}: cannot be read ({error.strerror}); correct its path"
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        return f"{name}: is {kind}, not a regular file; give a {_listed(kinds)} file"
    if not path.name.lower().endswith(kinds):
        workbook = "" if ".xlsx" in kinds else "save a workbook as CSV; "
        return (
            f"{name}: is not read by its name; give a {_listed(kinds)} file "
            f"({workbook}pickles and YAML are never loaded: they can run code)"
        )
    return None if path.suffix.lower() == ".xlsx" else _foreign(path, name)


def _listed(kinds: tuple[str, ...]) -> str:
    return f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def _foreign(path: Path, name: str) -> str | None:
    """What is wrong with the first bytes of a file, given what its name promises."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return f"{name}: cannot be read ({error.strerror}); check its permissions"
    wanted = {".parquet": b"PAR1", ".gz": b"\x1f\x8b"}.get(path.suffix.lower())
    if not head:
        return f"{name}: is empty (0 bytes); export it again, with its header line"
    if wanted is not None and head.startswith(wanted):
        return None
    what = next((what for magic, what in _FOREIGN if head.startswith(magic)), None)
    if wanted is not None or what is not None:
        needed = "a CSV file" if wanted is None else f"a {path.suffix.lower()} file"
        return (
            f"{name}: is {what or 'something else'}, not {needed}; export it as what its name says"
        )
    return None


def read_text(path: Path, root: Path) -> Text:
    """Return a .csv or .csv.gz file's lines.

    Raises
    ------
    InputRefused
        When it is truncated, too large, a decompression bomb or in no encoding we know.
    """
    name = shown(path, root)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        data = (_gunzip if path.suffix.lower() == ".gz" else _read)(file, name, digest.update)
    data, invalid, notes = _utf8(data, name)
    if b"\r" in data:
        if len(invalid):  # offsets hold only in what they were counted in
            invalid -= _shrunk(data, invalid)
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data or data.isspace():
        raise InputRefused([f"{name}: is empty; export it again, with its header line"])
    return Text(data=data, invalid=invalid, notes=notes, sha256=digest.hexdigest())


def _shrunk(data: bytes, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many bytes before each offset vanish when CR LF becomes LF."""
    octets = np.frombuffer(data, dtype=np.uint8)
    pairs = np.flatnonzero((octets[:-1] == 13) & (octets[1:] == 10))
    return np.searchsorted(pairs, offsets)


def _read(file: BinaryIO, name: str, update: Callable[[bytes], None]) -> bytes:
    size = os.fstat(file.fileno()).st_size
    if size > MOST_BYTES:
        raise InputRefused([_too_large(name)])
    data = file.read()
    update(data)
    return data


def _too_large(name: str) -> str:
    return (
        f"{name}: holds more than {MOST_BYTES >> 30} GiB of text; write it as Parquet, "
        "or split it and give a glob"
    )


def _gunzip(file: BinaryIO, name: str, update: Callable[[bytes], None]) -> bytes:
    """Content of a gzip file of one or more members, within bounds."""
    parts: list[bytes] = []
    taken = given = 0
    stream = zlib.decompressobj(wbits=31)
    try:
        while block := file.read(CHUNK):
            update(block)
            taken += len(block)
            while block:
                part = stream.decompress(block, CHUNK * 16)
                parts.append(part)
                given += len(part)
                _refuse_bomb(name, taken, given)
                block = stream.unconsumed_tail
                if stream.eof:
                    block = stream.unused_data.lstrip(b"\0")
                    if block:
                        stream = zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise InputRefused(
            [f"{name}: is a damaged gzip file ({error}); copy or export it again"]
        ) from error
    if not stream.eof:
        raise InputRefused(
            [f"{name}: is a truncated gzip file, its end is missing; copy or export it again"]
        )
    return b"".join(parts)


def _refuse_bomb(name: str, taken: int, given: int) -> None:
    if given > MOST_BYTES:
        raise InputRefused([_too_large(name)])
    if given > BOMB_BYTES and given > BOMB_RATIO * taken:
        raise InputRefused(
            [
                f"{name}: unpacks to more than {BOMB_RATIO} times its size, which no order log "
                "does; if it is genuine, unpack it yourself and give the .csv"
            ]
        )


def _utf8(data: bytes, name: str) -> tuple[bytes, npt.NDArray[np.int64], tuple[str, ...]]:
    """UTF-8 of whatever came, where it is still invalid, and notes on the conversion."""
    none = np.empty(0, dtype=np.int64)
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16").encode(), none, (f"{name}: read as UTF-16",)
        except UnicodeError as error:
            raise InputRefused(
                [f"{name}: begins as UTF-16 but is not ({error}); save it as UTF-8"]
            ) from error
    if _is_utf8(data):
        return data, none, ()
    chinese = _gb18030(data)
    if chinese is not None:
        return chinese, none, (f"{name}: is not UTF-8, read as GB18030 (GBK)",)
    return data, _invalid_at(data), ()


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for start in range(0, len(data), CHUNK):
            decoder.decode(view[start : start + CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _gb18030(data: bytes) -> bytes | None:
    """UTF-8 of a text in GB18030, None where it isn't one.

    Nearly any bytes decode as GB18030, so most of the characters must be everyday ones (GB2312).
    """
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    everyday = (len(text.encode("gb2312", "ignore")) - (len(text) - foreign)) // 2
    return text.encode() if everyday >= 0.9 * foreign else None


def _invalid_at(data: bytes) -> npt.NDArray[np.int64]:
    """Byte offsets of every sequence that is no UTF-8."""
    found: list[int] = []

    def note(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        found.append(error.start)
        return "?", error.end

    codecs.register_error("peakahead-note", note)
    data.decode("utf-8", errors="peakahead-note")
    return np.array(found, dtype=np.int64)
