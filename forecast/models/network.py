"""Perceptrons that learn all of a distribution at once: training rows in, an ensemble out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from forecast.demand import Array
from forecast.models.chunks import workers
from forecast.models.sample import BRIEF, CLIP, LEAST, SIDES, Quantiles, Sample, around

_NETS, _STEPS = (2, 4), 6400  # the fewest and the most; training steps they share in between
_HIDDEN = (160, 64)  # neurons of the hidden layers
_LEAK = 0.01  # slope of a neuron that is off
_LEVELS = np.array([0.5, 0.5, *SIDES], dtype=np.float32)  # linear and log median, sides
_SOFT = 0.05  # standardised errors below which pinball loss is quadratic
_EPOCHS, _BATCH, _LEAST_STEPS = 8, 1024, 100  # steps an epoch has at least
_RATE, _WARM, _DECAY = 2e-3, 0.05, 0.02  # of a step, share in which it grows, of weights
_KEPT = 230 / 256  # share of hidden neurons in a step
_CODED = ("slot", "weekday", "category")  # columns whose values are no quantities
_MOST_CODES = 100  # values beyond which such a column is left out
_FAR = 5.0  # usual widths, after arsinh, beyond which an input is as unusual as this
_MOST_GROWTH = 3.0  # logarithm
_NODES = 24  # of the path along which contributions are summed


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How columns become inputs of about unit size: arsinh of widths from the median."""

    measured: Array  # int [G] columns that are quantities
    middle: Array  # [G]
    width: Array  # [G]
    coded: Array  # int [C] columns with one input for each known value
    codes: tuple[Array, ...]  # of each of them, the values

    def inputs(self, x: Array) -> Array:
        """float32 [S, I]; what is not known lies in the middle."""
        z = np.arcsinh((x[:, self.measured] - self.middle) / self.width)
        parts = [np.clip(np.nan_to_num(z), -_FAR, _FAR)]
        parts += [x[:, k, None] == codes for k, codes in zip(self.coded, self.codes, strict=True)]
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")

    def columns(self) -> Array:
        """int [I] column of which each input tells."""
        coded = [np.repeat(k, len(v)) for k, v in zip(self.coded, self.codes, strict=True)]
        return np.concatenate([self.measured, *coded])


@dataclass(frozen=True, kw_only=True)
class Network:
    """Perceptrons of two hidden layers, whose outputs are averaged."""

    names: tuple[str, ...]  # of the columns
    scaling: Scaling
    usual: Array  # float32 [I] mean input
    nets: tuple[tuple[Array, ...], ...]  # of each net W [I, J], b [J], layer by layer
    dense: bool  # whether quantiles were learned

    def growth(self, x: Array) -> Array:
        """[S] expected units over those of the simpler rule."""
        return _grown(self._outputs(x)[:, 0])

    def quantiles(self, x: Array) -> Quantiles | None:
        """Standardised errors; None where all rows taught had few orders."""
        if not self.dense:
            return None
        found = self._outputs(x)[:, 1:].astype(np.float64)
        sides = np.sort(found[:, 2:], axis=1) - found[:, :1]
        return Quantiles(found[:, 0], found[:, 1], around(sides[:, :2], sides[:, 2:]))

    def contributions(self, x: Array) -> Array:
        """[S, F + 1] what each column adds to the logarithm of `growth`, last the usual.

        Integrated gradients (Sundararajan et al. 2017) from the mean input on; the rest of the
        logarithm is the usual's.
        """
        z = self.scaling.inputs(x)
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        slope = np.zeros(z.shape)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            at = (self.usual + node * (z - self.usual)).astype(np.float32)
            for net in self.nets:
                slope += weight / len(self.nets) * _slope(net, at)
        found = np.zeros((len(x), len(self.names) + 1))
        np.add.at(found.T, self.scaling.columns(), (slope * (z - self.usual)).T)
        found[:, -1] = np.log(self.growth(x)) - found.sum(axis=1)
        return found

    def _outputs(self, x: Array) -> Array:
        z = self.scaling.inputs(x)
        return np.asarray(np.mean([_layers(net, z)[-1] for net in self.nets], axis=0))


