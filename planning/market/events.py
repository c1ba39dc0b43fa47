"""Announced events (promotions, releases, holidays, the outage), and spikes nobody announced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from planning.market.days import Days
from planning.market.products import Catalogue
from planning.market.reference import Row, choices, known_only, stream, table
from planning.problem import Array

AHEAD = 7  # days after as-of whose events are already announced
# Of whole families, the test days hold these alone: the third day is the start of a month.
TEST_EVENINGS = ((0, "Patch night", 19), (1, "Show premiere", 19))
SPIKES_PER_MONTH = 0.7  # of a product
WAVES_PER_MONTH = 0.8  # of a family: a streamer, a rumour, a competitor's failure


@dataclass(frozen=True, kw_only=True)
class Lifts:
    """What raises demand for some hours [E]; hours count from the first day's midnight."""

    start: Array  # [E] int hour
    hours: Array  # [E] int
    log_lift: Array  # [E]
    product: Array  # [E] row in products, -1 = the whole family
    family: Array  # [E] row in families
    decay: Array  # [E] bool: strongest in the first hour, then fading

    def __len__(self) -> int:
        return len(self.start)


def joined(first: Lifts, second: Lifts) -> Lifts:
    """Both, one after the other."""
    names = ("start", "hours", "log_lift", "product", "family", "decay")
    return Lifts(**{name: np.r_[getattr(first, name), getattr(second, name)] for name in names})


def announced(shop: Catalogue, days: Days, seed: int) -> tuple[Lifts, pd.DataFrame]:
    """Promotions and releases: their lifts, and their rows of events.csv."""
    rng = stream(seed, "events")
    kinds = table("event_kinds")
    parts = [_of_kind(rng, row, shop, days) for row in kinds.to_dict("records")]
    parts += [_test_evening(rng, kinds, shop, days, *evening) for evening in TEST_EVENINGS]
    drawn = pd.concat(parts, ignore_index=True)
    drawn = drawn.sort_values(["start", "family", "product", "name"], kind="stable")
    lifts = Lifts(
        start=drawn["start"].to_numpy(dtype="int64"),
        hours=drawn["hours"].to_numpy(dtype="int64"),
        log_lift=drawn["log_lift"].to_numpy(dtype=float),
        product=drawn["product"].to_numpy(dtype="int64"),
        family=drawn["family"].to_numpy(dtype="int64"),
        decay=drawn["decay"].to_numpy(dtype=bool),
    )
    return lifts, drawn


def _of_kind(rng: np.random.Generator, row: Row, shop: Catalogue, days: Days) -> pd.DataFrame:
    family = shop.families.index(row["family"])
    members = np.flatnonzero(shop.family == family)
    single = row["scope"] == "product"
    span = len(days) - days.test + AHEAD
    count = int(rng.poisson(row["per_month"] * span / 30 * (len(members) if single else 1)))
    if not len(members):
        count = 0
    allowed = _allowed_days(days, span, choices(row["weekdays"]))
    start = rng.choice(allowed, count) * 24 + rng.choice(choices(row["start_hours"]), count)
    # a release is a product's, even a popular one's: any of the family alike
    product = rng.choice(members, count) if single and count else np.full(count, -1)
    events = _events(rng, row, start, product, family)
    if not single:
        return _apart(_before_test(events, days))
    return events[_alive(events, shop, days)].drop_duplicates(["product", "start"])


def _allowed_days(days: Days, span: int, weekdays: list[int]) -> Array:
    numbers = np.arange(span)
    weekday = (numbers + days.first.weekday()) % 7
    return numbers[np.isin(weekday, weekdays)] if weekdays else numbers


def _alive(events: pd.DataFrame, shop: Catalogue, days: Days) -> Array:
    """Events of products that are already on sale."""
    launch = days.history * 24 - shop.launched[events["product"].to_numpy(dtype=int)]
    return np.asarray(events["start"].to_numpy() >= launch)


def _before_test(events: pd.DataFrame, days: Days) -> pd.DataFrame:
    """Without the family-wide events of the test days, which would make one day outweigh all."""
    test = days.history * 24
    ends = events["start"] + events["hours"]
    return events[(ends <= test) | (events["start"] >= test + days.test * 24)]


