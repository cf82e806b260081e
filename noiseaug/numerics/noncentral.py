"""The law of |x + σZ|² in any dimension, with relative accuracy in both tails.

With μ = d/2, a = |x|²/2σ² and b = ρ²/2σ² the probability that |x + σZ| exceeds ρ is the generalised Marcum Q function

    Q(μ, a, b) = e^{−a−b} / 2πi · ∫ e^{φ(p)} / (1 − p) dp,      φ(p) = p b + a/p − μ ln p,

over a path from −i∞ to i∞ that passes the real axis between 0 and 1; passing to the right of the pole gives −(1 − Q).
φ is real along p(θ) = r(θ) e^{iθ} with r(θ) = (c + √(c² + 4ab)) / 2b, c = μθ/sin θ, the path of steepest descent,
where the integrand is a bell and the trapezoidal rule converges geometrically (the path is that of Gil, Segura &
Temme, "Computation of the Marcum Q-function", ACM TOMS 40, 2014). Near the mean the path is scaled away from the
pole. Everything is arranged so that no two large numbers are subtracted, hence d of 10⁵ and more and tails of e^{−10⁶}
cost no accuracy. ``docs/math.md`` has the derivation; the tests compare with mpmath.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug.numerics.normal import log1mexp, log_normal_interval, margin_from_logs, panel_nodes
from noiseaug.validation import FloatArray

__all__ = [
    "log_norm_density",
    "log_sphere_density",
    "log_sphere_ratio",
    "norm_log_tails",
    "norm_margin",
    "norm_margin_curve",
]

_WIDTHS = 9.6  # the bell is cut where it is below e^{−46} of its top
_POLE_STEPS = 6.5  # least distance of the path from the pole, in steps: the pole then costs e^{−2π·6.5}
_BLOCK = 1 << 9  # evaluations at a time, so that a few temporaries fit the cache of one core


def _node_count(mu: FloatArray) -> int:
    """Nodes on the half path: they leave 1e-12 or less; the slowly decaying integrand of the plane wants the most."""
    least = mu.min()
    return 96 if least < 1.25 else 48 if least < 4 else 32


def _saddle(
    mu: FloatArray, a: FloatArray, b: FloatArray, excess: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """S = √(μ²+4ab), the saddle r₀, ln r₀ without cancellation, and φ(r₀) − a − b ≤ 0; ``excess`` is a − b."""
    big = np.sqrt(mu * mu + 4 * a * b)
    saddle = (mu + big) / (2 * b)
    gap = 2 * (excess + mu) / np.where(2 * b > mu, big + 2 * b - mu, 2 * b + 4 * a * b / (big + mu))
    # far from the mean the saddle itself, near it the gap keeps all digits
    log_saddle = np.where(np.abs(gap) < 0.5, np.log1p(np.maximum(gap, -0.9)), np.log(saddle))
    rate = -mu * (log_saddle - gap / saddle) - a * (gap / saddle) ** 2
    return big, saddle, log_saddle, rate


def _sine_cosine(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """sin x and cos x from tan(x/2), the one trigonometric function that NumPy has in vector instructions."""
    u = np.tan(0.5 * x)
    scale = 1 / (1 + u * u)
    return 2 * u * scale, (1 - u * u) * scale


def _path(mu: FloatArray, a: FloatArray, b: FloatArray, big: FloatArray, saddle: FloatArray) -> tuple[FloatArray, ...]:
    """Step, sin θ, 1 − cos θ, r(θ), d ln r/dθ and φ(θ) − φ(0) at the nodes; arguments have a last axis 1."""
    top = np.minimum(np.pi, _WIDTHS / np.sqrt(big))
    count = _node_count(mu)
    theta = top * (np.arange(count) / count)
    sine, cosine = _sine_cosine(0.5 * theta)
    versine = 2 * sine**2
    sine *= 2 * cosine
    with np.errstate(invalid="ignore"):
        excess = theta / sine - 1
        slope = (sine - theta + theta * versine) / sine**2
    # θ/sin θ − 1 and its derivative cancel at small angles, where a series is exact
    small = np.flatnonzero(theta < 1e-2)
    near = theta.flat[small]
    t2 = near * near
    excess.flat[small] = t2 / 6 + 7 * t2**2 / 360 + 31 * t2**3 / 15120
    slope.flat[small] = near * (1 / 3 + 7 * t2 / 90 + 31 * t2**2 / 2520)
    c = mu * (1 + excess)
    root = np.sqrt(c * c + 4 * a * b)
    growth = mu / (2 * b * saddle) * excess * (1 + (c + mu) / (root + big))
    radius = saddle * (1 + growth)
    descent = (
        mu * (growth - np.log1p(growth)) + a / saddle * growth**2 / (1 + growth) - versine * (radius * b + a / radius)
    )
    return top / count, sine, versine, radius, mu * slope / root, descent


def _trapezoid(values: FloatArray, step: FloatArray) -> FloatArray:
    """Half-line trapezoidal sum over π; the far end is negligible."""
    return (values.sum(axis=-1) - 0.5 * values[..., 0]) * step[..., 0] / np.pi


def _tails_block(mu: FloatArray, a: FloatArray, b: FloatArray, excess: FloatArray) -> FloatArray:
    """For flat arrays with b > 0 finite, shape (4, k).

    ln P(≤), ln P(>), ln of −∂P(≤)/∂a, and the derivative of that logarithm with respect to a.
    """
    mu, a, b, excess = mu[:, None], a[:, None], b[:, None], excess[:, None]
    big, saddle, log_saddle, rate = _saddle(mu, a, b, excess)
    step, sine, versine, radius, bend, descent = _path(mu, a, b, big, saddle)
    bell = np.exp(descent)
    area = bell.sum(axis=1) - 0.5 * bell[:, 0]
    # the mean of 1/p over the bell, less 1
    lean = bell * (1 - versine - bend * sine) / radius
    curve = (lean.sum(axis=1) - 0.5 * lean[:, 0]) / area - 1
    # Scale the path so that it passes the pole p = 1 at a distance: right of it for P(≤), left of it for P(>).
    below, clearance = log_saddle >= 0, _POLE_STEPS * step
    shift = np.where(below, np.maximum(log_saddle, clearance), np.minimum(log_saddle, -clearance)) - log_saddle
    scale, stretch = np.exp(shift), np.expm1(shift)
    size = scale * radius
    # p (bend + i) / (p − 1) from |p − 1|² = (|p| − 1)² + 2|p|(1 − cos θ)
    over = size / ((size - 1) ** 2 + 2 * size * versine)
    real, imag = over * (size - 1 + versine), over * sine
    integrand = bell * (real - imag * bend)
    turned = np.flatnonzero(shift[:, 0])
    if turned.size:
        # on the scaled path e^φ is not real any more
        pull, push = stretch[turned] * radius[turned] * b[turned], (stretch / scale * a)[turned] / radius[turned]
        phase = (pull + push) * sine[turned]
        growth = np.exp((pull - push) * (1 - versine[turned]) - (mu * shift)[turned])
        lifted, swung = _sine_cosine(phase)
        across = bell[turned] * (real[turned] * bend[turned] + imag[turned])
        integrand[turned] = growth * (integrand[turned] * swung + across * lifted)
    side = below[:, 0]
    total = _trapezoid(integrand, step)
    near = np.minimum(rate[:, 0] + np.log(np.where(side, total, -total)), 0.0)
    far = log1mexp(near)
    slope = rate[:, 0] + np.log(area * step[:, 0] / np.pi)
    return np.stack([np.where(side, near, far), np.where(side, far, near), slope, curve])


def _tails(dim: int, distance: ArrayLike, radius: ArrayLike, sigma: ArrayLike) -> tuple[tuple[int, ...], FloatArray]:
    """Broadcast shape and what ``_tails_block`` gives, with the limits b = 0 and b = ∞ filled in."""
    t, rho, s = np.broadcast_arrays(np.asarray(distance, float), np.asarray(radius, float), np.asarray(sigma, float))
    with np.errstate(over="ignore"):
        inner_radius = np.maximum(rho, 0.0)
        a, b = 0.5 * (t / s).ravel() ** 2, 0.5 * (inner_radius / s).ravel() ** 2
        excess = 0.5 * (((t - inner_radius) / s) * ((t + inner_radius) / s)).ravel()
    out = np.empty((4, a.size))
    out[:, b == 0] = np.array([-np.inf, 0.0, -np.inf, np.nan])[:, None]
    out[:, np.isinf(b)] = np.array([0.0, -np.inf, -np.inf, np.nan])[:, None]
    inner = np.flatnonzero((b > 0) & np.isfinite(b))
    for start in range(0, inner.size, _BLOCK):
        index = inner[start : start + _BLOCK]
        out[:, index] = _tails_block(np.full(index.size, 0.5 * dim), a[index], b[index], excess[index])
    return t.shape, out


def norm_log_tails(dim: int, distance: ArrayLike, radius: ArrayLike, sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """ln P(|x + σZ| ≤ ρ) and ln P(|x + σZ| > ρ) for |x| = ``distance``, ρ = ``radius``; arguments broadcast."""
    if dim == 1:
        t, rho, s = (np.asarray(v, dtype=float) for v in (distance, radius, sigma))
        upper, lower = (rho - t) / s, (-rho - t) / s
        outside = np.logaddexp(special.log_ndtr(-upper), special.log_ndtr(lower))
        return log_normal_interval(lower, np.maximum(lower, upper)), np.minimum(outside, 0.0)
    shape, out = _tails(dim, distance, radius, sigma)
    return out[0].reshape(shape), out[1].reshape(shape)


def norm_margin(dim: int, distance: ArrayLike, radius: ArrayLike, sigma: ArrayLike) -> FloatArray:
    """Φ⁻¹(P(|x + σZ| ≤ ρ)), the margin of a ball at distance |x| from its centre."""
    return margin_from_logs(*norm_log_tails(dim, distance, radius, sigma))


def norm_margin_curve(
    dim: int, distance: ArrayLike, radius: ArrayLike, sigma: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The margin of a ball, its derivative (≤ 0) with respect to |x|², and the second derivative over it; dim ≥ 2."""
    shape, out = _tails(dim, distance, radius, sigma)
    margin = margin_from_logs(out[0], out[1])
    slope = -np.exp(out[2] + 0.5 * margin**2 + 0.5 * np.log(2 * np.pi))
    unit = 0.5 / np.asarray(sigma, float) ** 2
    bend = out[3] + margin * slope
    return margin.reshape(shape), slope.reshape(shape) * unit, bend.reshape(shape) * unit


