"""Products and events told beside a history are refused where they can't be meant."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from forecast import find_peaks, forecast, panel_of_series
from tests.forecast import market

PANEL = market.panel(n=3, days=30)
ENDS = PANEL.ds[-1] + pd.Timedelta("1h")
EVENT = {
    "name": "sale",
    "kind": "promotion",
    "starts_at": ENDS,
    "ends_at": ENDS + pd.Timedelta("6h"),
}


def told(**known):
    return forecast(PANEL, 24, members=["seasonal"], **known)


WRONG_EVENTS = {
    "kind": ({"kind": "Outage"}, "'Outage'; there are promotion, release, holiday, outage"),
    "no kind": ({"kind": None}, "kind is None"),
    "backwards": ({"ends_at": ENDS - pd.Timedelta("1h")}, "row 0 lasts from .* must end after"),
    "never": ({"ends_at": pd.NaT}, "row 0 lasts from .* to NaT"),
}


@pytest.mark.parametrize("case", WRONG_EVENTS)
def test_an_event_that_cannot_be_meant_is_refused(case):
    wrong, message = WRONG_EVENTS[case]
    with pytest.raises(ValueError, match=message):
        told(events=pd.DataFrame([EVENT]).assign(**wrong))


def test_an_event_table_without_its_columns_is_refused():
    with pytest.raises(ValueError, match=r"events lacks \['ends_at', 'kind'\]"):
        told(events=pd.DataFrame([EVENT]).drop(columns=["kind", "ends_at"]))


def test_an_event_of_one_series_is_its_alone_under_either_name():
    past = [ENDS - pd.Timedelta(days=d) for d in (21, 14, 7)]
    y = PANEL.y.copy()
    for start in past:
        first = PANEL.ds.get_loc(start)
        y[0, first : first + 6] *= 4
    panel = replace(PANEL, y=y, orders=y)
    starts = pd.DatetimeIndex([*past, ENDS])
    events = pd.DataFrame(
        {"name": "sale", "kind": "promotion", "starts_at": starts, "ends_at": starts.shift(6, "h")}
    )
    plain = forecast(panel, 24, members=["seasonal"]).mean
    for name in ("product_id", "unique_id"):
        own = events.assign(**{name: PANEL.ids[0]})
        found = forecast(panel, 24, members=["seasonal"], events=own).mean
        assert found[0, :6].sum() > 1.2 * plain[0, :6].sum()
        assert abs(found[1:].sum() / plain[1:].sum() - 1) < 0.02


def test_products_must_be_the_panels_and_each_once():
    ids = list(PANEL.ids)
    with pytest.raises(ValueError, match="products lacks product_id"):
        told(products=pd.DataFrame({"id": ids, "category": "x"}))
    with pytest.raises(ValueError, match="products lists none of the panel's ids"):
        told(products=pd.DataFrame({"product_id": ["other"], "category": "x"}))
    with pytest.raises(ValueError, match=f"{ids[0]!r} more than once"):
        told(products=pd.DataFrame({"product_id": [*ids, ids[0]], "category": "x"}))


def test_peaks_are_of_the_panel_that_was_forecast():
    other = market.panel(n=3, days=31)
    with pytest.raises(ValueError, match="not of this panel"):
        find_peaks(told(), other)


def test_frames_that_are_given_stay_as_they_are():
    events = pd.DataFrame([EVENT | {"unique_id": PANEL.ids[0]}])
    products = pd.DataFrame({"unique_id": PANEL.ids, "category": "x"})
    before = events.copy(), products.copy()
    told(events=events, products=products)
    pd.testing.assert_frame_equal(events, before[0])
    pd.testing.assert_frame_equal(products, before[1])


def long(**columns):
    ds = pd.date_range("2026-01-01", periods=4, freq="1h")
    frame = {"unique_id": ["a", "a", "b", "b"], "ds": [*ds[:2], *ds[:2]], "y": [1.0, 2, 3, 4]}
    return pd.DataFrame(frame | columns)


REFUSED = {
    "no id": (long(unique_id=["a", "a", "b", None]), "1h", "has no unique_id"),
    "no ds": (long(ds=[*long()["ds"][:3], pd.NaT]), "1h", "has no ds"),
    "a length of numbers": (long(ds=[1, 2, 1, 2]), "1h", "give their step"),
    "no step": (long(ds=[1, 2, 1, 2]), "0", "give their step"),
    "a step of stamps": (long(), "1", "give a length of time"),
    "backwards": (long(), "-1h", "above 0"),
    "text": (long(ds=["2026-01-01", "2026-01-02"] * 2), "1D", "pd.to_datetime"),
    "a slip of a century": (
        long(ds=[pd.Timestamp("2026-01-01"), pd.Timestamp("2226-01-01")] * 2),
        "15s",
        "spans 420,",
    ),
    "a number far off": (long(ds=[1, 10**10, 1, 2]), "1", "spans 9,999,999,999 buckets"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_long_frame_that_cannot_be_meant_is_refused(case):
    frame, freq, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        panel_of_series(frame, freq=freq)


def test_a_panel_checks_itself():
    with pytest.raises(ValueError, match="y is "):
        replace(PANEL, y=PANEL.y[:, 1:])
    with pytest.raises(ValueError, match="comes twice"):
        replace(PANEL, ids=PANEL.ids[[0, 0, 1]])
    with pytest.raises(ValueError, match="no unbroken grid of 1h"):
        replace(PANEL, ds=PANEL.ds.delete(5).append(PANEL.ds[-1:]))
    with pytest.raises(ValueError, match="no unbroken grid of 30min"):
        replace(PANEL, freq="30min")
    infinite = PANEL.y.copy()
    infinite[0, 0] = float("inf")
    with pytest.raises(ValueError, match="infinite"):
        forecast(replace(PANEL, y=infinite), 24, members=["seasonal"])


def test_what_is_asked_for_is_checked():
    with pytest.raises(ValueError, match="n_paths is 0"):
        told(n_paths=0)
    for horizon in (1.5, 0, "24h"):
        with pytest.raises(ValueError, match=f"horizon {horizon!r} is no number of buckets"):
            forecast(PANEL, horizon, members=["seasonal"])
    assert forecast(PANEL, 24, members="seasonal").mean.shape == (3, 24)


def test_a_panel_and_its_forecast_are_told_in_a_line():
    assert repr(PANEL) == (
        "<Panel of 3 series, 720 buckets of 1h, "
        "2025-11-03 00:00:00+08:00 … 2025-12-02 23:00:00+08:00>"
    )
    assert repr(told()).startswith(
        "<Forecast of 3 series, 24 buckets of 1h from 2025-12-03 00:00:00+08:00, 64 paths"
    )


def test_what_is_no_panel_and_no_country_is_refused_with_what_is():
    frame = pd.DataFrame({"unique_id": "a", "ds": PANEL.ds, "y": PANEL.y[0]})
    with pytest.raises(TypeError, match=r"DataFrame, not a Panel.*panel_of_series"):
        forecast(frame, 24, members=["seasonal"])
    with pytest.raises(ValueError, match=r"'us'; holidays are known of .*US"):
        told(country="us")


@pytest.mark.parametrize(("zone", "other"), [(None, "Asia/Shanghai"), ("UTC", None)])
def test_stamps_and_panel_are_both_aware_or_both_naive(zone, other):
    """A local time must not pass as an instant, nor an instant as a local time."""
    start = pd.Timestamp("2025-11-20", tz=zone)
    panel = replace(PANEL, ds=PANEL.ds.tz_localize(None).tz_localize(other))
    products = pd.DataFrame({"product_id": PANEL.ids, "launched_at": start})
    events = pd.DataFrame([EVENT | {"starts_at": start, "ends_at": start + pd.Timedelta("1h")}])
    for name, known in (("launched_at", {"products": products}), ("events", {"events": events})):
        with pytest.raises(ValueError, match=f"{name} and panel must both have a time zone"):
            forecast(panel, 24, members=["seasonal"], **known)