def _apart(events: pd.DataFrame) -> pd.DataFrame:
    """One event of a kind at a time in a family: a later one that overlaps is dropped."""
    events = events.sort_values("start", kind="stable")
    kept, free = [], -1
    for place, (start, hours) in enumerate(zip(events["start"], events["hours"], strict=True)):
        if start >= free:
            kept.append(place)
            free = start + hours
    return events.iloc[kept]


def _events(
    rng: np.random.Generator, row: Row, start: Array, product: Array, family: int
) -> pd.DataFrame:
    count = len(start)
    return pd.DataFrame(
        {
            "name": row["name"],
            "kind": row["kind"],
            "start": start.astype("int64"),
            "hours": rng.choice(choices(row["hours"]), count).astype("int64"),
            "log_lift": np.log(row["lift"]) + rng.normal(0, row["lift_sd"], count),
            "product": product.astype("int64"),
            "family": family,
            "decay": row["shape"] == "decay",
        }
    )


def _test_evening(
    rng: np.random.Generator,
    kinds: pd.DataFrame,
    shop: Catalogue,
    days: Days,
    day: int,
    name: str,
    hour: int,
) -> pd.DataFrame:
    # of typical size: a lucky draw must not make one evening the whole test
    row = kinds.assign(lift_sd=0.0)[kinds["name"] == name].to_dict("records")[0]
    start = np.array([(days.history + day) * 24 + hour])
    return _events(rng, row, start, np.array([-1]), shop.families.index(row["family"]))


def unannounced(shop: Catalogue, days: Days, seed: int) -> Lifts:
    """Spikes of single products and waves through a family; events.csv knows nothing of them."""
    rng = stream(seed, "spikes")
    months = len(days) / 30
    spikes = int(rng.poisson(SPIKES_PER_MONTH * months * len(shop)))
    waves = int(rng.poisson(WAVES_PER_MONTH * months * len(shop.families)))
    product = np.r_[rng.integers(0, len(shop), spikes), np.full(waves, -1)]
    family = np.r_[
        shop.family[product[:spikes]], rng.integers(0, len(shop.families), waves)
    ].astype("int64")
    return Lifts(
        start=rng.integers(0, len(days) * 24, spikes + waves),
        hours=np.r_[rng.integers(2, 7, spikes), rng.integers(2, 5, waves)],
        log_lift=np.log(np.r_[rng.uniform(2, 5, spikes), rng.uniform(1.15, 1.45, waves)]),
        product=product,
        family=family,
        decay=np.ones(spikes + waves, dtype=bool),
    )


def outage(days: Days, seed: int) -> tuple[int, int]:
    """First hour and length of the gap in the order log, well before as-of."""
    rng = stream(seed, "outage")
    latest = max(days.history - 8, 1)
    day = int(rng.integers(max(days.history - 60, 0), latest))
    return day * 24 + int(rng.integers(9, 19)), int(rng.integers(2, 6))


def event_rows(
    drawn: pd.DataFrame, gap: tuple[int, int], shop: Catalogue, days: Days, midnight: datetime
) -> pd.DataFrame:
    """events.csv: what `announced` drew, the holidays and the outage, in order of time."""
    ids = shop.table["product_id"].to_numpy(dtype=object)
    categories = np.array(shop.families, dtype=object)
    single = drawn["product"].to_numpy() >= 0
    rows = drawn[["name", "kind", "start", "hours"]].assign(
        product_id=known_only(ids[drawn["product"]], single),
        category=known_only(categories[drawn["family"]], ~single),
    )
    extra = [(name, "holiday", a * 24, (b - a) * 24, None, None) for a, b, name in days.breaks()]
    extra.append(("Order log outage", "outage", *gap, None, None))
    rows = pd.concat([rows, pd.DataFrame(extra, columns=rows.columns)], ignore_index=True)
    rows = rows.sort_values(["start", "kind", "name", "product_id"], kind="stable")
    starts = [midnight + timedelta(hours=int(hour)) for hour in rows["start"]]
    ends = [at + timedelta(hours=int(n)) for at, n in zip(starts, rows["hours"], strict=True)]
    return pd.DataFrame(
        {
            "name": rows["name"].to_numpy(),
            "kind": rows["kind"].to_numpy(),
            "starts_at": starts,
            "ends_at": ends,
            "product_id": rows["product_id"].to_numpy(),
            "category": rows["category"].to_numpy(),
        }
    )
