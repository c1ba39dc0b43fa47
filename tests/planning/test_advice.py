"""The advice names what its table shows to help most, in the same order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planning.advice import NAMED, capital_advice, effect, jam_advice, on_time
from planning.expectation import Expectation

BASE = Expectation(
    mean_minutes=3.0,
    on_time_share=0.8,
    spend=100.0,
    missed=0.0,
    prealloc_value=0.0,
    lost_value=0.0,
    delays=np.zeros(1),
    on_time=np.zeros(1),
    by_hour=np.zeros(1),
)
SUPPLIERS = np.array(["S01", "S02", "S03", "S04"], dtype=object)


def prices(*rows: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["what", "supplier_id", "minutes_saved"])
    words = frame["what"] + " at " + frame["supplier_id"] + " would help."
    return frame.assign(words=words, on_time_gain=0.0).sort_values("minutes_saved", ascending=False)


def test_the_most_helpful_terms_come_first_whatever_share_of_the_late_they_have():
    table = prices(
        ("channel", "S01", 0.19),
        ("channel", "S02", 0.22),
        ("capital", "", 0.4),
        ("lead_time", "S03", 0.2),
        ("channel", "S04", 0.1),
    )
    told = jam_advice(np.array([0.14, 0.06, 0.0, 0.13, 0.47, 0.2]), SUPPLIERS, table)
    assert [sentence.split(".")[0] for sentence in told[:NAMED]] == [
        "channel at S02 would help",
        "lead_time at S03 would help",
        "channel at S01 would help",
    ]
    assert told[0].endswith("6% of late orders are late by the queue at S02.")
    assert "late by the queue" not in told[1]
    assert told[NAMED].startswith("47% of late orders are late without a queue")
    assert told[NAMED + 1].startswith("20% of late orders are served by nobody")


def test_terms_that_change_next_to_nothing_are_not_advised():
    late = np.array([1.0, 0, 0, 0, 0, 0])
    table = prices(("channel", "S01", 0.4 / 60), ("channel", "S02", np.nan))
    assert jam_advice(late, SUPPLIERS, table) == []
    assert len(jam_advice(late, SUPPLIERS, table.assign(on_time_gain=0.002))) == 1


@pytest.mark.parametrize(
    ("seconds", "gain", "told"),
    [(0.4, 0.0004, False), (0.4, 0.002, True), (0.6, 0.0, True), (-0.6, 0.0, True)],
)
def test_an_effect_too_small_to_be_shown_is_next_to_nothing(seconds, gain, told):
    result = replace(BASE, mean_minutes=3 - seconds / 60, on_time_share=0.8 + gain)
    assert ("next to nothing" not in effect("It", BASE, result)) == told


@pytest.mark.parametrize(
    ("spend", "told"),
    [(100.4, "spend the same."), (319.6, "spend 220 higher."), (60, "spend 40 lower.")],
)
def test_equal_spend_is_the_same_and_neither_higher_nor_lower(spend, told):
    assert effect("It", BASE, replace(BASE, mean_minutes=2.0, spend=spend)).endswith(told)


@pytest.mark.parametrize(
    ("share", "target", "digits", "told"),
    [
        (0.95, 0.95, 0, "95%"),
        (0.9499, 0.95, 0, "94.99%"),
        (0.946, 0.95, 0, "94.6%"),
        (0.94, 0.95, 0, "94%"),
        (0.9496, 0.95, 1, "94.96%"),
        (0.94, 0.95, 1, "94.0%"),
        (0.9999999999, 1.0, 0, "100.000000%"),
    ],
)
def test_what_misses_the_target_does_not_look_like_it(share, target, digits, told):
    assert on_time(share, target, digits) == told


def test_capital_that_is_committed_twice_over_is_not_said_to_be_left():
    frontier = pd.DataFrame({"capital": [10.0], "on_time_share": [0.5], "spend": [1.0]})
    told = capital_advice(
        frontier, capital=10.0, target_share=0.95, most_spend=1.0, left=-5.5, least_line=1.0
    )
    assert told.startswith("The lines that suppliers have confirmed commit 5.50 more than")


def test_more_capital_that_nearly_reaches_the_target_is_not_said_to_reach_it():
    frontier = pd.DataFrame(
        {"capital": [0.0, 10.0], "on_time_share": [0.5, 0.94999], "spend": [1.0, 1.0]}
    )
    told = capital_advice(
        frontier, capital=10.0, target_share=0.95, most_spend=1.0, left=0.0, least_line=1.0
    )
    assert told.startswith("More working capital alone doesn't reach 95% on time")
    assert told.endswith("it is 94.999%.")


@pytest.mark.parametrize(
    ("capital", "share", "spend", "told"),
    [
        (12.0, 0.7, 1.0, "More working capital alone doesn't reach 95% on time: with 12 committed"),
        (14.9, 0.7, 1.0, "Half as much working capital again doesn't reach 95% on time yet: with "),
        (12.0, 0.97, 3.5, "95% on time would take 12 of working capital and 2.50 more spend than"),
    ],
)
def test_no_more_is_said_of_capital_than_was_tried(capital, share, spend, told):
    frontier = pd.DataFrame(
        {"capital": [0.0, capital], "on_time_share": [0.5, share], "spend": [1.0, spend]}
    )
    words = capital_advice(
        frontier, capital=10.0, target_share=0.95, most_spend=1.0, left=0.0, least_line=1.0
    )
    assert words.startswith(told)
