"""Gaussian noise on a lattice: the geometry, and blurs that keep their tails (docs/math.md 2.7).

The noise of a lattice is the *sampled* Gaussian kernel exp(−(k·spacing)²/2σ²) over the integers k, normalised, and
independent along each axis. With ``truncate`` it stops where ``scipy.ndimage.gaussian_filter`` does; without, it runs
over all integers. Each axis is a product with a dense matrix of positive numbers: sums without cancellation, so small
masses keep their relative accuracy, which a Fourier transform would lose. Up to a thousand cells a side the BLAS keeps
up with a zero-padded transform, so there is no second road.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.numerics.normal import log1mexp
from noiseaug.validation import FloatArray

__all__ = ["KEPT_SIDE", "Grid", "axis_kernel", "gaussian_blur", "kernel_matrix", "log_escape", "log_gaussian_blur"]

_REACH = 39.0  # exp(−z²/2) underflows just beyond this many standard deviations
_WIDE = 4.0  # from here on (in cells, or in turns of a circle) sums over the kernel are integrals, to 1e-137
_TINY = 1e-290  # linear results below are taken again in logarithms
_BLOCK_FLOATS = 1 << 22  # numbers held at a time by blocked work: 32 MiB

KEPT_SIDE = 256
"""Cells along an axis up to which its matrices are kept; those of longer ones are not worth their memory."""


@dataclass(frozen=True)
class Grid:
    """The geometry of a lattice; cell (i, j, …) sits at the point spacing·(i, j, …).

    Attributes:
        shape: number of cells along each of 1 to 3 axes.
        spacing: distance of neighbouring cells, in units of the input.
        periodic: whether the lattice is a torus; otherwise everything around it counts as class 0.
        truncate: standard deviations after which the noise is cut off, as in ``scipy.ndimage.gaussian_filter``
            (whose default is 4), or None for all of it.

    Raises:
        InvalidInputError: for another number of axes, or lengths that are not above 0.
    """

    shape: tuple[int, ...]
    spacing: float = 1.0
    periodic: bool = False
    truncate: float | None = None

    def __post_init__(self) -> None:
        shape = tuple(np.atleast_1d(np.asarray(self.shape)).tolist())
        if not 1 <= len(shape) <= 3:
            raise InvalidInputError(f"a lattice has {len(shape)} axes; expected 1, 2 or 3")
        object.__setattr__(self, "shape", tuple(validation.integer("side of the lattice", side) for side in shape))
        object.__setattr__(self, "spacing", validation.positive("spacing", self.spacing))
        if not isinstance(self.periodic, bool | np.bool_):
            raise InvalidInputError(f"periodic is {self.periodic!r}; expected True or False")
        if self.truncate is not None:
            object.__setattr__(self, "truncate", validation.positive("truncate", self.truncate))

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    def points(self) -> FloatArray:
        """The coordinates of all cells in C order, shape (size, dim)."""
        return self.spacing * np.indices(self.shape, dtype=float).reshape(self.dim, -1).T

    def cells(self, x: ArrayLike) -> tuple[np.ndarray, ...]:
        """The cell nearest to each point, as one index array of shape (n,) per axis.

        Raises:
            InvalidInputError: for points off a lattice that is not periodic.
        """
        x = validation.points(x, self.dim)
        if not np.isfinite(x).all():
            raise InvalidInputError("points hold NaN or infinite entries; expected points of the lattice")
        index, sides = np.rint(x / self.spacing), np.array(self.shape)
        if self.periodic:
            index = np.mod(index, sides)
        elif ((index < 0) | (index >= sides)).any():
            top = ", ".join(f"{self.spacing * (side - 1):g}" for side in self.shape)
            raise InvalidInputError(f"a point lies off the lattice, which reaches from 0 to ({top})")
        return tuple(index.astype(np.intp).T)

    def draw_noise(self, n: int, sigma: float, rng: np.random.Generator) -> FloatArray:
        """n draws of the lattice's noise, displacements in units of the input, shape (n, dim).

        Added to points of the lattice they give its cells, or points around it where it is not periodic.
        """
        deviation = validation.nonnegative("sigma", sigma) / self.spacing
        # beyond 9 deviations lies less than the resolution of the uniform draws
        radius = 1 + math.ceil(9 * deviation)
        kernel = axis_kernel(radius, deviation, False, self.truncate)
        steps = np.searchsorted(np.cumsum(_two_sided(kernel))[:-1], rng.random((n, self.dim)), side="right")
        return np.asarray(self.spacing * (steps - (radius - 1.0)), dtype=float)


def _two_sided(kernel: FloatArray) -> FloatArray:
    """The kernel at the offsets −(n−1), …, n−1 from its values at 0, …, n−1."""
    return np.concatenate([kernel[:0:-1], kernel])


def _normaliser(deviation: float) -> float:
    """Σ_k exp(−k²/2s²) over all integers."""
    if deviation >= _WIDE:
        return math.sqrt(2 * math.pi) * deviation
    k = np.arange(1, math.ceil(_REACH * _WIDE))
    with np.errstate(over="ignore"):
        return float(1 + 2 * np.sum(np.exp(-0.5 * (k / deviation) ** 2)))


def _wrapped(half: FloatArray, n: int) -> FloatArray:
    """The kernel with values ``half`` at offsets 0, 1, … wound round a circle of n cells."""
    radius = len(half) - 1
    offsets = np.arange(-radius, radius + 1) % n
    return np.bincount(offsets, weights=_two_sided(half), minlength=n).astype(float)


@lru_cache(maxsize=1024)
def axis_kernel(n: int, deviation: float, periodic: bool, truncate: float | None) -> FloatArray:
    """The noise along one axis of n cells: probabilities of the offsets 0, …, n−1 (read-only).

    Args:
        n: number of cells.
        deviation: σ in cells.
        periodic: whether the axis is a circle.
        truncate: as in ``Grid``.
    """
    if deviation == 0:
        kernel = np.zeros(n)
        kernel[0] = 1.0
    elif truncate is not None:
        offsets = np.arange(int(truncate * deviation + 0.5) + 1)
        with np.errstate(over="ignore"):
            half = np.exp(-0.5 * (offsets / deviation) ** 2)
        half /= 2 * half.sum() - half[0]
        kernel = _wrapped(half, n) if periodic else np.pad(half[:n], (0, max(n - len(half), 0)))
    elif periodic and deviation > _WIDE * n:
        kernel = np.full(n, 1.0 / n)
    else:
        offsets = np.arange(int(_REACH * deviation) + 2 if periodic else n)
        with np.errstate(over="ignore"):
            half = np.exp(-0.5 * (offsets / deviation) ** 2) / _normaliser(deviation)
        kernel = _wrapped(half, n) if periodic else half
    kernel.flags.writeable = False
    return kernel


def _log_kernel(n: int, deviation: float, periodic: bool) -> FloatArray:
    """Logarithm of the untruncated ``axis_kernel``, without underflow."""
    offsets = np.arange(n, dtype=float)
    log_normaliser = math.log(_normaliser(deviation))
    with np.errstate(over="ignore"):
        if not periodic:
            return -0.5 * (offsets / deviation) ** 2 - log_normaliser
        turns = np.arange(-2 - int(_REACH * min(deviation / n, _WIDE)), 3 + int(_REACH * min(deviation / n, _WIDE)))
        if deviation > _WIDE * n:
            return np.full(n, -math.log(n))
        images = -0.5 * ((offsets[:, None] + n * turns) / deviation) ** 2
    return np.asarray(np.logaddexp.reduce(images, axis=1) - log_normaliser, dtype=float)


def _check_values(values: ArrayLike, grid: Grid) -> FloatArray:
    result = np.asarray(values, dtype=float)
    if result.ndim not in (grid.dim, grid.dim + 1) or result.shape[result.ndim - grid.dim :] != grid.shape:
        raise InvalidInputError(f"values have shape {result.shape}; expected {grid.shape}, or a batch of it")
    return result


def kernel_matrix(kernel: FloatArray, rows: slice = slice(None), columns: slice = slice(None)) -> FloatArray:
    """A block of the symmetric matrix that applies a kernel along its axis."""
    return np.ascontiguousarray(sliding_window_view(_two_sided(kernel), len(kernel))[::-1][rows, columns])


@lru_cache(maxsize=64)
def _kept_matrix(n: int, deviation: float, periodic: bool, truncate: float | None) -> FloatArray:
    """The whole matrix of a short axis, which costs as much to make as to apply once."""
    matrix = kernel_matrix(axis_kernel(n, deviation, periodic, truncate))
    matrix.flags.writeable = False
    return matrix


def _blur_axis(values: FloatArray, axis: int, kernel: FloatArray) -> FloatArray:
    n = values.shape[axis]
    flat = values.reshape(math.prod(values.shape[:axis]), n, -1)
    out = np.empty_like(flat)
    rows = min(n, max(1, _BLOCK_FLOATS // n))
    support = int(np.flatnonzero(kernel)[-1])
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        near = slice(max(start - support, 0), min(stop + support, n))
        block = kernel_matrix(kernel, slice(start, stop), near)
        if flat.shape[2] == 1:
            out[:, start:stop, 0] = flat[:, near, 0] @ block.T
        else:
            np.matmul(block, flat[:, near], out=out[:, start:stop])
    return out.reshape(values.shape)


def gaussian_blur(values: ArrayLike, grid: Grid, sigma: float) -> FloatArray:
    """The mean of the values over the lattice's noise around each cell; around the lattice the values are 0.

    With ``truncate`` and without ``periodic`` this is ``scipy.ndimage.gaussian_filter(mode="constant")``, with both
    ``mode="wrap"``. Sums of non-negative values keep their relative accuracy down to 1e-290.

    Args:
        values: one lattice of shape ``grid.shape``, or a batch of them along a leading axis.
        grid: geometry.
        sigma: noise level σ ≥ 0 in units of the input.

    Returns:
        An array of the shape of ``values``.

    Raises:
        InvalidInputError: for values of another shape or a negative σ.
    """
    result = _check_values(values, grid)
    deviation = validation.nonnegative("sigma", sigma) / grid.spacing
    if deviation == 0:
        return result.copy()
    first = result.ndim - grid.dim
    for axis, n in enumerate(grid.shape):
        kind = n, deviation, grid.periodic, grid.truncate
        if n <= KEPT_SIDE:
            flat = result.reshape(math.prod(result.shape[: first + axis]), n, -1)
            matrix = _kept_matrix(*kind)
            blurred = flat[:, :, 0] @ matrix.T if flat.shape[2] == 1 else np.matmul(matrix, flat)
            result = blurred.reshape(result.shape)
        else:
            result = _blur_axis(result, first + axis, axis_kernel(*kind))
    return result


def _log_blur_axis(logs: FloatArray, axis: int, log_kernel: FloatArray) -> FloatArray:
    n = logs.shape[axis]
    lines = np.moveaxis(logs, axis, -1)
    flat = np.ascontiguousarray(lines).reshape(-1, n)
    out = np.empty_like(flat)
    rows = max(1, _BLOCK_FLOATS // max(n * len(flat), 1))
    for start in range(0, n, rows):
        terms = flat[:, None, :] + kernel_matrix(log_kernel, slice(start, start + rows))
        top = terms.max(axis=2)
        top[np.isneginf(top)] = 0.0
        terms -= top[:, :, None]
        with np.errstate(divide="ignore"):
            out[:, start : start + rows] = top + np.log(np.exp(terms, out=terms).sum(axis=2))
    return np.moveaxis(out.reshape(lines.shape), -1, axis)


def log_gaussian_blur(values: ArrayLike, grid: Grid, sigma: float) -> FloatArray:
    """ln of the blur of non-negative values on one lattice, with relative accuracy however small the result.

    Where the plain blur underflows, the same sums are taken again in logarithms (slower). −∞ is left only where
    nothing arrives at all: a truncated kernel, or values that are all 0.
    """
    values = _check_values(values, grid)
    linear = gaussian_blur(values, grid, sigma)
    with np.errstate(divide="ignore"):
        result = np.log(linear)
        if sigma == 0 or grid.truncate is not None or not values.any() or linear.min() >= _TINY:
            return result
        logs = np.log(values)
    for axis, n in enumerate(grid.shape):
        logs = _log_blur_axis(logs, axis, _log_kernel(n, sigma / grid.spacing, grid.periodic))
    return np.where(linear < _TINY, logs, result)


def _log_tails(n: int, deviation: float, truncate: float | None) -> FloatArray:
    """ln P(offset ≥ m) along one axis for m = 0, …, n."""
    with np.errstate(divide="ignore"):
        if deviation == 0 or truncate is not None:
            kernel = axis_kernel(n + 1 + int((truncate or 0.0) * deviation + 0.5), deviation, False, truncate)
            return np.log(np.cumsum(kernel[::-1])[::-1][: n + 1])
        if deviation > n:
            # the tails are no smaller than a sixth, so nothing is lost in the difference
            kernel = axis_kernel(n + 1, deviation, False, None)
            return np.log(0.5 * (1 + kernel[0]) - np.concatenate([[0.0], np.cumsum(kernel[:-1])]))
    logs = _log_kernel(n + 2 + int(_REACH * deviation), deviation, False)
    return np.logaddexp.accumulate(logs[::-1])[::-1][: n + 1]


def log_escape(grid: Grid, sigma: float) -> FloatArray:
    """ln of the mass of each cell's noise that leaves the lattice, of shape ``grid.shape``; −∞ if periodic."""
    if grid.periodic:
        return np.full(grid.shape, -np.inf)
    deviation = validation.nonnegative("sigma", sigma) / grid.spacing
    stays, leaves = np.zeros(grid.shape), np.full(grid.shape, -np.inf)
    for axis, n in enumerate(grid.shape):
        tails = _log_tails(n, deviation, grid.truncate)
        side = np.minimum(np.logaddexp(tails[1:], tails[:0:-1]), 0.0)
        side = side.reshape([n if a == axis else 1 for a in range(grid.dim)])
        stays, leaves = stays + log1mexp(side), np.logaddexp(leaves, side)
    # 1 − Π(1 − p) is Σ p where all are small; the sum does not underflow
    return np.where(leaves < -40, leaves, log1mexp(stays))