def train(sample: Sample, *, seed: int, brief: bool = False) -> Network:
    """Medians and sides by pinball loss, the mean's logarithm by Poisson deviance, all at once.

    `brief`: a single net, in half the epochs, for one of several learners whose mean is wanted.
    """
    scaling = _scaling(sample)
    z = scaling.inputs(sample.x)
    lesson = _Lesson(
        inputs=z,
        errors=np.stack([sample.linear, sample.log], axis=1).clip(-CLIP, CLIP).astype(np.float32),
        dense=sample.dense.astype(np.float32),
        usual=sample.usual.astype(np.float32),
        actual=(sample.alone / sample.unit).astype(np.float32),
        weight=sample.weight.astype(np.float32),
    )
    with ThreadPoolExecutor(workers()) as pool:
        streams = np.random.default_rng(seed).spawn(1 if brief else _count(len(z)))
        epochs = _EPOCHS // (BRIEF if brief else 1)
        nets = tuple(pool.map(lambda rng: _trained(lesson, epochs, rng), streams))
    return Network(
        names=sample.names,
        scaling=scaling,
        usual=z.mean(axis=0),
        nets=nets,
        dense=int(sample.dense.sum()) >= LEAST,
    )


@dataclass(frozen=True, kw_only=True)
class _Lesson:
    """S rows; float32."""

    inputs: Array  # [S, I]
    errors: Array  # [S, 2] on a linear and a logarithmic scale
    dense: Array  # [S] 1 = its errors count
    usual: Array  # [S] units by the simpler rule, in units of a usual order
    actual: Array  # [S] the same of what came
    weight: Array  # [S] of the row for the mean

    def slopes(self, rows: Array, output: Array) -> Array:
        """[n, O] derivative of the rows' mean loss by the outputs."""
        growth = self.usual[rows] * _grown(output[:, 0]) - self.actual[rows]
        linear, log = self.errors[rows].T
        truth = np.stack([linear, log, *[linear] * len(SIDES)], axis=1)
        side = 0.5 - _LEVELS - 0.5 * np.clip((truth - output[:, 1:]) / _SOFT, -1, 1)
        found = np.empty_like(output)
        found[:, 0] = self.weight[rows] * growth
        found[:, 1:] = self.dense[rows, None] * side
        return np.asarray(found / np.float32(len(rows)))


