"""What a line's reason says, by the chance that its hours jam."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from planning.reasons import IDLE, LIKELY, PEAK, _clock, _rescues, _sentence


@pytest.mark.parametrize(
    ("jam", "told"),
    [
        (1.0, "covers Mon 20:00–21:00 peak, 100% likely above S01's spot capacity; 90.4 orders"),
        (PEAK, "covers Mon 20:00–21:00 peak, 50% likely above S01's spot capacity; 90.4 orders"),
        (0.09, "covers Mon 20:00–21:00, when S01's spot channels jam in 9% of futures; 90.4"),
        (LIKELY, "covers Mon 20:00–21:00, when S01's spot channels jam in 5% of futures; 90.4"),
        (0.02, "serves 90.4 orders expected Mon 20:00–21:00 at once, 4.2% below the spot price"),
    ],
)
def test_only_hours_that_are_likely_to_jam_are_called_a_peak(jam, told):
    said = _sentence(jam, "Mon 20:00–21:00", "S01", 90.4, 0.042)
    assert said.startswith(told)
    assert ("peak" in said) == (jam >= PEAK)


def test_a_line_dearer_than_spot_says_so():
    assert _sentence(0.0, "Mon 06:00–07:00", "S01", 6, -0.02).endswith("2.0% above the spot price")


def test_a_line_that_nobody_needs_says_so():
    assert _sentence(1.0, "Mon 06:00–07:00", "", 6, 0.1) == IDLE


def test_a_line_that_alone_serves_most_of_its_orders_says_so():
    hours = pd.date_range("2026-03-30 22:00", periods=5, freq="1h")
    orders = np.array([[1.0, 2.0, 3.0, 1.0], [4.0, 4.0, 1.0, 0.0]])
    missed = np.array([[0.0, 0.0, 3.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    alone, mixed = _rescues(orders, missed, hours)
    assert alone == (
        "serves 4.0 orders expected Tue 00:00 to Tue 02:00 that nobody may serve on spot then"
    )
    assert mixed == ""


def test_an_hour_that_comes_twice_is_told_with_its_offset():
    hours = pd.date_range("2026-10-25 01:00", periods=4, freq="1h", tz="Europe/Berlin")
    told = ["Sun 01:00", "Sun 02:00 +02:00", "Sun 02:00 +01:00", "Sun 03:00"]
    assert list(_clock(hours, "%a %H:%M")) == told
