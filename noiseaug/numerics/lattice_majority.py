"""Where a blurred lattice reaches its majority, for many lattices at once: decided fast, and never wrongly.

A smoothed classifier needs only the side of ½ on which each blurred value lies. So the blur is taken in single
precision, and the few cells that lie within its error bound of the threshold are taken again in double precision. Two
more savings: a kernel is symmetric, so each axis of even length splits into an even and an odd part of half the length
(half the arithmetic); and the lattices of a batch stand side by side in one matrix product per axis.

*Folded* arrays hold the lattice in that form: shape (parts, m₁, batch, m₂, …), where an axis of even length n has two
parts of m = n/2 cells, the second counted from the far end, and an axis of odd length one part of m = n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from noiseaug.numerics.lattice_blur import KEPT_SIDE, Grid, axis_kernel, kernel_matrix
from noiseaug.validation import FloatArray

__all__ = ["FoldedFields", "MajorityFilter"]

_UNIT = 2.0**-24  # relative rounding error of single precision
_Single = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MajorityFilter:
    """{f ∗ p_σ ≥ ½} or {f ∗ p_σ ≥ ½·1_D ∗ p_σ} for fields f with values in [0, 1] on one grid D.

    The first counts what lies around the lattice as 0, the second leaves it out; on a torus they are the same.

    Attributes:
        grid: geometry of each lattice.
        leave_out_outside: whether the second is meant.
        slack: how far below the threshold still counts as reached, relative to it, so that rounding decides no ties.
    """

    grid: Grid
    leave_out_outside: bool
    slack: float

    @cached_property
    def _split(self) -> tuple[bool, ...]:
        """Whether each axis splits into two parts."""
        return tuple(side % 2 == 0 for side in self.grid.shape)

    @cached_property
    def _parts(self) -> int:
        return 2 ** sum(self._split)

    def fold(self, fields: np.ndarray) -> np.ndarray:
        """The folded form of a batch of lattices, shape ``(batch, *grid.shape)``; keeps the type."""
        parts = [fields]
        for axis, (side, split) in enumerate(zip(self.grid.shape, self._split, strict=True), start=1):
            if split:
                halves = [np.split(part, [side // 2], axis=axis) for part in parts]
                parts = [half for low, high in halves for half in (low, np.flip(high, axis))]
        return np.ascontiguousarray(np.moveaxis(np.stack(parts), 1, 2))

    def unfold(self, folded: np.ndarray) -> np.ndarray:
        """The batch of lattices behind a folded array."""
        parts = list(np.moveaxis(folded, 2, 1))
        for axis in reversed(range(self.grid.dim)):
            if self._split[axis]:
                pairs = zip(parts[::2], parts[1::2], strict=True)
                parts = [np.concatenate([low, np.flip(high, axis + 1)], axis=axis + 1) for low, high in pairs]
        return parts[0]

    def reached(self, fields: FoldedFields, sigma: float) -> np.ndarray:
        """Where the blurred fields reach their threshold for a noise level σ > 0, as folded booleans."""
        # blur(f) ≥ level is blur(f − ½·1_D) ≥ level − ½·inside; the inside mass is the same in all parts
        inside = self._folded_inside(sigma)
        shift = np.zeros_like(inside) if self.leave_out_outside else 0.5 - 0.5 * inside
        bound = self._error_bound + 2 * self.slack
        blurred = self._blurred(fields, sigma)
        result = np.greater_equal(blurred, (shift - bound).astype(np.float32))
        sure = np.greater_equal(blurred, (shift + bound).astype(np.float32))
        doubtful = np.flatnonzero(np.not_equal(result, sure, out=sure))
        # no more fields at a time than the batch has, unless they are small
        block = max(fields.folded.size, 1 << 20) // self.grid.size or 1
        for start in range(0, doubtful.size, block):
            self._settle(result, doubtful[start : start + block], fields, sigma)
        return result

    def count(self, folded: np.ndarray) -> np.ndarray:
        """Number of cells in each set of a batch of folded booleans, shape (batch,)."""
        # sums of bytes, few enough not to overflow, are far faster than sums into wider integers
        sides = folded.shape[0] * folded.shape[1]
        lanes = folded.view(np.uint8).reshape(sides, -1)
        total = sum(lanes[k : k + 255].sum(axis=0, dtype=np.uint8).astype(np.int64) for k in range(0, sides, 255))
        return np.asarray(total).reshape(folded.shape[2], -1).sum(axis=1)

    @cached_property
    def _error_bound(self) -> float:
        """A bound on the error of ``_blurred``.

        Each sum of m products is off by at most m units relative to the sum of their sizes. The parts of a field f − ½
        have sizes that add up to at most √(2^k)·½ of what they stand for (Cauchy–Schwarz over the k axes that are
        split), and kernels sum to at most 1. Fields, kernels and differences add a unit each.
        """
        lengths = sum(side // 2 if split else side for side, split in zip(self.grid.shape, self._split, strict=True))
        units = lengths + 2 * self.grid.dim + 2 * sum(self._split) + 4
        return 0.5 * math.sqrt(self._parts) * units * _UNIT * 1.01

    def _axis(self, axis: int, sigma: float) -> tuple[int, float, bool, float | None]:
        grid = self.grid
        return grid.shape[axis], sigma / grid.spacing, grid.periodic, grid.truncate

    def _blurred(self, fields: FoldedFields, sigma: float) -> _Single:
        """(f − ½·1_D) ∗ p_σ in single precision."""
        spread = fields.spread
        out, rooms = np.empty_like(spread), [np.empty_like(spread[0]) for _ in range(2)]
        kernels = [
            (_kept_part_kernels if side <= KEPT_SIDE else _part_kernels)(*self._axis(axis, sigma))
            for axis, side in enumerate(self.grid.shape)
        ]
        # one part through all axes before the next, which stays in the cache
        for part, values in enumerate(spread):
            for axis, choice in enumerate(kernels):
                # parts count in binary, with a digit for each split axis
                odd = self._split[axis] and (part >> sum(self._split[axis + 1 :])) & 1
                last = axis + 1 == self.grid.dim
                target = out[part] if last else rooms[axis % 2]
                _apply(choice[int(odd)], values, target, axis)
                values = target
        return _sums_and_differences(out, np.empty_like(out))

    def _folded_inside(self, sigma: float) -> FloatArray:
        """The mass of each cell's noise that stays on the lattice, one part of the folded form with a batch of 1."""
        result = np.ones(1)
        for axis, split in enumerate(self._split):
            sums = _inside_mass(*self._axis(axis, sigma))
            result = np.multiply.outer(result, sums[: len(sums) // 2] if split else sums)
        return np.moveaxis(result, 0, 1)

    def _settle(
        self,
        result: np.ndarray,
        doubtful: np.ndarray,
        fields: FoldedFields,
        sigma: float,
    ) -> None:
        """Decides the doubtful cells, given by flat index, in double precision."""
        part, first, batch, *others = np.unravel_index(doubtful, result.shape)
        members, which = np.unique(batch, return_inverse=True)
        given = fields.original
        whole = self.unfold(fields.folded[:, :, members]) if given is None else given[members]
        total = whole[which].astype(float, copy=False)
        inside = np.ones(len(doubtful))
        for axis, index in enumerate(self._cells(part, [first, *others])):
            kernel = axis_kernel(*self._axis(axis, sigma))
            rows = kernel[np.abs(index[:, None] - np.arange(len(kernel)))]
            flat = total.reshape(len(doubtful), len(kernel), -1)
            total = np.matmul(rows[:, None, :], flat).reshape(len(doubtful), *total.shape[2:])
            inside *= rows.sum(axis=1)
        level = 0.5 * inside if self.leave_out_outside else 0.5
        result.reshape(-1)[doubtful] = total >= level * (1 - self.slack)

    def _cells(self, part: np.ndarray, index: list[np.ndarray]) -> list[np.ndarray]:
        """Cells of the lattice from parts and indices of the folded form."""
        cells = []
        for axis, (side, split) in enumerate(zip(self.grid.shape, self._split, strict=True)):
            far = split * ((part >> sum(self._split[axis + 1 :])) & 1)
            cells.append(np.where(far == 1, side - 1 - index[axis], index[axis]))
        return cells


@dataclass(frozen=True, eq=False)
class FoldedFields:
    """Fields to be blurred, perhaps by many noise levels.

    Attributes:
        folded: folded booleans or numbers in [0, 1].
        original: the fields before folding, shape ``(batch, *grid.shape)``, where there is a copy.
    """

    folded: np.ndarray
    original: FloatArray | None = None

    @cached_property
    def spread(self) -> _Single:
        """The even and odd parts of the fields less ½."""
        parts = len(self.folded)
        if self.folded.dtype != bool:
            values = (self.folded - 0.5).astype(np.float32)
            return _sums_and_differences(values, np.empty_like(values))
        # small integers, exactly; the ½ appears in the sum of all parts only
        counts = self.folded.astype(np.int8)
        values = _sums_and_differences(counts, np.empty_like(counts)).astype(np.float32)
        values[0] -= 0.5 * parts
        return values


def _part_kernels(side: int, deviation: float, periodic: bool, truncate: float | None) -> list[_Single]:
    """The matrices that blur the even and the odd part of an axis, or an axis of odd length as a whole."""
    matrix = kernel_matrix(axis_kernel(side, deviation, periodic, truncate))
    if side % 2:
        return [matrix.astype(np.float32)]
    half = side // 2
    near, far = matrix[:half, :half], matrix[:half, : half - 1 : -1]
    # with the ½ of the way back from even and odd parts
    return [(0.5 * (near + far)).astype(np.float32), (0.5 * (near - far)).astype(np.float32)]


_kept_part_kernels = lru_cache(maxsize=64)(_part_kernels)


@lru_cache(maxsize=1024)
def _inside_mass(side: int, deviation: float, periodic: bool, truncate: float | None) -> FloatArray:
    """The mass of each cell's noise that stays on the lattice, for one axis."""
    return kernel_matrix(axis_kernel(side, deviation, periodic, truncate)).sum(axis=1)


def _apply(kernel: _Single, values: _Single, out: _Single, axis: int) -> None:
    """Multiplies one axis of an array of shape (m₁, batch, m₂, …) by a symmetric matrix."""
    side = len(kernel)
    if axis == 0:
        np.matmul(kernel, values.reshape(side, -1), out=out.reshape(side, -1))
    elif axis + 2 == values.ndim:
        np.matmul(values.reshape(-1, side), kernel, out=out.reshape(-1, side))
    else:
        np.matmul(kernel, values, out=out)


def _sums_and_differences(values: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """Sums and differences of the two parts of each split axis; overwrites both arrays and returns one of them.

    Doing it twice multiplies by the number of parts.
    """
    step = 1
    while step < len(values):
        old, new = (array.reshape(-1, 2, step, *values.shape[1:]) for array in (values, spare))
        np.add(old[:, 0], old[:, 1], out=new[:, 0])
        np.subtract(old[:, 0], old[:, 1], out=new[:, 1])
        values, spare, step = spare, values, 2 * step
    return values
