"""Laws of a region's coordinate under one class: interval masses that keep their tails, and quadrature panels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug.numerics import (
    gauss_legendre,
    log1mexp,
    log_norm_density,
    log_normal_interval,
    norm_log_tails,
    panel_nodes,
)
from noiseaug.validation import FloatArray

__all__ = ["AtomLaw", "ChiLaw", "Law", "MixtureLaw", "ShellLaw", "UniformLaw"]

_NARROW = 1e-9  # of the mean: a law that is taken for its mean
_TAIL = 1e-22  # mass left outside of the quadrature window on either side


class Law(ABC):
    """The law of a real random variable C."""

    @abstractmethod
    def interval_mass(self, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
        """P(lower ≤ C ≤ upper), with relative accuracy for small masses too; arguments broadcast."""

    @abstractmethod
    def quadrature(self, breakpoints: ArrayLike, order: int) -> tuple[FloatArray, FloatArray]:
        """Nodes and weights such that Σ w f(c) ≈ E f(C) for f smooth between the breakpoints."""

    def union_mass(self, intervals: FloatArray) -> float:
        """P(C ∈ union) for sorted, disjoint intervals of shape (k, 2)."""
        return float(np.sum(self.interval_mass(intervals[:, 0], intervals[:, 1]))) if len(intervals) else 0.0


def _window_panels(
    low: float, high: float, panels: int, breakpoints: ArrayLike, order: int
) -> tuple[FloatArray, FloatArray]:
    """Composite rule on [low, high] with equal panels, split at the breakpoints that fall inside."""
    inner = np.asarray(breakpoints, dtype=float).ravel()
    inner = inner[(inner > low) & (inner < high)]
    return panel_nodes(np.unique(np.concatenate([np.linspace(low, high, panels + 1), inner])), order)


@dataclass(frozen=True)
class MixtureLaw(Law):
    """Σ_k w_k N(m_k, s_k²); one component is the plain normal law. The components are the last axis."""

    weights: FloatArray
    means: FloatArray
    stds: FloatArray

    def interval_mass(self, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
        lower, upper = np.asarray(lower, float)[..., None], np.asarray(upper, float)[..., None]
        logs = log_normal_interval((lower - self.means) / self.stds, (upper - self.means) / self.stds)
        return np.sum(self.weights * np.exp(logs), axis=-1)

    def density(self, c: FloatArray) -> FloatArray:
        """Density at each point."""
        z = (c[..., None] - self.means) / self.stds
        return np.sum(self.weights * np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * self.stds), axis=-1)

    def quadrature(self, breakpoints: ArrayLike, order: int) -> tuple[FloatArray, FloatArray]:
        steps = np.arange(-10, 11)
        ends = np.sort((self.means[:, None] + self.stds[:, None] * steps).ravel())
        if len(self.means) == 1 and ends[-1] - ends[0] <= _NARROW * abs(self.means[0]):
            splits = np.ravel(breakpoints)
            if not ((splits >= ends[0]) & (splits <= ends[-1])).any():
                return self.means, self.weights  # so far out that doubles hardly tell its points apart
        nodes, weights = _window_panels(ends[0], ends[-1], 1, np.concatenate([ends, np.ravel(breakpoints)]), order)
        return nodes, weights * self.density(nodes)


@dataclass(frozen=True)
class ChiLaw(Law):
    """The law of scale·|Z| for Z standard normal in R^dim."""

    dim: int
    scale: float

    def interval_mass(self, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
        lower, upper = np.broadcast_arrays(np.maximum(lower, 0.0), np.asarray(upper, dtype=float))
        low_below, low_above = norm_log_tails(self.dim, 0.0, lower, self.scale)
        high_below, high_above = norm_log_tails(self.dim, 0.0, upper, self.scale)
        # difference of the tails on the side where both are small
        with np.errstate(invalid="ignore"):
            from_below = high_below + log1mexp(low_below - high_below)
            from_above = low_above + log1mexp(high_above - low_above)
        below = high_below < low_above
        mass = np.array(np.exp(np.where(below, from_below, from_above)))
        # where the interval is so narrow that the tails at its ends nearly cancel: its density, integrated
        with np.errstate(invalid="ignore"):
            # both ends may lie where nothing is left; NaN is not narrow
            drop = np.where(below, high_below - low_below, low_above - high_above)
        narrow = (upper > lower) & (drop < 1e-3)
        if narrow.any():
            nodes, weights = gauss_legendre(6)
            width = (upper - lower)[narrow]
            at = lower[narrow][:, None] + 0.5 * width[:, None] * (1 + nodes)
            density = np.exp(log_norm_density(self.dim, 0.0, at, self.scale))
            mass[narrow] = 0.5 * width * np.sum(weights * density, axis=-1)
        return np.where(upper > lower, mass, 0.0)

    def quadrature(self, breakpoints: ArrayLike, order: int) -> tuple[FloatArray, FloatArray]:
        half = 0.5 * self.dim
        low = self.scale * np.sqrt(2 * special.gammaincinv(half, _TAIL))
        high = self.scale * np.sqrt(2 * special.gammainccinv(half, _TAIL))
        nodes, weights = _window_panels(low, high, 20, breakpoints, order)
        return nodes, weights * np.exp(log_norm_density(self.dim, 0.0, nodes, self.scale))


@dataclass(frozen=True)
class AtomLaw(Law):
    """A point mass."""

    at: float

    def interval_mass(self, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
        return ((np.asarray(lower) <= self.at) & (self.at <= np.asarray(upper))).astype(float)

    def quadrature(self, breakpoints: ArrayLike, order: int) -> tuple[FloatArray, FloatArray]:
        return np.array([self.at]), np.ones(1)


@dataclass(frozen=True)
class ShellLaw(Law):
    """The norm of a uniform point of {inner ≤ |x| ≤ outer} in R^dim."""

    dim: int
    inner: float
    outer: float

    def _log_volume(self, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """ln(upper^d − lower^d) in units of outer^d."""
        with np.errstate(divide="ignore", invalid="ignore"):
            top = self.dim * np.log(upper / self.outer)
            return np.where(upper > lower, top + log1mexp(self.dim * np.log(lower / upper)), -np.inf)

    def interval_mass(self, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
        low = np.clip(np.asarray(lower, float), self.inner, self.outer)
        high = np.clip(np.asarray(upper, float), self.inner, self.outer)
        return np.exp(self._log_volume(low, high) - self._log_volume(np.array(self.inner), np.array(self.outer)))

    def quadrature(self, breakpoints: ArrayLike, order: int) -> tuple[FloatArray, FloatArray]:
        # in high dimension all volume lies within outer·(1 − 50/d) of the rim
        low = max(self.inner, self.outer * (1 - 50.0 / self.dim))
        nodes, weights = _window_panels(low, self.outer, 20, breakpoints, order)
        norm = float(self._log_volume(np.array(self.inner), np.array(self.outer)))
        log_density = np.log(self.dim / self.outer) + (self.dim - 1) * np.log(nodes / self.outer) - norm
        return nodes, weights * np.exp(log_density)


@dataclass(frozen=True)
class UniformLaw(Law):
    """Uniform on a union of intervals, shape (k, 2)."""

    pieces: FloatArray

    def interval_mass(self, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
        lower, upper = np.asarray(lower, float)[..., None], np.asarray(upper, float)[..., None]
        overlap = np.minimum(upper, self.pieces[:, 1]) - np.maximum(lower, self.pieces[:, 0])
        return np.sum(np.maximum(overlap, 0.0), axis=-1) / np.sum(self.pieces[:, 1] - self.pieces[:, 0])

    def quadrature(self, breakpoints: ArrayLike, order: int) -> tuple[FloatArray, FloatArray]:
        parts = [_window_panels(low, high, 8, breakpoints, order) for low, high in self.pieces]
        nodes, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return nodes, weights / np.sum(self.pieces[:, 1] - self.pieces[:, 0])
