"""Effects of the calendar's days, by category and where its own days tell them by product."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from forecast.almanac import UNLIKELY
from forecast.calendars import Clock, Days
from forecast.demand import Array, mean_units
from forecast.sparse import settled, sparse_effects

_TREND_DAYS = 21
_MOST = 2.0  # logarithm of an effect
_FEWEST = 5.0  # orders a day from which a product's own days are told from chance
_MONTH = 28  # ordinary days of it to tell that from
_APART = 0.3  # chance that a product differs by a day that may matter
_TIMES = 3  # that a kind of day has come, to look at what it does to a product
_STANDS_OUT = 3.0  # standard deviations, of a product's days of a kind, to look at it at all
_PRODUCTS = 2.0  # that the calendar's own chance of an effect counts as, against those seen


class DayEffects(NamedTuple):
    """What weekday and date do to the demand of each category."""

    calendar: Array  # float [C, D] factors
    weekday: Array  # float [C, week] mean demand of a weekday against the mean day

    @classmethod
    def learned(cls, y: Array, clock: Clock, days: Days, category: Array) -> DayEffects:
        """From history [N, T] outside of events: everyone's first, then categories' difference."""
        n_dates = int(clock.date[-1]) + 1
        n_groups = int(category.max()) + 1 if len(category) else 1
        weekday_of = _weekday_of(clock)
        daily = _whole_days(y, clock)
        level = mean_units(daily)
        ordinary = ~days.breaks[:n_dates]
        pooled = _relative(daily, level, np.zeros(len(y), dtype=int), 1, ordinary)
        share_all = _weekday_share(pooled, weekday_of, clock.week, np.ones((1, clock.week)))
        grouped = _relative(daily, level, category, n_groups, ordinary)
        share = _weekday_share(grouped, weekday_of, clock.week, share_all)
        effect = np.zeros((n_groups, n_dates))
        if days.basis.shape[1]:
            common = _day_effects(_log(pooled / share_all[:, weekday_of]), days)
            left = grouped / share[:, weekday_of] / np.exp(common)
            effect = common + _day_effects(_log(left), days, part=0.5)
        return cls(np.exp(np.clip(effect, -_MOST, _MOST)), share)

    def by_product(
        self, y: Array, clock: Clock, days: Days, category: Array, order: Array
    ) -> Array:
        """float32 [N, D] the category's factors, and where its days tell the product's own.

        `order` [N] units that weigh as one order. A small count has no logarithm to speak of: what
        came against what the category lets expect is told by twice the root's growth, which is as
        large where it is small and whose chance errors are even (Anscombe 1948).
        """
        calendar = self.calendar[category].astype(np.float32)
        daily = _whole_days(y, clock)
        ordinary = ~days.breaks[: daily.shape[1]]
        seen = np.isfinite(daily[:, ordinary]).sum(axis=1)
        shared = np.bincount(category)[category] > 1
        some = np.flatnonzero(shared & (seen >= _MONTH) & (mean_units(daily) >= _FEWEST * order))
        if not days.basis.shape[1] or not len(some):
            return calendar
        flat = daily[some] / calendar[some] / order[some, None]
        weekday_of = _weekday_of(clock)
        week, usual = self.weekday[category[some]], _trend(flat, ordinary)
        share = _weekday_share(_against(flat, usual), weekday_of, clock.week, week)
        flat /= share[:, weekday_of]
        usual = _trend(flat, ordinary)
        told = 2 * (np.sqrt((flat + 0.5) / (usual + 0.5)) - 1)
        own = 1 + _own_effects(told, days) / 2
        calendar[some] *= np.clip(own, np.exp(-_MOST / 2), np.exp(_MOST / 2)) ** 2
        return calendar


def _weekday_of(clock: Clock) -> Array:
    """int [D] weekday whose shape each date has."""
    weekday = np.zeros(int(clock.date[-1]) + 1, dtype=int)
    weekday[clock.date] = clock.weekday
    return weekday


def _whole_days(y: Array, clock: Clock) -> Array:
    """[N, T] -> [N, D] sums of wholly observed days of the usual length, NaN for the others.

    Stricter than `shifts` is, which scales up what it saw of a day: an effect of a few per cent
    is looked for here.
    """
    starts, length = clock.days(y.shape[1])
    total = np.add.reduceat(y.astype(np.float32), starts, axis=1)
    whole = np.full((len(y), int(clock.date[-1]) + 1), np.nan, dtype=np.float32)
    full = length == clock.day  # a local day of 23 or 25 hours has another sum
    whole[:, clock.date[starts[full]]] = total[:, full]
    return whole


def _relative(daily: Array, level: Array, group: Array, n_groups: int, ordinary: Array) -> Array:
    """[C, D] demand of each group's observed products against their usual demand and its trend."""
    seen = np.isfinite(daily)
    told = np.zeros((n_groups, daily.shape[1]))
    usual = np.zeros_like(told)
    for g in range(n_groups):
        mine = group == g
        told[g] = np.where(seen[mine], daily[mine], 0).sum(axis=0)
        usual[g] = (seen[mine] * level[mine, None]).sum(axis=0)
    ratio = np.divide(told, usual, out=np.full_like(told, np.nan), where=usual > 0)
    return _against(ratio, _trend(ratio, ordinary))


