"""What is wrong with an input as a whole, and what it is to be refused for."""

from __future__ import annotations

from collections.abc import Sequence

from planning.masking import masked


class InputRefused(ValueError):
    """An input cannot be trusted; the message tells every problem of every table in full."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(masked(problem) for problem in problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        listed = "".join(f"\n- {problem}" for problem in self.problems)
        super().__init__(f"the input was refused: {count}{listed}")
