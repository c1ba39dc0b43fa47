"""A past for new products: that of the product they resemble, or of their category."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import gammaincinv

from forecast.calendars import Clock
from forecast.demand import Array
from forecast.effects import Effects

NEW_DAYS = 14  # a product on sale for less borrows from others
_RECENT_DAYS = 28  # in which a donor must have sold, and whose mean is its level
_HOPS = 8  # along similar_to, from one new product to the next
_MOST_DONORS = 300
_CHUNK = 1_000  # products at a time, to bound memory
_BANDS = 3  # of price, within a category
_LIKE_TOLD = 3.0  # own orders that weigh as much as the level of the product told to be similar
_OWN_SHAPE = 0.5  # share of the similar product's own past, the rest being its category's
_LIKE_GROUP = (0.4, 10.0)  # bounds of the same for a group's level
_PARENT = 4.0  # donors that weigh as much as the wider group
_WIDENED = 50  # products widened at a time
_VALUES, _LEVELS = 49, 15  # equally likely values of units and of the level
_DAY_NOISE = 0.06  # variance of a day's level, relative: a day's orders never count as many


@dataclass(frozen=True, kw_only=True)
class Kin:
    """What tells which products are alike; all [N]."""

    ids: Array  # str
    category: Array  # int
    fulfilment: Array  # int, those of which it is not told have one of their own
    similar: Array  # int row of the product it is said to resemble, −1 = none told
    price: Array  # float logarithm of the list price, NaN = unknown
    launch: Array  # int bucket from which a product is on sale
    lump: Array  # float units of a usual order


@dataclass(frozen=True, kw_only=True)
class _Donation:
    """For each of n new products: whose past, and how sure its level is."""

    profile: Array  # int [n] row of `pasts`
    pasts: Array  # float32 [P, T] freed of effects, NaN = not observed
    mean: Array  # float [n] expected level against the past's
    strength: Array  # float [n] own orders that weigh as much as that
    told: Array  # [n] str


def codes_of(ids: Array, products: pd.DataFrame | None, column: str) -> Array:
    """int [N] code of what a column of text tells of each product; all 0 where there is none."""
    if products is None or column not in products:
        return np.zeros(len(ids), dtype=int)
    told = products.set_index(products["product_id"].astype(str))[column]
    mine = told.reindex([str(i) for i in ids]).astype(object).fillna("").astype(str)
    return np.asarray(pd.factorize(mine, sort=True)[0])


@dataclass(frozen=True, kw_only=True)
class _Market:
    """Everyone's history and what it is made of."""

    y: Array  # [N, T]
    clock: Clock
    effects: Effects
    kin: Kin

    def factor(self, rows: Array, buckets: Array) -> Array:
        """[n, K] calendar and event effects."""
        return self.effects.factor(rows, self.clock.date[buckets], buckets)

    def flat(self, rows: Array, first: int = 0) -> Array:
        """[n, T − first] history freed of effects."""
        buckets = np.arange(first, self.y.shape[1])
        return np.asarray(self.y[rows, first:] / self.factor(rows, buckets))


@dataclass(frozen=True, kw_only=True)
class Borrowed:
    """Histories, and what of them is other products'; all [N]."""

    y: Array  # [N, T]
    told: Array  # str from whom, "" = a past of its own
    sure: Array  # float orders that the level stands on, see `widened`; inf = its own


def borrow(y: Array, *, clock: Clock, effects: Effects, kin: Kin) -> Borrowed:
    """Give new products a past.

    The level is the median of a gamma distribution given the product's own orders (Poisson): a
    priori that of the product told to be similar, else that of its group's products. Without a
    product that sells, nothing is borrowed.
    """
    length = y.shape[1]
    none = Borrowed(y=y, told=np.full(len(y), "", dtype=object), sure=np.full(len(y), np.inf))
    is_new = (length - kin.launch < NEW_DAYS * clock.day) & (kin.launch > 0)
    is_new &= ~_has_sold(y, kin.launch, is_new)  # one that comes back has a past of its own
    new = np.flatnonzero(is_new)
    if not len(new):
        return none
    market = _Market(y=y, clock=clock, effects=effects, kin=kin)
    level = _levels(market)
    usable = ~is_new & (np.nan_to_num(level) > 0)
    if not usable.any():
        return none
    given = _donation(market, new, usable, level)
    found = replace(none, y=y.copy())
    for start in range(0, len(new), _CHUNK):
        some = slice(start, start + _CHUNK)
        found.y[new[some]], found.sure[new[some]] = _past(market, new[some], given, some)
    found.told[new] = [f"borrowed:{told}" for told in given.told]
    return found


