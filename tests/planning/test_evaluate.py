"""Policies rolled over past days: what each may know, what is carried over, what it adds up to."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from planning import evaluate, standings
from planning.evaluate import Book, Stage, midnights_before
from planning.policies import POLICIES
from planning.problem import DAY, HOUR, Orders, Plan, orders
from planning.tables import read_workspace
from planning.workspace import ConfigError, load_workspace
from tests.planning.strategies import AS_OF, a_market, a_plan, some_orders
from tests.planning.workspaces import AS_OF as TODAY
from tests.planning.workspaces import call, contents, set_config

DAYS = 2
END = pd.Timestamp(TODAY, tz="Asia/Shanghai")


def resampled(stage, inputs, today, progress) -> list[Orders]:
    """Last week's orders, some of them doubled, some left out: a forecast that costs nothing."""
    log = orders(evaluate.order_rows(inputs.orders), stage.market.product_ids)
    since = today.timestamp() - 7 * DAY
    week = log.between(since, since + stage.workspace.horizon.total_seconds())
    streams = []
    for seed in range(4):
        rows = np.repeat(np.arange(len(week)), np.random.default_rng(seed).poisson(1.0, len(week)))
        columns = {field.name: getattr(week, field.name)[rows] for field in fields(Orders)}
        streams.append(Orders(**columns | {"at": columns["at"] + 7 * DAY}))
    return streams


def rolled(root, *, days=DAYS, seed=0) -> evaluate.Evaluation:
    workspace = load_workspace(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "expected_streams", resampled)
        return evaluate.evaluate(
            workspace, partial(read_workspace, workspace), END, days=days, seed=seed
        )


@pytest.fixture(scope="module")
def found(sample):
    return rolled(sample)


def test_foresight_wins_all_that_is_reachable_and_buying_on_demand_nothing(found):
    table = found.policies().set_index("policy")
    assert list(table.index) == list(POLICIES)
    assert table.loc["reactive", "share_of_reachable"] == 0
    assert table.loc["foresight", "share_of_reachable"] == 1
    minutes = table["mean_minutes"]
    assert minutes["foresight"] < minutes["reactive"]
    assert minutes["plan"] < minutes["reactive"]
    won = (minutes["reactive"] - minutes["plan"]) / (minutes["reactive"] - minutes["foresight"])
    assert table.loc["plan", "share_of_reachable"] == pytest.approx(won)
    assert table.loc["reactive", ["lines", "prealloc_spend", "lost_value"]].tolist() == [0, 0, 0]


def test_every_policy_serves_every_order_of_the_days_and_groups_add_up(found):
    frame = evaluate.order_rows(found.inputs.orders)
    since = END - pd.Timedelta(days=DAYS)
    real = frame[(frame["ordered_at"] >= since) & (frame["status"] != "cancelled")]
    table = found.policies().set_index("policy")
    for groups in (found.by_day(), found.by_segment(), found.by_product()):
        for name, own in groups.groupby("policy"):
            assert own["orders"].sum() == len(real)
            mean = np.average(own["mean_minutes"].fillna(0), weights=own["orders"])
            assert mean == pytest.approx(table.loc[name, "mean_minutes"])
    assert found.by_day()["day"].unique().tolist() == ["2026-03-28", "2026-03-29"]


def test_money_is_that_of_the_lines(found):
    lines = found.lines()
    table = found.policies().set_index("policy")
    paid = (lines["arrived"] * lines["unit_cost"]).groupby(lines["policy"]).sum()
    left = lines["unused"] * lines["unit_cost"] * (lines["available_to"] > END)
    gone = lines["unused"] * lines["unit_cost"] * (lines["available_to"] <= END)
    for name in paid.index:
        own = lines["policy"] == name
        assert table.loc[name, "left_value"] == pytest.approx(left[own].sum())
        refunded = gone[own].sum() - table.loc[name, "lost_value"]
        spend = paid[name] - refunded - left[own].sum()
        assert table.loc[name, "prealloc_spend"] == pytest.approx(spend)


def test_only_lines_that_cannot_wait_are_ordered_each_on_its_day(found):
    lines = found.lines()
    assert set(lines["policy"]) >= {"last-week", "plan", "foresight"}
    decided = lines["decided_at"]
    assert (lines["order_by"] >= decided).all()
    assert (lines["order_by"] < decided + pd.Timedelta(days=1)).all()
    assert decided.nunique() == DAYS


