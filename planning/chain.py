"""A chain of hashes over what the ledger writes, so that a later change of it shows.

Every entry hashes what was written of a run or an answer, and the link before it: to change a
record unseen one would have to write the whole chain anew from there on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import sqlalchemy as sa

from planning.records import acks, answers, links, plan_lines, requests, runs

RUN, ACK = "run", "ack"
WHOLE: dict[str, Sequence[tuple[sa.Table, str]]] = {  # the tables of a record, and their key
    RUN: ((runs, "run_id"), (plan_lines, "run_id"), (requests, "run_id")),
    ACK: ((acks, "sha256"), (answers, "sha256")),
}


def append(connection: sa.Connection, kind: str, key: str) -> None:
    """Add an entry for the record that this transaction has written."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time as it is
        connection.execute(sa.text(f"LOCK TABLE {links.name} IN EXCLUSIVE MODE"))
    last, before = head(connection)
    number, content = last + 1, _content(connection, kind, key)
    entry = {"number": number, "kind": kind, "key": key, "content": content}
    connection.execute(
        sa.insert(links), [entry | {"link": _link(before, number, kind, key, content)}]
    )


def head(connection: sa.Connection) -> tuple[int, str]:
    """Number and link of the last entry."""
    last = connection.execute(sa.select(links).order_by(links.c.number.desc()).limit(1)).first()
    return (0, "") if last is None else (last.number, last.link)


def broken(connection: sa.Connection) -> list[str]:
    """What doesn't match the chain, in words."""
    told, before = _damage(connection), ""
    latest: dict[tuple[str, str], str] = {}
    for number, row in enumerate(connection.execute(sa.select(links).order_by(links.c.number)), 1):
        wanted = _link(before, number, row.kind, row.key, row.content)
        if row.number != number or row.link != wanted:
            told.append(
                f"the ledger's chain: entry {row.number}, of {row.kind} {row.key}, or one before "
                "it was changed or taken out"
            )
        before, latest[row.kind, row.key] = row.link, row.content
    for kind, ((table, name), *_) in WHOLE.items():
        kept = {str(key) for key in connection.execute(sa.select(table.c[name])).scalars()}
        told += [
            f"the ledger: {kind} {key} was taken out"
            for of, key in latest
            if of == kind and key not in kept
        ]
        told += [
            f"the ledger: {kind} {key} is not as it was written"
            if (kind, key) in latest
            else f"the ledger: {kind} {key} has no entry in the chain: another hand wrote it"
            for key in sorted(kept)
            if latest.get((kind, key)) != _content(connection, kind, key)
        ]
    return told


def _damage(connection: sa.Connection) -> list[str]:
    """What SQLite itself finds wrong with its file."""
    if connection.dialect.name != "sqlite":
        return []
    found = connection.execute(sa.text("PRAGMA integrity_check")).scalars()
    return [f"the ledger's file is damaged: {line}" for line in found if line != "ok"]


def _content(connection: sa.Connection, kind: str, key: str) -> str:
    """Hash of all that stands under a key."""
    digest = hashlib.sha256()
    for table, name in WHOLE[kind]:
        rows = connection.execute(
            sa.select(table).where(table.c[name] == key).order_by(*table.primary_key.columns)
        )
        for row in rows:
            digest.update(json.dumps([table.name, *row], ensure_ascii=False).encode())
    return digest.hexdigest()


def _link(before: str, number: int, kind: str, key: str, content: str) -> str:
    return hashlib.sha256(json.dumps([before, number, kind, key, content]).encode()).hexdigest()
