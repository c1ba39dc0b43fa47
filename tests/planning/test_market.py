"""The sample market obeys the contract, shows its calendar and jams as much as it should."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planning import problem
from planning.market import MarketSummary, make_market, reference, workspace
from planning.market.days import EVE, HOLIDAY, OFF, WORKDAY, calendar
from planning.market.demand import PRODUCT_DAY, ar1
from planning.market.events import announced
from planning.market.products import catalogue, price_band
from planning.market.world import AS_OF, TZ, _test_orders, world
from planning.problem import Plan, Tables
from planning.replay import replay

NOW = pd.Timestamp(AS_OF)
TABLES = {
    "products": "product_id name category fulfilment list_price shelf_life_days launched_at "
    "similar_to",
    "suppliers": "supplier_id name licence_no licence_valid_until max_share credit_limit "
    "spot_channels",
    "offers": "supplier_id product_id unit_cost spot_unit_cost min_order_qty pack_size "
    "lead_time_minutes max_units max_units_per_hour fill_rate spot_minutes loss_rate_if_unused",
    "price_tiers": "supplier_id product_id min_qty unit_cost",
    "stock": "product_id supplier_id units expires_at",
    "events": "name kind starts_at ends_at product_id category",
}
ORDER_COLUMNS = [
    "order_id",
    "product_id",
    "ordered_at",
    "quantity",
    "status",
    "delivered_at",
    "supplier_id",
    "segment",
    "account_id",
    "unit_price",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MarketSummary:
    return make_market(tmp_path_factory.mktemp("market") / "shop")


@pytest.fixture(scope="module")
def tables(made: MarketSummary) -> dict[str, pd.DataFrame]:
    return read_tables(made.root)


@pytest.fixture(scope="module")
def history(made: MarketSummary) -> pd.DataFrame:
    return pd.read_parquet(made.root / "orders.parquet")


@pytest.fixture(scope="module")
def future(made: MarketSummary) -> pd.DataFrame:
    return pd.read_parquet(made.root / "future.parquet")


def read_tables(root: Path) -> dict[str, pd.DataFrame]:
    ids = dict.fromkeys(
        ("product_id", "supplier_id", "similar_to", "licence_no", "category"), "string"
    )
    found = {name: pd.read_csv(root / f"{name}.csv", dtype=ids) for name in TABLES}
    for name, column in (
        ("stock", "expires_at"),
        ("products", "launched_at"),
        ("events", "starts_at"),
        ("events", "ends_at"),
    ):
        stamps = pd.to_datetime(found[name][column], utc=True)
        found[name][column] = stamps.dt.tz_convert(TZ)
    return found


def planning_of(root: Path) -> dict[str, float]:
    settings: dict[str, float] = tomllib.loads((root / "peakahead.toml").read_text())["planning"]
    return settings


def qualified(tables: Tables, at: pd.Timestamp) -> set[str]:
    suppliers = tables["suppliers"]
    until = pd.to_datetime(suppliers["licence_valid_until"])
    good = suppliers["licence_no"].notna() & (until >= at.tz_localize(None).normalize())
    return set(suppliers["supplier_id"][good])


# -- files ----------------------------------------------------------------------------------


def test_equal_arguments_give_equal_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("one", "two", "other")]
    for root, seed in zip(roots, (5, 5, 6), strict=True):
        make_market(root, days=10, products=8, seed=seed)
    one, two, other = ({p.name: p.read_bytes() for p in r.iterdir()} for r in roots)
    assert one == two
    assert set(one) == set(workspace.FILES)
    assert one["orders.parquet"] != other["orders.parquet"]


def test_a_workspace_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "peakahead.toml").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another folder"):
        make_market(tmp_path, days=7, products=4)
    assert [p.name for p in tmp_path.iterdir()] == ["peakahead.toml"]


def test_somebodys_order_log_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "orders.parquet").write_text("mine")
    with pytest.raises(FileExistsError, match=r"orders\.parquet.*choose an empty folder"):
        make_market(tmp_path, days=7, products=4)
    assert (tmp_path / "orders.parquet").read_text() == "mine"


def test_a_killed_init_leaves_no_workspace_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "shop"
    with monkeypatch.context() as patch:

        def die(partial: Path, root: Path) -> None:
            (partial / "orders.parquet").replace(root / "orders.parquet")
            raise KeyboardInterrupt

        patch.setattr(workspace, "_settle", die)
        with pytest.raises(KeyboardInterrupt):
            make_market(root, days=7, products=4)
    assert not (root / "peakahead.toml").exists()
    make_market(root, days=7, products=4)
    make_market(tmp_path / "fresh", days=7, products=4)
    assert {p.name: p.read_bytes() for p in root.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "fresh").iterdir()
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"days": 3}, "days is 3"),
        ({"products": 0}, "products is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"capital_days": 0.0}, "capital_days is 0"),
        ({"price_spread": 1.0}, "price_spread is 1"),
    ],
)
def test_arguments_out_of_range_are_refused(
    tmp_path: Path, wrong: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_market(tmp_path / "shop", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "shop").exists()


def test_progress_rises_to_one(tmp_path: Path) -> None:
    told: list[float] = []
    make_market(
        tmp_path / "shop", days=7, products=1, progress=lambda label, share: told.append(share)
    )
    assert told == sorted(told)
    assert told[-1] == 1


def test_the_tables_come_with_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "planning" / "market_data"
    installed.mkdir(parents=True)
    monkeypatch.setattr(reference, "__file__", str(tmp_path / "planning/market/reference.py"))
    with pytest.raises(FileNotFoundError, match="make setup"):
        reference.folder()
    (installed / "families.csv").write_text("")
    assert reference.folder() == installed


def test_every_table_says_where_it_comes_from() -> None:
    readme = (reference.folder() / "README.md").read_text(encoding="utf-8")
    for path in reference.folder().glob("*.csv"):
        assert f"`{path.name}`" in readme


# -- contract -------------------------------------------------------------------------------


def test_columns_and_counts(
    made: MarketSummary,
    tables: dict[str, pd.DataFrame],
    history: pd.DataFrame,
    future: pd.DataFrame,
) -> None:
    for name, columns in TABLES.items():
        assert list(tables[name].columns) == columns.split()
    assert list(history.columns) == list(future.columns) == ORDER_COLUMNS
    about = json.loads((made.root / "market.json").read_text())
    rows = {name: len(table) for name, table in tables.items()}
    assert about["counts"] == rows | {"history": len(history), "future": len(future)}
    assert about["as_of"] == "2026-03-30T00:00:00+08:00"
    assert 500_000 < len(history) < 1_000_000


def test_keys_are_unique_and_references_hold(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame, future: pd.DataFrame
) -> None:
    products, suppliers = tables["products"]["product_id"], tables["suppliers"]["supplier_id"]
    pair = ["supplier_id", "product_id"]
    offers = pd.MultiIndex.from_frame(tables["offers"][pair])
    assert products.is_unique
    assert suppliers.is_unique
    assert offers.is_unique
    assert pd.concat([history["order_id"], future["order_id"]]).is_unique
    assert pd.MultiIndex.from_frame(tables["price_tiers"][pair]).isin(offers).all()
    assert history["product_id"].isin(products).all()
    assert tables["products"]["similar_to"].dropna().isin(products).all()
    assert tables["events"]["product_id"].dropna().isin(products).all()
    assert tables["stock"]["supplier_id"].isin(suppliers).all()


def test_history_ends_where_the_future_begins(history: pd.DataFrame, future: pd.DataFrame) -> None:
    assert history["ordered_at"].max() < NOW <= future["ordered_at"].min()
    assert future["ordered_at"].max() < NOW + pd.Timedelta(days=3)
    assert history["ordered_at"].is_monotonic_increasing
    assert history["delivered_at"].max() <= NOW  # later deliveries are not known yet
    pending = history[history["status"] == "pending"]
    assert 0 < len(pending) < 500
    assert pending["ordered_at"].min() > NOW - pd.Timedelta(hours=5)
    delivered = history["status"].isin(["delivered", "refunded"])
    assert (history["delivered_at"].notna() == delivered).all()
    assert set(history["status"]) == {"delivered", "failed", "cancelled", "refunded", "pending"}


def test_offers_keep_their_ranges(tables: dict[str, pd.DataFrame]) -> None:
    offers = tables["offers"]
    markup = offers["spot_unit_cost"] / offers["unit_cost"] - 1
    assert markup.between(0.0099, 0.0601).all()
    assert offers["spot_minutes"].between(2, 6).all()
    assert offers["fill_rate"].between(0.9, 1).all()
    assert offers["lead_time_minutes"].between(30, 480).all()
    assert offers["loss_rate_if_unused"].between(0.02, 0.3).all()
    assert (offers["min_order_qty"] % offers["pack_size"] == 0).all()
    for cap in ("max_units", "max_units_per_hour"):
        limited = offers[cap].notna()
        assert (offers[cap] >= offers["min_order_qty"])[limited].all()
        assert 0 < limited.mean() < 1
    assert offers.groupby("product_id").size().between(2, 4).all()
    first, cheapest = offers.groupby("product_id")["unit_cost"].agg(["first", "min"]).to_numpy().T
    assert 0.1 < (first == cheapest).mean() < 0.9
    assert 6 <= len(tables["suppliers"]) <= 8


def test_a_tier_is_cheaper_the_more_is_bought(tables: dict[str, pd.DataFrame]) -> None:
    pair = ["supplier_id", "product_id"]
    tiers = tables["price_tiers"].merge(tables["offers"], on=pair, suffixes=("", "_offer"))
    assert (tiers["unit_cost"] < tiers["unit_cost_offer"]).all()
    for _, steps in tiers.groupby(pair):
        assert steps["min_qty"].is_monotonic_increasing
        assert steps["unit_cost"].is_monotonic_decreasing


def test_every_product_has_a_licensed_supplier_throughout(tables: dict[str, pd.DataFrame]) -> None:
    for hours in range(0, 72, 12):
        good = tables["offers"]["supplier_id"].isin(
            qualified(tables, NOW + pd.Timedelta(hours=hours))
        )
        assert set(tables["offers"]["product_id"][good]) == set(tables["products"]["product_id"])


def test_one_licence_lapses_and_one_is_missing(tables: dict[str, pd.DataFrame]) -> None:
    suppliers = tables["suppliers"]
    assert suppliers["licence_no"].isna().sum() == 1
    left = pd.to_datetime(suppliers["licence_valid_until"]) - NOW.tz_localize(None)
    assert (left < pd.Timedelta(days=3)).sum() == 1
    assert suppliers["max_share"].notna().any()
    assert suppliers["credit_limit"].notna().any()


# -- money ----------------------------------------------------------------------------------


def prices(tables: Tables) -> pd.Series:
    offers = tables["offers"]
    return pd.concat(
        [
            offers["unit_cost"],
            offers["spot_unit_cost"],
            tables["price_tiers"]["unit_cost"],
            tables["products"]["list_price"],
        ]
    )


def test_prices_lie_within_a_factor_of_two(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    low, high = price_band(2)
    assert (low, high) == pytest.approx((27, 54))
    assert prices(tables).between(low, high).all()
    assert history["unit_price"].between(low, high).all()


@pytest.mark.parametrize("spread", [1.25, 5.0, 20.0])
def test_prices_spread_as_asked(tmp_path: Path, spread: float) -> None:
    made = make_market(tmp_path / "shop", days=7, products=60, price_spread=spread)
    found = prices(read_tables(made.root))
    low, high = price_band(spread)
    assert found.between(low, high).all()
    assert found.max() / found.min() > spread**0.7
    if spread == 20:
        assert (low, high) == pytest.approx((10, 200))


@pytest.mark.parametrize("capital_days", [0.5, 1.3])
def test_capital_is_days_of_recent_spend(tmp_path: Path, capital_days: float) -> None:
    made = make_market(tmp_path / "shop", days=14, products=12, capital_days=capital_days)
    tables = read_tables(made.root)
    offers = tables["offers"]
    licensed = offers[offers["supplier_id"].isin(qualified(tables, NOW))]
    cheapest = licensed.groupby("product_id")["spot_unit_cost"].min()
    orders = pd.read_parquet(made.root / "orders.parquet")
    recent = orders[
        (orders["ordered_at"] >= NOW - pd.Timedelta(days=7)) & (orders["status"] != "cancelled")
    ]
    spend = (recent["quantity"] * recent["product_id"].map(cheapest)).sum() / 7
    assert made.working_capital == pytest.approx(capital_days * spend, abs=1)
    assert planning_of(made.root)["working_capital"] == made.working_capital


# -- believable -----------------------------------------------------------------------------


def test_the_calendar_knows_make_up_workdays_and_breaks() -> None:
    days = calendar(date(2026, 2, 1), 40, 3)
    kinds = {f"02-{n + 1:02d}": int(days.kind[n]) for n in range(28)}
    assert kinds["02-14"] == kinds["02-28"] == EVE  # Saturdays at work, a day off follows
    assert kinds["02-07"] == OFF
    assert kinds["02-10"] == WORKDAY
    assert {kinds[f"02-{n}"] for n in range(15, 24)} == {HOLIDAY}
    assert [span[2] for span in days.breaks()] == ["Chinese New Year (Spring Festival)"]
    assert days.festival[13] == -1
    assert days.festival[14:23].tolist() == [0] * 9
    assert days.festival[23] == 1


def daily(history: pd.DataFrame, products: pd.DataFrame, category: str) -> pd.Series:
    mine = products["product_id"][products["category"] == category]
    at = history["ordered_at"][history["product_id"].isin(mine)]
    return at.groupby(at.dt.strftime("%Y-%m-%d")).size()


def test_top_ups_rise_on_the_first_days_of_a_month(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    count = daily(history, tables["products"], "phone_topup")
    number = count.index.str[-2:].astype(int)
    quiet = count[(number > 3) & (number < 29) & ~number.isin([10, 15, 25])].median()
    assert count[number == 1].mean() > 1.25 * quiet
    assert count[number.isin([10, 15, 25])].mean() > 1.1 * quiet


def test_licences_sell_on_a_make_up_saturday_and_rest_on_others(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    count = daily(history, tables["products"], "software_licence")
    ordinary = count[["2026-01-24", "2026-01-31", "2026-03-07", "2026-03-14"]].mean()
    assert count[["2026-02-14", "2026-02-28"]].min() > 1.5 * ordinary
    assert count["2026-02-16":"2026-02-22"].max() < ordinary  # type: ignore[misc]


def test_entertainment_is_bought_in_the_evening(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    category = history["product_id"].map(tables["products"].set_index("product_id")["category"])
    hour = history["ordered_at"].dt.hour
    evening = hour.between(19, 22).groupby(category).mean()
    assert evening[["game_card", "video_membership", "phone_topup"]].min() > 0.3
    assert evening["software_licence"] < 0.2


def test_nothing_was_logged_during_the_outage(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    gap = tables["events"][tables["events"]["kind"] == "outage"].iloc[0]
    within = history["ordered_at"].between(gap["starts_at"], gap["ends_at"], inclusive="left")
    assert pd.Timedelta(hours=2) <= gap["ends_at"] - gap["starts_at"] <= pd.Timedelta(hours=5)
    assert not within.any()
    assert gap["ends_at"] < NOW


def test_new_products_sell_from_their_launch(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    launched = tables["products"].set_index("product_id")["launched_at"].dropna()
    first = history.groupby("product_id")["ordered_at"].min()
    assert (
        first.reindex(launched.index).dropna() >= launched[first.index.intersection(launched.index)]
    ).all()
    new = launched[launched > NOW - pd.Timedelta(days=14)]
    assert len(new) >= 2
    kin = tables["products"].set_index("product_id").loc[new.index, "similar_to"]
    assert kin.notna().any()


def test_events_are_short_and_reach_past_as_of(tables: dict[str, pd.DataFrame]) -> None:
    events = tables["events"]
    assert set(events["kind"]) == {"promotion", "release", "holiday", "outage"}
    hours = (events["ends_at"] - events["starts_at"]) / pd.Timedelta(hours=1)
    assert hours[events["kind"].isin(["promotion", "release"])].between(2, 48).all()
    assert events["starts_at"].max() > NOW + pd.Timedelta(days=3)
    assert not (events["product_id"].notna() & events["category"].notna()).any()
    test = events[events["starts_at"].between(NOW, NOW + pd.Timedelta(days=3))]
    assert {"Patch night", "Show premiere"} <= set(test["name"])


def test_no_product_has_the_same_event_twice() -> None:
    shop = catalogue(3000, as_of=AS_OF, days=90, spread=2, seed=0)
    _, drawn = announced(shop, calendar(date(2025, 12, 30), 93, 3), 0)
    assert len(drawn) > 4000
    assert not drawn.duplicated(["name", "start", "product", "family"]).any()


def test_release_nights_lift_the_released_product(
    tables: dict[str, pd.DataFrame], history: pd.DataFrame
) -> None:
    events = tables["events"]
    nights = events[(events["name"] == "New season on sale") & (events["ends_at"] < NOW)]
    lift = []
    for night in nights.itertuples():
        at = history["ordered_at"][history["product_id"] == night.product_id]
        on, before = (
            at.between(night.starts_at - shift, night.ends_at - shift).sum()
            for shift in (pd.Timedelta(0), pd.Timedelta(days=7))
        )
        lift.append((on + 1) / (before + 1))
    assert len(lift) > 10
    assert np.median(lift) > 1.7


def test_a_few_accounts_order_odd_quantities_in_bursts(history: pd.DataFrame) -> None:
    odd = history[history["quantity"].isin([7, 13, 17, 23])]
    by_account = odd.groupby("account_id").size()
    assert 6 <= len(by_account) <= 15
    assert len(odd) > 100
    per_hour = odd.groupby(odd["ordered_at"].dt.floor("h")).size()
    assert len(per_hour) <= 15


def test_segments_differ(history: pd.DataFrame) -> None:
    by_segment = history.groupby("segment")
    lots = by_segment["quantity"].mean()
    assert lots["individual"] < 1.3 < lots["enterprise"]
    assert lots["individual"] < 1.3 < lots["distributor"]
    hour = history["ordered_at"].dt.hour
    office = hour.between(9, 17).groupby(history["segment"]).mean()
    assert office["enterprise"] > office["distributor"] > 0.6 > office["individual"]


def test_a_few_products_carry_most_orders_and_some_are_intermittent(
    history: pd.DataFrame,
) -> None:
    count = history.groupby("product_id").size().sort_values(ascending=False)
    assert count.iloc[:12].sum() > 0.4 * count.sum()
    assert (count / 120 < 5).sum() >= 3


# -- the jam --------------------------------------------------------------------------------


def reactive_minutes(tables: Tables, orders: pd.DataFrame, rng: int) -> np.ndarray:
    market = problem.market(tables, TZ)
    rows = problem.orders(orders, market.product_ids)
    served = replay(
        market,
        rows,
        Plan.empty(),
        as_of=AS_OF.timestamp(),
        horizon=3 * problem.DAY,
        target_minutes=5,
        rng=np.random.default_rng(rng),
    )
    hours = (rows.at - AS_OF.timestamp()) // problem.HOUR
    return np.stack([hours, served.minutes])


def test_buying_on_demand_takes_about_fifteen_minutes(
    tables: dict[str, pd.DataFrame], future: pd.DataFrame, made: MarketSummary
) -> None:
    means = [np.nanmean(reactive_minutes(tables, future, rng)[1]) for rng in range(5)]
    assert 14 < np.mean(means) < 16
    assert made.reactive_mean_minutes == pytest.approx(15, abs=0.3)


def test_waiting_comes_from_the_peaks_of_every_test_day(
    tables: dict[str, pd.DataFrame], future: pd.DataFrame
) -> None:
    hours, minutes = reactive_minutes(tables, future, 0)
    day, hour = np.divmod(hours, 24)
    share = np.bincount(day.astype(int), weights=minutes) / minutes.sum()
    assert share.min() > 0.1
    assert share.max() < 0.7
    assert minutes[(hour >= 4) & (hour < 18)].mean() < 5
    assert minutes[(hour >= 19) & (hour < 23)].mean() > 20


@pytest.mark.parametrize("seed", range(10))
def test_the_jam_is_the_same_on_every_seed(seed: int) -> None:
    market = world(days=30, products=60, seed=seed, price_spread=2.0)
    assert market.reactive_mean_minutes == pytest.approx(15, abs=0.5)
    assert len(_test_orders(market.source)) > 10_000


def test_noise_goes_on_from_what_came_before():
    sd, phi = PRODUCT_DAY
    rng = np.random.default_rng(0)
    last = np.full(100_000, 3.0)
    ahead = ar1(rng, 2, len(last), sd, phi, last) + sd**2 / 2
    for step, share in enumerate((phi, phi**2)):
        assert ahead[step].mean() == pytest.approx(share * (3.0 + sd**2 / 2), abs=0.003)
        assert ahead[step].std() == pytest.approx(sd * np.sqrt(1 - share**2), rel=0.02)