def test_money_on_order_never_exceeds_the_capital(sample, found):
    lines, capital = found.lines(), load_workspace(sample).working_capital
    for _, own in lines.groupby("policy"):
        for midnight in found.midnights[:-1]:
            open_lines = own[(own["decided_at"] <= midnight) & (own["available_from"] >= midnight)]
            assert (open_lines["units"] * open_lines["unit_cost"]).sum() <= capital * (1 + 1e-9)


def test_equal_seeds_are_equal_and_another_seed_meets_other_chances(sample, found):
    again, other = rolled(sample), rolled(sample, seed=1)
    pd.testing.assert_frame_equal(again.policies(), found.policies())
    pd.testing.assert_frame_equal(again.lines(), found.lines())
    assert not np.allclose(other.policies()["mean_minutes"], found.policies()["mean_minutes"])


def test_what_comes_after_a_midnight_changes_nothing_decided_before(fresh, found):
    log = pd.read_parquet(fresh / "orders.parquet")
    last_day = log["ordered_at"] >= (END - pd.Timedelta(days=1))
    log.loc[last_day, "quantity"] = 9
    log = log[~last_day | (np.arange(len(log)) % 3 == 0)]
    log.to_parquet(fresh / "orders.parquet", index=False)
    changed = rolled(fresh)
    told = [
        one.lines()
        .query("policy != 'foresight' and decided_at <= @midnight")
        .drop(columns="unused")
        for midnight in [END - pd.Timedelta(days=1)]
        for one in (found, changed)
    ]
    assert told[0]["decided_at"].nunique() == DAYS
    pd.testing.assert_frame_equal(*told)
    assert found.policies()["mean_minutes"].ne(changed.policies()["mean_minutes"]).all()


def test_days_without_orders_are_told(fresh):
    log = pd.read_parquet(fresh / "orders.parquet")
    log[log["ordered_at"] < END - pd.Timedelta(days=1)].to_parquet(fresh / "orders.parquet")
    (fresh / "orders.csv").unlink()
    with pytest.raises(ConfigError, match=r"no order .* the last one is of 2026-03-28T23"):
        rolled(fresh, days=1)


def test_where_nothing_is_reachable_there_is_no_share(found):
    idle = replace(found, served=dict.fromkeys(POLICIES, found.served["reactive"]))
    said = standings.as_json(idle)
    assert {row["share_of_reachable"] for row in said["policies"].values()} == {None}
    assert "–" in standings.words(idle, 5)
    assert "of what perfect foresight wins" not in standings.page(idle, "")
    assert "saves too little" in standings.words(idle, 5)


def test_a_share_of_next_to_nothing_is_not_told(found):
    none = found.served["reactive"]
    hardly = replace(none, minutes=none.minutes * 0.97)
    calm = replace(found, served=dict.fromkeys(POLICIES, none) | {"foresight": hardly})
    assert calm.policies()["share_of_reachable"].isna().all()


# What is carried from day to day


def stage(market, came: Orders) -> Stage:
    class Settings:
        target_minutes = 5.0

    return Stage(workspace=Settings(), market=market, orders=came, noise=np.ones(len(came)), seed=0)


def a_book(plan: Plan) -> Book:
    return Book(plan=plan, arrived=plan.units, day=np.zeros(len(plan), int))


def test_units_left_at_midnight_are_the_next_days_stock_and_tie_up_their_money():
    market = a_market(
        stock_product=np.array([0]),
        stock_supplier=np.array([0]),
        stock_units=np.array([2]),
        stock_expires=np.array([AS_OF + 3 * HOUR]),
    )
    plan = a_plan(market, (0, 1.0, 100.0, 10), (0, 2.0, 20.0, 6), (0, 30.0, 90.0, 7))
    came = some_orders([10, 130, 140, 150, 25 * 60], quantity=[1, 1, 4, 1, 5])
    on_hand, tied = stage(market, came).on_hand(a_book(plan), AS_OF + 24 * HOUR)
    # the first order and the next take stock, then 4 + 1 the line that ends first
    assert on_hand.stock_units.tolist() == [0, 10]  # the second line's last is gone at hour 20
    assert on_hand.stock_expires.tolist() == [AS_OF + 3 * HOUR, AS_OF + 100 * HOUR]
    assert tied == 100


def test_lines_of_an_offer_and_hour_share_their_luck_whenever_they_were_ordered():
    market = a_market(fill_rate=np.array([0.7]))
    plan = a_plan(market, (0, 30.0, 60.0, 10**6), (0, 31.0, 60.0, 10**6))
    here = stage(market, some_orders([]))
    first, second = here.arrivals(plan, 0) / 1e6, here.arrivals(plan, 1) / 1e6
    assert first == pytest.approx(second, abs=0.005)
    assert abs(first[0] - first[1]) > 0.005
    again = replace(here, seed=1).arrivals(plan, 0) / 1e6
    assert abs(first[0] - again[0]) > 0.005


