"""Tasks on a lattice in 1 to 3 dimensions with any h: sums over cells, exact to rounding (docs/math.md 2.7)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.numerics import FoldedFields, Grid, MajorityFilter, gaussian_blur, log_gaussian_blur
from noiseaug.regions import LatticeSet, Region
from noiseaug.regions.lattice import BATCH_CELLS, LONGEST, TIE
from noiseaug.tasks.base import BinaryTask
from noiseaug.validation import FloatArray

__all__ = ["Lattice", "LatticeTask", "disagreement_curves"]

_TINY = 1e-290  # masses below are compared in logarithms


class LatticeTask(BinaryTask):
    """A binary task whose points are the cells of a lattice.

    The noise is the lattice's own (``Grid``). Around a lattice that is not periodic h counts as 0 in the convolved
    rule, as in Pal & Sulam's zero padding; the augmented rule compares the class masses that arrive from the lattice,
    so there the surroundings count for neither class. On a torus with a flat marginal the two agree. Regions are sets
    of cells, with class 0 around them. Ties go to class 1; so does, without noise, a cell with h = ½.
    """

    rules: ClassVar[tuple[str, ...]] = ("augmented", "convolved")
    grid: Grid
    cell_regression: FloatArray
    """h at each cell, of shape ``grid.shape``."""

    @property
    def cell_weights(self) -> FloatArray:
        """The marginal μ: the probability of each cell."""
        return np.full(self.grid.shape, 1.0 / self.grid.size)

    @property
    def has_flat_marginal(self) -> bool:
        """Whether all cells have the same probability."""
        return True

    @property
    def prior(self) -> float:  # type: ignore[override]
        """P(Y=1) = Σ μ h."""
        return float(self._joint(1).sum())

    def region(self, mask: np.ndarray) -> LatticeSet:
        """The classifier that predicts 1 on the given cells."""
        return LatticeSet(mask, self.grid)

    @cached_property
    def _joints(self) -> tuple[FloatArray, FloatArray]:
        weights, h = self.cell_weights, self.cell_regression
        return weights * (1 - h), weights * h

    def _joint(self, label: int) -> FloatArray:
        """P(X = cell, Y = label) for each cell."""
        return self._joints[1 if label else 0]

    def _share(self, label: int) -> float:
        share = float(self._joint(label).sum())
        if share == 0:
            raise InvalidInputError(f"class {label} has no mass on the lattice; expected cells of both classes")
        return share

    def _mask(self, region: Region) -> np.ndarray:
        if not isinstance(region, LatticeSet) or region.grid != self.grid:
            raise NoClosedFormError(
                f"{type(region).__name__} has no known mass here; sets of cells of this lattice have"
            )
        return region.mask

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        total = np.cumsum(self.cell_weights)
        cells = np.searchsorted(total[:-1], total[-1] * rng.random(n), side="right")
        y = (rng.random(n) < self.cell_regression.ravel()[cells]).astype(int)
        return self.grid.spacing * np.stack(np.unravel_index(cells, self.grid.shape), axis=1).astype(float), y

    def regression(self, x: ArrayLike) -> FloatArray:
        return self.cell_regression[self.grid.cells(x)]

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        """ln of the probability of the cell nearest to each point, given the label; −∞ where nothing arrives."""
        logs = log_gaussian_blur(self._joint(label) / self._share(label), self.grid, noise_sigma)
        return logs[self.grid.cells(x)]

    def augmented_region(self, train_sigma: float) -> LatticeSet:
        """{(hμ) ∗ p_α ≥ ((1−h)μ) ∗ p_α}; where neither arrives (a truncated kernel, μ = 0) h itself decides."""
        alpha = validation.nonnegative("train_sigma", train_sigma)
        if alpha == 0:
            return self._bayes
        ones, zeros = (gaussian_blur(self._joint(label), self.grid, alpha) for label in (1, 0))
        faint = np.maximum(ones, zeros) < _TINY
        decided = ones >= zeros * (1 - 4 * TIE)
        if faint.any():
            log_ones, log_zeros = (log_gaussian_blur(self._joint(label), self.grid, alpha) for label in (1, 0))
            in_logs = log_ones >= log_zeros - 1e-12
            nothing = np.isneginf(log_ones) & np.isneginf(log_zeros)
            decided = np.where(faint, np.where(nothing, self._bayes.mask, in_logs), decided)
        return self.region(decided)

    def convolved_region(self, train_sigma: float) -> LatticeSet:
        alpha = validation.nonnegative("train_sigma", train_sigma)
        if alpha == 0:
            return self._bayes
        return self.region(gaussian_blur(self.cell_regression, self.grid, alpha) >= 0.5 - TIE)

    def bayes_region(self) -> LatticeSet:
        return self._bayes

    @cached_property
    def _bayes(self) -> LatticeSet:
        return self.region(self.cell_regression >= 0.5)

    def class_mass(self, label: int, regions: Sequence[Region]) -> FloatArray:
        joint, share = self._joint(label), self._share(label)
        return np.array([joint[self._mask(region)].sum() / share for region in regions])

    def expectation(
        self,
        label: int,
        region: Region,
        sigma: float,
        function: Callable[[FloatArray], FloatArray],
        breakpoints: ArrayLike,
    ) -> tuple[FloatArray, FloatArray]:
        self._mask(region)
        assert isinstance(region, LatticeSet)
        weights = self._joint(label) / self._share(label)
        held = weights > 0
        terms = weights[held] * function(region.margins(sigma)[held])
        total = np.sum(terms, axis=-1)
        return total, np.where(np.isfinite(total), 1e-13 * np.sum(np.abs(terms), axis=-1), 0.0)

    def disagreement_mass(self, first: Region, second: Region) -> float:
        return _mass(self, self._mask(first) != self._mask(second))

    def excess_mass(self, region: Region) -> float:
        wrong = self._mask(region) != self._bayes.mask
        return float(np.sum((np.abs(2 * self.cell_regression - 1) * self.cell_weights)[wrong]))

    def radius_cap(self, region: Region, sigma: float) -> float:
        """The largest certified radius σ·|margin| of any cell."""
        self._mask(region)
        assert isinstance(region, LatticeSet)
        return sigma * float(np.abs(region.margins(sigma)).max()) if sigma > 0 else 0.0

    def reach(self) -> float:
        return self.grid.spacing * float(np.linalg.norm(np.array(self.grid.shape) - 1.0))


def _mass(task: LatticeTask, mask: np.ndarray) -> float:
    """μ of a set of cells."""
    # a count where all cells weigh the same, so that equal sets have equal masses to the last bit
    return np.count_nonzero(mask) / task.grid.size if task.has_flat_marginal else float(task.cell_weights[mask].sum())


@dataclass(frozen=True, eq=False)
class Lattice(LatticeTask):
    """h and the marginal given cell by cell.

    Attributes:
        cell_regression: h = P(Y=1) at each cell, in [0, 1], 1 to 3 axes.
        weights: the marginal μ up to a factor, non-negative and of the same shape; flat by default.
        spacing: distance of neighbouring cells in units of the input.
        periodic: whether the lattice is a torus.
        truncate: standard deviations after which the noise is cut off, as in ``Grid``, or None.

    Raises:
        InvalidInputError: for NaN, values outside of [0, 1], negative or zero weights, another shape, one class only.
    """

    cell_regression: FloatArray
    weights: FloatArray | None = None
    spacing: float = 1.0
    periodic: bool = False
    truncate: float | None = None
    dim: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        h = _copy("h", self.cell_regression, None)
        if not 1 <= h.ndim <= 3 or h.size == 0:
            raise InvalidInputError(f"h has shape {h.shape}; expected 1, 2 or 3 axes with at least one cell each")
        if h.min() < 0 or h.max() > 1:
            raise InvalidInputError(f"h takes values from {h.min():g} to {h.max():g}; expected probabilities in [0, 1]")
        object.__setattr__(self, "cell_regression", h)
        object.__setattr__(self, "dim", h.ndim)
        if self.weights is not None:
            weights = _copy("weights", self.weights, h.ndim)
            if weights.shape != h.shape:
                raise InvalidInputError(f"weights have shape {weights.shape}; expected that of h, {h.shape}")
            if weights.min() < 0 or weights.sum() == 0:
                raise InvalidInputError(
                    "weights are negative or all 0; expected non-negative weights with a positive sum"
                )
            object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "spacing", self.grid.spacing)
        object.__setattr__(self, "truncate", self.grid.truncate)
        for label in (0, 1):
            self._share(label)

    @cached_property
    def grid(self) -> Grid:  # type: ignore[override]
        """The geometry."""
        return Grid(self.cell_regression.shape, self.spacing, self.periodic, self.truncate)

    @cached_property
    def cell_weights(self) -> FloatArray:
        """The marginal μ: the probability of each cell."""
        weights = np.ones(self.grid.shape) if self.weights is None else self.weights / self.weights.max()
        return weights / weights.sum()

    @property
    def has_flat_marginal(self) -> bool:
        """Whether all cells have the same probability."""
        return self.weights is None


def _copy(name: str, value: ArrayLike, ndim: int | None) -> FloatArray:
    """A checked read-only copy, since results derived from it are kept."""
    try:
        found = np.ndim(value)
    except ValueError:
        raise InvalidInputError(f"{name} has rows of different lengths; expected an array") from None
    result = validation.array(name, value, found if ndim is None else ndim).copy()
    result.flags.writeable = False
    return result


def disagreement_curves(
    tasks: Sequence[LatticeTask],
    train_sigmas: Sequence[float],
    smooth_sigmas: Sequence[float],
    rule: str = "convolved",
) -> FloatArray:
    """Pal & Sulam's Δ_{α,β} = μ{φ(h) ≠ f_{α,β}} for many lattice tasks of one geometry at once.

    The same numbers as ``disagreement_mass`` of each smoothed region, many times faster.

    Args:
        tasks: tasks on equal grids.
        train_sigmas: training noise levels α ≥ 0.
        smooth_sigmas: smoothing noise levels β ≥ 0.
        rule: ``"convolved"`` or ``"augmented"``.

    Returns:
        Δ, shape (tasks, smooth_sigmas, train_sigmas).

    Raises:
        InvalidInputError: for tasks on different grids, another rule, or a negative level.
    """
    validation.choice("rule", rule, LatticeTask.rules)
    alphas = [validation.nonnegative("train_sigma", alpha) for alpha in train_sigmas]
    betas = [validation.nonnegative("smooth_sigma", beta) for beta in smooth_sigmas]
    result = np.empty((len(tasks), len(betas), len(alphas)))
    if not tasks:
        return result
    grid = tasks[0].grid
    if any(task.grid != grid for task in tasks):
        raise InvalidInputError("the tasks lie on different grids; expected one geometry")
    if max(grid.shape) > LONGEST or (rule == "augmented" and not all(task.has_flat_marginal for task in tasks)):
        # the fast filter compares fields with ½, where unequal weights need the general comparison
        for task, curves in zip(tasks, result, strict=True):
            bases = [task.augmented_region(a) if rule == "augmented" else task.convolved_region(a) for a in alphas]
            curves[:] = [
                [task.disagreement_mass(base.smoothed(b), task.bayes_region()) for base in bases] for b in betas
            ]
        return result
    chunks = math.ceil(len(tasks) / max(1, BATCH_CELLS // grid.size))
    ends = [len(tasks) * k // chunks for k in range(chunks + 1)]
    for start, stop in itertools.pairwise(ends):
        _fill_curves(result[start:stop], tasks[start:stop], alphas, betas, rule)
    return result


def _fill_curves(
    result: FloatArray, tasks: Sequence[LatticeTask], alphas: list[float], betas: list[float], rule: str
) -> None:
    grid = tasks[0].grid
    training = MajorityFilter(grid, rule == "augmented", 2 * TIE)
    smoothing = MajorityFilter(grid, False, 2 * TIE)
    fields = np.stack([task.cell_regression for task in tasks])
    bayes = smoothing.fold(fields >= 0.5)
    binary = ((fields == 0) | (fields == 1)).all()
    untrained = FoldedFields(bayes) if binary else FoldedFields(smoothing.fold(fields), fields)
    flat = all(task.has_flat_marginal for task in tasks)
    for a, alpha in enumerate(alphas):
        base = training.reached(untrained, alpha) if alpha else bayes
        # noise often leaves nothing of a set, and nothing stays nothing at no cost
        live = smoothing.count(base) > 0
        trained = FoldedFields(base if live.all() else np.ascontiguousarray(base[:, :, live]))
        for b, beta in enumerate(betas):
            decision = np.zeros_like(base)
            if live.any():
                decision[:, :, live] = smoothing.reached(trained, beta) if beta else trained.folded
            wrong = decision != bayes
            if flat:
                result[:, b, a] = smoothing.count(wrong) / grid.size
            else:
                result[:, b, a] = [_mass(*pair) for pair in zip(tasks, smoothing.unfold(wrong), strict=True)]
