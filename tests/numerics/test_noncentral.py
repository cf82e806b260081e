"""The law of |x + σZ| against mpmath, special cases, and identities, in both tails and high dimension."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from noiseaug.numerics import log_norm_density, log_sphere_density, norm_log_tails, norm_margin, norm_margin_curve

TOLERANCE = 1e-9


def oracle_log_tails(dim: int, distance: float, radius: float) -> tuple[mp.mpf, mp.mpf]:
    """ln P(|x+Z| ≤ ρ), ln P(> ρ) as the Poisson mixture of central laws, with 40 digits; an independent road."""
    with mp.workdps(40):
        mu, a, b = mp.mpf(dim) / 2, mp.mpf(distance) ** 2 / 2, mp.mpf(radius) ** 2 / 2
        # terms that matter lie within the bulk of the tilted Poisson law, whose mean is at most a + √(ab)
        centre = a + mp.sqrt(a * b)
        last = int(centre + 20 * mp.sqrt(centre + 1) + 60)
        weight, step = mp.exp(-a), mp.exp(-b + mu * mp.log(b) - mp.loggamma(mu + 1))
        weights, steps = [weight], [step]
        for j in range(1, last + 1):
            weights.append(weights[-1] * a / j)
            steps.append(steps[-1] * b / (mu + j))
        above = mp.gammainc(mu, b, mp.inf, regularized=True)
        below = mp.gammainc(mu + last + 1, 0, b, regularized=True)
        total_above = mp.mpf(0)
        for j in range(last + 1):
            total_above += weights[j] * above
            above += steps[j]
        total_below = mp.mpf(0)
        for j in range(last, -1, -1):
            below += steps[j]
            total_below += weights[j] * below
        return mp.log(total_below), mp.log(total_above)


def relative_error(found: float, want: mp.mpf) -> float:
    return abs(float(mp.expm1(mp.mpf(float(found)) - want)))


@pytest.mark.parametrize("dim", [2, 3, 4, 9, 50, 784])
def test_tails_match_mpmath(dim):
    rng = np.random.default_rng(dim)
    for _ in range(12):
        distance = float(np.exp(rng.uniform(-5, 3)))
        typical = np.sqrt(distance**2 + dim)
        radius = float(typical * np.exp(rng.uniform(-1.0, 0.7))) if dim < 100 else float(typical + rng.uniform(-20, 20))
        below, above = norm_log_tails(dim, distance, radius, 1.0)
        want_below, want_above = oracle_log_tails(dim, distance, radius)
        assert relative_error(below, want_below) < TOLERANCE
        assert relative_error(above, want_above) < TOLERANCE


@pytest.mark.parametrize(("distance", "radius"), [(0.0, 330.0), (30.0, 317.6), (100.0, 300.0), (60.0, 345.0)])
def test_tails_in_a_hundred_thousand_dimensions(distance, radius):
    below, above = norm_log_tails(100_000, distance, radius, 1.0)
    want_below, want_above = oracle_log_tails(100_000, distance, radius) if distance else _central(100_000, radius)
    assert relative_error(below, want_below) < TOLERANCE
    assert relative_error(above, want_above) < TOLERANCE


def _central(dim: int, radius: float) -> tuple[mp.mpf, mp.mpf]:
    """Even dimension: a finite Poisson sum."""
    with mp.workdps(40):
        b = mp.mpf(radius) ** 2 / 2
        term, total = mp.exp(-b), mp.mpf(0)
        for j in range(dim // 2):
            total += term
            term *= b / (j + 1)
        return mp.log(1 - total), mp.log(total)


def test_far_tails_neither_underflow_nor_saturate():
    below, above = norm_log_tails(10, 1.0, 1e-60, 1.0)
    # P(|x+Z| ≤ ρ) → density at 0 times the volume of the ball
    volume = 10 * np.log(1e-60) + 5 * np.log(np.pi) - special.gammaln(6)
    assert below == pytest.approx(volume - 0.5 - 5 * np.log(2 * np.pi), rel=1e-12)
    assert above == 0.0 or above > -1e-300
    _, above = norm_log_tails(3, 0.0, 1e4, 1.0)
    # Mills: P(|Z| > ρ) ≈ √(2/π) ρ e^{−ρ²/2} (1 + 1/ρ²)
    assert above == pytest.approx(-5e7 + np.log(np.sqrt(2 / np.pi) * 1e4) + 1e-8, rel=1e-15)
    assert np.isfinite(norm_margin(100_000, 0.0, 1.0, 1.0))
    assert norm_margin(2, 0.0, 1e3, 1.0) == pytest.approx(-special.ndtri_exp(-5e5), rel=1e-12)


def test_plane_and_line_special_cases():
    radius = np.linspace(0.1, 8, 40)
    _, above = norm_log_tails(2, 0.0, radius, 1.0)  # Rayleigh
    assert np.allclose(above, -(radius**2) / 2, rtol=1e-12, atol=0)
    below, _ = norm_log_tails(1, 0.7, radius, 1.0)
    assert np.allclose(np.exp(below), special.ndtr(radius - 0.7) - special.ndtr(-radius - 0.7), rtol=1e-12)


def test_three_dimensions_closed_form():
    """In three dimensions the noncentral law is elementary: |x+Z| has density (v/t)(φ(v−t) − φ(v+t))."""
    t, v = 1.3, np.linspace(0.2, 6, 30)
    phi = lambda z: np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)  # noqa: E731
    assert np.allclose(np.exp(log_norm_density(3, t, v, 1.0)), v / t * (phi(v - t) - phi(v + t)), rtol=1e-11)


@pytest.mark.parametrize("dim", [2, 5, 500, 100_000])
def test_density_is_the_slope_of_the_tails(dim):
    t = 0.4 * np.sqrt(dim)
    v = np.sqrt(t**2 + dim) + np.array([-1.2, -0.3, 0.5, 2.5])
    h = 1e-5
    up, down = (np.exp(norm_log_tails(dim, t, v + step, 1.0)[0]) for step in (h, -h))
    # a central difference carries its rounding error over 2h and a term of order h²
    assert np.allclose(np.exp(log_norm_density(dim, t, v, 1.0)), (up - down) / (2 * h), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dim", [2, 7, 784])
def test_margin_curve(dim):
    t = np.array([0.2, 1.0, 3.0]) * np.sqrt(dim) / 3
    radius, h = 1.1 * np.sqrt(dim), 1e-4 * t**2
    margin, slope, bend = norm_margin_curve(dim, t, radius, 0.8)
    assert np.array_equal(margin, norm_margin(dim, t, radius, 0.8))
    # central differences in |x|²
    up, down = (norm_margin_curve(dim, np.sqrt(t**2 + step), radius, 0.8) for step in (h, -h))
    assert np.allclose(slope, (up[0] - down[0]) / (2 * h), rtol=1e-6)
    assert np.allclose(bend * slope, (up[1] - down[1]) / (2 * h), rtol=1e-5)
    # σ·margin is 1-Lipschitz
    assert (np.abs(slope) * 2 * t * 0.8 <= 1 + 1e-12).all()


@pytest.mark.parametrize(
    ("dim", "sphere", "norm", "sigma"), [(3, 1.0, 0.7, 0.4), (8, 1.3, 2.0, 0.1), (500, 1.0, 1.4, 0.05)]
)
def test_sphere_density_matches_the_bessel_formula(dim, sphere, norm, sigma):
    with mp.workdps(40):
        nu = mp.mpf(dim) / 2 - 1
        kappa = mp.mpf(sphere) * norm / mp.mpf(sigma) ** 2
        want = -(mp.mpf(norm) ** 2 + mp.mpf(sphere) ** 2) / (2 * mp.mpf(sigma) ** 2)
        want += mp.log(mp.besseli(nu, kappa)) - nu * mp.log(kappa)
        want += mp.loggamma(nu + 1) + nu * mp.log(2) - mp.mpf(dim) / 2 * mp.log(2 * mp.pi * mp.mpf(sigma) ** 2)
    assert float(log_sphere_density(dim, sphere, norm, sigma)) == pytest.approx(float(want), rel=1e-12, abs=1e-10)


def test_sphere_density_at_the_origin_and_on_the_line():
    at_zero = log_sphere_density(5, 1.2, 0.0, 0.6)
    assert at_zero == pytest.approx(float(log_sphere_density(5, 1.2, 1e-7, 0.6)), rel=1e-9)
    two_points = 0.5 * sum(np.exp(-0.5 * ((0.4 - c) / 0.6) ** 2) / (0.6 * np.sqrt(2 * np.pi)) for c in (-1.2, 1.2))
    assert np.exp(log_sphere_density(1, 1.2, 0.4, 0.6)) == pytest.approx(two_points, rel=1e-13)
