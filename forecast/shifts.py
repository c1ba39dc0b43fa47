"""Lasting changes of a product's level: where the present level begins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from forecast.calendars import Clock
from forecast.demand import Array

THRESHOLD = 20.0  # of the likelihood ratio, with the noise's long-run variance
LEAST_CHANGE = np.log(1.3)  # smaller ones any average with a fading memory follows
LASTING = 4  # whole days that the new level must have held
_BEFORE = 14  # whole days that the old level must have held
_ROUNDS = 3  # the latest shift is looked for behind earlier ones
_RECENT = 60  # days searched alone, should the whole past show no shift
_TREND_DAYS = 15  # of the running median
_COMMON = 8  # products, from which a day's fate of all is told apart
_OUTLYING = 3.0  # standard deviations from the running median, at most
_LONGEST_MEMORY = 0.9  # first autocorrelation of days, at most
_LAGS = 14  # days
_NO_MEMORY = 0.03  # autocorrelation at which memory ends


def level_starts(
    y: Array, clock: Clock, *, calendar: Array | None = None, breaks: Array | None = None
) -> Array:
    """int [N]: first bucket of each series' present level; 0 = no shift was found.

    Logarithms of daily totals, freed of weekday, of what the calendar explains and of the day's
    fate of all series, are cut in two where the likelihood ratio of two means against one is
    largest. The noise is an AR(1), so the ratio is that of independent noise divided by
    (1 + ρ) / (1 − ρ) (the CUSUM with a long-run variance; Andrews 1993 for the unknown date). The
    part after the cut is then searched for a later one.

    Parameters
    ----------
    y
        [N, T] units, NaN = not observed.
    calendar
        float [N, D] factor that calendar and events put on each local day; None = none.
    breaks
        bool [D] days that tell nothing, see `Days.breaks`; None = none. A shift in one is dated
        when ordinary days have followed.
    """
    length = y.shape[1]
    if not len(y) or not np.isfinite(clock.hours) or clock.day * clock.hours != 24:
        return np.zeros(len(y), dtype=int)
    date = clock.date[:length]
    z, weight = _levels(y, clock, calendar, breaks)
    begin = _latest_cut(z, weight, np.zeros(len(y), dtype=int), THRESHOLD)
    recent = max(z.shape[1] - _RECENT, 0)
    if recent and not begin.all():  # one of several steps hides behind the others
        late = _latest_cut(z, weight, np.full(len(y), recent), 2 * THRESHOLD)
        begin = np.where((begin == 0) & (late > recent), late, begin)
    first = np.searchsorted(date, begin)
    return np.where(begin > 0, first, 0)


def _latest_cut(z: Array, weight: Array, begin: Array, threshold: float) -> Array:
    """Day [N] of the last shift behind `begin`; `begin` itself where there is none."""
    for _ in range(_ROUNDS):
        cut, found = _best_cut(z, weight, begin, threshold)
        if not found.any():
            break
        begin = np.where(found, cut, begin)
    return begin


def _levels(
    y: Array, clock: Clock, calendar: Array | None, breaks: Array | None
) -> tuple[Array, Array]:
    """[N, D] logarithms of days freed of what passes, and weights: 0 for a day not whole."""
    daily = _daily(y, clock)
    n_dates = daily.shape[1]
    if calendar is not None:
        daily = daily / np.maximum(calendar[:, :n_dates], 1e-3)
    if breaks is not None:
        daily = np.where(breaks[:n_dates], np.nan, daily)
    weekday_of = np.zeros(n_dates, dtype=int)
    weekday_of[clock.date[: y.shape[1]]] = clock.weekday[: y.shape[1]]
    seen = np.isfinite(daily)
    total = np.where(seen, daily, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    floor = np.maximum(np.maximum(0.1 * total, _mean_sale(y)), 1e-9)
    z = np.log(np.where(seen, daily, 0) + floor[:, None])
    z = _filled(z, seen)
    z = z - _weekdays(z, seen, weekday_of, clock.week)
    trend = _trend(z)
    if len(z) >= _COMMON:
        rest = np.where(seen, z - trend, np.nan)
        some = seen.sum(axis=0) >= _COMMON
        common = np.zeros(n_dates)
        common[some] = np.nanmedian(rest[:, some], axis=0)
        z = z - common
    rest = z - trend
    size = 1.4826 * np.median(np.abs(rest), axis=1, keepdims=True)
    z = trend + np.clip(rest, -_OUTLYING * size, _OUTLYING * size)
    return z, seen.astype(float)


def _mean_sale(y: Array) -> Array:
    """[N] mean units of the buckets with any: an order's size where few come."""
    sold = np.nan_to_num(y) > 0
    return np.asarray(
        np.where(sold, y, 0).sum(axis=1, dtype=np.float64) / np.maximum(sold.sum(axis=1), 1)
    )


