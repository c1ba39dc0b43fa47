"""Grow a plan: relieve the sampled futures' jams where money does most.

The plan grows in rounds. Each round serves some sampled futures under the plan so far, by the
exact queue, values each spot order by the minutes that it costs itself and those behind it, prices
blocks of units against those orders and takes the best returns for a slice of the money. Congestion
is thus never assumed: it is measured again after every slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from planning.allocation import Allocation, Step
from planning.exchange import exchange
from planning.limits import Limits
from planning.polish import costs_of, give_back, merge_lines
from planning.pricing import Price, Unserved, price_blocks
from planning.problem import Array, Market, Plan
from planning.simulate import Batches, Simulator

ROUNDS = 8  # slices of the money
GIVEN_BACK = (0.3, 0.2, 0.1)  # of the money, spent anew in two slices if that is better
SMALL_CHANGE = 1e-4  # of the money: what is left over when no other round is worth its time
SHARE_TRIES = 6  # growths before what is above its supplier's share is taken back
SHARE_ROOM = 1.25  # of the money of one growth that shares are taken of in the next
SAMPLE = 200  # products that tell the first round what to expect
FLOOR_SHARE = 0.5  # of the last round's marginal return: blocks below it are not even priced

Progress = Callable[[str, float], None]


def _by_return(blocks: Array, product: Array) -> Array:
    """Rows of blocks, best return first, a product's own blocks in the order they were priced."""
    rate = blocks[:, 3] / np.maximum(blocks[:, 4], 1e-9)
    edges = np.append(np.flatnonzero(np.diff(product, prepend=-1)), len(rate))
    for start, end in pairwise(edges):
        rate[start:end] = np.minimum.accumulate(rate[start:end])
    return np.argsort(-rate, kind="stable")


def _add_slice(
    allocation: Allocation,
    unserved: Unserved,
    *,
    money: float,
    floor: float,
    returns: Array,
    strict: bool = False,
) -> tuple[int, float]:
    """Spend up to `money` on the blocks of best return: how many, and the last one's return."""
    left = allocation.money_left()
    blocks = price_blocks(
        unserved,
        allocation.slots(),
        allocation.terms(),
        Price(floor, min(money, left), left),
        returns,
    )
    product = allocation.market.offer_product[blocks[:, 0].astype("int64")]
    return allocation.add(blocks[_by_return(blocks, product)], money, strict=strict)


def _first_floor(allocation: Allocation, unserved: Unserved, money: float) -> float:
    """Least return that a slice of the money should earn, by a sample of the products."""
    every = len(unserved.bounds) // SAMPLE
    if every < 2:
        return 0.0
    blocks = price_blocks(
        unserved._replace(taken=unserved.taken.copy(), stock_until=unserved.stock_until.copy()),
        allocation.slots(),
        allocation.terms(),
        Price(0.0, money, allocation.money_left()),
        np.full(allocation.units.shape, np.inf),
        every=every,
    )
    best = np.argsort(-blocks[:, 3] / np.maximum(blocks[:, 4], 1e-9), kind="stable")
    enough = np.searchsorted(np.cumsum(blocks[best, 4]), money / every)
    if enough >= len(best):
        return 0.0
    last = blocks[best[enough]]
    return float(FLOOR_SHARE * last[3] / max(last[4], 1e-9))


