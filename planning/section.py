"""One table of a configuration, read key by key; every mistake is noted under its full name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

from planning.masking import masked


def nearest(word: str, known: tuple[str, ...]) -> str:
    """What to add to a message where a known word is meant; empty where none is near."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


class Section:
    """One table of the file; notes each mistake under the key's full name."""

    def __init__(self, content: object, name: str, problems: list[str]) -> None:
        self.name, self.problems = name, problems
        self.seen: set[str] = set()
        self.content: dict[str, Any] = {}
        if isinstance(content, dict):
            self.content = content
        else:
            self.wrong("", content, "a table of keys")

    def wrong(self, key: str, came: object, needed: str) -> None:
        """Note what came under `key`, passwords aside, and what was needed."""
        name = ".".join(part for part in (self.name, key) if part)
        self.problems.append(f"{name} = {masked(repr(came))}: must be {needed}")

    def value(self, key: str, default: object, valid: Callable[[Any], bool], needed: str) -> Any:
        """Return the value of `key`, or the default where it is absent or wrong."""
        self.seen.add(key)
        if key not in self.content:
            if default is None:
                self.problems.append(f"{self.name}.{key} is missing: add {needed}")
            return default
        came = self.content[key]
        if valid(came):
            return came
        self.wrong(key, came, needed)
        return default

    def number(
        self, key: str, default: float | None, low: float, high: float, *, above: bool = False
    ) -> float:
        """Return a number between `low` (excluded if `above`) and `high`."""
        least = f"above {low:g}" if above else f"{low:g} or more"
        needed = f"a number, {least}" + (f", at most {high:g}" if math.isfinite(high) else "")

        def valid(came: object) -> bool:
            is_number = isinstance(came, int | float) and not isinstance(came, bool)
            if not is_number or not math.isfinite(came):  # type: ignore[arg-type]
                return False
            return (low < came if above else low <= came) and came <= high  # type: ignore[operator]

        value = self.value(key, default, valid, needed)
        return math.nan if value is None else float(value)

    def text(self, key: str, default: str | None, needed: str) -> str:
        """Return a text that isn't blank."""
        return self.value(key, default, is_text, needed) or ""

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        """Return one of `choices`."""
        needed = "one of " + ", ".join(f'"{choice}"' for choice in choices)
        value: str = self.value(key, default, lambda came: came in choices, needed)
        return value

    def section(self, key: str) -> Section:
        """Return the sub-table `key`, empty where it is absent."""
        self.seen.add(key)
        name = ".".join(part for part in (self.name, key) if part)
        return Section(self.content.get(key, {}), name, self.problems)

    def close(self) -> None:
        """Note every key that nobody asked for."""
        known = tuple(sorted(self.seen))
        where = f"in [{self.name}]" if self.name else "as a section"
        for key in self.content:
            if key not in self.seen:
                allowed = f"; allowed: {', '.join(known)}"
                self.problems.append(f"unknown key {key!r} {where}{nearest(key, known) or allowed}")


def is_text(came: object) -> bool:
    """Whether a value is text that isn't blank."""
    return isinstance(came, str) and came.strip() != "" and "\x00" not in came
