"""Numerical helpers that keep tails: normal probabilities in logarithms, panels for quadrature, roots in brackets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug.validation import FloatArray

__all__ = [
    "bracketed_roots",
    "gauss_legendre",
    "log1mexp",
    "log_normal_interval",
    "margin_from_logs",
    "normal_interval_mean",
    "panel_nodes",
]

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


def _lower_tail(
    lower: ArrayLike, upper: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, np.ndarray]:
    """Intervals mirrored to lie below 0 or straddle it: a, b, width, middle, and whether they were mirrored."""
    lower, upper = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
    flip = upper > -lower
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    with np.errstate(invalid="ignore"):
        return a, b, b - a, 0.5 * (a + b), flip


def _mills(t: FloatArray) -> FloatArray:
    """Φ(−t)/φ(t)."""
    return np.sqrt(np.pi / 2) * special.erfcx(t / np.sqrt(2))


def _is_narrow(width: FloatArray, middle: FloatArray) -> np.ndarray:
    """Whether the density changes so little over the interval that a short series around its middle is exact."""
    return width * np.maximum(1.0, np.abs(middle)) < 3e-3


def log_normal_interval(lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """ln(Φ(upper) − Φ(lower)) for lower ≤ upper; the mass is right to a relative 1e-13 in tails and if narrow."""
    a, b, width, middle, _ = _lower_tail(lower, upper)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # both ends below 0: φ(b)(M(|b|) − e^{−(a²−b²)/2} M(|a|)), the exponent as a product
        fall = np.exp(-0.5 * width * -(a + b))
        tail = np.log(_mills(np.abs(b)) - np.where(np.isinf(a), 0.0, fall * _mills(np.abs(a))))
        result = np.asarray(tail + (-0.5 * b**2 - _HALF_LOG_2PI))
        if (straddling := b > 0).any():
            result[straddling] = np.log(special.ndtr(b[straddling]) - special.ndtr(a[straddling]))
        if (narrow := _is_narrow(width, middle)).any():
            m2, w2 = middle[narrow] ** 2, width[narrow] ** 2
            series = (m2 - 1) * w2 / 24 + (m2**2 - 6 * m2 + 3) * w2**2 / 1920
            result[narrow] = -0.5 * m2 - _HALF_LOG_2PI + np.log(width[narrow]) + np.log1p(series)
    result[~(b > a)] = -np.inf
    return result


def normal_interval_mean(lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """E[Z | lower ≤ Z ≤ upper] of a standard normal Z to a relative 1e-13; always lies in [lower, upper]."""
    a, b, width, middle, flip = _lower_tail(lower, upper)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        exponent = 0.5 * width * -(a + b)
        fall = np.where(np.isinf(a), 0.0, np.exp(-exponent))
        # (φ(a) − φ(b)) / mass, both over φ(b)
        tail = -np.where(np.isinf(a), 1.0, -np.expm1(-exponent)) / (
            _mills(np.abs(b)) - np.where(np.isinf(a), 0.0, fall * _mills(np.abs(a)))
        )
        mean = np.asarray(tail)
        if (straddling := b > 0).any():
            low, high = a[straddling], b[straddling]
            bells = np.exp(-0.5 * low**2) - np.exp(-0.5 * high**2)
            mean[straddling] = bells / np.sqrt(2 * np.pi) / (special.ndtr(high) - special.ndtr(low))
        if (narrow := _is_narrow(width, middle)).any():
            centre, size = middle[narrow], width[narrow]
            tilt = centre * size
            mean[narrow] = centre + size * (-tilt / 12 + tilt**3 / 720)
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
