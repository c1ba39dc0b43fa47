"""How much announced events lift demand: those that overlap, and those longer than any before."""

import numpy as np
import pandas as pd
import pytest

from forecast import Panel, forecast

HOURS, AHEAD, UNITS = 24 * 56, 72, 20.0
START = pd.Timestamp("2026-03-02", tz="UTC")


def events_at(*told):
    """name, first hour, hours."""
    rows = [
        (name, "promotion", START + pd.Timedelta(hours=at), START + pd.Timedelta(hours=at + hours))
        for name, at, hours in told
    ]
    return pd.DataFrame(rows, columns=["name", "kind", "starts_at", "ends_at"])


def lifted(events, lift, member="seasonal"):
    """Told units against the usual ones, [AHEAD], of products that truly sell `lift` [T] times."""
    rng = np.random.default_rng(0)
    y = rng.poisson(UNITS * lift[:HOURS], (12, HOURS)).astype(np.float32)
    ds = pd.date_range(START, periods=HOURS, freq="1h").as_unit("us")
    ids = np.array([f"P{k}" for k in range(12)], dtype=object)
    panel = Panel(ids=ids, ds=ds, y=y, orders=y.copy(), freq="1h")
    found = forecast(panel, AHEAD, events=events, members=[member], n_paths=1)
    return found.mean.mean(axis=0) / UNITS


def times(*lifts):
    """[T] product of factors in stretches of hours (first, hours, factor)."""
    lift = np.ones(HOURS + AHEAD)
    for at, hours, factor in lifts:
        lift[at : at + hours] *= factor
    return lift


@pytest.mark.parametrize("name", ["Sale", "Rush"], ids=["one name told twice", "two names"])
def test_events_that_always_come_together_lift_as_much_as_they_did(name):
    starts = [200, 500, 900, HOURS + 10]
    events = events_at(*[(each, at, 6) for at in starts for each in ("Sale", name)])
    found = lifted(events, times(*[(at, 6, 4.0) for at in starts]))
    assert found[10:16] == pytest.approx(4.0, rel=0.15)
    assert found[20:] == pytest.approx(1.0, rel=0.15)


def test_a_rush_within_a_festival_is_lifted_by_both_once():
    starts = [200, 500, 900, HOURS + 10]
    events = events_at(
        *[("Festival", at, 48) for at in starts], *[("Rush", at + 12, 2) for at in starts]
    )
    found = lifted(
        events, times(*[(s, 48, 2.0) for s in starts], *[(s + 12, 2, 3.0) for s in starts])
    )
    assert found[22:24] == pytest.approx(6.0, rel=0.2)
    assert found[26:50] == pytest.approx(2.0, rel=0.15)


def test_events_that_met_once_have_the_sizes_that_each_has_alone():
    alone = [("Sale", 200), ("Rush", 400), ("Sale", 600), ("Rush", 800)]
    both = [(name, at) for at in (1000, HOURS + 10) for name in ("Sale", "Rush")]
    size = {"Sale": 2.0, "Rush": 3.0}
    events = events_at(*[(name, at, 6) for name, at in (*alone, *both)])
    found = lifted(events, times(*[(at, 6, size[name]) for name, at in (*alone, *both)]))
    assert found[10:16] == pytest.approx(6.0, rel=0.15)


def test_an_event_longer_than_any_before_goes_on_as_it_was_last_seen():
    starts = [200, 500, 900]
    events = events_at(*[("Sale", at, 6) for at in starts], ("Sale", HOURS + 10, 40))
    found = lifted(events, times(*[(at, 6, 4.0) for at in starts]))
    assert found[10:50] == pytest.approx(4.0, rel=0.15)


def test_the_rest_of_a_first_event_goes_on_as_it_began():
    events = events_at(("Sale", HOURS - 24, 72))
    found = lifted(events, times((HOURS - 24, 72, 4.0)))
    assert found[:48] == pytest.approx(4.0, rel=0.15)
    assert found[50:] == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("member", ["seasonal_naive", "weekly_naive"])
def test_the_last_season_again_is_without_the_sale_that_was_in_it(member):
    starts = [200, 500, HOURS - 20]
    events = events_at(*[("Sale", at, 6) for at in (*starts, HOURS + 30)])
    found = lifted(events, times(*[(at, 6, 4.0) for at in starts]), member)
    assert found[:30] == pytest.approx(1.0, rel=0.35)
    assert found[30:36] == pytest.approx(4.0, rel=0.35)
    assert found[4:10].mean() == pytest.approx(1.0, rel=0.15)  # a day after the last sale
