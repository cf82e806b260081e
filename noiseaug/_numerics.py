"""Numerical helpers that keep tails: normal probabilities in logarithms, panels for quadrature, roots in brackets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = [
    "FloatArray",
    "bracketed_roots",
    "gauss_legendre",
    "log1mexp",
    "log_normal_interval",
    "margin_from_logs",
    "normal_interval_mean",
    "panel_nodes",
]

FloatArray = NDArray[np.float64]

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def log1mexp(x: ArrayLike) -> FloatArray:
    """log(1 − eˣ) for x ≤ 0, accurate at both ends (Mächler 2012)."""
    x = np.minimum(np.asarray(x, dtype=float), 0.0)
    with np.errstate(divide="ignore"):
        return np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def margin_from_logs(log_mass: ArrayLike, log_complement: ArrayLike) -> FloatArray:
    """Φ⁻¹(p) from ln p and ln(1 − p), through the smaller of the two so that neither tail is lost."""
    log_mass, log_complement = np.broadcast_arrays(np.asarray(log_mass, float), np.asarray(log_complement, float))
    small = np.minimum(log_mass, log_complement)
    tail = special.ndtri_exp(np.minimum(small, -np.log(2)))
    return np.where(log_mass < log_complement, tail, -tail)


def log_normal_interval(lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """ln(Φ(upper) − Φ(lower)) for lower ≤ upper, keeping relative accuracy in both tails and for narrow intervals."""
    lower, upper = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
    # Work in the lower tail, where log_ndtr resolves differences.
    flip = lower > 0
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_b = special.log_ndtr(b)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        wide = log_b + log1mexp(special.log_ndtr(a) - log_b)
        width, middle = b - a, 0.5 * (a + b)
        # Narrow intervals: density at the midpoint times the width, with the next term of the expansion.
        narrow = -0.5 * middle**2 - _HALF_LOG_2PI + np.log(width) + np.log1p((middle**2 - 1) * width**2 / 24)
        result = np.where(width * np.maximum(1.0, np.abs(middle)) < 1e-4, narrow, wide)
    return np.where(b > a, result, -np.inf)


def normal_interval_mean(lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """E[Z | lower ≤ Z ≤ upper] of a standard normal Z; lies in [lower, upper] whatever the rounding."""
    lower, upper = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
    flip = upper > -lower
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    # Now |a| ≥ |b|, so φ(b) ≥ φ(a) and the mean (φ(a) − φ(b)) / mass is negative or zero.
    with np.errstate(invalid="ignore", over="ignore"):
        log_phi_b = -0.5 * b**2 - _HALF_LOG_2PI
        gap = np.where(np.isfinite(b), 0.5 * (b - a) * (b + a), 0.0)
        mean = -np.exp(log_phi_b + log1mexp(gap) - log_normal_interval(a, b))
        mean = np.where(np.isneginf(a) & np.isposinf(b), 0.0, mean)
        mean = np.where(b - a < 1e-4, 0.5 * (a + b), mean)
    mean = np.clip(mean, a, b)
    return np.where(flip, -mean, mean)


@cache
def gauss_legendre(order: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the Gauss–Legendre rule on [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, weights


def panel_nodes(breakpoints: ArrayLike, order: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a composite Gauss–Legendre rule with one panel between each two breakpoints.

    Args:
        breakpoints: sorted ends of the panels, shape (k+1,).
        order: nodes in each panel.

    Returns:
        Nodes and weights, each of shape (k·order,); the weights sum to the length covered.
    """
    ends = np.asarray(breakpoints, dtype=float)
    unit_nodes, unit_weights = gauss_legendre(order)
    half = 0.5 * np.diff(ends)[:, None]
    middle = 0.5 * (ends[1:] + ends[:-1])[:, None]
    return (middle + half * unit_nodes).ravel(), (half * unit_weights).ravel()


def bracketed_roots(
    function: Callable[..., FloatArray], lower: ArrayLike, upper: ArrayLike, args: tuple[ArrayLike, ...] = ()
) -> FloatArray:
    """One root in each bracket, to the last bits, by Chandrupatla's method (``scipy.optimize.elementwise``).

    Args:
        function: vectorised; its values at ``lower`` and ``upper`` have opposite signs, or one is 0.
        lower: lower ends, shape (k,).
        upper: upper ends, shape (k,).
        args: further arguments of the function, each of shape (k,).
    """
    lower, upper = np.atleast_1d(np.asarray(lower, float)), np.atleast_1d(np.asarray(upper, float))
    if lower.size == 0:
        return lower
    from scipy.optimize import elementwise  # imported here: it costs a quarter of a second

    ends = [np.broadcast_to(np.asarray(function(end, *args), dtype=float), lower.shape) for end in (lower, upper)]
    found = elementwise.find_root(function, (lower, upper), args=args, tolerances={"xatol": 0.0, "xrtol": 4e-16})
    roots = np.asarray(found.x, dtype=float)
    same_sign = np.sign(ends[0]) * np.sign(ends[1]) > 0
    if same_sign.any():
        # a bracket that is exact up to rounding may miss the root by rounding: then one end is it
        nearer = np.where(np.abs(ends[0]) <= np.abs(ends[1]), lower, upper)
        smaller, larger = np.minimum(*np.abs(ends)), np.maximum(*np.abs(ends))
        if (smaller[same_sign] > 1e-9 * np.maximum(larger[same_sign], 1.0)).any():
            raise ArithmeticError("a bracket holds no root")
        roots = np.where(same_sign, nearer, roots)
    if np.isnan(roots).any():
        raise ArithmeticError("root-finding did not converge")
    return roots
