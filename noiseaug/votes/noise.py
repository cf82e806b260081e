"""The noise of randomized smoothing as one description a law: what it adds to an input, and from which random words.

A law fills blocks of noisy inputs from a source that is made from a seed and consumed strictly vote by vote, so that a
block comes out the same however it is cut into calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.random import SFC64, Generator, SeedSequence

from noiseaug import validation
from noiseaug.errors import InvalidInputError

__all__ = ["DiscreteNoise", "GaussianNoise", "Noise", "make_noise"]

GRID = 255  # steps of the grid a unit
_LARGEST_PIXEL = 1 << 22  # pixel + noise stays an exact float32
_LARGEST_GAUSSIAN = 1e30
_LARGEST_SIGMA = 10.0  # of discrete noise: 23 356 thresholds
_TABLE_BITS = 16
_PI = Decimal("3.14159265358979323846264338327950288419716939937511")


class Noise(Protocol):
    """What the vote engine asks of a law of noise."""

    @property
    def name(self) -> str:
        """The law in one word."""
        ...

    @property
    def smooth_sigma(self) -> float:
        """β, in units of the (scaled) input."""
        ...

    def centre(self, x: Any) -> np.ndarray:
        """One input as the flat float array, shape (dim,), that ``fill`` adds noise to."""
        ...

    def source(self, seed: SeedSequence) -> Any:
        """A fresh source of random words."""
        ...

    def fill(self, source: Any, centre: np.ndarray, out: np.ndarray) -> None:
        """Writes the next ``len(out)`` noisy inputs into ``out``, shape (votes, dim), contiguous."""
        ...

    def distribution_error(self, dim: int, votes: int) -> float:
        """Bound on the total variation distance between the law of all noise drawn and the law that is meant."""
        ...


@dataclass(frozen=True)
class GaussianNoise:
    """Gaussian noise βZ, as of Cohen et al. (2019): drawn and added in the precision of the input, never clipped.

    float32 (and float16) inputs get float32 noise, other numbers float64; uint8 inputs are taken for 8-bit images and
    scaled to [0, 1] in float32. The law is that of real numbers; rounding is not accounted for, and the low-order bits
    of a floating-point sum depend on the input. ``DiscreteNoise`` is the mode without that gap.

    Attributes:
        smooth_sigma: β > 0, in units of the (scaled) input.
    """

    smooth_sigma: float
    name = "gaussian"

    def __post_init__(self) -> None:
        sigma = validation.positive("smooth_sigma", self.smooth_sigma)
        if not 1 / _LARGEST_GAUSSIAN <= sigma <= _LARGEST_GAUSSIAN:
            raise InvalidInputError(
                f"smooth_sigma is {sigma:g}; expected {1 / _LARGEST_GAUSSIAN:g} to {_LARGEST_GAUSSIAN:g}, where noise "
                "is a number in single precision"
            )
        object.__setattr__(self, "smooth_sigma", sigma)

    def distribution_error(self, dim: int, votes: int) -> float:
        """0: the law is taken to be the one that is meant."""
        return 0.0

    def centre(self, x: Any) -> np.ndarray:
        values = _numbers(x)
        return np.divide(values, GRID, dtype=np.float32) if values.dtype == np.uint8 else _floats(values)

    def source(self, seed: SeedSequence) -> Generator:
        return Generator(SFC64(seed))

    def fill(self, source: Generator, centre: np.ndarray, out: np.ndarray) -> None:
        flat = out.reshape(-1)
        source.standard_normal(dtype=out.dtype.type, out=flat)
        flat *= out.dtype.type(self.smooth_sigma)
        out += centre


@dataclass(frozen=True)
class DiscreteNoise:
    """Integer noise on the 1/255 grid: P(k) = Φ((2k+1)/(510β)) − Φ((2k−1)/(510β)), the law of 255βZ rounded.

    For inputs on the grid: uint8, or floats each of which is the closest to a multiple of 1/255, of its type or of a
    shorter one, and stands for it. What is certified is the grid point, so an input elsewhere, however close, is
    refused. A noisy input is (pixel + k)/255, one correctly rounded division of an exact integer: it tells nothing of
    the pixel but the sum, so no classifier can read the input from low-order bits. Since rounding commutes with adding
    a pixel, votes are those of the classifier "round to the grid, then classify" under Gaussian noise, whose
    certificates hold without any gap at grid points.

    k is drawn by comparing a uniform 64-bit integer with thresholds round(2⁶⁴ Φ(·)), computed to 40 decimal digits.

    Attributes:
        smooth_sigma: β in (0, 10], in units of the input scaled to [0, 1].
    """

    smooth_sigma: float
    name = "discrete"

    def __post_init__(self) -> None:
        sigma = validation.positive("smooth_sigma", self.smooth_sigma)
        if sigma > _LARGEST_SIGMA:
            raise InvalidInputError(
                f"smooth_sigma is {sigma:g}; expected at most {_LARGEST_SIGMA:g} for discrete noise, whose unit is the "
                "range of an 8-bit input"
            )
        object.__setattr__(self, "smooth_sigma", sigma)

    def distribution_error(self, dim: int, votes: int) -> float:
        """Bound on Σ_k |P̂(k) − P(k)|, summed over ``votes`` × ``dim`` draws: twice a bound on the total variation.

        Each of the 2K thresholds is off by at most 2⁻⁶⁵(1 + 2⁻³⁰) and enters two probabilities; what lies beyond ±K,
        at most as much on either side, is missing there and added at ±K: in all below (4K + 5) 2⁻⁶⁵ < (2K + 3) 2⁻⁶⁴.

        Args:
            dim: number of coordinates of an input.
            votes: number of noisy inputs.
        """
        draws = validation.integer("dim", dim) * validation.integer("votes", votes, at_least=0)
        largest = len(_thresholds(self.smooth_sigma)) // 2
        return math.nextafter((2 * largest + 3) * draws / 2**64, math.inf) if draws else 0.0

    def centre(self, x: Any) -> np.ndarray:
        values = _numbers(x)
        if values.dtype == np.uint8:
            return values.astype(np.float32)
        if values.dtype.kind != "f":
            raise InvalidInputError(
                f"x has type {values.dtype}; expected uint8 or floats on the 1/255 grid for discrete noise"
            )
        wide = values.astype(np.result_type(values, np.float64), copy=False)
        pixels = np.rint(wide * GRID)
        grid = pixels / GRID
        kinds = (values.dtype, np.float64, np.float32)
        if not np.logical_or.reduce([values == grid.astype(kind) for kind in kinds]).all():
            off = float(np.linalg.norm(wide - grid))
            raise InvalidInputError(
                f"x is {off:.2g} off the 1/255 grid; expected uint8, such as numpy.rint(255 * x).astype('uint8'), or "
                "floats closest to multiples of 1/255 for discrete noise (noise 'gaussian' takes any input)"
            )
        if np.abs(pixels).max() > _LARGEST_PIXEL:
            raise InvalidInputError(f"x reaches {np.abs(values).max():g}; expected at most {_LARGEST_PIXEL / GRID:g}")
        return pixels.astype(_floats(values).dtype)

    def source(self, seed: SeedSequence) -> tuple[SFC64, SFC64]:
        high, low = seed.spawn(2)
        return SFC64(high), SFC64(low)

    def fill(self, source: tuple[SFC64, SFC64], centre: np.ndarray, out: np.ndarray) -> None:
        """Top 16 bits of each uniform integer settle most draws by a table; the rest gets 48 more and a search."""
        votes, dim = out.shape
        words = -(-dim // 4)  # every vote starts on a whole word
        table, thresholds = _table(self.smooth_sigma, out.dtype.char), _thresholds(self.smooth_sigma)
        high = source[0].random_raw(votes * words).astype("<u8", copy=False).view("<u2").reshape(votes, -1)[:, :dim]
        np.take(table, high, out=out, mode="clip")
        open_cells = np.flatnonzero(np.isnan(out))
        if len(open_cells):
            top = high[np.unravel_index(open_cells, high.shape)].astype(np.uint64) << np.uint64(64 - _TABLE_BITS)
            uniform = top | (source[1].random_raw(len(open_cells)) >> np.uint64(_TABLE_BITS))
            out.reshape(-1)[open_cells] = np.searchsorted(thresholds, uniform, side="right") - len(thresholds) // 2
        out += centre
        out /= GRID


_LAWS: dict[str, type[GaussianNoise] | type[DiscreteNoise]] = {law.name: law for law in (GaussianNoise, DiscreteNoise)}


def make_noise(name: str, smooth_sigma: float) -> GaussianNoise | DiscreteNoise:
    """The law of noise by its name.

    Args:
        name: ``gaussian`` or ``discrete``.
        smooth_sigma: β > 0.
    """
    return _LAWS[validation.choice("noise", name, tuple(_LAWS))](smooth_sigma)


@lru_cache(maxsize=8)
def _thresholds(smooth_sigma: float) -> np.ndarray:
    """The integers round(2⁶⁴ Φ((2j+1)/(510β))) for j = −K … K−1, where K is the first whose upper tail rounds to 0.

    A draw is k = −K + the number of thresholds ≤ u, for u uniform on the 64-bit integers.
    """
    tails: list[int] = []
    with localcontext(Context(prec=40)):
        step, scale = 1 / (2 * GRID * Decimal(smooth_sigma)), Decimal(2**64)
        while tail := int((scale * _upper_tail((2 * len(tails) + 1) * step)).to_integral_value()):
            tails.append(tail)
    result = np.array(tails[::-1] + [2**64 - tail for tail in tails], dtype=np.uint64)
    result.setflags(write=False)
    return result


def _upper_tail(x: Decimal) -> Decimal:
    """1 − Φ(x) for x > 0 with an absolute error below 1e-36: ½ − φ(x) Σ x^(2n+1)/(2n+1)!! (DLMF 7.6.2), no cancelling.

    The sum has positive terms; each of its at most 300 steps has a relative error of a few units of the 40th digit.
    """
    if x > 15:  # beyond 1e-50
        return Decimal(0)
    square, term, total, n = x * x, x, x, 1
    while term > total * Decimal("1e-42"):
        n += 2
        term = term * square / n
        total += term
    return Decimal("0.5") - total * (-square / 2).exp() / (2 * _PI).sqrt()


@lru_cache(maxsize=8)
def _table(smooth_sigma: float, kind: str) -> np.ndarray:
    """The draw k for each value of the top 16 bits, NaN where lower bits decide."""
    thresholds = _thresholds(smooth_sigma)
    shift = np.uint64(64 - _TABLE_BITS)
    first = np.arange(1 << _TABLE_BITS, dtype=np.uint64) << shift
    last = first | ((np.uint64(1) << shift) - np.uint64(1))
    low, high = (np.searchsorted(thresholds, ends, side="right") for ends in (first, last))
    table = np.where(low == high, low - len(thresholds) // 2, np.nan).astype(kind)
    table.setflags(write=False)
    return table


def _numbers(x: Any) -> np.ndarray:
    """The input as a flat array of finite real numbers, at least one."""
    try:
        values = np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"x is not an array of numbers: {error}") from None
    if values.dtype.kind not in "fiub":
        raise InvalidInputError(f"x has type {values.dtype}; expected an array of real numbers")
    if values.size == 0:
        raise InvalidInputError("x is empty; expected at least one coordinate")
    if not np.isfinite(values).all():
        raise InvalidInputError("x holds NaN or infinite entries; expected finite numbers")
    return values.reshape(-1)


def _floats(values: np.ndarray) -> np.ndarray:
    """In single precision if the input had at most that, else in double precision."""
    single = values.dtype.kind == "f" and values.dtype.itemsize <= 4  # in whichever order of bytes
    return values.astype(np.float32 if single else np.float64)
