"""Which workspace a ledger belongs to: a database, or a schema of one, for each.

Both hold the same random id, the ledger in a table and the workspace in a file that moves and is
copied with it. The first command that writes binds what has no id yet.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planning import ledger
from planning.connection import file_of
from planning.digest import sha256
from planning.workspace import ConfigError, Workspace, masked

FILE = ".peakahead.id"


@contextmanager
def open_book(workspace: Workspace, *, write: bool = False) -> Iterator[ledger.Ledger]:
    """Open the ledger of a workspace, as `ledger.open_ledger`.

    Raises
    ------
    planning.workspace.ConfigError
        When the ledger belongs to another workspace.
    planning.ledger.StoreUnavailable
        As `ledger.open_ledger`.
    """
    with ledger.open_ledger(workspace.store_url, write=write) as book:
        owner, own = book.owner(), _own(workspace.root)
        if owner is not None and owner != own and not (own is None and _adopts(workspace, book)):
            raise _refusal(workspace, owner)
        if write:
            own = own or _written(workspace.root, owner or uuid.uuid4().hex)
            if owner is None and not book.bind(own):
                raise _refusal(workspace, book.owner())
        yield book


def _own(root: Path) -> str | None:
    try:
        return (root / FILE).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def _written(root: Path, own: str) -> str:
    """The id that the workspace has now: this one, or what another command has just written."""
    try:
        with (root / FILE).open("x", encoding="utf-8") as file:
            file.write(own + "\n")
    except FileExistsError:
        return _own(root) or own
    return own


def _adopts(workspace: Workspace, book: ledger.Ledger) -> bool:
    """Whether a workspace that has lost its file owns the ledger without doubt.

    It lies within the workspace, or knows a run whose very folder lies there.
    """
    if _lies_within(workspace):
        return True
    manifests = {
        run.manifest_sha256: workspace.root / "runs" / run.run_id / "manifest.json"
        for run in book.all()
        if run.state == ledger.DONE
    }
    return any(path.is_file() and sha256(path) == sha for sha, path in manifests.items())


def _lies_within(workspace: Workspace) -> bool:
    file = file_of(workspace.store_url)
    return file is not None and file.resolve().is_relative_to(workspace.root.resolve())


def _refusal(workspace: Workspace, owner: str | None) -> ConfigError:
    return ConfigError(
        f"the ledger {masked(workspace.store_url)} belongs to another workspace ({owner}): two in "
        "one would plan around each other's lines. Name a database of its own for each workspace "
        "under [store] url, or a schema of its own (…/database?options=-csearch_path=schema). If "
        f"it is truly the ledger of this one, write that id into {workspace.root / FILE}"
    )
