"""Learners that are trained in little time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forecast.models import network, trees


@pytest.fixture(scope="module")
def brief_training() -> Iterator[None]:
    """Few trees and epochs, for a module's laws that hold however much was learned."""
    with pytest.MonkeyPatch.context() as patch:
        for rounds in ("_ROUNDS", "_SIDE_ROUNDS", "_MEAN_ROUNDS"):
            patch.setattr(trees, rounds, 40)
        patch.setattr(network, "_EPOCHS", 2)
        yield
