"""What every task can do: the law of a labelled point, its classifiers, and exact masses of regions."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug.errors import NoClosedFormError
from noiseaug.numerics import gauss_legendre
from noiseaug.regions import ProfileRegion, Region
from noiseaug.regions.base import combine_intervals
from noiseaug.tasks.laws import Law
from noiseaug.validation import FloatArray

__all__ = ["BinaryTask", "CoordinateSampler", "CoordinateTask", "ProfileTask", "Task", "describe_value"]

CoordinateSampler = Callable[[int, np.random.Generator], tuple[FloatArray, FloatArray, np.ndarray]]
"""Draws n points as their coordinates in a region and in the Bayes region, and their labels; each of shape (n,)."""

_BLOCK = 1 << 12  # coordinates whose margin is asked for at a time
_ROUNDS = 24  # halvings of panels before their error is reported as it is


def describe_value(value: Any) -> str:
    """A short text of a field's value that two different values do not share."""
    if isinstance(value, np.ndarray):
        if value.size <= 12:
            return str(value.tolist()).replace(" ", "")
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:8]
        return f"<array {'x'.join(map(str, value.shape))} {digest}>"
    if isinstance(value, float):
        return repr(float(value)).removesuffix(".0")
    if isinstance(value, tuple):
        return "(" + ",".join(describe_value(part) for part in value) + ")"
    return str(value)


