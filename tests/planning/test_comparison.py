"""Replay of several plans on the same orders: the figures of the contract, nothing invented."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.planning.workspaces import AS_OF, Answer, Finished, call

KEYS = {
    *("mean_minutes", "p50_minutes", "p95_minutes", "on_time_share", "instant_share"),
    *("spend", "prealloc_spend", "spot_spend", "lost_value", "left_value"),
    "by_segment",
}
TZ = "Asia/Shanghai"
SHOP = {"order_id": "no", "product_id": "sku", "status": "state"}  # names of a shop's own
ORDERS = "order_id,product_id,ordered_at,quantity,status\n"


def replay(done: Finished, *plans: object, orders: object = None, as_of: str = AS_OF) -> Answer:
    named = [word for plan in plans for word in ("--plan", plan)]
    orders = orders or done.root / "future.parquet"
    when = ["--as-of", as_of] if as_of else []
    return call("replay", "-w", done.root, "--orders", orders, *named, *when)


@pytest.mark.parametrize("plan", ["none", "last-week", "latest", "file"])
def test_one_plan_gives_exactly_the_keys_of_the_contract(finished, plan):
    told = replay(finished, finished.run_dir / "plan.csv" if plan == "file" else plan)
    assert told.code == 0
    assert set(told.said) == KEYS
    assert told.said["spend"] == pytest.approx(
        told.said["prealloc_spend"] + told.said["spot_spend"]
    )
    assert 0 <= told.said["instant_share"] <= told.said["on_time_share"] <= 1
    assert told.said["p50_minutes"] <= told.said["p95_minutes"]


def test_nothing_bought_ahead_is_nothing_at_once(finished):
    told = replay(finished, "none").said
    assert told["instant_share"] == told["prealloc_spend"] == told["lost_value"] == 0
    assert told["left_value"] == 0


def test_several_plans_side_by_side_equal_each_alone(finished):
    path = str(finished.run_dir / "plan.csv")
    names = ["none", "last-week", "latest", path]
    together = replay(finished, *names).said["plans"]
    assert list(together) == names
    for name in names:
        assert together[name] == replay(finished, name).said
    assert together["latest"] == together[path]
    assert together["latest"]["mean_minutes"] < together["none"]["mean_minutes"]


def test_the_as_of_of_a_plan_is_that_of_its_run(finished):
    told = replay(finished, "latest", as_of="")
    assert told.said == replay(finished, "latest").said
    assert "2026-03-30T00:00:00+08:00" in told.err


def test_a_manifest_that_is_not_ours_tells_no_as_of(finished, tmp_path):
    shutil.copy(finished.run_dir / "plan.csv", tmp_path / "plan.csv")
    for content in ("{}", "[]", "rubbish", json.dumps({"as_of": "never"})):
        (tmp_path / "manifest.json").write_text(content)
        told = replay(finished, tmp_path / "plan.csv", as_of="")
        assert told.code == 0
        assert "the present moment" in told.err


def test_equal_seeds_meet_equal_chances(finished):
    assert replay(finished, "latest").said == replay(finished, "latest").said


def test_many_seeds_give_the_mean_of_each_and_its_spread(finished):
    def with_seeds(*words):
        orders = ["--orders", finished.root / "future.parquet", "--plan", "latest"]
        return call("replay", "-w", finished.root, *orders, "--as-of", AS_OF, *words).said

    alone = [with_seeds("--seed", seed) for seed in (4, 5, 6)]
    together = with_seeds("--seed", 4, "--seeds", 3)
    assert set(together) == KEYS | {"spread"}
    for key in KEYS - {"by_segment"}:
        values = [one[key] for one in alone]
        assert together[key] == pytest.approx(np.mean(values))
        assert together["spread"][key] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    people = [one["by_segment"]["individual"]["mean_minutes"] for one in alone]
    told = together["by_segment"]["individual"]["mean_minutes"]
    assert told == pytest.approx(np.mean(people))


def test_segments_add_up(finished):
    told = replay(finished, "none").said
    count = [one["orders"] for one in told["by_segment"].values()]
    minutes = [one["mean_minutes"] for one in told["by_segment"].values()]
    assert len(count) > 1
    assert np.average(minutes, weights=count) == pytest.approx(told["mean_minutes"])


def test_orders_that_cannot_be_replayed_are_counted_in_a_warning(finished, tmp_path):
    product = pd.read_csv(finished.root / "products.csv")["product_id"].iloc[0]
    good = "".join(f"A{n},{product},2026-03-30T08:{n:02d},1,delivered\n" for n in range(30))
    (tmp_path / "orders.csv").write_text(f"{ORDERS}{good}B,nope,2026-03-30T08:00,1,delivered\n")
    told = replay(finished, "none", orders=tmp_path / "orders.csv")
    assert told.code == 0
    assert set(told.said) == KEYS
    assert "orders to replay: 1 of 31 rows quarantined" in told.err


def test_replay_needs_no_order_before_as_of_but_last_week_does(fresh):
    fresh.joinpath("orders.csv").unlink()
    fresh.joinpath("future.parquet").rename(fresh / "orders.parquet")
    asked = ("replay", "-w", fresh, "--orders", fresh / "orders.parquet", "--as-of", AS_OF)
    told = call(*asked, "--plan", "none")
    assert told.code == 0
    assert set(told.said) == KEYS
    refused = call(*asked, "--plan", "last-week")
    assert refused.code == 1
    assert "lie at or after as-of" in refused.said["error"]


def test_cancelled_orders_alone_have_no_minutes(finished, tmp_path):
    product = pd.read_csv(finished.root / "products.csv")["product_id"].iloc[0]
    (tmp_path / "orders.csv").write_text(f"{ORDERS}A,{product},2026-03-30T08:00,1,cancelled\n")
    told = replay(finished, "none", orders=tmp_path / "orders.csv")
    assert told.code == 0
    assert told.said["mean_minutes"] is None
    assert told.said["spend"] == 0


def edited(finished: Finished, column: str, value: str) -> str:
    plan = pd.read_csv(finished.run_dir / "plan.csv", dtype=str, keep_default_na=False)
    plan.loc[0, column] = value
    return plan.to_csv(index=False)


BROKEN = {
    "supplier_id": ("S99", "makes no offer"),
    "product_id": ("nothing", "makes no offer"),
    "units": ("many", "line 2"),
    "available_from": ("2026-03-30T10:00:00", "offset"),
    "available_to": ("2020-01-01T00:00:00+08:00", "line 2"),
    "unit_cost": ("nan", "line 2"),
    "line_id": ("", "line 2"),
}


@pytest.mark.parametrize("column", BROKEN)
def test_a_plan_that_cannot_be_read_is_refused_and_told(finished, tmp_path, column):
    value, told = BROKEN[column]
    (tmp_path / "plan.csv").write_text(edited(finished, column, value))
    answer = replay(finished, tmp_path / "plan.csv")
    assert answer.code == 1
    assert "plan.csv" in answer.said["error"]
    assert told in answer.said["error"]
    assert value in answer.said["error"]


@pytest.mark.parametrize("which", ["plan", "orders"])
def test_a_missing_file_is_told(finished, tmp_path, which):
    gone = tmp_path / "gone.csv"
    answer = replay(finished, gone) if which == "plan" else replay(finished, "none", orders=gone)
    assert answer.code == 1
    assert "gone.csv" in answer.said["error"]


def test_latest_needs_a_run(fresh):
    answer = call("replay", "-w", fresh, "--orders", fresh / "future.parquet", "--plan", "latest")
    assert answer.code == 2
    assert "peakahead run" in answer.said["error"]


# What the figures don't show


@pytest.mark.parametrize(("later", "some"), [("36h", True), ("30D", False)])
def test_orders_of_another_time_than_the_horizon_are_told(finished, tmp_path, later, some):
    orders = pd.read_parquet(finished.root / "future.parquet")
    for column in ("ordered_at", "delivered_at"):
        orders[column] += pd.Timedelta(later)
    orders.to_parquet(tmp_path / "orders.parquet")
    orders = orders[orders["status"] != "cancelled"]
    end = pd.Timestamp(AS_OF, tz=TZ) + pd.Timedelta("72h")
    inside = int((orders["ordered_at"] < end).sum())
    assert (inside > 0) == some
    told = replay(finished, "none", orders=tmp_path / "orders.parquet")
    assert told.code == 0
    assert f"{inside:,} of {len(orders):,} orders lie in the horizon" in told.err
    assert "orders lie in the horizon" not in replay(finished, "none").err


def test_a_plan_of_another_time_than_as_of_is_told(finished):
    lines = len(pd.read_csv(finished.run_dir / "plan.csv"))
    told = replay(finished, "latest", as_of="2026-04-30").err
    assert f"--plan latest: 0 of {lines} lines become ready in the horizon" in told
    assert "become ready" not in replay(finished, "latest").err


def test_a_last_week_without_orders_is_told(finished):
    told = replay(finished, "last-week", as_of="2027-03-30")
    assert told.code == 0
    assert "--plan last-week buys nothing" in told.err
    assert "buys nothing" not in replay(finished, "last-week").err


def test_a_run_s_plan_is_served_with_what_was_confirmed_before(finished, tmp_path):
    run = Path(shutil.copytree(finished.run_dir, tmp_path / "run"))
    plan = pd.read_csv(run / "plan.csv", dtype=str, keep_default_na=False)
    plan[::2].to_csv(run / "plan.csv", index=False)
    plan[1::2].to_csv(run / "committed.csv", index=False)
    told = replay(finished, run / "plan.csv")
    assert f"with the {len(plan[1::2])} confirmed lines of committed.csv" in told.err
    whole = replay(finished, "latest").said
    assert told.said["mean_minutes"] == pytest.approx(whole["mean_minutes"], rel=0.05)
    assert told.said["prealloc_spend"] == pytest.approx(whole["prealloc_spend"], rel=0.05)
    shutil.copy(run / "plan.csv", tmp_path / "plan.csv")
    bare = replay(finished, tmp_path / "plan.csv")
    assert "committed.csv" not in bare.err
    assert bare.said["instant_share"] < told.said["instant_share"]


def in_shop_s_words(path: Path, target: Path) -> None:
    orders = pd.read_parquet(path).rename(columns=SHOP)
    orders["state"] = orders["state"].replace({"delivered": "served"})
    orders.to_parquet(target)


def test_orders_may_have_the_names_and_words_of_the_workspace(finished, fresh, tmp_path):
    fresh.joinpath("orders.csv").unlink()
    in_shop_s_words(fresh / "orders.parquet", fresh / "orders.parquet")
    in_shop_s_words(fresh / "future.parquet", tmp_path / "theirs.parquet")
    renames = "".join(f'{ours} = "{name}"\n' for ours, name in SHOP.items())
    words = f'[data.columns.orders]\n{renames}[data.values.orders.status]\ndelivered = "served"\n'
    config = fresh / "peakahead.toml"
    config.write_text(f"{config.read_text()}\n{words}")
    asked = ("replay", "-w", fresh, "--plan", "none", "--as-of", AS_OF, "--orders")
    for path in (tmp_path / "theirs.parquet", fresh / "future.parquet"):
        assert call(*asked, path).said == replay(finished, "none").said
    less = pd.read_parquet(tmp_path / "theirs.parquet").drop(columns="sku")
    less.to_parquet(tmp_path / "less.parquet")
    refused = call(*asked, tmp_path / "less.parquet")
    assert refused.code == 1
    assert "orders: " in refused.said["error"]
    assert "lacks the columns" in refused.said["error"]
