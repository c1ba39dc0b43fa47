"""Passwords are taken out of whatever people or records get to see."""

from __future__ import annotations

import re

_SHOWN = "***"
_IN_ADDRESS = re.compile(r"(:/+[^\s:/]*:)(?!\*\*\*@)[^\n]*(?=@)")  # scheme://user:password@
_KEY = r"(?:\w*pass\w*|pwd)"
_IN_QUERY = re.compile(rf"(?i)({_KEY}\s*=\s*)(?:'[^'\n]*'|\"[^\"\n]*\"|[^&\s]*)")
_IN_TABLE = re.compile(rf"(?i)(['\"]{_KEY}['\"]\s*:\s*)(?:'[^'\n]*'|\"[^\"\n]*\"|[^,}}\s]*)")


def masked(text: str) -> str:
    """Return a text without the passwords of the addresses and settings in it.

    Where an address ends can't be told from a password with an @ in it, so that too much of its
    line is masked rather than too little.
    """
    for pattern in (_IN_ADDRESS, _IN_QUERY, _IN_TABLE):
        text = pattern.sub(rf"\1{_SHOWN}", text)
    return text
