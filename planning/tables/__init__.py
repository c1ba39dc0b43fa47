"""Tables read, checked and quarantined: one contract between the user's files and the rest."""

from planning.tables.answer import Answer, read_answer
from planning.tables.problems import InputRefused
from planning.tables.read import (
    Inputs,
    OrderLog,
    fingerprint,
    read_orders,
    read_plan,
    read_workspace,
)
from planning.tables.stage import Counts

__all__ = [
    "Answer",
    "Counts",
    "InputRefused",
    "Inputs",
    "OrderLog",
    "fingerprint",
    "read_answer",
    "read_orders",
    "read_plan",
    "read_workspace",
]
