"""A seal beside a ledger that is a file: which bytes, and which entries, it had when last written.

The chain shows a changed record; the seal shows a bit that flipped where no record lies, and an
older ledger put in the place of the present one. It is lifted before anything is written and set
anew after it, so that a crash in between leaves none: then nothing is told.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from planning.digest import sha256

Head = tuple[int, str]  # number and link of the chain's last entry; 0 and "" = it has none


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What the file was."""

    entries: int  # of the chain
    link: str  # of the last of them
    sha256: str  # of the file


def read(file: Path | None) -> Seal | None:
    """The seal of a ledger's file; None where there is none, or one that was changed."""
    if file is None:
        return None
    try:
        told = json.loads(_place(file).read_text(encoding="utf-8"))
        seal = Seal(**told["sealed"])
        return seal if told["sha256"] == _own(seal) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def lift(file: Path | None) -> None:
    """Take the seal away, before anything is written."""
    if file is not None:
        _place(file).unlink(missing_ok=True)


def put(file: Path | None, head: Head) -> None:
    """Seal the file as it is; not while a log beside it holds more, nor on a full disk."""
    if file is None or not file.exists() or log_of(file):
        return
    place = _place(file)
    aside = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        seal = Seal(entries=head[0], link=head[1], sha256=sha256(file))
        text = json.dumps({"sealed": asdict(seal), "sha256": _own(seal)})
        aside.write_text(text + "\n", encoding="utf-8")
        aside.replace(place)
    except OSError:  # what was written is in the ledger all the same
        aside.unlink(missing_ok=True)


def broken(file: Path | None, head: Head) -> list[str]:
    """What the seal has against the file, whose chain ends with `head`."""
    if file is None or not _place(file).exists():
        return []
    seal = read(file)
    if seal is None:
        return [f"its seal {_place(file).name} is not as it was written"]
    if told := lost(seal, head):
        return [told]
    same = head == (seal.entries, seal.link) and not log_of(file)
    if same and sha256(file) != seal.sha256:
        return ["is not as it was written, outside its records"]
    return []


def lost(seal: Seal | None, head: Head) -> str | None:
    """What to know of a ledger that lacks entries which it had when it was sealed."""
    if seal is None or head[0] >= seal.entries:
        return None
    return (
        f"the ledger holds {head[0]:,} of the {seal.entries:,} entries that it had: an older copy "
        "was put back; answers that suppliers gave since are not known, run `peakahead ack` again "
        "for their files"
    )


def log_of(file: Path) -> int:
    """Bytes that a writer has left in the log beside a file of SQLite."""
    log = Path(f"{file}-wal")
    return log.stat().st_size if log.exists() else 0


def _place(file: Path) -> Path:
    return file.with_name(f".{file.name}.seal")


def _own(seal: Seal) -> str:
    return hashlib.sha256(json.dumps(asdict(seal)).encode()).hexdigest()
