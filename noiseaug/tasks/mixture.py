"""Gaussian mixtures on the line (docs/math.md 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.numerics import (
    Crossings,
    MixtureMeasure,
    MixtureRatio,
    Odds,
    SmoothedRegression,
    find_crossings,
    tail_window,
    undecided_zones,
)
from noiseaug.regions import IntervalUnion, ProfileRegion
from noiseaug.tasks.base import ProfileTask
from noiseaug.tasks.laws import Law, MixtureLaw
from noiseaug.tasks.line import check_line_region
from noiseaug.validation import FloatArray

__all__ = ["MixtureOnLine"]

_WIDENINGS = 30  # doublings of a zone in a tail where h tends to ½

Components = Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class MixtureOnLine(ProfileTask):
    """X given Y=y is a Gaussian mixture on the line.

    Attributes:
        components_1: (weight, mean, std) of each component of class 1; the weights sum to 1.
        components_0: the same for class 0.
        prior: P(Y=1).
    """

    components_1: Components
    components_0: Components
    prior: float = 0.5
    dim: int = field(default=1, init=False, repr=False)
    rules: ClassVar[tuple[str, ...]] = ("augmented", "convolved")

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", validation.probability("prior", self.prior))
        for name in ("components_1", "components_0"):
            parts = validation.array(name, getattr(self, name), 2)
            if parts.shape[1] != 3 or len(parts) == 0:
                raise InvalidInputError(f"{name} has shape {parts.shape}; expected rows of (weight, mean, std)")
            if (parts[:, [0, 2]] <= 0).any() or abs(parts[:, 0].sum() - 1) > 1e-9:
                raise InvalidInputError(f"{name} needs weights and stds above 0 and weights that sum to 1")
            object.__setattr__(self, name, tuple(tuple(map(float, row)) for row in parts))
        if self._cancelled is None:
            raise InvalidInputError("the two classes have one and the same weighted law; expected different classes")

    def _columns(self, label: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        weights, means, stds = np.array(self.components_1 if label else self.components_0).T
        return weights, means, stds

    @cached_property
    def _cancelled(self) -> dict[tuple[float, float], float] | None:
        """π q₁ − (1−π) q₀ as signed weights of the components (mean, std), equal components merged."""
        signed: dict[tuple[float, float], float] = {}
        total: dict[tuple[float, float], float] = {}
        for share, parts in ((self.prior, self.components_1), (self.prior - 1, self.components_0)):
            for weight, mean, std in parts:
                signed[mean, std] = signed.get((mean, std), 0.0) + share * weight
                total[mean, std] = total.get((mean, std), 0.0) + abs(share) * weight
        # what cancels leaves rounding of the terms behind
        signed = {key: value for key, value in signed.items() if abs(value) > 1e-15 * total[key]}
        return signed or None

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        y = (rng.random(n) < self.prior).astype(int)
        pick, normal = rng.random(n), rng.standard_normal(n)
        x = np.empty(n)
        for label in (0, 1):
            weights, means, stds = self._columns(label)
            mine = y == label
            which = np.minimum(np.searchsorted(np.cumsum(weights), pick[mine], side="right"), weights.size - 1)
            x[mine] = means[which] + stds[which] * normal[mine]
        return x[:, None], y

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        weights, means, stds = self._columns(label)
        return MixtureMeasure(weights, means, stds**2).log_smoothed(validation.points(x, 1)[:, 0], noise_sigma)

    def _ratio(self, noise_sigma: float) -> MixtureRatio | bool:
        """ln π(q₁∗p)/(1−π)(q₀∗p) with common components taken out; True or False where its sign is constant."""
        assert self._cancelled is not None
        table = np.array([(weight, mean, std) for (mean, std), weight in self._cancelled.items()])
        base = table[:, 2].min()
        sides = []
        for sign in (1, -1):
            part = table[np.sign(table[:, 0]) == sign]
            if len(part) == 0:
                return sign < 0
            # the narrowest component's variance joins the kernel, so that conditional means are monotone
            sides.append(MixtureMeasure(np.abs(part[:, 0]), part[:, 1], part[:, 2] ** 2 - base**2))
        return MixtureRatio(sides[0], sides[1], float(np.hypot(base, noise_sigma)))

    def augmented_region(self, train_sigma: float) -> IntervalUnion:
        ratio = self._ratio(validation.nonnegative("train_sigma", train_sigma))
        if isinstance(ratio, bool):
            return IntervalUnion(np.array([[-np.inf, np.inf]] if ratio else []))
        means = np.concatenate([ratio.first.means, ratio.second.means])
        level = np.zeros(1)
        low, high = tail_window(ratio, level, means.min() - ratio.sigma, means.max() + ratio.sigma, ratio.sigma)
        crossings = find_crossings(ratio, level, np.concatenate([[low], means, [high]]))[0]
        return IntervalUnion(crossings.intervals(-np.inf, np.inf), proven=crossings.proven)

    def _odds(self) -> Odds:
        """ln π q₁ / (1−π) q₀ with what both classes share kept apart."""
        assert self._cancelled is not None
        base = min(std for _, _, std in [*self.components_1, *self.components_0])
        shared: dict[tuple[float, float], float] = {}
        for weight, mean, std in self.components_1:
            shared[mean, std] = shared.get((mean, std), 0.0) + self.prior * weight
        common = [(weight - max(self._cancelled.get(key, 0.0), 0.0), key) for key, weight in shared.items()]
        sides = [
            [(weight, key) for key, weight in self._cancelled.items() if weight > 0],
            [(-weight, key) for key, weight in self._cancelled.items() if weight < 0],
            [(weight, key) for weight, key in common if weight > 1e-15 * shared[key]],
        ]
        first, second, both = (
            MixtureMeasure(
                np.array([weight for weight, _ in side]),
                np.array([mean for _, (mean, _) in side]),
                np.array([std**2 - base**2 for _, (_, std) in side]),
            )
            for side in sides
        )
        return Odds(first, second, both if sides[2] else None, base)

    def convolved_region(self, train_sigma: float) -> IntervalUnion:
        sigma = validation.nonnegative("train_sigma", train_sigma)
        bayes = self.augmented_region(0.0)
        ends = bayes.profile().ravel()
        ends = ends[np.isfinite(ends)]
        if sigma == 0 or ends.size == 0:
            return bayes
        odds = self._odds()
        zones, clear = undecided_zones(odds, sigma, ends[0], ends[-1])
        corners = np.array([*ends, *(mean for _, mean, _ in [*self.components_1, *self.components_0])])
        found, proven = [np.empty(0)], bayes.proven
        for zone in zones:
            smooth = SmoothedRegression(odds, sigma, zone, corners)
            # left and right of a zone the convolved rule is on the side of h
            for _ in range(_WIDENINGS):
                at_ends = smooth.value(zone)
                wrong = (at_ends >= 0) != bayes.contains(zone[:, None])
                if not wrong.any() or (np.abs(at_ends[wrong]) < 1e-12).any():
                    break
                zone = zone + (zone[1] - zone[0]) * wrong * np.array([-1, 1])
                smooth = SmoothedRegression(odds, sigma, zone, corners)
            if wrong.any():
                raise NoClosedFormError("h tends to ½ far out, where the convolved rule is undecided; use 'augmented'")
            cells = np.concatenate([zone, ends[(ends > zone[0]) & (ends < zone[1])]])
            crossings = find_crossings(smooth, np.zeros(1), cells)[0]
            found.append(crossings.points)
            proven = proven and crossings.proven
        points = np.concatenate(found)
        if points.size > ends.size:
            raise ArithmeticError(f"{points.size} crossings found where at most {ends.size} exist")
        # an undecided tail holds an even number of further crossings, and all together cannot outnumber those of h
        proven = proven and (bool(clear.all()) or points.size > ends.size - 2)
        starts_above = bool(np.isneginf(bayes.profile()[0, 0]))
        return IntervalUnion(Crossings(points, starts_above, proven).intervals(-np.inf, np.inf), proven=proven)

    def noised(self, sigma: float) -> MixtureOnLine:
        sigma = validation.nonnegative("sigma", sigma)
        wider = [
            [(weight, mean, float(np.hypot(std, sigma))) for weight, mean, std in parts]
            for parts in (self.components_1, self.components_0)
        ]
        return MixtureOnLine(wider[0], wider[1], self.prior)

    def law(self, label: int, region: ProfileRegion) -> Law:
        check_line_region(region)
        return MixtureLaw(*self._columns(label))

    def reach(self) -> float:
        return max(abs(mean) + 11 * std for _, mean, std in [*self.components_1, *self.components_0])
