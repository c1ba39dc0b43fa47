"""Laws of `explain`: units sum to the forecast, and each driver has about its planted size."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from forecast import (
    LEVELS,
    MODELS,
    Panel,
    RefitNeeded,
    explain,
    forecast,
    panel_of_series,
    train,
    waterfall_figure,
)
from forecast.backtest import head
from forecast.blend import Blend, segments
from forecast.calibrate import neutral
from forecast.columns import design, slopes
from forecast.drivers import DRIVERS, FAMILIES, Part, explained
from forecast.features import past_of, spread
from forecast.models import Prediction
from forecast.shapes import ordinary
from forecast.tasks import prepare
from tests.forecast import market

pytestmark = pytest.mark.usefixtures("brief_training")
SLOW = {"harmonic", "mstl", "prophet", "statsmodels"}
DAYS, RELEASES = 57, (10, 17, 26, 38, 47, 57)  # of history; days with a release at 19:00
LEAGUE = ["seasonal_naive", "weekly_naive", "seasonal", "ridge"]


@pytest.fixture(scope="module")
def known():
    """A panel whose first three products triple for three hours at a release, and its events."""
    whole = market.panel(n=6, days=60, level=40.0)
    starts = [whole.ds[24 * day + 19] for day in RELEASES]
    y = whole.y.copy()
    for start in starts:
        at = whole.ds.get_loc(start)
        y[:3, at : at + 3] *= 3
    told = market.events(
        [("release", start, 3, f"P{k}", None) for start in starts for k in range(3)]
    )
    whole = Panel(ids=whole.ids, ds=whole.ds, y=y, orders=y.copy())
    return head(whole, 24 * DAYS), told


@pytest.fixture(scope="module")
def settings_of(known):
    """What was trained by some members on that panel, with all that a forecast by it is told."""

    @cache
    def settings(*members):
        past, events = known
        told = {"events": events, "members": list(members), "country": "CN"}
        return told | {"trained": train(past, 24, **told)}

    return settings


def bars(frame):
    return frame.groupby("driver", sort=False)["units"].sum()


@pytest.mark.parametrize("members", [[name] for name in sorted(set(MODELS) - SLOW)] + [LEAGUE])
def test_units_sum_to_the_forecast_in_any_window(members, known, settings_of):
    (past, _), settings = known, settings_of(*members)
    result = forecast(past, 24, n_paths=1, **settings)
    for k, window in ((1, slice(0, 24)), (4, slice(17, 23))):
        start, end = result.ds[window.start], result.ds[window.stop - 1] + pd.Timedelta("1h")
        told = explain(past, 24, f"P{k}", start, end, **settings)
        assert told["units"].sum() == pytest.approx(result.mean[k, window].sum(), rel=1e-5)
        assert (told["starts_at"] == start).all()
        assert (told["ends_at"] == end).all()
        assert list(bars(told).index) == list(DRIVERS[:-1])


@dataclass(frozen=True)
class Stranger:
    """A member of which nothing is known but its mean."""

    def predict(self, task, origin):
        mean = 3 + 1.2 * ordinary(task, past_of(task, task.rows, origin))
        return Prediction(mean=mean, quantiles=np.repeat(mean[..., None], 13, axis=2))


def test_a_member_that_is_not_known_is_recent_past_and_effects(known):
    past, events = known
    ready = prepare(past, 24, events=events)
    task = ready.task
    names = ("seasonal", "stranger")
    calm = neutral(np.arange(24) // 12, LEVELS)
    shares = np.array([[0.5, 0.5], [0.2, 0.8]])  # by half of the horizon
    blend = Blend(members=names, weights=np.tile(shares, (4, 1, 1)), calibration=calm)
    fitted = {"seasonal": MODELS["seasonal"]().fit(task), "stranger": Stranger()}
    told = explained(ready, blend, fitted, 2, slice(5, 22))
    means = [each.predict(task, task.origins[0]) for each in fitted.values()]
    mean = blend.combine(means, segments(task), LEVELS).mean[2, 5:22]
    assert sum(told.values()) == pytest.approx(mean.sum(), rel=1e-5)
    assert told[Part("recent past", "stranger")] > 0


@pytest.mark.parametrize(
    "members",
    [["seasonal"], ["ridge"], ["lightgbm"], ["seasonal_naive"], ["weekly_naive"]],
)
def test_a_planted_event_has_about_its_size_and_a_product_without_one_none(
    members, known, settings_of
):
    (past, _), settings = known, settings_of(*members)
    at = past.future(24)[19]
    held = explain(past, 24, "P2", at, at + pd.Timedelta("3h"), **settings)
    usual = 20 * (0.3 + np.exp(-0.5 * ((np.arange(19, 22) - 20) / 3.0) ** 2)).sum()
    assert bars(held)["event"] == pytest.approx(2 * usual, rel=0.25)
    free = explain(past, 24, "P4", at, at + pd.Timedelta("3h"), **settings)
    assert bars(free)["event"] == 0


def test_an_event_adds_what_the_same_forecast_would_lack_without_it(known):
    past, events = known
    ready = prepare(past, 24, events=events)
    task = ready.task
    calm = replace(task, effects=replace(task.effects, boost=np.ones_like(task.effects.boost)))
    told = explain(past, 24, "P0", events=events, members=["seasonal"])
    now = past_of(task, np.array([0]), task.origins[0])
    without = replace(now, effect=past_of(calm, np.array([0]), task.origins[0]).effect)
    lost = ordinary(task, now).sum() - ordinary(task, without).sum()
    assert bars(told)["event"] == pytest.approx(lost, rel=1e-5)


def test_a_holiday_shows_as_calendar_with_about_its_size():
    whole = market.panel(n=6, days=70, level=40.0)
    y = whole.y.copy()
    days = (20, 30, 41, 52, 62)
    for day in days:
        y[:, 24 * day : 24 * day + 24] *= 0.4
    past = head(Panel(ids=whole.ids, ds=whole.ds, y=y, orders=y.copy()), 24 * 62)
    events = market.events([("holiday", whole.ds[24 * day], 24, None, None) for day in days])
    for members in (["seasonal"], ["lightgbm"]):
        told = bars(explain(past, 24, "P5", events=events, members=members))
        before = told[["base level", "trend", "day and week", "recent past"]].sum()
        assert told["calendar"] / before == pytest.approx(-0.6, abs=0.15)
        assert told["event"] == 0


def test_the_sunday_that_a_holiday_looks_like_is_the_calendars():
    ds = market.hours(24 * 67)
    sundays = np.asarray(ds.day_of_week == 6) | np.isin(np.arange(len(ds)) // 24, (17, 31, 45, 66))
    peak = np.where(sundays, 10, 20)
    rate = 5 + 30 * (np.abs(np.asarray(ds.hour) - peak) <= 2)
    y = np.random.default_rng(0).poisson(rate, (3, len(ds))).astype(np.float32)
    whole = Panel(ids=np.array(list("abc"), dtype=object), ds=ds, y=y, orders=y.copy())
    events = market.events([("holiday", ds[24 * day], 24, None, None) for day in (17, 31, 45, 66)])
    past, morning = head(whole, 24 * 66), ds[24 * 66 + 8]
    settings = {"events": events, "members": ["seasonal", "ridge"]}
    told = explain(past, 24, "b", morning, morning + pd.Timedelta("5h"), **settings)
    mean = forecast(past, 24, n_paths=1, **settings).mean[1, 8:13].sum()
    assert told["units"].sum() == pytest.approx(mean, rel=1e-5)
    shape = told.loc[told["part"] == "shape of the holiday", "units"].sum()
    assert 0.6 * 5 * 30 < shape < 1.1 * 5 * 30  # the rule's own shapes are shrunk
    assert bars(told)["day and week"] < 0


def test_what_was_trained_before_is_explained_as_it_forecasts(known):
    past, events = known
    settings = {"events": events, "members": LEAGUE}
    mine = train(past, 24, **settings)
    assert explain(past, 24, "P1", trained=mine, **settings).equals(
        explain(past, 24, "P1", **settings)
    )
    older = train(head(past, 24 * DAYS - 7), 24, **settings)
    told = explain(past, 24, "P1", trained=older, **settings)
    mean = forecast(past, 24, n_paths=1, trained=older, **settings).mean[1]
    assert told["units"].sum() == pytest.approx(mean.sum(), rel=1e-5)
    assert mean.sum() != forecast(past, 24, n_paths=1, **settings).mean[1].sum()
    with pytest.raises(RefitNeeded, match="buckets ahead"):
        explain(past, 12, "P1", trained=mine, **settings)


def test_level_trend_and_shape_are_told_apart():
    rng = np.random.default_rng(0)
    ds = pd.date_range("2026-01-05", periods=24 * 56, freq="1h")
    rise = np.interp(np.arange(len(ds)), [24 * 49, 24 * 56], [20.0, 30.0])  # no shift: a trend
    y = rng.poisson(rise * np.where(ds.hour >= 12, 1.5, 0.5))
    panel = panel_of_series(pd.DataFrame({"unique_id": "a", "ds": ds, "y": y}), freq="1h")
    noon = pd.Timestamp("2026-03-02 12:00")
    told = bars(explain(panel, 24, "a", noon, members=["seasonal"]))
    assert 12 * 20 < told["base level"] < 12 * 22
    assert told["base level"] + told["trend"] > 12 * 23.5
    level = told["base level"] + told["trend"]
    assert told["day and week"] == pytest.approx(0.5 * level, rel=0.1)


def test_equal_input_gives_equal_bytes():
    past = market.panel(n=3, days=21)
    one, two = (explain(past, 6, "P1", members=["ridge", "lightgbm"]) for _ in range(2))
    assert one.equals(two)


def test_what_is_not_yet_on_sale_is_launched_and_what_is_borrowed_is_told():
    past = market.panel(n=3, days=30)
    y = past.y.copy()
    y[2] = 0
    past = Panel(ids=past.ids, ds=past.ds, y=y, orders=y.copy())
    launch = past.ds[-1] + pd.Timedelta("13h")
    products = pd.DataFrame(
        {
            "product_id": past.ids,
            "category": "a",
            "launched_at": [pd.NaT, pd.NaT, launch],
            "similar_to": [None, None, "P0"],
        }
    )
    settings = {"products": products, "members": LEAGUE}
    told = explain(past, 24, "P2", **settings)
    mean = forecast(past, 24, n_paths=1, **settings).mean[2].sum()
    assert told["units"].sum() == pytest.approx(mean, rel=1e-5)
    assert bars(told)["launch"] == pytest.approx(-bars(told)["base level"] / 2)
    assert told["part"].iloc[0] == "borrowed from P0"
    before = explain(past, 24, "P2", None, launch, **settings)
    assert before["units"].sum() == pytest.approx(0, abs=1e-9)


def test_series_that_are_negative_and_end_early_are_told_at_their_own_time():
    t = np.arange(300)
    frame = pd.concat(
        [
            pd.DataFrame({"unique_id": "low", "ds": t, "y": -50 + np.sin(t / 12 * np.pi)}),
            pd.DataFrame({"unique_id": "high", "ds": t[:200], "y": 9.0 + t[:200] % 24}),
        ]
    )
    panel = panel_of_series(frame, freq="1", season=24)
    result = forecast(panel, 12, members=LEAGUE, n_paths=1)
    for k, name in enumerate(panel.ids):
        told = explain(panel, 12, name, members=LEAGUE)
        assert told["units"].sum() == pytest.approx(result.mean[k].sum(), rel=1e-4)
    told = explain(panel, 12, "high", 203, 206, members=LEAGUE)
    row = list(panel.ids).index("high")
    assert told["units"].sum() == pytest.approx(result.mean[row, 3:6].sum(), rel=1e-4)
    assert (told["starts_at"].iloc[0], told["ends_at"].iloc[0]) == (203, 206)


def test_every_feature_of_trees_belongs_to_one_family(known):
    past, events = known
    products = pd.DataFrame({"product_id": past.ids, "category": list("aabbcc"), "list_price": 9.0})
    products["launched_at"] = past.ds[24 * 30]
    task = prepare(past, 24, events=events, products=products, country="CN").task
    now = past_of(task, np.arange(6), task.origins[0])
    expected = ordinary(task, now)
    size = spread(task, now, expected)
    columns = {*design(task, now, expected, size), *slopes(task, now, expected, size)}
    names = [name for family in FAMILIES.values() for name in family]
    assert len(names) == len(set(names))
    assert columns - set(names) == {"release_since", "release_left"}


def test_a_product_or_window_that_does_not_exist_is_named(known):
    past, _ = known
    with pytest.raises(ValueError, match="P9"):
        explain(past, 24, "P9", members=["seasonal"])
    with pytest.raises(ValueError, match="no bucket"):
        explain(past, 24, "P1", past.ds[0], past.ds[5], members=["seasonal"])
    for bound in (5, "tomorrow evening", 2.5):
        with pytest.raises(ValueError, match="is no start of a bucket such as 2025-12-30"):
            explain(past, 24, "P1", bound, members=["seasonal"])
    numbers = Panel(ids=past.ids, ds=pd.RangeIndex(400), y=past.y[:, :400], freq="1")
    with pytest.raises(ValueError, match="is no start of a bucket such as 400"):
        explain(numbers, 24, "P1", None, "2025-12-30")
    with pytest.raises(ValueError, match="horizon 0"):
        explain(past, 0, "P1")


def test_a_waterfall_ends_at_the_forecast(known):
    past, events = known
    told = explain(past, 24, "P1", events=events, members=["seasonal"])
    [fall] = waterfall_figure(told).data
    assert list(fall.x) == [*bars(told).index, "forecast"]
    assert sum(fall.y[:-1]) == pytest.approx(fall.y[-1])
    assert fall.measure[0] == "absolute"
    assert fall.measure[-1] == "total"
    other = explain(past, 24, "P2", events=events, members=["seasonal"])
    with pytest.raises(ValueError, match="2"):
        waterfall_figure(pd.concat([told, other]))
