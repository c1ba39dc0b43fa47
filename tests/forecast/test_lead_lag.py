"""What events do before they start and after they end."""

import numpy as np
import pandas as pd
import pytest

from forecast import Panel, explain, find_peaks, forecast
from forecast.calendars import events_of
from forecast.lead_lag import EDGES, learn_lead_lag
from forecast.tasks import prepare

START = pd.Timestamp("2026-03-02", tz="Asia/Shanghai")
AHEAD, UNITS, PRODUCTS = 72, 8.0, 6


def told(kind, starts, hours, width="1h"):
    """Events of a kind for everyone."""
    step = pd.Timedelta(width)
    rows = [(f"{kind} {at}", kind, START + at * step, START + (at + hours) * step) for at in starts]
    return pd.DataFrame(rows, columns=["name", "kind", "starts_at", "ends_at"])


def panel_of(lift, n, seed=0, width="1h"):
    """`n` buckets of products that sell `lift` [T] times what is usual at an hour."""
    ds = pd.date_range(START, periods=n, freq=width).as_unit("us")
    shape = 0.5 + np.exp(-0.5 * ((np.asarray(ds.hour) - 18) / 4.0) ** 2)
    y = np.random.default_rng(seed).poisson(UNITS * shape * lift[:n], (PRODUCTS, n))
    ids = np.array([f"P{k}" for k in range(PRODUCTS)], dtype=object)
    y = y.astype(np.float32)
    return Panel(ids=ids, ds=ds, y=y, orders=y.copy(), freq=width)


def lifted(n, *parts):
    lift = np.ones(n + AHEAD * 4)
    for at, hours, factor in parts:
        lift[at : at + hours] *= factor
    return lift


def dips(days=(10, 24, 38), now=54, after=0.5):
    """Sales of two days with dips as long behind them; the last one ends at as-of."""
    starts = [24 * day for day in (*days, now)]
    n = 24 * (now + 2)
    lift = lifted(n, *[(s, 48, 3.0) for s in starts], *[(s + 48, 48, after) for s in starts])
    return panel_of(lift, n), told("promotion", starts, 48)


def around_of(panel, events):
    return prepare(panel, 24, events=events).task.effects.around


def units_against_usual(panel, events, hours):
    found = forecast(panel, AHEAD, events=events, members=["seasonal"], n_paths=1)
    ds = pd.DatetimeIndex(found.ds)
    usual = UNITS * (0.5 + np.exp(-0.5 * ((np.asarray(ds.hour) - 18) / 4.0) ** 2))
    return found.mean[:, hours].sum() / PRODUCTS / usual[hours].sum()


def test_a_dip_after_each_sale_comes_again():
    panel, events = dips()
    assert units_against_usual(panel, events, slice(0, 48)) == pytest.approx(0.5, abs=0.08)
    assert units_against_usual(panel, events, slice(48, 72)) == pytest.approx(1.0, abs=0.15)


def ramps():
    """Releases of a day with twice the usual demand the day before, the next one tomorrow."""
    starts = [24 * day for day in (8, 22, 36, 67)]
    n = 24 * 66
    lift = lifted(n, *[(s - 24, 24, 2.0) for s in starts], *[(s, 24, 4.0) for s in starts])
    return panel_of(lift, n), told("release", starts, 24)


def test_a_ramp_before_each_release_comes_again():
    panel, events = ramps()
    assert units_against_usual(panel, events, slice(0, 24)) == pytest.approx(2.0, rel=0.15)
    assert units_against_usual(panel, events, slice(24, 48)) == pytest.approx(4.0, rel=0.15)


def test_a_peak_on_the_eve_of_a_release_is_the_releases():
    panel, events = ramps()
    ahead = forecast(panel, 24, events=events, members=["seasonal"])
    causes = find_peaks(ahead, panel, events=events)["cause"]
    assert set(causes) == {"calendar", "release"}  # evenings are always high
    nothing = find_peaks(ahead, panel, events=None)["cause"]
    assert "release" not in set(nothing)


def test_explain_names_the_dip():
    panel, events = dips()
    window = (panel.future(48)[0], panel.future(48)[-1])
    settings = {"events": events, "members": ["seasonal"]}
    drivers = explain(panel, AHEAD, "P0", *window, **settings).set_index("part")["units"]
    assert drivers["after promotion"] < -0.3 * drivers.iloc[0]


@pytest.mark.parametrize("width", ["15min", "1h", "1D"])
def test_events_without_any_leave_nothing(width):
    """The forecast of an ordinary market has no factor for it at all."""
    day = pd.Timedelta("1D") // pd.Timedelta(width)
    starts = [day * k for k in (9, 20, 31, 42)]
    hours = max(day // 4, 1)
    lift = lifted(day * 50, *[(s, hours, 3.0) for s in starts])
    panel = panel_of(lift, day * 50, width=width)
    assert around_of(panel, told("promotion", starts, hours, width)) is None


def test_what_was_seen_once_is_no_habit():
    panel, events = dips(days=(40,), now=54)
    assert around_of(panel, events) is None
    assert around_of(*dips(days=(26, 40), now=54)) is not None


def test_where_events_leave_no_calm_week_nothing_is_learned():
    starts = [24 * day + 8 for day in range(3, 50, 2)]
    panel = panel_of(lifted(24 * 50, *[(s, 8, 3.0) for s in starts]), 24 * 50)
    assert around_of(panel, told("promotion", starts, 8)) is None


def test_a_bucket_belongs_to_the_nearest_event_and_to_none_under_way():
    """By brute force, of events of some products that overlap and meet."""
    rng = np.random.default_rng(3)
    n, length = 24 * 30, 24 * 31
    panel = panel_of(np.ones(n), n)
    begin = np.sort(rng.integers(0, length - 30, 12))
    events = told("promotion", begin, 5)
    events["product_id"] = [None if k % 3 else f"P{k % PRODUCTS}" for k in range(12)]
    known = events_of(panel, length - n, events, None)
    clock = prepare(panel, length - n, events=events).task.clock
    found = learn_lead_lag(
        3 * panel.y,  # the same everywhere but where nothing is near: every part has its effect
        np.where(np.arange(n) % 24 == 3, panel.y, np.nan),
        np.ones((1, n)),
        events=known,
        clock=clock,
        category=np.zeros(PRODUCTS, dtype=int),
        order=np.ones(PRODUCTS),
    )
    for row, at in zip(rng.integers(0, PRODUCTS, 300), rng.integers(0, length, 300), strict=True):
        mine = [e for e in range(12) if row in known.rows[e]]
        apart = {e: max(known.start[e] - at, at - known.stop[e] + 1, 0) for e in mine}
        nearest = min(apart.values(), default=np.inf)
        owner = -1 if found is None else found.owner[row, at]
        if nearest == 0 or nearest > EDGES[-1]:
            assert owner == -1
        elif found is not None:
            assert apart[owner] == nearest