def log_norm_density(dim: int, distance: ArrayLike, norm: ArrayLike, sigma: ArrayLike) -> FloatArray:
    """ln of the density of |x + σZ| at ``norm`` > 0, for |x| = ``distance``; arguments broadcast."""
    t, v, s = (np.asarray(value, dtype=float) for value in (distance, norm, sigma))
    return log_sphere_density(dim, t, v, s) + (dim - 1) * np.log(v) + _log_sphere_area(dim)


def _log_sphere_area(dim: int) -> float:
    """ln of the area of the unit sphere in R^dim."""
    return float(np.log(2) + 0.5 * dim * np.log(np.pi) - special.gammaln(0.5 * dim))


def log_sphere_density(dim: int, sphere: ArrayLike, norm: ArrayLike, sigma: ArrayLike) -> FloatArray:
    """ln of the density on R^dim, at a point of norm ``norm``, of a uniform point of a sphere plus N(0, σ²I).

    Equals −(t²+ρ²)/2σ² + ln I_{d/2−1}(κ) − (d/2−1) ln κ + const with κ = tρ/σ² (docs/math.md 2.4); the Bessel function
    comes from the contour integral above without its pole, so no order is too large.
    """
    rho, t, s = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (sphere, norm, sigma)))
    if dim == 1:
        both = np.logaddexp(-0.5 * ((t - rho) / s) ** 2, -0.5 * ((t + rho) / s) ** 2)
        return both - np.log(2 * np.sqrt(2 * np.pi) * s)
    shape = t.shape
    rho, t, s = rho.ravel(), t.ravel(), s.ravel()
    mu = 0.5 * dim
    out = np.empty(t.size)
    zero = t == 0
    # at the origin every point of the sphere is equally far
    out[zero] = -0.5 * (rho[zero] / s[zero]) ** 2 - mu * np.log(2 * np.pi * s[zero] ** 2)
    inner = np.flatnonzero(~zero)
    for start in range(0, inner.size, _BLOCK):
        index = inner[start : start + _BLOCK]
        a, b = 0.5 * (rho[index] / s[index]) ** 2, 0.5 * (t[index] / s[index]) ** 2
        a, b, m = a[:, None], b[:, None], np.full((index.size, 1), mu)
        apart = 0.5 * ((rho[index] - t[index]) / s[index]) * ((rho[index] + t[index]) / s[index])
        big, saddle, _, rate = _saddle(m, a, b, apart[:, None])
        step, sine, versine, radius, bend, descent = _path(m, a, b, big, saddle)
        bell = np.exp(descent) * radius * (1 - versine + bend * sine)
        # the trapezoidal sum gives the density of |x+σZ|²/2σ²; divide by the area of the sphere of norm t
        log_density = rate[:, 0] + np.log(_trapezoid(bell, step))
        out[index] = log_density + np.log(t[index] / s[index] ** 2) - (dim - 1) * np.log(t[index])
    out[inner] -= _log_sphere_area(dim)
    return out.reshape(shape)