def _daily(y: Array, clock: Clock) -> Array:
    """[N, D] totals of days of which three quarters or more were observed, NaN for the others.

    Scaled to a full day of the usual length, unlike in `effects`, where a few per cent matter.
    """
    starts, length = clock.days(y.shape[1])
    date = clock.date[starts]
    whole = np.full((len(y), int(date[-1]) + 1), np.nan)
    full = length >= clock.day - max(clock.day // 12, 1)
    seen = np.isfinite(y)
    count = np.add.reduceat(seen, starts, axis=1, dtype=np.float32)
    total = np.add.reduceat(np.where(seen, y, 0), starts, axis=1, dtype=np.float64)
    enough = full & (count >= 0.75 * length)
    value = total * (clock.day / np.maximum(count, 1))
    whole[:, date] = np.where(enough, value, np.nan)
    return whole


def _filled(z: Array, seen: Array) -> Array:
    """Unseen days take the value of the last seen one, those at the start of the first."""
    last = np.maximum.accumulate(np.where(seen, np.arange(z.shape[1]), -1), axis=1)
    last = np.where(last < 0, seen.argmax(axis=1)[:, None], last)
    return np.asarray(np.take_along_axis(z, last, axis=1))


def _weekdays(z: Array, seen: Array, weekday: Array, week: int) -> Array:
    """[N, D] usual difference of a weekday from the week around it, shrunk to 0 as two days."""
    pad = np.pad(z, ((0, 0), (week // 2, week - 1 - week // 2)), mode="edge")
    cumulated = np.cumsum(np.pad(pad, ((0, 0), (1, 0))), axis=1)
    rest = np.where(seen, z - (cumulated[:, week:] - cumulated[:, :-week]) / week, np.nan)
    usual = np.zeros((len(z), week))
    for k in range(week):
        mine = rest[:, weekday == k]
        count = np.isfinite(mine).sum(axis=1)
        filled = np.where((count > 0)[:, None], mine, 0.0)
        if filled.shape[1]:
            usual[:, k] = np.nanmedian(filled, axis=1) * count / (count + 2)
    return np.asarray(usual[:, weekday])


def _trend(z: Array) -> Array:
    """[N, D] running median of logarithms without a gap, mirrored at the ends."""
    half = _TREND_DAYS // 2
    padded = np.pad(z, ((0, 0), (half, half)), mode="reflect" if z.shape[1] > half else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _TREND_DAYS, axis=1)
    return np.asarray(np.median(windows, axis=2))


class _Means(NamedTuple):
    before: Array  # [N, D] mean from the beginning up to a day
    after: Array  # [N, D] mean from that day on
    n_before: Array
    n_after: Array


def _means(z: Array, weight: Array, begin: Array) -> _Means:
    inside = weight * (np.arange(z.shape[1]) >= begin[:, None])
    count = np.cumsum(inside, axis=1)
    total = np.cumsum(inside * z, axis=1)
    n_before, sum_before = count - inside, total - inside * z
    n_after, sum_after = count[:, -1:] - n_before, total[:, -1:] - sum_before
    return _Means(
        before=sum_before / np.maximum(n_before, 1),
        after=sum_after / np.maximum(n_after, 1),
        n_before=n_before,
        n_after=n_after,
    )


def _best_cut(z: Array, weight: Array, begin: Array, threshold: float) -> tuple[Array, Array]:
    """Day [N] at which the part from `begin` on is cut best, and whether that is a shift."""
    means = _means(z, weight, begin)
    allowed = (means.n_before >= _BEFORE) & (means.n_after >= LASTING)
    n = means.n_before + means.n_after
    gain = (means.after - means.before) ** 2 * means.n_before * means.n_after / np.maximum(n, 1)
    cut = np.where(allowed, gain, -1.0).argmax(axis=1)
    row = np.arange(len(z))
    day = np.arange(z.shape[1])
    here = day >= cut[:, None]
    before, after = means.before[row, cut], means.after[row, cut]
    inside = weight * (day >= begin[:, None])
    rest = (z - np.where(here, after[:, None], before[:, None])) * inside
    noise = _long_run_variance(rest, inside)
    recent = inside * (np.cumsum(inside[:, ::-1], axis=1)[:, ::-1] <= LASTING)
    last = (recent * z).sum(axis=1) / np.maximum(recent.sum(axis=1), 1)
    change = after - before
    stays = (last - before) * np.sign(change) >= 0.6 * np.abs(change)
    found = allowed[row, cut] & (gain[row, cut] >= threshold * noise) & stays
    return cut, found & (np.abs(change) >= LEAST_CHANGE)


def _long_run_variance(rest: Array, inside: Array) -> Array:
    """[N] variance of a sum of days against their number.

    That of an AR(1) with each series' own ρ, corrected for its bias; and no less than what the
    autocorrelations of all series together say, which see a slow wander behind counting noise.
    """
    n = np.maximum(inside.sum(axis=1), 1)
    variance = np.maximum((rest**2).sum(axis=1) / np.maximum(n - 2, 1), 1e-6)
    both = inside[:, 1:] * inside[:, :-1]
    product = (rest[:, 1:] * rest[:, :-1] * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    rho = product / variance
    rho = np.clip(rho + (1 + 4 * np.maximum(rho, 0)) / n, 0.0, _LONGEST_MEMORY)
    own = (1 + rho) / (1 - rho)
    pooled = 1.0
    if len(rest) >= _COMMON:
        scaled = rest / np.sqrt(variance)[:, None]
        total = max(float((scaled**2).sum()), 1e-9)
        for lag in range(1, min(_LAGS, rest.shape[1] - 1) + 1):
            like = float((scaled[:, lag:] * scaled[:, :-lag]).sum()) / total
            if like < _NO_MEMORY:
                break
            pooled += 2 * like
    return np.asarray(variance * np.maximum(own, pooled))