def widened(quantiles: Array, levels: Array, sure: Array) -> Array:
    """[N, H, Q] quantiles of units of which the level is known by `sure` [N] orders only.

    The level is a gamma's with that shape, and its median is what the quantiles stand on: they are
    those of the two multiplied, by equally likely values of each.
    """
    rows = np.flatnonzero(np.isfinite(sure))
    if not len(rows):
        return quantiles
    chance, doubt = ((np.arange(n) + 0.5) / n for n in (_VALUES, _LEVELS))
    level = gammaincinv(sure[rows, None], doubt) / gammaincinv(sure[rows, None], 0.5)
    place = np.interp(chance, levels, np.arange(len(levels)))
    low = np.minimum(place.astype(int), len(levels) - 2)
    found = quantiles.copy()
    for start in range(0, len(rows), _WIDENED):
        some = rows[start : start + _WIDENED]
        q = quantiles[some]
        units = q[..., low] + (place - low) * (q[..., low + 1] - q[..., low])
        both = units[..., None] * level[start : start + _WIDENED, None, None, :]
        both = both.reshape(*q.shape[:2], -1)
        found[some] = np.moveaxis(np.quantile(both, levels, axis=2), 0, 2)
    return found


def _has_sold(y: Array, launch: Array, among: Array) -> Array:
    """bool [N]: those `among` the products that sold before their launch."""
    found = np.zeros(len(y), dtype=bool)
    rows = np.flatnonzero(among)
    before = np.arange(y.shape[1]) < launch[rows][:, None]
    found[rows] = (np.nan_to_num(y[rows]) * before > 0).any(axis=1)
    return found


def _levels(market: _Market) -> Array:
    """float [N] recent mean units a bucket, freed of effects; NaN where nothing was observed."""
    n, length = market.y.shape
    first = max(length - _RECENT_DAYS * market.clock.day, 0)
    level = np.full(n, np.nan)
    for start in range(0, n, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, n))
        flat = market.flat(rows, first)
        seen = np.isfinite(flat)
        count = seen.sum(axis=1)
        total = np.where(seen, flat, 0).sum(axis=1, dtype=np.float64)
        level[rows] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return level


def _told(similar: Array, usable: Array) -> Array:
    """int [N] the first usable product along similar_to, −1 where there is none (or a cycle)."""
    donor = similar.copy()
    for _ in range(_HOPS):
        onward = (donor >= 0) & ~usable[donor]
        donor = np.where(onward, similar[donor], donor)
    return np.where((donor >= 0) & usable[donor], donor, -1)


def _donation(market: _Market, new: Array, usable: Array, level: Array) -> _Donation:
    kin = market.kin
    donor = _told(kin.similar, usable)[new]
    known = donor >= 0
    said = np.unique(donor[known])
    groups, group_of = np.unique(kin.category[new], return_inverse=True)
    sells = np.isin(groups, kin.category[usable])
    shapes = np.stack(
        [
            _profile(market, usable & (kin.category == group) if some else usable, level)
            for group, some in zip(groups, sells, strict=True)
        ]
    )
    own = market.flat(said)
    place = np.minimum(np.searchsorted(groups, kin.category[said]), len(groups) - 1)
    alike = (groups[place] == kin.category[said])[:, None]
    whole = level[said, None] * shapes[place]
    mixed = np.where(alike, _OWN_SHAPE * own + (1 - _OWN_SHAPE) * whole, own)
    mean, strength = _group_levels(new, usable, level, kin)
    told = np.where(sells[group_of], "category", "all").astype(object)
    return _Donation(
        profile=np.where(known, np.searchsorted(said, donor), len(said) + group_of),
        pasts=np.concatenate([mixed, shapes]).astype(np.float32),
        mean=np.where(known, 1.0, mean),
        strength=np.where(known, _LIKE_TOLD, strength),
        told=np.where(known, kin.ids[donor].astype(object), told),
    )


