from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast import LEVELS, MODELS, RefitNeeded, forecast, panel_of_series, refresh, train
from forecast import why_refit as why
from forecast.backtest import head
from forecast.metrics import crps
from tests.forecast import market

pytestmark = pytest.mark.usefixtures("brief_training")
SLOW = {"harmonic", "mstl", "prophet", "statsmodels"}
FAST = ["seasonal_naive", "seasonal", "ridge"]
WITH_TREES = ["seasonal", "lightgbm"]
DAYS = 42


@pytest.fixture(scope="module")
def whole():
    return market.panel(n=10, days=DAYS, seed=2)


@pytest.fixture(scope="module")
def past(whole):
    return head(whole, 24 * (DAYS - 3))


@pytest.fixture(scope="module")
def trained(past):
    return train(past, 24, members=FAST)


@pytest.fixture(scope="module")
def trained_with_trees(past):
    return train(past, 24, members=WITH_TREES)


def taken(panel, rows):
    return replace(panel, ids=panel.ids[rows], y=panel.y[rows], orders=panel.orders[rows])


def with_new(panel, names):
    """The panel and products that nobody has ordered yet."""
    none = np.zeros((len(names), panel.y.shape[1]), dtype=np.float32)
    return replace(
        panel,
        ids=np.concatenate([panel.ids, np.array(names, dtype=object)]),
        y=np.concatenate([panel.y, none]),
        orders=np.concatenate([panel.orders, none]),
    )


@pytest.mark.parametrize("name", sorted(set(MODELS) - SLOW))
def test_a_series_is_found_wherever_it_stands(name, past):
    some = taken(head(past, 24 * 21), np.arange(5))
    made = train(some, 24, members=[name])
    order = np.random.default_rng(0).permutation(len(some.ids))
    a = forecast(some, 24, members=[name], trained=made)
    b = forecast(taken(some, order), 24, members=[name], trained=made)
    np.testing.assert_allclose(b.quantiles, a.quantiles[order], rtol=2e-4, atol=1e-4)


def test_a_quick_update_errs_about_as_a_full_refit(whole, past, trained_with_trees):
    later = head(whole, len(past.ds) + 12)
    actual = whole.y[:, len(later.ds) :][:, :24]
    quick = refresh(later, 24, trained=trained_with_trees, members=WITH_TREES)
    assert not quick.why
    full = forecast(later, 24, members=WITH_TREES)
    losses = [crps(actual, each.quantiles, LEVELS).mean() for each in (quick.forecast, full)]
    assert losses[0] < 1.05 * losses[1]


def test_an_update_sees_what_came_since(whole, past, trained):
    later = head(whole, len(past.ds) + 24)
    doubled = later.y.copy()
    doubled[:, -24:] *= 2
    risen = replace(later, y=doubled, orders=doubled)
    plain = forecast(later, 24, members=FAST, trained=trained)
    more = forecast(risen, 24, members=FAST, trained=trained)
    assert more.mean.sum() > 1.1 * plain.mean.sum()


def test_a_new_product_is_forecast_by_borrowing_and_what_everyone_taught(past):
    panel = with_new(past, ["new"])
    launched = [past.ds[24]] + [pd.NaT] * 9 + [past.ds[-1]]
    products = pd.DataFrame(
        {"product_id": panel.ids, "similar_to": [None] * 10 + ["P4"], "launched_at": launched}
    )
    made = train(past, 24, members=FAST, products=products)
    found = refresh(panel, 24, trained=made, members=FAST, products=products)
    assert not found.why
    told = found.forecast
    assert told.model[-1] == "borrowed:P4"
    assert np.isfinite(told.quantiles).all()
    assert np.corrcoef(told.mean[-1], told.mean[4])[0, 1] > 0.9
    assert told.mean[-1].sum() > 0


def test_a_product_taken_off_the_list_does_not_matter(past, trained):
    fewer = taken(past, np.array([7, 3]))
    assert not refresh(fewer, 24, trained=trained, members=FAST).why


def refit(panel, trained, **asked):
    horizon = asked.pop("horizon", 24)
    found = refresh(panel, horizon, trained=trained, **{"members": FAST, **asked})
    assert found.trained is not trained
    with pytest.raises(RefitNeeded, match="refresh"):
        forecast(panel, horizon, trained=trained, **{"members": FAST, **asked})
    return found.why


def test_a_day_later_is_served_and_a_bucket_more_is_not(whole, past, trained):
    day = head(whole, len(past.ds) + 24)
    assert not refresh(day, 24, trained=trained, members=FAST).why
    assert "1.0 days before" in refit(head(whole, len(past.ds) + 25), trained)


def test_what_was_learned_later_is_never_used(past, trained):
    assert "after the end" in refit(head(past, len(past.ds) - 1), trained)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"horizon": 25}, "buckets ahead"),
        ({"country": "CN"}, "country"),
        ({"seed": 1}, "seed"),
        ({"season": 12}, "season"),
        ({"members": ["seasonal"]}, "members"),
    ],
)
def test_another_question_needs_another_training(asked, told, past, trained):
    assert told in refit(past, trained, **asked)


def test_many_new_products_need_a_training(past, trained):
    assert "2 of 12 products" in refit(with_new(past, ["a", "b"]), trained)


def test_other_categories_need_a_training(past):
    products = pd.DataFrame({"product_id": past.ids, "category": ["b"] * 5 + ["c"] * 5})
    made = train(past, 24, members=FAST, products=products)
    moved = products.assign(category=["a"] + ["b"] * 4 + ["c"] * 5)
    assert "categories" in refit(past, made, products=moved)


def test_an_event_of_a_new_kind_needs_a_training(past, trained):
    events = market.events([("sale", past.ds[-1], 5, None, None)])
    assert "sale_left, sale_since" in refit(past, trained, events=events)


def test_orders_are_not_forecast_by_what_units_taught(past, trained):
    doubled = replace(past, y=2 * past.y)
    assert "orders" in refit(doubled, trained)


def test_a_clock_of_another_place_needs_a_training(past, trained):
    assert "clock" in refit(replace(past, ds=past.ds.tz_convert("Europe/Paris")), trained)


def test_whole_numbers_count_in_seasons():
    t = np.arange(300)
    frame = pd.DataFrame({"unique_id": "a", "ds": t, "y": 9 + np.sin(t / 12 * np.pi)})
    panel = panel_of_series(frame, freq="1", season=24)
    made = train(head(panel, 250), 12, members=FAST)
    assert not why(made.basis, train(head(panel, 274), 12, members=FAST).basis)
    assert "before" in why(made.basis, train(head(panel, 275), 12, members=FAST).basis)
