"""Choose what to pre-allocate: relieve the sampled futures' jams where money does most.

The plan grows in rounds. Each round serves some sampled futures under the plan so far, by the
exact queue, values each spot order by the minutes that it costs itself and those behind it, prices
blocks of units against those orders and takes the best returns for a slice of the money. Congestion
is thus never assumed: it is measured again after every slice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from planning.allocation import Allocation, Step
from planning.bound import cost_bound
from planning.exchange import exchange
from planning.expectation import Aims, Expectation, expect
from planning.limits import Limits
from planning.polish import costs_of, give_back, give_back_losers, merge_lines
from planning.pricing import Price, Unserved, price_blocks
from planning.problem import DAY, Array, Market, Orders, Plan, stream
from planning.reasons import reasons
from planning.simulate import Batches, Future, Simulator, damped, first_of, futures_of

YEAR = 365 * DAY
ROUNDS = 8  # slices of the money
GIVEN_BACK = (0.3, 0.2, 0.1)  # of the money, spent anew in two slices if that is better
SMALL_CHANGE = 1e-4  # of the money: what is left over when no other round is worth its time
SPENT = 0.02  # of the working capital: it is told as used up where no more is left
SHARE_TRIES = 6  # growths before what is above its supplier's share is taken back
SHARE_ROOM = 1.25  # of the money of one growth that shares are taken of in the next
SAMPLE = 200  # products that tell the first round what to expect
FLOOR_SHARE = 0.5  # of the last round's marginal return: blocks below it are not even priced
URGENCIES = (0.1, 0.03, 0.01)  # price of a minute, in mean order values, while the target is missed
CALMER = (1.0, 0.25, 0.0625, 0.0)  # of the delay cost: prices tried where none above may be paid
JUDGED_ORDERS = 2_500_000  # of the futures that tell what to keep, and why
CHANCES = 1  # number of this purpose among the seed's

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How a plan came about: what it takes to go on from it."""

    simulator: Simulator  # its futures, the first ones where they are many
    minute_price: float  # money that a weighted minute was worth
    money_cost: float  # of committing one unit of money over the horizon
    money_costs: Array  # [S] the same at each supplier, with the prices of its share
    path: list[Step]  # its rounds, from the first on; none where no plan was worth its money


@dataclass(frozen=True, kw_only=True)
class Solution:
    """A plan, what it is worth, and a bound on what any plan could be worth."""

    plan: Plan
    reasons: list[str]  # [L] why each line is there
    starts: Array  # [T] clock hours of the horizon
    status: str
    objective: float  # money: expected spend, delay and capital cost over the sampled futures
    bound: float  # no plan has a lower expected objective on them
    predicted: Expectation  # with the lines committed before
    reactive: Expectation  # nothing bought ahead, now or before
    before: Expectation  # with the lines committed before alone: what the plan adds to
    seconds: float
    growth: Growth

    @property
    def gap(self) -> float:
        """(objective - bound) / objective."""
        return (self.objective - self.bound) / self.objective if self.objective else 0.0


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
        allocation = _start(market, limits, price, previous, freeze)
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


