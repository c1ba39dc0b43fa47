"""A supplier's answer read: a request that was sent, as a workbook, a CSV or a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

from planning.schema import ANSWER
from planning.tables import files, source
from planning.tables.document import open_document
from planning.tables.problems import InputRefused
from planning.tables.read import Reader, database, frame, whole
from planning.tables.workbook import open_text, open_workbook, tidied
from planning.workspace import Workspace

KINDS = (".xlsx", ".json", ".csv")  # how an answer's name may end


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a supplier sent back, before it is held against what was asked."""

    name: str  # of the file, for people
    sha256: str  # of the file
    rows: pd.DataFrame  # the columns of schema.ANSWER, and `line`, where each stood
    notes: list[str]


def read_answer(path: Path, workspace: Workspace, headings: Mapping[str, str]) -> Answer:
    """Read a supplier's answer: a request that was sent as .xlsx, .csv or .json, filled in.

    A .csv may have title rows above its headings. `headings`: what a column is called in a workbook
    -> what we call it.

    Raises
    ------
    InputRefused
        When any row breaks a rule: an answer is used whole or not at all.
    """
    here = whole(workspace, {})
    path = Path(path).absolute()
    _require_kind(path, here.root)
    (opened,) = files.resolve(str(path), here.root, KINDS)
    with database() as con:
        reader = Reader(here, con)
        sheets = iter([lambda: tidied(_sheet(opened, here.root, headings, con))])
        result = reader.read(ANSWER, sheets, {}, placed=True)
    if result is None:
        raise InputRefused(reader.problems)
    (name,) = result.read
    rows = frame(ANSWER, result.rows, workspace.timezone)
    return Answer(
        name=name,
        sha256=result.read[name].sha256,
        rows=rows.assign(line=result.rows.column("line").to_numpy()),
        notes=result.notes,
    )


def _require_kind(path: Path, root: Path) -> None:
    if path.is_file() and path.suffix.lower() not in KINDS:
        told = (
            "an answer is an .xlsx, .csv or .json file; open this one and save it as an Excel "
            "workbook (.xlsx), or type what it says into the request that was sent out"
        )
        raise InputRefused([f"{files.shown(path, root)}: {told}"])


def _sheet(
    path: Path, root: Path, headings: Mapping[str, str], con: duckdb.DuckDBPyConnection
) -> source.Sheet:
    if path.suffix.lower() == ".xlsx":
        return open_workbook(path, root, headings, "line_id")
    if path.suffix.lower() == ".json":
        return open_document(path, root, ("request",))
    found = open_text(path, root, headings, "line_id")
    return source.open_file(path, root, con) if found is None else found