def _profile(market: _Market, donors: Array, level: Array) -> Array:
    """[T] past of the donors (bool [N]) at a recent level of 1; of the largest if they are many."""
    rows = np.flatnonzero(donors)
    rows = rows[np.argsort(-level[rows], kind="stable")[:_MOST_DONORS]]
    return np.asarray(_middle(market.flat(rows)) / level[rows].mean())


def _middle(past: Array) -> Array:
    """[T] mean over the donors that were observed, at the level of all."""
    seen = np.isfinite(past)
    usual = np.where(seen, past, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    total = np.where(seen, past, 0).sum(axis=0, dtype=np.float64)
    expected = np.einsum("n,nt->t", usual, seen)
    ratio = np.divide(total, expected, out=np.full(len(total), np.nan), where=expected > 0)
    return np.asarray(ratio * usual.mean())


def _group_levels(new: Array, usable: Array, level: Array, kin: Kin) -> tuple[Array, Array]:
    """Expected level of each new product by its group, and own orders that weigh as much, [n].

    All products, those of a way of fulfilment, a category, a band of price and way of fulfilment in
    it: each group's mean level and variance are shrunk to the wider group's. The strength is the
    shape of the gamma with these: mean² / variance.
    """
    keys = [
        np.zeros(len(level), dtype=int),
        kin.fulfilment,
        kin.category,
        (kin.category * (1 + kin.fulfilment.max()) + kin.fulfilment) * (_BANDS + 1)
        + _bands(kin, usable),
    ]
    donors = np.flatnonzero(usable)
    mean = np.full(len(new), level[donors].mean())
    spread = np.full(len(new), level[donors].var())
    for key in keys[1:]:
        size = int(key.max()) + 1
        count = np.bincount(key[donors], minlength=size)[key[new]]
        first = np.bincount(key[donors], weights=level[donors], minlength=size)[key[new]]
        second = np.bincount(key[donors], weights=level[donors] ** 2, minlength=size)[key[new]]
        square = (second + _PARENT * (spread + mean**2)) / (count + _PARENT)
        mean = (first + _PARENT * mean) / (count + _PARENT)
        spread = np.maximum(square - mean**2, 1e-12)
    return mean, np.clip(mean**2 / spread, *_LIKE_GROUP)


def _bands(kin: Kin, usable: Array) -> Array:
    """int [N] third of its category's prices that a product lies in, 0 where no price is known."""
    price = pd.Series(np.where(usable, kin.price, np.nan)).groupby(kin.category)
    edges = [price.transform("quantile", q=k / _BANDS).to_numpy() for k in range(1, _BANDS)]
    band = 1 + np.sum([kin.price > edge for edge in edges], axis=0)
    return np.where(np.isfinite(kin.price), band, 0)


def _past(market: _Market, rows: Array, given: _Donation, some: slice) -> tuple[Array, Array]:
    """float32 [n, T] the donors' past at the new products' level, then their own; its shape [n]."""
    own, kin = market.y[rows], market.kin
    buckets = np.arange(own.shape[1])
    past = given.pasts[given.profile[some]] * market.factor(rows, buckets)
    sold = buckets >= kin.launch[rows][:, None]
    both = sold & np.isfinite(own) & np.isfinite(past)
    unit = np.where(kin.lump[rows] > 0, kin.lump[rows], 1.0)
    mine = np.where(both, own, 0).sum(axis=1, dtype=np.float64) / unit
    theirs = np.where(both, past, 0).sum(axis=1, dtype=np.float64) / unit
    days = np.maximum(both.sum(axis=1) / market.clock.day, 1.0)
    weight = 1 / (1 + _DAY_NOISE / days * mine)
    shape = given.strength[some] + weight * mine
    level = shape / (given.strength[some] / given.mean[some] + weight * theirs)
    level = level * (1 - 1 / (9 * shape)) ** 3  # the gamma's median (Wilson and Hilferty 1931)
    return np.where(sold, own, past * level[:, None]).astype(np.float32), shape