def _count(n: int) -> int:
    """How many nets to train on n rows: where there is little to learn from, chance is large."""
    steps = _EPOCHS * (n // _size(n))
    return int(np.clip(_STEPS // steps, *_NETS))


def _scaling(sample: Sample) -> Scaling:
    x = sample.x
    known = {k: np.unique(x[:, k]) for k, name in enumerate(sample.names) if name in _CODED}
    coded = [k for k, values in known.items() if len(values) <= _MOST_CODES]
    measured = np.array([k for k in range(x.shape[1]) if k not in known])
    some = np.sort(x[:: max(len(x) // 20_000, 1), measured], axis=0)  # NaN goes last
    seen = np.isfinite(some).sum(axis=0)

    def quantile(level: float) -> Array:
        place = (level * np.maximum(seen - 1, 0)).astype(int)
        return np.asarray(np.nan_to_num(some[place, np.arange(len(measured))]))

    width = (quantile(0.9) - quantile(0.1)) / 2.56
    reach = quantile(1.0) - quantile(0.0)
    width = np.where(width > 1e-6 * reach, width, reach)
    return Scaling(
        measured=measured,
        middle=quantile(0.5),
        width=np.where(width > 0, width, 1.0).astype(np.float32),
        coded=np.array(coded, dtype=int),
        codes=tuple(known[k] for k in coded),
    )


def _trained(lesson: _Lesson, epochs: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """One net, by Adam with decoupled decay (Loshchilov & Hutter 2019) and dropout."""
    sizes = (lesson.inputs.shape[1], *_HIDDEN, 1 + len(_LEVELS))
    net: list[Array] = []
    for before, after in itertools.pairwise(sizes):
        scale = np.sqrt(2 / before) * (0.1 if after == sizes[-1] else 1.0)
        net.append((scale * rng.standard_normal((before, after))).astype(np.float32))
        net.append(np.zeros(after, dtype=np.float32))
    first = [np.zeros_like(each) for each in net]
    second = [np.zeros_like(each) for each in net]

    def thin(shape: tuple[int, ...]) -> Array:
        """What each hidden neuron counts in this step: nothing, or for those left out too."""
        kept = rng.integers(0, 256, shape, dtype=np.uint8) < 256 * _KEPT
        return kept / np.float32(_KEPT)

    batches = list(_batches(len(lesson.inputs), epochs, rng))
    for step, rows in enumerate(batches, start=1):
        done = step / len(batches)
        rate = _RATE * min(1.0, done / _WARM) * 0.5 * (1 + np.cos(np.pi * done))
        fade = rate / (1 - 0.9**step)
        slopes = _backwards(net, lesson, rows, thin)
        for each, slope, mean, square in zip(net, slopes, first, second, strict=True):
            mean += np.float32(0.1) * (slope - mean)
            square += np.float32(0.001) * (slope * slope - square)
            size = np.sqrt(square / np.float32(1 - 0.999**step)) + np.float32(1e-8)
            if each.ndim == 2:
                each *= np.float32(1 - rate * _DECAY)
            each -= np.float32(fade) * mean / size
    return tuple(net)


def _batches(n: int, epochs: int, rng: np.random.Generator) -> Iterator[Array]:
    size = _size(n)
    for _ in range(epochs):
        order = rng.permutation(n)
        yield from (order[k : k + size] for k in range(0, n - size + 1, size))


def _size(n: int) -> int:
    """Rows of a batch."""
    return min(_BATCH, max(n // _LEAST_STEPS, 1))


def _backwards(
    net: list[Array], lesson: _Lesson, rows: Array, thin: Callable[[tuple[int, ...]], Array]
) -> list[Array]:
    """Derivatives of the loss by all of a net, whose hidden neurons count as `thin` says."""
    active, gates = [lesson.inputs[rows]], []
    for k in range(0, len(net) - 2, 2):
        z = product(active[-1], net[k])
        outputs, counts = _gated(z, net[k + 1], thin(z.shape))
        active.append(outputs)
        gates.append(counts)
    slope = lesson.slopes(rows, product(active[-1], net[-2]) + net[-1])
    found: list[Array] = []
    for k in range(len(net) - 2, -1, -2):
        found = [product(_turned(active[k // 2]), slope), slope.sum(axis=0), *found]
        if k:
            slope = product(slope, _turned(net[k])) * gates[k // 2 - 1]
    return found


def _layers(net: tuple[Array, ...], z: Array) -> list[Array]:
    """The inputs of each layer of a whole net, last its outputs."""
    found = [z]
    for k in range(0, len(net), 2):
        z = product(found[-1], net[k]) + net[k + 1]
        found.append(z if k == len(net) - 2 else np.maximum(z, np.float32(_LEAK) * z))
    return found


def _slope(net: tuple[Array, ...], z: Array) -> Array:
    """[S, I] derivative of the first output by the inputs."""
    found = _layers(net, z)
    slope = np.tile(net[-2][:, 0], (len(z), 1))
    for k in range(len(net) - 4, -1, -2):
        passed = np.where(found[k // 2 + 1] > 0, slope, _LEAK * slope)
        slope = product(passed, _turned(net[k]))
    return slope


def _turned(matrix: Array) -> Array:
    return np.ascontiguousarray(matrix.T)


@numba.njit(cache=True, nogil=True)
def _gated(z: Array, bias: Array, kept: Array) -> tuple[Array, Array]:
    """[n, m] each: outputs of neurons whose inputs sum to z + bias, and what these count in them.

    `kept` [n, m] is 0 for a neuron that is left out.
    """
    active, gates = np.empty_like(z), np.empty_like(z)
    for i in range(len(z)):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            gates[i, j] = (np.float32(1) if value > 0 else np.float32(_LEAK)) * kept[i, j]
            active[i, j] = value * gates[i, j]
    return active, gates


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def product(a: Array, b: Array) -> Array:
    """[n, k] × [k, m] -> [n, m], all of one type and in rows, added up in the order of k.

    The order of addition of a library's product depends on the processor and on the number of
    threads, and hundreds of training steps would make another network of the last bit.
    """
    n, length = a.shape
    c = np.zeros((n, b.shape[1]), a.dtype)
    for start in range(0, length, 64):  # rows of b that the nearest cache holds
        stop = min(start + 64, length)
        for i in range(0, n - n % 4, 4):
            _add_four(c[i : i + 4], a[i : i + 4, start:stop], b[start:stop])
        for i in range(n - n % 4, n):
            _add_one(c[i], a[i, start:stop], b[start:stop])
    return c


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _add_four(c: Array, a: Array, b: Array) -> None:
    """Add a [4, k] × b [k, m] to c [4, m]: four rows at once read b once."""
    length, (c0, c1, c2, c3) = len(b), (c[0], c[1], c[2], c[3])
    for p in range(0, length - length % 4, 4):
        b0, b1, b2, b3 = b[p], b[p + 1], b[p + 2], b[p + 3]
        p0, p1, p2, p3 = a[0, p], a[0, p + 1], a[0, p + 2], a[0, p + 3]
        q0, q1, q2, q3 = a[1, p], a[1, p + 1], a[1, p + 2], a[1, p + 3]
        r0, r1, r2, r3 = a[2, p], a[2, p + 1], a[2, p + 2], a[2, p + 3]
        s0, s1, s2, s3 = a[3, p], a[3, p + 1], a[3, p + 2], a[3, p + 3]
        for j in range(c.shape[1]):
            c0[j] = (((c0[j] + p0 * b0[j]) + p1 * b1[j]) + p2 * b2[j]) + p3 * b3[j]
            c1[j] = (((c1[j] + q0 * b0[j]) + q1 * b1[j]) + q2 * b2[j]) + q3 * b3[j]
            c2[j] = (((c2[j] + r0 * b0[j]) + r1 * b1[j]) + r2 * b2[j]) + r3 * b3[j]
            c3[j] = (((c3[j] + s0 * b0[j]) + s1 * b1[j]) + s2 * b2[j]) + s3 * b3[j]
    for p in range(length - length % 4, length):
        for j in range(c.shape[1]):
            for i in range(4):
                c[i, j] += a[i, p] * b[p, j]


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _add_one(c: Array, a: Array, b: Array) -> None:
    """Add a [k] × b [k, m] to c [m]."""
    length = len(b)
    for p in range(0, length - length % 4, 4):
        a0, a1, a2, a3 = a[p], a[p + 1], a[p + 2], a[p + 3]
        b0, b1, b2, b3 = b[p], b[p + 1], b[p + 2], b[p + 3]
        for j in range(len(c)):
            c[j] = (((c[j] + a0 * b0[j]) + a1 * b1[j]) + a2 * b2[j]) + a3 * b3[j]
    for p in range(length - length % 4, length):
        for j in range(len(c)):
            c[j] += a[p] * b[p, j]


def _grown(log: Array) -> Array:
    return np.asarray(np.exp(np.clip(log, -_MOST_GROWTH, _MOST_GROWTH)))