def test_orders_before_midnight_fare_the_same_in_every_pass():
    market = a_market(channels=np.array([2]))
    came = some_orders(np.sort(np.random.default_rng(0).uniform(0, 48 * 60, 900)))
    here = stage(market, came)
    book = a_book(a_plan(market, (0, 5.0, 60.0, 100)))
    half, whole = here.served(book, AS_OF + DAY), here.served(book, AS_OF + 2 * DAY)
    np.testing.assert_array_equal(half.minutes, whole.minutes[: len(half.minutes)])


# Days


def test_days_begin_at_local_midnight_also_when_the_clocks_change():
    days = midnights_before(
        pd.Timestamp("2026-03-30 10:20", tz="Europe/Berlin"), 2, "Europe/Berlin"
    )
    assert [day.hour for day in days] == [0, 0, 0]
    assert np.diff(days).tolist() == [pd.Timedelta(hours=24), pd.Timedelta(hours=23)]


def test_more_days_than_the_log_holds_are_told(sample):
    answer = call("evaluate", "-w", sample, "--as-of", TODAY, "--days", 9)
    assert answer.code == 2
    for part in ("--days 9", "10 whole days", "ask for 3 or fewer"):
        assert part in answer.said["error"]


# The command


def test_the_command_tells_words_json_and_files(sample, tmp_path):
    before = contents(sample)
    answer = call(
        *("evaluate", "-w", sample, "--as-of", TODAY, "--days", 1, "--out", tmp_path / "told")
    )
    assert answer.code == 0, answer.err
    said = answer.said
    assert said["starts_at"] == "2026-03-29T00:00:00+08:00"
    assert list(said["policies"]) == list(POLICIES)
    mean = {name: figures["mean_minutes"] for name, figures in said["policies"].items()}
    least = (
        evaluate.LEAST_REACHABLE * mean["reactive"]
    )  # money kept for later days spares little yet
    reachable = mean["reactive"] - mean["foresight"] > least
    assert said["policies"]["reactive"]["share_of_reachable"] == (0 if reachable else None)
    assert {row["segment"] for row in said["by_segment"]} <= {
        "individual",
        "distributor",
        "enterprise",
    }
    assert said["out"] == [str(tmp_path / "told" / name) for name in standings.FILES]
    table = pd.read_csv(tmp_path / "told" / "policies.csv").set_index("policy")
    assert table.loc["plan", "mean_minutes"] == said["policies"]["plan"]["mean_minutes"]
    assert "day 1 of 1" in answer.err
    assert "quarantined" in answer.err
    assert contents(sample) == before


@pytest.mark.parametrize("name", ["standings.csv", "standings.html"])
def test_one_file_holds_the_policies_or_the_figures(found, tmp_path, name):
    told = standings.words(found, 5)
    assert standings.save(found, tmp_path / name, told) == [tmp_path / name]
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert ("perfect foresight" if name.endswith("html") else "share_of_reachable") in text
    assert standings.page(found, told) == standings.page(found, told)


def test_the_page_opens_with_a_sentence_and_ends_with_the_table(found):
    page = standings.page(found, "the table")
    plan = found.policies().set_index("policy").loc["plan"]
    lead = f"With the plan an order would have been delivered in {plan['mean_minutes']:.1f} minutes"
    assert page.index(lead) < page.index("Plotly.newPlot") < page.index("<pre>the table</pre>")
    assert f"That is {plan['share_of_reachable']:.0%} of what perfect foresight wins." in page


def test_the_words_name_every_policy_and_segment(found):
    told = standings.words(found, 5)
    for part in (
        "the plan",
        "perfect foresight",
        "100.0%",
        "distributor",
        "2 days from 2026-03-28",
    ):
        assert part in told


def test_nobody_licensed_is_told(fresh):
    set_config(fresh, ("^horizon.*", 'horizon = "24h"'))
    suppliers = pd.read_csv(fresh / "suppliers.csv", dtype=str, keep_default_na=False)
    suppliers.assign(licence_no="").to_csv(fresh / "suppliers.csv", index=False)
    answer = call("evaluate", "-w", fresh, "--as-of", TODAY)
    assert answer.code == 1
    assert "licence" in answer.said["error"]