def _start(
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


def _minute_prices(before: Expectation, futures: Sequence[Future], aims: Aims) -> list[float]:
    """Prices of a minute to try, dearest first: while the target is missed, minutes come first."""
    orders = np.mean([len(future.orders) for future in futures])
    order_value = before.spend / max(float(orders), 1.0)
    urgent = [share * order_value for share in URGENCIES]
    calm = [aims.delay_cost * share for share in CALMER]
    if before.on_time_share >= aims.target_share:
        return calm
    return [price for price in urgent if price > aims.delay_cost] + calm


def cheapest_step(allocation: Allocation, futures: Sequence[Future]) -> float:
    """Money of the cheapest pack that a line may have more, or of the smallest new line.

    Of products that are ordered in the futures; infinite where the offers' caps allow neither.
    """
    market, held = allocation.market, allocation.units
    ordered = np.zeros(len(market.product_ids), dtype=bool)
    for future in futures:
        ordered[future.orders.product] = True
    pack = market.pack_size
    step = np.where(held > 0, pack[:, None], allocation.least[:, None])
    room = np.minimum(allocation.room(), allocation.plan_room()[:, None])
    offer, slot = np.nonzero((step <= room) & ordered[market.offer_product][:, None])
    units = held[offer, slot]
    larger = units + step[offer, slot]
    money = larger * market.line_cost(offer, larger) - units * market.line_cost(offer, units)
    return float(money.min(initial=np.inf))


def _status(predicted: Expectation, allocation: Allocation, judge: Simulator, aims: Aims) -> str:
    met = int((predicted.on_time >= aims.target_share).sum())
    chance = f"in {met} of {len(predicted.on_time)} sampled futures"
    if predicted.on_time_share >= aims.target_share:
        return f"target met, {chance}"
    left, step = allocation.money_left(), cheapest_step(allocation, judge.futures)
    if left < step < np.inf and not allocation.money().any():
        return f"target missed, met {chance}: working capital is too small for any line"
    if left <= SPENT * allocation.limits.working_capital or left < step < np.inf:
        return f"target missed, met {chance}: working capital is used up"
    return f"target missed, met {chance}: the offers' terms leave no better use of money"


def solve(
    market: Market,
    streams: Sequence[Orders],
    limits: Limits,
    aims: Aims,
    *,
    seed: int,
    progress: Progress = lambda *_: None,
    previous: Plan | None = None,
    freeze: float = 0.0,
) -> Solution:
    """The plan for sampled streams of orders (or, with the true stream, perfect foresight).

    While the target share is missed, minutes go before money, as far as the expected spend stays
    at or below that of buying everything on demand; then a minute is worth its delay cost. An order
    that nobody may serve on spot is worth what its last seller would ask (`spot.last_sellers`).

    Parameters
    ----------
    streams
        Sampled orders of the horizon, each as likely as the next.
    previous
        A plan not yet ordered, to stay near to: one of its units is given up only for one that
        returns half as much again. What is ordered already belongs in `limits.committed`.
    freeze
        Seconds from as-of; lines of `previous` to be ordered in that time are kept as they are.
    """
    started = time.perf_counter()
    if not streams:
        raise ValueError("no sampled orders to plan for: give one stream of them or more")
    futures = futures_of(market, streams, aims.weights(), stream(seed, CHANCES))
    money_cost = aims.capital_cost * limits.horizon / YEAR
    none = Plan.empty()
    before = reactive = expect(market, futures, none, limits, aims, seed)
    if len(limits.committed):
        reactive = expect(market, futures, none, replace(limits, committed=none), aims, seed)
    worst = aims.worst_share
    if worst == 1:
        futures = damped(futures, before.delays)
    judge = Simulator(market, first_of(futures, JUDGED_ORDERS), limits.committed, worst)
    batches = Batches(futures, judge)

    def expected(allocation: Allocation) -> Expectation:
        return expect(market, futures, allocation.plan(), limits, aims, seed)

    for minute_price in _minute_prices(before, futures, aims):
        allocation = grow(
            batches,
            judge,
            limits,
            minute_price=minute_price,
            money_cost=money_cost,
            progress=progress,
            previous=previous,
            freeze=freeze,
        )
        predicted = expected(allocation)
        if predicted.cost <= before.cost:
            break
    else:  # nothing that relieves the jam is worth its money: in all, or of a few products
        give_back_losers(allocation, judge, minute_price)
        predicted = expected(allocation)
        if predicted.cost > before.cost or allocation.over_share():
            allocation = _start(market, limits, 0.0, previous, freeze)
            predicted = expected(allocation)
    plan = allocation.plan()
    return Solution(
        plan=plan,
        starts=allocation.starts,
        reasons=reasons(judge, plan, allocation.starts),
        status=_status(predicted, allocation, judge, aims),
        objective=predicted.cost
        + aims.delay_cost * predicted.delay(worst)
        + money_cost * predicted.prealloc_value,
        bound=cost_bound(market, futures, limits, aims.delay_cost),
        predicted=predicted,
        reactive=reactive,
        before=before,
        seconds=time.perf_counter() - started,
        growth=Growth(
            simulator=judge,
            minute_price=minute_price,
            money_cost=money_cost,
            money_costs=allocation.money_cost,
            path=allocation.path,
        ),
    )