def _against(x: Array, trend: Array) -> Array:
    return np.asarray(np.divide(x, trend, out=np.full_like(x, np.nan), where=trend > 0))


def _trend(x: Array, ordinary: Array) -> Array:
    """[C, D] median of the `ordinary` among the days around; NaN where none was observed.

    A long break at the end of a history would be the trend itself.
    """
    days = pd.DataFrame(np.where(ordinary, x, np.nan).T)
    return days.rolling(_TREND_DAYS, center=True, min_periods=1).median().to_numpy().T


def _weekday_share(relative: Array, weekday: Array, week: int, prior: Array) -> Array:
    """[C, week] mean of each weekday, shrunk to `prior` as two days of evidence, mean 1."""
    share: Array = np.repeat(np.asarray(prior, dtype=float), len(relative) // len(prior), axis=0)
    for k in range(week):
        some = relative[:, weekday == k]
        seen = np.isfinite(some)
        count = seen.sum(axis=1)
        filled = np.where((count > 0)[:, None], some, 0.0)
        middle = np.zeros(len(some))
        if filled.shape[1]:
            middle = np.asarray(np.nanmedian(filled, axis=1))
        share[:, k] = (count * middle + 2 * share[:, k]) / (count + 2)
    share = np.maximum(share, 0.02)
    return np.asarray(share / share.mean(axis=1, keepdims=True))


def _log(ratio: Array) -> Array:
    """Its logarithm within bounds, NaN where nothing was sold."""
    return np.asarray(np.log(np.clip(np.where(ratio > 0, ratio, np.nan), 0.05, 20.0)))


def _day_effects(told: Array, days: Days, part: float = 1.0) -> Array:
    """[C, D] logarithms of ratios -> [C, D] of the calendar's effects, also for future days.

    `part` of the effects' usual size is expected. What seldom matters must have been seen twice: a
    day of the month that came once may as well be the first of a new level.
    """
    times = days.basis[np.isfinite(told).any(axis=0)].sum(axis=0)
    habit = (times >= 2) | (days.chance > UNLIKELY)
    basis, size = days.basis[:, habit], part * days.size[habit]
    found = sparse_effects(told, basis, size, days.chance[habit])
    return settled(np.einsum("cp,dp->cd", found, basis))


def _own_effects(told: Array, days: Days) -> Array:
    """[n, D] effects on products in which a kind of day stands out; 0 for the others.

    It must have come on several occasions: once, a product may as well have been out of stock.
    In how many products a kind of day matters is learned as well (empirical Bayes): effects are
    found with the calendar's chances, then again with the share of products that had one.
    """
    seen = np.isfinite(told)
    again = days.occasions(np.asarray(seen.any(axis=0))) >= _TIMES
    basis, size, chance = days.basis[:, again], days.size[again], _APART * days.chance[again]
    middle = np.nanmedian(told, axis=1, keepdims=True)
    sums = np.einsum("nd,dp->np", np.where(seen, told - middle, 0.0), basis)
    times = np.einsum("nd,dp->np", seen, basis)
    noise = np.nanstd(told, axis=1, keepdims=True)
    some = (np.abs(sums) > _STANDS_OUT * noise * np.sqrt(times)).any(axis=1)
    found = sparse_effects(told[some], basis, size, chance)
    matters = np.minimum((found / size) ** 2, 1.0).sum(axis=0)
    chance = (matters + _PRODUCTS * chance) / (len(told) + _PRODUCTS)
    effect = np.zeros(told.shape)
    effect[some] = np.einsum("np,dp->nd", sparse_effects(told[some], basis, size, chance), basis)
    return settled(effect)
