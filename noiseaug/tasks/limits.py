"""What concentric classes tend to as the dimension grows: a band in (α, β) with sharp edges (docs/math.md 2.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.numerics import bracketed_roots
from noiseaug.tasks.base import Task
from noiseaug.tasks.radial import ConcentricGaussians, ConcentricSpheres
from noiseaug.validation import FloatArray

__all__ = ["ConcentricLimit"]


@dataclass(frozen=True)
class ConcentricLimit:
    """Two concentric classes in d → ∞ dimensions, with |X|²/d → std_y² in class y and α and β fixed.

    The smoothed classifier gets both classes right where std_1² + β² < g(α) < std_0² + β², and gives one answer
    everywhere outside. α = β always lies inside. Lengths in the space, such as certified radii, grow like √d; what is
    returned here is their limit after division by √d. Arguments broadcast.

    Attributes:
        std_1: limit of |X|/√d in class 1, the inner one.
        std_0: limit of |X|/√d in class 0.
        law: ``"gaussian"`` for N(0, std_y² I), ``"sphere"`` for the uniform law on the sphere of radius std_y √d.
    """

    std_1: float
    std_0: float
    law: Literal["gaussian", "sphere"] = "gaussian"

    def __post_init__(self) -> None:
        for name in ("std_1", "std_0"):
            object.__setattr__(self, name, validation.positive(name, getattr(self, name)))
        validation.choice("law", self.law, ("gaussian", "sphere"))
        if self.std_1 >= self.std_0:
            raise InvalidInputError(f"std_1 is {self.std_1:g} and std_0 is {self.std_0:g}; expected std_1 < std_0")

    @classmethod
    def of(cls, task: Task) -> ConcentricLimit:
        """The limit of the family that a task belongs to.

        Raises:
            NoClosedFormError: for a task whose classes are not concentric Gaussians or spheres.
        """
        if isinstance(task, ConcentricGaussians):
            return cls(task.std_1, task.std_0)
        if isinstance(task, ConcentricSpheres):
            scale = float(np.sqrt(task.dim))
            return cls(task.radius_1 / scale, task.radius_0 / scale, "sphere")
        raise NoClosedFormError(
            f"{type(task).__name__} has no such limit; ConcentricGaussians and ConcentricSpheres have"
        )

    def threshold(self, train_sigma: ArrayLike) -> FloatArray:
        """g(α), the limit of ρ_α²/d for the ball of radius ρ_α where the augmented rule predicts class 1."""
        variance = _levels("train_sigma", train_sigma) ** 2
        if self.law == "sphere":
            return self.balance(train_sigma)
        inner, outer = self.std_1**2 + variance, self.std_0**2 + variance
        gap = (self.std_0 - self.std_1) * (self.std_0 + self.std_1)
        return np.log1p(gap / inner) * inner * outer / gap

    def balance(self, smooth_sigma: ArrayLike) -> FloatArray:
        """The g at which the limits of both classes' certified radii are equal, and the smaller one is largest."""
        sigma = _levels("smooth_sigma", smooth_sigma)
        flat = sigma.ravel()

        def ahead(g: FloatArray, s: FloatArray) -> FloatArray:
            # in the ratio of the deviations only: the radii themselves are tiny where noise is large
            return np.log(_distance(self.std_0**2, g, s) / _distance(self.std_1**2, g, s))

        gap = self.std_0**2 - self.std_1**2
        low, high = (flat**2 + self.std_1**2 + share * gap for share in (0.01, 0.99))
        return bracketed_roots(ahead, low, high, args=(flat,)).reshape(sigma.shape)

    def room(self, train_sigma: ArrayLike, smooth_sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """g(α) − (std_1² + β²) and (std_0² + β²) − g(α): class y is right in the limit where its room is positive."""
        return self._room(self.threshold(train_sigma), _levels("smooth_sigma", smooth_sigma))

    def _room(self, threshold: FloatArray, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        return threshold - self.std_1**2 - beta**2, self.std_0**2 + beta**2 - threshold

    def inside(self, train_sigma: ArrayLike, smooth_sigma: ArrayLike) -> np.ndarray:
        """Whether both classes are right in the limit."""
        room_1, room_0 = self.room(train_sigma, smooth_sigma)
        return (room_1 > 0) & (room_0 > 0)

    def radii(self, train_sigma: ArrayLike, smooth_sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Limits of the certified radius divided by √d, of class 1 and of class 0; negative where the class is wrong.

        A run in dimension d certifies class y up to about √d times this; the distance from √d is of order 1.
        """
        threshold, beta = self.threshold(train_sigma), _levels("smooth_sigma", smooth_sigma)
        room_1, room_0 = self._room(threshold, beta)
        return (
            np.sign(room_1) * _distance(self.std_1**2, threshold, beta),
            np.sign(room_0) * _distance(self.std_0**2, threshold, beta),
        )

    def edges(self, train_sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """The least and the largest β of the band at each α; the least is 0 where no smoothing is too little."""
        threshold = self.threshold(train_sigma)
        return (
            np.sqrt(np.maximum(threshold - self.std_0**2, 0.0)),
            np.sqrt(np.maximum(threshold - self.std_1**2, 0.0)),
        )

    def widths(self, train_sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """√d times the standard deviation, in β, of the transition at each edge; NaN where the band begins at β = 0.

        Around an edge the accuracy of the class that is lost there is Φ((β − edge)/(width/√d)) to order d^(−1/2). On
        spheres both are 0: all points of a class turn wrong at once.
        """
        scale = 0.0 if self.law == "sphere" else 1 / np.sqrt(2)
        lower, upper = self.edges(train_sigma)
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = scale * self.std_0**2 / lower, scale * self.std_1**2 / upper
        return np.where(lower > 0, first, np.nan), second

    def risk(self, dim: int, train_sigma: ArrayLike, smooth_sigma: ArrayLike, *, prior: float = 0.5) -> FloatArray:
        """The risk in dimension d to order d^(−1/2), uniformly in (α, β): the limit with its edges blurred."""
        root = np.sqrt(validation.integer("dim", dim))
        share = validation.probability("prior", prior)
        room_1, room_0 = self.room(train_sigma, smooth_sigma)
        if self.law == "sphere":
            return share * (room_1 <= 0) + (1 - share) * (room_0 <= 0)
        wrong_1, wrong_0 = (
            special.ndtr(-root * room / (np.sqrt(2) * std**2))
            for room, std in ((room_1, self.std_1), (room_0, self.std_0))
        )
        return share * wrong_1 + (1 - share) * wrong_0

    def best_train_sigma(self, smooth_sigma: float, *, certified: bool = False) -> float:
        """The α that the best training noise tends to.

        Args:
            smooth_sigma: β ≥ 0.
            certified: the α whose smaller certified radius is largest; otherwise the one with the least risk, after
                which the smoothed classifier is the Bayes classifier.
        """
        beta = validation.nonnegative("smooth_sigma", smooth_sigma)
        wanted = float(self.balance(beta)) if certified else float(self.threshold(0.0)) + beta**2
        if wanted <= float(self.threshold(0.0)):
            return 0.0

        # g(α) lies between std_1² + α² and std_0² + α²
        high = np.sqrt(wanted - self.std_1**2)
        return float(bracketed_roots(lambda a: self.threshold(a) - wanted, 0.0, float(high))[0])


def _levels(name: str, value: ArrayLike) -> FloatArray:
    """Noise levels of any shape, as floats."""
    levels = np.asarray(value, dtype=float)
    if not (levels >= 0).all() or not np.isfinite(levels).all():
        raise InvalidInputError(f"{name} is {value!r}; expected finite numbers of at least 0")
    return levels


def _distance(square: ArrayLike, level: ArrayLike, sigma: ArrayLike) -> FloatArray:
    """Limit of σ|Φ⁻¹(P(|x + σZ|² ≤ d·level))|/√d for |x|² = d·square: √2 σ times the root of the rate of deviations.

    σ² times twice Cramér's rate is square (1 − u)² + σ² (u − 1 − ln u) with u = 2 level/(σ² + √(σ⁴ + 4 square level));
    at σ = 0 what is left is the distance |√level − √square|.
    """
    t, g, s = (np.asarray(value, dtype=float) for value in (square, level, sigma))
    variance = s * s
    # u = 1/(1 + w), with the difference that vanishes on the edge taken once
    w = 2 * (t + variance - g) / (2 * g - variance + np.sqrt(variance**2 + 4 * t * g))
    u = 1 / (1 + w)
    small = np.abs(w) < 1e-3
    curved = np.where(small, w * w * (0.5 - w * (2 / 3 - w * (0.75 - 0.8 * w))), np.log1p(w) - w * u)
    return np.sqrt(np.maximum(t * (w * u) ** 2 + variance * curved, 0.0))
