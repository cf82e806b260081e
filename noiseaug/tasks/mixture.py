"""Gaussian mixtures on the line (docs/math.md 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import _validate
from noiseaug._levelset import find_crossings, tail_window
from noiseaug._measures import MixtureMeasure, MixtureRatio
from noiseaug._numerics import FloatArray, gauss_legendre, panel_nodes
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.laws import Law, MixtureLaw
from noiseaug.regions import IntervalUnion
from noiseaug.regions._base import ProfileRegion
from noiseaug.tasks._base import ProfileTask
from noiseaug.tasks.line import check_line_region

__all__ = ["MixtureOnLine"]

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
        object.__setattr__(self, "prior", _validate.probability("prior", self.prior))
        for name in ("components_1", "components_0"):
            parts = _validate.array(name, getattr(self, name), 2)
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
        for share, parts in ((self.prior, self.components_1), (self.prior - 1, self.components_0)):
            for weight, mean, std in parts:
                signed[mean, std] = signed.get((mean, std), 0.0) + share * weight
        signed = {key: value for key, value in signed.items() if abs(value) > 1e-15}
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
        return MixtureMeasure(weights, means, stds**2).log_smoothed(_validate.points(x, 1)[:, 0], noise_sigma)

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
        ratio = self._ratio(_validate.nonnegative("train_sigma", train_sigma))
        if isinstance(ratio, bool):
            return IntervalUnion(np.array([[-np.inf, np.inf]] if ratio else []))
        means = np.concatenate([ratio.first.means, ratio.second.means])
        level = np.zeros(1)
        low, high = tail_window(ratio, level, means.min() - ratio.sigma, means.max() + ratio.sigma, ratio.sigma)
        crossings = find_crossings(ratio, level, np.concatenate([[low], means, [high]]))[0]
        return IntervalUnion(crossings.intervals(-np.inf, np.inf), proven=crossings.proven)

    def convolved_region(self, train_sigma: float) -> IntervalUnion:
        alpha = _validate.nonnegative("train_sigma", train_sigma)
        bayes = self.augmented_region(0.0)
        ends = bayes.profile().ravel()
        ends = ends[np.isfinite(ends)]
        if alpha == 0 or ends.size == 0:
            return bayes
        smooth = _SmoothedRegression(self, alpha)
        level = np.array([0.5])
        low, high = tail_window(smooth, level, ends[0] - alpha, ends[-1] + alpha, alpha)
        smooth.prepare(low - 12 * alpha, high + 12 * alpha)
        crossings = find_crossings(smooth, level, np.concatenate([[low], ends, [high]]))[0]
        if crossings.points.size > ends.size:
            raise ArithmeticError(f"{crossings.points.size} crossings found where at most {ends.size} exist")
        return IntervalUnion(crossings.intervals(-np.inf, np.inf), proven=crossings.proven)

    def noised(self, sigma: float) -> MixtureOnLine:
        sigma = _validate.nonnegative("sigma", sigma)
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


class _SmoothedRegression:
    """g = h ∗ p_α of a mixture task by quadrature on panels that resolve h; |g″| ≤ E|Z²−1| / 2α² bounds its slope."""

    _CURVATURE = 0.4839414490382867  # E|Z² − 1| / 2 = 2φ(1)
    _TAIL_ODDS = 0.05  # |ln odds| that h must keep beyond the window, so that g keeps to its side of ½

    def __init__(self, task: MixtureOnLine, sigma: float) -> None:
        self._task, self._sigma = task, sigma
        ratio = task._ratio(0.0)
        assert not isinstance(ratio, bool)
        self._ratio = ratio
        self._nodes = self._weighted = np.empty(0)

    def settled(self, x: float, side: int, level: float) -> bool:
        # beyond x − 2α h keeps its side with some odds; P(Z > −2) = .977 of the noise sees that side only
        start = x - side * 2 * self._sigma
        above = float(self._ratio.value(np.array([start]))[0]) >= 0
        settled = self._ratio.settled(start, side, self._TAIL_ODDS if above else -self._TAIL_ODDS)
        value = float(self._ratio.value(np.array([start]))[0])
        if not settled and abs(start) > 1e6 * (1 + self._task.reach()):
            raise NoClosedFormError("h tends to ½ far out, where the convolved rule is undecided; use rule 'augmented'")
        return settled and abs(value) >= self._TAIL_ODDS

    def prepare(self, low: float, high: float) -> None:
        """Panels of at most half a noise level, halved until h is resolved by the rule's nodes."""
        ends = np.linspace(low, high, 2 + int(2 * (high - low) / self._sigma))
        left, right = ends[:-1], ends[1:]
        done: list[FloatArray] = []
        for _ in range(60):
            rough = self._panel_tail(left, right) > 1e-13
            done.append(np.stack([left[~rough], right[~rough]], axis=1))
            if not rough.any():
                break
            middle = 0.5 * (left[rough] + right[rough])
            left, right = np.concatenate([left[rough], middle]), np.concatenate([middle, right[rough]])
        panels = np.concatenate(done)
        panels = panels[np.argsort(panels[:, 0])]
        nodes, weights = panel_nodes(np.append(panels[:, 0], panels[-1, 1]), 16)
        self._nodes, self._weighted = nodes, weights * self._task.regression(nodes)
        # h beyond the panels, 12 noise levels away, counts as the limit that it has there
        self._window = low, high
        self._limits = self._task.regression(np.array([low, high]))

    def _panel_tail(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Size of the last Legendre coefficients of h on each panel, a measure of how well it is resolved."""
        unit, weights = gauss_legendre(16)
        middle, half = 0.5 * (left + right), 0.5 * (right - left)
        values = self._task.regression((middle[:, None] + half[:, None] * unit).ravel()).reshape(-1, 16)
        last = [special.eval_legendre(k, unit) * weights * (k + 0.5) for k in (14, 15)]
        return np.maximum(np.abs(values @ last[0]), np.abs(values @ last[1]))

    def _bells(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        z = (self._nodes - x[:, None]) / self._sigma
        return z, np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * self._sigma)

    def value(self, x: FloatArray) -> FloatArray:
        _, bells = self._bells(np.ravel(x))
        low, high = ((end - np.ravel(x)) / self._sigma for end in self._window)
        outside = self._limits[0] * special.ndtr(low) + self._limits[1] * special.ndtr(-high)
        return (bells @ self._weighted + outside).reshape(np.shape(x))

    def slope_range(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        z, bells = self._bells(0.5 * (left + right))
        slope = (z * bells) @ self._weighted / self._sigma
        slack = 0.5 * (right - left) * self._CURVATURE / self._sigma**2 + 1e-11 / self._sigma
        return slope - slack, slope + slack
