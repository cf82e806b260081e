"""Measures on the line whose Gaussian smoothing is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from noiseaug.numerics.level_sets import RatioFunction
from noiseaug.numerics.normal import log_normal_interval, normal_interval_mean
from noiseaug.validation import FloatArray

__all__ = ["FourierStep", "MixtureMeasure", "MixtureRatio", "StepMeasure"]


def _log_sum(logs: FloatArray) -> FloatArray:
    """ln Σ exp over the last axis; far less costs a call than of ``scipy.special.logsumexp``."""
    top = np.argmax(logs, axis=-1)[..., None]
    largest = np.take_along_axis(logs, top, axis=-1)
    rest = np.exp(logs - np.where(np.isneginf(largest), 0.0, largest))
    np.put_along_axis(rest, top, 0.0, axis=-1)
    return largest[..., 0] + np.log1p(np.sum(rest, axis=-1))


def _mean(logs: FloatArray, values: FloatArray) -> FloatArray:
    """The mean of the values with weights exp(logs), over the last axis."""
    weights = np.exp(logs - np.max(logs, axis=-1, keepdims=True))
    # nothing has no weight, whatever its value
    return np.sum(np.where(weights > 0, weights * values, 0.0), axis=-1) / np.sum(weights, axis=-1)


@dataclass(frozen=True)
class StepMeasure:
    """Length (Lebesgue measure) restricted to a union of intervals.

    Attributes:
        pieces: the intervals, shape (k, 2), ends may be infinite; or of shape (n, k, 2), a union for each of n points.
    """

    pieces: FloatArray

    @property
    def support(self) -> tuple[Any, Any]:
        return self.pieces[..., 0, 0], self.pieces[..., -1, 1]

    def _logs(self, x: FloatArray, sigma: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
        lower, upper = ((self.pieces[..., k] - x[..., None]) / np.asarray(sigma)[..., None] for k in (0, 1))
        return lower, upper, log_normal_interval(lower, upper)

    def log_smoothed(self, x: FloatArray, sigma: Any) -> FloatArray:
        with np.errstate(invalid="ignore", over="ignore"):
            return np.minimum(_log_sum(self._logs(x, sigma)[2]), 0.0)

    def conditional_mean(self, x: FloatArray, sigma: Any) -> FloatArray:
        lower, upper, logs = self._logs(x, sigma)
        with np.errstate(invalid="ignore", over="ignore"):
            return x + sigma * _mean(logs, normal_interval_mean(lower, upper))


@dataclass(frozen=True)
class MixtureMeasure:
    """Σ_k w_k N(m_k, v_k), with v_k = 0 a point mass.

    Attributes:
        weights: w_k > 0, shape (k,); they need not sum to 1.
        means: m_k, shape (k,).
        variances: v_k ≥ 0, shape (k,).
    """

    weights: FloatArray
    means: FloatArray
    variances: FloatArray

    @property
    def support(self) -> tuple[float, float]:
        if (self.variances > 0).any():
            return -np.inf, np.inf
        return float(self.means.min()), float(self.means.max())

    def _log_terms(self, x: FloatArray, sigma: float) -> FloatArray:
        total = self.variances + sigma**2
        square = (x[..., None] - self.means) ** 2 / total
        return np.log(self.weights) - 0.5 * (square + np.log(2 * np.pi * total))

    def log_smoothed(self, x: FloatArray, sigma: float) -> FloatArray:
        with np.errstate(invalid="ignore", over="ignore"):
            return _log_sum(self._log_terms(x, sigma))

    def conditional_mean(self, x: FloatArray, sigma: float) -> FloatArray:
        shrink = self.variances / (self.variances + sigma**2)
        with np.errstate(invalid="ignore", over="ignore"):
            return _mean(self._log_terms(x, sigma), self.means + shrink * (x[..., None] - self.means))


@dataclass(frozen=True)
class MixtureRatio(RatioFunction):
    """The log-ratio of two smoothed Gaussian mixtures, whose tails the widest component decides."""

    first: MixtureMeasure
    second: MixtureMeasure

    def settled(self, x: float, side: int, level: float) -> bool:
        above = float(self.value(np.array([x]))[0]) >= level
        winner, loser = (self.first, self.second) if above else (self.second, self.first)
        wide = winner.variances + self.sigma**2
        # the component that is largest far out: the widest, and among those the one furthest on this side
        top = max(range(wide.size), key=lambda k: (wide[k], side * winner.means[k]))
        other = loser.variances + self.sigma**2
        # ln(loser's component / top) has this derivative outwards at x, and a non-positive second derivative
        # exactly where the loser's component is not wider
        slope = side * (-(x - loser.means) / other + (x - winner.means[top]) / wide[top])
        if (other > wide[top]).any() or (slope > 0).any():
            return False
        log_top = winner._log_terms(np.array([x]), self.sigma)[0, top]
        log_loser = loser.log_smoothed(np.array([x]), self.sigma)[0]
        return bool(log_top > log_loser + (level if above else -level))


class FourierStep:
    """(1_A ∗ p_σ) on a circle for σ not small against its length, scaled to its largest harmonic.

    The smoothed indicator is mean + scale · G(x); G keeps its accuracy where the scale is far below rounding.
    """

    def __init__(self, arcs: FloatArray, period: float, sigma: float, harmonics: int = 64) -> None:
        k = np.arange(1, harmonics + 1)
        self._frequency = 2 * np.pi * k / period
        middle, half = 0.5 * (arcs[:, 0] + arcs[:, 1]), 0.5 * (arcs[:, 1] - arcs[:, 0])
        parts = np.exp(-1j * self._frequency[:, None] * middle) * np.sin(self._frequency[:, None] * half)
        coefficients = parts.sum(axis=1) / (np.pi * k)
        # exact zeros of symmetric sets, up to rounding
        coefficients[np.abs(parts.sum(axis=1)) < 1e-14 * np.abs(parts).sum(axis=1)] = 0.0
        with np.errstate(divide="ignore"):
            log_size = np.log(np.abs(coefficients)) - 0.5 * (self._frequency * sigma) ** 2
        self.mean = float(np.sum(arcs[:, 1] - arcs[:, 0]) / period)
        self._tie = 2e-16 * (2 + len(arcs))
        self.log_scale = float(log_size.max()) if np.isfinite(log_size).any() else -np.inf
        self.scale = float(np.exp(self.log_scale))
        relative = np.exp(log_size - self.log_scale) if np.isfinite(self.log_scale) else np.zeros(harmonics)
        self._amplitude = 2 * relative * np.exp(1j * np.angle(coefficients))
        self._curvature = float(np.sum(np.abs(self._amplitude) * self._frequency**2))

    def value(self, x: FloatArray) -> FloatArray:
        waves = np.exp(1j * self._frequency * np.asarray(x)[..., None])
        return np.sum((self._amplitude * waves).real, axis=-1)

    def slope_range(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        waves = 1j * self._frequency * np.exp(1j * self._frequency * (0.5 * (left + right))[..., None])
        slope = np.sum((self._amplitude * waves).real, axis=-1)
        slack = 0.5 * (right - left) * self._curvature + 1e-13 * float(
            np.sum(np.abs(self._amplitude) * self._frequency)
        )
        return slope - slack, slope + slack

    def rounding(self, x: FloatArray) -> FloatArray:
        return np.full(np.shape(x), 1e-14)

    def level_of(self, mass: FloatArray) -> FloatArray:
        """The level of G at which the smoothed indicator equals ``mass``."""
        gap = np.asarray(mass) - self.mean
        gap = np.where(np.abs(gap) <= self._tie, 0.0, gap)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            level = gap / self.scale
        return np.where(gap == 0, 0.0, level)