def grow(
    batches: Batches,
    judge: Simulator,
    limits: Limits,
    *,
    minute_price: float,
    money_cost: float,
    progress: Progress,
    previous: Plan | None = None,
    freeze: float = 0.0,
) -> Allocation:
    """The plan that relieves the futures best when a minute is worth `minute_price`.

    `batches` tell each round what to buy, in turn; `judge` what to keep of it in the end.

    A supplier's share is one of what the plan commits, which is known only in the end. Where it
    turns out too small the plan grows again, money at that supplier dearer and at others cheaper:
    with multipliers μ of money_s ≤ share_s Σ money, a unit of money at s costs μ_s − Σ share μ.
    """

    def rounds(allocation: Allocation, *, strict: bool = False) -> None:
        grow_on(
            allocation,
            batches,
            minute_price=minute_price,
            progress=progress,
            strict=strict,
        )

    market = judge.market
    share = np.minimum(market.max_share, 1.0)
    dearer, total, tried = np.zeros(len(share)), limits.working_capital, []
    for number in range(SHARE_TRIES):
        price = money_cost + dearer - share @ dearer
        allocation = nothing_but_frozen(market, limits, price, previous, freeze)
        allocation.limit_shares(total)
        rounds(allocation)
        if merge_lines(allocation, judge, minute_price):
            rounds(allocation)
        if not allocation.over_share():
            break
        tried.append(allocation)
        money = allocation.money()
        total = float(money.sum()) * SHARE_ROOM
        over = np.clip(money / np.maximum(share * money.sum(), 1e-9) - 1, -1, 1)
        step = allocation.mean_return() / np.sqrt(number + 1)
        dearer = np.maximum(dearer + step * over, 0.0)
    else:
        allocation = max(tried, key=Allocation.within_shares)
        allocation.keep_shares()
        rounds(allocation, strict=True)  # the money set free goes where every share holds
        allocation.keep_shares()
    if previous is None:
        renew(allocation, batches, judge, minute_price=minute_price, progress=progress)
        exchange(allocation, judge, minute_price)
    return allocation


def renew(
    allocation: Allocation,
    batches: Batches,
    judge: Simulator,
    *,
    minute_price: float,
    progress: Progress,
) -> None:
    """Give the least useful lines back and spend their money anew, as far as that helps.

    What a line spares depends on all that was bought after it: early lines may have become idle.
    Not where rounds look at batches: what another batch asked for would be given back.
    """
    if not allocation.units.any() or len(batches) > 1:
        return
    path, cost = allocation.path, costs_of(allocation, judge, minute_price).total
    for number, share in enumerate(GIVEN_BACK):
        progress("renew", number / len(GIVEN_BACK))
        held = allocation.units
        give_back(allocation, judge, judge.serve(allocation.plan()), share)
        allocation.path = []
        grow_on(
            allocation,
            batches,
            minute_price=minute_price,
            progress=lambda *_: None,
            strict=bool((allocation.share < 1).any()),
            floor=path[-1].floor,
            slice_share=share / 2,
        )
        tried = costs_of(allocation, judge, minute_price).total
        if tried < cost and not allocation.over_share():
            cost = tried
        else:
            allocation.replace(held)
    allocation.path = path


def nothing_but_frozen(
    market: Market, limits: Limits, money_cost: Array | float, previous: Plan | None, freeze: float
) -> Allocation:
    """Nothing bought yet but what the previous plan's freeze holds."""
    allocation = Allocation(market, limits, money_cost)
    if previous is not None:
        allocation.stay_near(previous, limits.as_of + freeze)
    return allocation


def grow_on(
    allocation: Allocation,
    batches: Batches | Sequence[Simulator],
    *,
    minute_price: float,
    progress: Progress,
    strict: bool = False,
    floor: float = 0.0,
    slice_share: float = 1 / ROUNDS,
) -> None:
    """Add slices of the money, round by round, until nothing is worth adding.

    Each round looks at the next of the batches of futures, after the last at the first again.
    `floor` is the least return to look for in the first round; 0 = not known.
    """
    returns = np.full(allocation.units.shape, np.inf)
    money = allocation.limits.working_capital * slice_share
    for number in range(2 * ROUNDS):
        plan, simulator = allocation.plan(), batches[number % len(batches)]
        if len(batches) > 1:  # what the last futures said is no bound for these
            returns = np.full(allocation.units.shape, np.inf)
        unserved = simulator.unserved(simulator.serve(plan), minute_price)
        if number == 0 and floor == 0.0:
            floor = _first_floor(allocation, unserved, money)
        allocation.path.append(Step(plan, floor))
        added, last = _add_slice(
            allocation,
            unserved,
            money=money,
            floor=floor,
            returns=returns,
            strict=strict,
        )
        progress("plan", min((number + 1) / ROUNDS, 1.0))
        spent = allocation.money_left() < SMALL_CHANGE * allocation.limits.working_capital
        if spent or (not added and floor == 0.0):
            break
        floor = last * FLOOR_SHARE if added else 0.0