class Task(ABC):
    """The law of a labelled point (X, Y) with labels 0, …, num_classes − 1; a frozen description."""

    dim: int
    num_classes: int = 2
    rules: ClassVar[tuple[str, ...]] = ()
    """The rules that ``predictors.augmented`` and ``predictors.convolved`` can give for this task."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        """n independent draws: points of shape (n, dim) and integer labels of shape (n,)."""

    def closed_form(self) -> BinaryTask | None:
        """The same law as a task with closed forms, where another task describes it so; None otherwise."""
        return None

    def __str__(self) -> str:
        shown = [f for f in fields(self) if f.init]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{f.name}={describe_value(getattr(self, f.name))}' for f in shown)})"


class BinaryTask(Task):
    """A two-class task whose classifiers are regions with exact masses.

    ``prior`` is P(Y=1); q₁ and q₀ are the class laws.
    """

    prior: float

    @abstractmethod
    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        """ln of the density of X + σZ given Y = label at each point, shape (n,); −∞ off the support.

        Where both classes share a dominating measure other than volume, the density is with respect to that.
        """

    @abstractmethod
    def augmented_region(self, train_sigma: float) -> Region:
        """The Bayes rule of the noised law (X + αZ, Y)."""

    def augmented_regions(self, train_sigmas: Sequence[float]) -> list[Region]:
        """``augmented_region`` for each training noise; a task may find them faster together."""
        return [self.augmented_region(alpha) for alpha in train_sigmas]

    def convolved_region(self, train_sigma: float) -> Region:
        """Pal & Sulam's rule {h ∗ p_α ≥ ½}.

        Raises:
            NoClosedFormError: where h is not defined off the support of the data.
        """
        raise NoClosedFormError(
            f"{type(self).__name__} has no convolved rule, as h is known on its support only; "
            f"it has {', '.join(self.rules)}"
        )

    def convolved_regions(self, train_sigmas: Sequence[float]) -> list[Region]:
        """``convolved_region`` for each training noise, likewise."""
        return [self.convolved_region(alpha) for alpha in train_sigmas]

    @abstractmethod
    def class_mass(self, label: int, regions: Sequence[Region]) -> FloatArray:
        """P(X ∈ A given Y = label) for each region."""

    @abstractmethod
    def expectation(
        self,
        label: int,
        region: Region,
        sigma: float,
        function: Callable[[FloatArray], FloatArray],
        breakpoints: ArrayLike,
    ) -> tuple[FloatArray, FloatArray]:
        """E[f(margin(X, σ)) given Y = label] and an estimate of its error.

        Args:
            label: class.
            region: the base classifier.
            sigma: smoothing level β > 0.
            function: f of margins of shape (n,); its values have shape (n,), or (k, n) for k functions at once.
            breakpoints: margins between which f is smooth.

        Returns:
            Two numbers, or two arrays of shape (k,).
        """

    @abstractmethod
    def disagreement_mass(self, first: Region, second: Region) -> float:
        """μ(A Δ B) under the marginal law μ of X."""

    @abstractmethod
    def reach(self) -> float:
        """A radius around the origin that holds X except with probability below 1e-20."""

    def radius_cap(self, region: Region, sigma: float) -> float:
        """A number that the certified radius σ·|margin| of X exceeds with probability below 1e-20."""
        if sigma == 0:
            return 0.0
        # σ·margin is 1-Lipschitz: its value at the origin and the distance from there
        return sigma * abs(float(region.margin(np.zeros((1, self.dim)), sigma)[0])) + self.reach()

    def closed_acr(self, region: Region) -> float | None:
        """The average certified radius in closed form, where the task has one (it then does not depend on β)."""
        return None

    @abstractmethod
    def excess_mass(self, region: Region) -> float:
        """Risk of the region's indicator above the Bayes risk: ∫ |2h − 1| dμ over where the two differ."""

    def bayes_region(self) -> Region:
        """{h ≥ ½}."""
        return self.augmented_region(0.0)

    def noised(self, sigma: float) -> BinaryTask:
        """The law of (X + σZ, Y) as a task of the same family.

        Raises:
            NoClosedFormError: where the family is not closed under noise.
        """
        raise NoClosedFormError(f"{type(self).__name__} is not closed under noise; use log_density(x, label, sigma)")

    def log_odds(self, x: ArrayLike, noise_sigma: float = 0.0) -> FloatArray:
        """ln of P(Y=1 given X + σZ = x) / P(Y=0 given X + σZ = x), shape (n,)."""
        return self._log_odds(self.log_density(x, 1, noise_sigma), self.log_density(x, 0, noise_sigma))

    def _log_odds(self, log_density_1: FloatArray, log_density_0: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            return special.logit(self.prior) + (log_density_1 - log_density_0)

    def regression(self, x: ArrayLike) -> FloatArray:
        """h(x) = P(Y=1 given X=x), shape (n,)."""
        return special.expit(self.log_odds(x))


class ProfileTask(BinaryTask):
    """A task whose regions reduce to one coordinate with a known law in each class."""

    @abstractmethod
    def law(self, label: int, region: ProfileRegion) -> Law:
        """The law of the region's coordinate c(X) given Y = label."""

    def laws(self, label: int, regions: Sequence[ProfileRegion]) -> Law:
        """The laws of the coordinates of regions of one kind; ends of shape (regions, …, …) have masses of that shape.

        One law serves all where regions of one kind share their coordinate.
        """
        return self.law(label, regions[0])

    def class_mass(self, label: int, regions: Sequence[Region]) -> FloatArray:
        profiled = [_profiled(region) for region in regions]
        if len(profiled) > 1 and all(region.same_coordinate(profiled[0]) for region in profiled):
            # one law serves all, and one call with all intervals
            profiles = [region.profile() for region in profiled]
            ends = np.concatenate(profiles)
            owner = np.repeat(np.arange(len(profiles)), [len(profile) for profile in profiles])
            masses = self.law(label, profiled[0]).interval_mass(ends[:, 0], ends[:, 1])
            return np.bincount(owner, weights=masses, minlength=len(profiles)).astype(float)
        return np.array([self.law(label, region).union_mass(region.profile()) for region in profiled])

    def expectation(
        self,
        label: int,
        region: Region,
        sigma: float,
        function: Callable[[FloatArray], FloatArray],
        breakpoints: ArrayLike,
    ) -> tuple[FloatArray, FloatArray]:
        base = _profiled(region)
        law = self.law(label, base)

        def values(nodes: FloatArray) -> FloatArray:
            blocks = [nodes[start : start + _BLOCK] for start in range(0, nodes.size, _BLOCK)]
            return np.concatenate([function(base.margin_at(block, sigma)) for block in blocks], axis=-1)

        ends = base.level_coordinates(sigma, breakpoints)
        for _ in range(_ROUNDS):
            (rough, _), (fine, nodes) = (_panel_sums(law, ends, order, values) for order in (16, 24))
            total = fine.sum(axis=-1)
            if np.isinf(total).all():
                return total, np.zeros_like(total)
            with np.errstate(invalid="ignore"):  # infinite totals stay as they are
                gaps = np.abs(fine - rough)
                poor = gaps > np.maximum(1e-14 * np.abs(total), 1e-16)[..., None]
                poor &= ~(gaps.sum(axis=-1) < 1e-12 * np.abs(total))[..., None]
            poor = poor.reshape(-1, poor.shape[-1]).any(axis=0)
            if not poor.any():
                break
            ends = np.concatenate([ends, nodes[poor].mean(axis=1)])
        error = 2 * gaps.sum(axis=-1) + 1e-13 * np.abs(fine).sum(axis=-1)
        return total, np.where(np.isinf(total), 0.0, error + _left_out(law, nodes, values))

    def disagreement_mass(self, first: Region, second: Region) -> float:
        return sum(
            share * self._difference_mass(label, first, second, [(True, False), (False, True)])
            for label, share in ((1, self.prior), (0, 1 - self.prior))
        )

    def _difference_mass(self, label: int, first: Region, second: Region, keep: list[tuple[bool, bool]]) -> float:
        a, b = _profiled(first), _profiled(second)
        if not a.same_coordinate(b):
            raise NoClosedFormError(f"{a} and {b} are not unions of intervals in one coordinate")
        return self.law(label, a).union_mass(combine_intervals(a.profile(), b.profile(), keep=keep))

    def excess_mass(self, region: Region) -> float:
        # class masses of the two halves of the difference: far smaller than the risks that it separates
        bayes = self.bayes_region()
        missed = [(True, False)], [(False, True)]
        lost, gained = (
            self.prior * self._difference_mass(1, bayes, region, keep)
            - (1 - self.prior) * self._difference_mass(0, bayes, region, keep)
            for keep in missed
        )
        return lost - gained


class CoordinateTask(ProfileTask):
    """A profile task whose coordinates can be drawn without the points, at a cost that no dimension raises."""

    @abstractmethod
    def coordinate_sampler(self, region: ProfileRegion) -> CoordinateSampler:
        """What draws all that decides about X: its coordinate in the region, that in the Bayes region, and its label.

        Raises:
            NoClosedFormError: for a region whose coordinate has no known law.
        """

    @abstractmethod
    def regression_at(self, bayes_coordinate: FloatArray) -> FloatArray:
        """h at points with the given coordinate in the Bayes region, shape (n,)."""


def _panel_sums(
    law: Law, ends: FloatArray, order: int, values: Callable[[FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """The quadrature of functions of the coordinate panel by panel, and the nodes, a row for each panel."""
    nodes, weights = law.quadrature(ends, order)
    at = np.where(weights > 0, values(nodes), 0.0)  # a weight of 0 wins over an infinite value
    columns = order if nodes.size % order == 0 else nodes.size
    terms = np.maximum(weights, 0.0) * at
    return terms.reshape(*at.shape[:-1], -1, columns).sum(axis=-1), nodes.reshape(-1, columns)


def _left_out(law: Law, nodes: FloatArray, values: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """A bound on what the law's tails beyond its quadrature window add: their mass times the value far out."""
    first, last = nodes[0], nodes[-1]
    if first.size < 2:
        return np.zeros(())
    # the ends of the window from the nodes of the outer panels
    unit = gauss_legendre(first.size)[0][-1]
    low, high = (
        float(0.5 * (panel[0] + panel[-1]) + side * 0.5 * (panel[-1] - panel[0]) / unit)
        for panel, side in ((first, -1.0), (last, 1.0))
    )
    with np.errstate(invalid="ignore"):
        masses = law.interval_mass(np.array([-np.inf, high]), np.array([low, np.inf]))
    # a margin grows at most linearly: its average over a tail is below its value a whole window further out
    width = high - low
    far = np.abs(values(np.array([low, low - width, high, high + width])))
    far = far.reshape(*far.shape[:-1], 2, 2).max(axis=-1)
    return np.asarray(np.sum(masses[masses > 0] * far[..., masses > 0], axis=-1))


def _profiled(region: Region) -> ProfileRegion:
    if not isinstance(region, ProfileRegion):
        raise NoClosedFormError(f"{type(region).__name__} has no coordinate with a known law under this task")
    return region
