"""Sets of lattice cells (docs/math.md 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.numerics import (
    FoldedFields,
    Grid,
    MajorityFilter,
    gaussian_blur,
    log_escape,
    log_gaussian_blur,
    margin_from_logs,
)
from noiseaug.regions.base import Region, require_margins
from noiseaug.validation import FloatArray

__all__ = ["BATCH_CELLS", "LONGEST", "TIE", "Grid", "LatticeSet", "gaussian_blur", "smoothed_sets"]

BATCH_CELLS = 1 << 18
"""Cells decided side by side; fits the caches of one core."""
LONGEST = 4096
"""Cells of the longest axis that is given a whole matrix."""

TIE = 1e-13
"""Masses this close below ½ count as ½, so that rounding does not decide ties; a tie belongs to class 1."""

_MARGIN_TIE = TIE * np.sqrt(2 * np.pi)  # the same around ½, in margins


@dataclass(frozen=True, eq=False)
class LatticeSet(Region):
    """A set of cells; the space is the lattice itself, its noise the sampled Gaussian of ``Grid``.

    Distances are those between cells: an attack moves from cell to cell, and the boundary is where the nearest cell
    of the other class lies. σ times the margin stays a certificate in this distance: against the worst set
    (Neyman–Pearson) that was checked numerically for the untruncated kernel from σ = ½ cell on, not proven. A truncated
    kernel certifies nothing: it is sure of a class that it merely does not see the end of.

    Attributes:
        mask: the cells of the set, booleans of shape ``grid.shape``.
        grid: geometry.
        outside: whether what lies around a lattice that is not periodic belongs to the set.

    Raises:
        InvalidInputError: for a mask of another shape, or with entries other than 0 and 1.
    """

    mask: np.ndarray
    grid: Grid
    outside: bool = False
    dim: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask)
        if mask.shape != self.grid.shape:
            raise InvalidInputError(f"mask has shape {mask.shape}; expected {self.grid.shape}")
        if mask.dtype != bool:
            if not np.isin(mask, (0, 1)).all():
                raise InvalidInputError("mask holds entries other than 0 and 1; expected booleans")
            mask = mask.astype(bool)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "dim", self.grid.dim)

    def _with(self, mask: np.ndarray) -> Self:
        return type(self)(mask, self.grid, self.outside)

    def contains(self, x: ArrayLike) -> np.ndarray:
        """Whether the cell nearest to each point lies in the set.

        Raises:
            InvalidInputError: for points off a lattice that is not periodic.
        """
        return self.mask[self.grid.cells(x)]

    def votes(self, x: ArrayLike, sigma: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """How many of ``count`` noisy copies of each point fall into the set, integers of shape (n,).

        The noise is the lattice's own; copies that leave the lattice count as ``outside`` says.
        """
        start = np.stack(self.grid.cells(x), axis=1)
        sides, votes = np.array(self.grid.shape), np.zeros(len(start), dtype=np.int64)
        block = max(1, (1 << 20) // max(len(start), 1))
        for begin in range(0, count, block):
            number = min(block, count - begin)
            noise = self.grid.draw_noise(number * len(start), sigma, rng) / self.grid.spacing
            index = start + np.rint(noise).astype(np.intp).reshape(number, len(start), self.dim)
            if self.grid.periodic:
                hits = self.mask[tuple(np.moveaxis(index % sides, -1, 0))]
            else:
                on = ((index >= 0) & (index < sides)).all(axis=-1)
                hits = self.mask[tuple(np.moveaxis(np.clip(index, 0, sides - 1), -1, 0))]
                hits = np.where(on, hits, self.outside)
            votes += hits.sum(axis=0)
        return votes

    def margins(self, sigma: float) -> FloatArray:
        """``margin`` at every cell, of shape ``grid.shape``."""
        sigma = validation.nonnegative("sigma", sigma)
        kept = self.__dict__.get("_margins")
        if kept is None or kept[0] != sigma:
            kept = (sigma, self._compute_margins(sigma))
            # the last level only: a sweep asks for many quantities at one level before it moves on
            object.__setattr__(self, "_margins", kept)
        return kept[1]

    def _compute_margins(self, sigma: float) -> FloatArray:
        if sigma == 0:
            return np.where(self.mask, np.inf, -np.inf)
        # both masses by sums of their own, so that neither tail saturates
        inside = log_gaussian_blur(self.mask, self.grid, sigma)
        rest = log_gaussian_blur(~self.mask, self.grid, sigma)
        left = log_escape(self.grid, sigma)
        if self.outside:
            inside = np.logaddexp(inside, left)
        else:
            rest = np.logaddexp(rest, left)
        return margin_from_logs(np.minimum(inside, 0.0), np.minimum(rest, 0.0))

    def margin(self, x: ArrayLike, sigma: float) -> FloatArray:
        """Φ⁻¹ of the mass at the cell nearest to each point; ±∞ where a truncated kernel sees one class only."""
        return self.margins(sigma)[self.grid.cells(x)]

    def masses(self, sigma: float) -> FloatArray:
        """``gaussian_mass`` at every cell, of shape ``grid.shape``."""
        mass = gaussian_blur(self.mask, self.grid, sigma)
        return mass + np.exp(log_escape(self.grid, sigma)) if self.outside else mass

    def gaussian_mass(self, x: ArrayLike, sigma: float) -> FloatArray:
        return self.masses(sigma)[self.grid.cells(x)]

    def superlevels(self, sigma: float, margins: ArrayLike) -> list[Self]:
        sigma, levels = validation.nonnegative("sigma", sigma), require_margins(margins)
        if sigma == 0:
            return [self for _ in levels]
        return [self._with(self.margins(sigma) >= level - _MARGIN_TIE) for level in levels]

    def smoothed(self, sigma: float) -> Self:
        # the same as the superlevel at margin 0, without the logarithms
        return self._with(self.masses(sigma) >= 0.5 - TIE)

    @cached_property
    def _distances(self) -> FloatArray:
        """Distance of each cell to the nearest cell of the other class, in cells."""
        if self.grid.periodic:
            reach = [(side // 2, side // 2) for side in self.grid.shape]
            wide = np.pad(self.mask, reach, mode="wrap")
        else:
            reach = [(1, 1)] * self.dim
            wide = np.pad(self.mask, reach, constant_values=self.outside)
        if wide.all() or not wide.any():
            return np.full(self.grid.shape, np.inf)
        distances = np.where(wide, ndimage.distance_transform_edt(wide), ndimage.distance_transform_edt(~wide))
        return distances[tuple(slice(low, low + side) for (low, _), side in zip(reach, self.grid.shape, strict=True))]

    def eroded(self, radius: float) -> Self:
        """The cells of the set with no cell of the other class nearer than the radius."""
        steps = validation.nonnegative("radius", radius) / self.grid.spacing
        # distances are roots of integers; a radius that equals one up to rounding does not exceed it
        return self._with(self.mask & (self._distances >= steps * (1 - 1e-12)))

    def complement(self) -> Self:
        return type(self)(~self.mask, self.grid, not self.outside)

    def distance_to_boundary(self, x: ArrayLike) -> FloatArray:
        """Distance of the nearest cell to the nearest cell of the other class."""
        return self.grid.spacing * self._distances[self.grid.cells(x)]


def smoothed_sets(bases: Sequence[LatticeSet], sigmas: Sequence[float]) -> list[list[LatticeSet]]:
    """``smoothed`` of sets of one grid at several noise levels each, which is faster than one by one.

    Args:
        bases: the sets.
        sigmas: noise levels σ ≥ 0.

    Returns:
        The smoothed sets of each base.
    """
    found: list[list[LatticeSet]] = []
    size = max(1, BATCH_CELLS // bases[0].grid.size) if bases else 1
    for start in range(0, len(bases), size):
        part = bases[start : start + size]
        if max(part[0].grid.shape) > LONGEST or any(base.outside for base in part):
            found += [[base.smoothed(sigma) for sigma in sigmas] for base in part]
            continue
        smoothing = MajorityFilter(part[0].grid, False, 2 * TIE)
        fields = FoldedFields(smoothing.fold(np.stack([base.mask for base in part])))
        levels = [smoothing.unfold(smoothing.reached(fields, sigma)) if sigma else None for sigma in sigmas]
        found += [
            [base if masks is None else base._with(masks[place]) for masks in levels] for place, base in enumerate(part)
        ]
    return found