def log_sphere_ratio(dim: int, inner: float, outer: float, norm: ArrayLike, sigma: ArrayLike) -> FloatArray:
    """ln of the ratio of :func:`log_sphere_density` for two spheres, at points of norm ``norm``, which may broadcast.

    (outer² − inner²)/2σ² − ∫ I_{d/2}(κ)/I_{d/2−1}(κ) dκ between κ = norm·inner/σ² and norm·outer/σ²: what the two
    densities have in common never appears, so noise of any size costs no digits.
    """
    t, s = np.broadcast_arrays(np.asarray(norm, dtype=float), np.asarray(sigma, dtype=float))
    ends = np.geomspace(inner, outer, 2 + int(2 * np.log2(outer / inner)))
    rho, weights = panel_nodes(ends, 12)
    kappa = (t / s)[..., None] * (rho / s[..., None])
    steepness = np.sum(weights * _bessel_ratio(dim, kappa), axis=-1) * t
    return (0.5 * (outer - inner) * (outer + inner) - steepness) / s**2


def _bessel_ratio(dim: int, kappa: FloatArray) -> FloatArray:
    """I_{d/2}(κ)/I_{d/2−1}(κ): Gauss's continued fraction, and for κ far above the order the scaled functions."""
    far = kappa > 20.0 * (dim + 20)
    near = np.where(far, 1.0, kappa)
    # evaluated from its tail: the partial denominators d + 2j outgrow κ after some κ/2 terms
    fraction = np.zeros_like(near)
    for j in range(60 + int(0.75 * near.max(initial=0.0)), -1, -1):
        fraction = near / (dim + 2 * j + near * fraction)
    with np.errstate(invalid="ignore"):
        scaled = special.ive(0.5 * dim, kappa) / special.ive(0.5 * dim - 1, kappa)
    return np.where(far, scaled, fraction)
