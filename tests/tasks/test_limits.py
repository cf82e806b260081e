"""The limit of high dimension (docs/math.md 2.10): exact values in dimension d approach it at the stated rates."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from noiseaug import InvalidInputError, NoClosedFormError, risk, tasks
from noiseaug.numerics import norm_margin
from noiseaug.predictors import smoothed
from noiseaug.tasks import ConcentricGaussians, ConcentricLimit, ConcentricSpheres

LIMIT, SPHERES = ConcentricLimit(0.3, 0.4), ConcentricLimit(0.3, 0.4, "sphere")
LEVELS = st.floats(0.01, 3)


def spheres(dim, prior=0.5):
    return ConcentricSpheres(dim, 0.3 * math.sqrt(dim), 0.4 * math.sqrt(dim), prior)


def exact_risk(task, alpha, beta):
    return risk.risk(task, smoothed(task.augmented_region(alpha), beta)).value


def test_the_radius_of_the_rule_tends_to_the_threshold():
    # with equal priors the ball of Gaussians has its limit's radius in every dimension
    for alpha in (0.0, 0.25, 2.0):
        ball = ConcentricGaussians(77, 0.3, 0.4).augmented_region(alpha)
        assert ball.radius**2 / 77 == pytest.approx(float(LIMIT.threshold(alpha)), rel=1e-12)
    gaps = {d: spheres(d).augmented_region(0.25).radius ** 2 / d - float(SPHERES.threshold(0.25)) for d in (100, 1000)}
    assert 100 * gaps[100] == pytest.approx(1000 * gaps[1000], rel=0.05)
    skew = ConcentricGaussians(10**4, 0.3, 0.4, prior=0.1).augmented_region(0.25).radius ** 2 / 10**4
    assert 0 < abs(skew - float(LIMIT.threshold(0.25))) < 1e-3


@given(LEVELS, LEVELS, LEVELS, st.sampled_from(["gaussian", "sphere"]))
@settings(max_examples=60, deadline=None)
def test_equal_noise_always_lies_in_the_band(first, second, level, law):
    if abs(first - second) < 0.01 * max(first, second):
        return
    limit = ConcentricLimit(min(first, second), max(first, second), law)
    assert limit.inside(level, level)
    # the threshold grows with the noise; spheres are best certified with equal noise
    assert limit.threshold(1.01 * level) > limit.threshold(level)
    if law == "sphere":
        one, zero = limit.radii(level, level)
        assert one == pytest.approx(float(zero), rel=1e-6)


@given(LEVELS, st.floats(0.05, 2), st.floats(0.05, 2))
@settings(max_examples=40, deadline=None)
def test_radii_are_cramers_rate(square, level, sigma):
    # the rate of P(Σ(√t + σZ_i)² beyond d·g), maximised numerically
    def negative(s):
        return -(s * level + 0.5 * math.log1p(-2 * sigma**2 * s) - s * square / (1 - 2 * sigma**2 * s))

    top = 1 / (2 * sigma**2)
    found = optimize.minimize_scalar(negative, bounds=(-1e4 * top, top * (1 - 1e-12)), options={"xatol": 1e-13 * top})
    finer = optimize.minimize_scalar(negative, bracket=(found.x - 1e-3 * abs(found.x) - 1e-9, found.x), tol=1e-14)
    rate = max(-found.fun, -finer.fun if finer.x < top else 0.0)
    from noiseaug.tasks.limits import _distance

    assert float(_distance(square, level, sigma)) ** 2 == pytest.approx(2 * sigma**2 * rate, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("limit", "task", "dims"),
    [(LIMIT, lambda d: ConcentricGaussians(d, 0.3, 0.4), (10**3, 10**4, 10**5)), (SPHERES, spheres, (300, 3000))],
    ids=["gaussian", "sphere"],
)
def test_certified_radii_tend_to_their_limit_at_rate_one_over_d(limit, task, dims):
    # of the point of each class at the typical norm, over √d; on the band's axis, and left and right of it
    smooth = np.array([[0.1], [0.25], [0.35]])
    gaps = []
    for dim in dims:
        ball = task(dim).augmented_region(0.25)
        margins = norm_margin(dim, math.sqrt(dim) * np.array([0.3, 0.4]), ball.radius, smooth) * np.array([1, -1])
        gaps.append(smooth * margins / math.sqrt(dim) - np.concatenate(limit.radii(0.25, smooth), axis=1))
    for before, after in pairwise(gaps):
        np.testing.assert_allclose(10 * after, before, rtol=0.05, atol=1e-9)
    assert np.abs(gaps[0]).max() < 6e-3


def test_a_limit_radius_is_no_larger_than_the_distance():
    alpha, beta = np.meshgrid(np.linspace(0, 0.6, 25), np.linspace(0, 0.6, 25))
    region = np.sqrt(np.maximum(LIMIT.threshold(alpha) - beta**2, 0))
    one, zero = LIMIT.radii(alpha, beta)
    assert (one <= region - 0.3 + 1e-12)[one > 0].all()
    assert (zero <= 0.4 - region + 1e-12)[(zero > 0) & (region > 0)].all()
    # without smoothing it is the distance
    np.testing.assert_allclose(one[0], region[0] - 0.3, atol=1e-12)


def test_the_risk_follows_the_limit_to_order_one_over_root_d():
    pairs = [(a, b) for a in (0.0, 0.15, 0.3, 0.5) for b in (0.0, 0.12, 0.168, 0.3, 0.35, 0.46, 0.53)]
    scaled = {}
    for dim in (100, 1000, 10**4, 10**5):
        task = ConcentricGaussians(dim, 0.3, 0.4, prior=0.3)
        gaps = [exact_risk(task, a, b) - float(LIMIT.risk(dim, a, b, prior=0.3)) for a, b in pairs]
        scaled[dim] = math.sqrt(dim) * np.abs(gaps).max()
    assert max(scaled.values()) < 5
    assert scaled[10**5] > 0.01  # and no faster than that


def test_inside_the_risk_vanishes_exponentially_and_outside_one_class_is_lost():
    risks = {d: exact_risk(ConcentricGaussians(d, 0.3, 0.4), 0.25, 0.25) for d in (1000, 2000, 4000)}
    rates = [-math.log(value) / d for d, value in risks.items()]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(rates[0], rel=0.25)
    task = ConcentricGaussians(10**5, 0.3, 0.4, prior=0.3)
    for alpha, beta, lost in ((0.0, 0.2, 0.3), (0.25, 0.1, 0.7), (0.6, 0.5, 0.7), (0.5, 0.6, 0.3)):
        assert not LIMIT.inside(alpha, beta)
        assert exact_risk(task, alpha, beta) == pytest.approx(lost, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.3, 0.5])
def test_edges_have_the_stated_width(alpha):
    dim = 10**5
    task, root = ConcentricGaussians(dim, 0.3, 0.4), math.sqrt(dim)
    base = task.augmented_region(alpha)
    for label, edge, width in zip((0, 1), LIMIT.edges(alpha), LIMIT.widths(alpha), strict=True):
        for z in (-1.0, 0.0, 1.5):
            region = base.smoothed(float(edge) + z * float(width) / root)
            mass = task.class_mass(label, [region if label else region.complement()])[0]
            assert mass == pytest.approx(special.ndtr(-z if label else z), abs=4 / root)


def test_spheres_turn_at_the_edge_as_a_whole():
    for dim, slack in ((300, 1.5e-2), (3000, 1.5e-3)):
        task = spheres(dim, prior=0.3)
        lower, upper = (float(edge) for edge in SPHERES.edges(0.4))
        risks = [exact_risk(task, 0.4, b) for b in (lower - slack, lower + slack, upper - slack, upper + slack)]
        assert risks == [pytest.approx(0.7), 0.0, 0.0, pytest.approx(0.3)]
    assert list(SPHERES.widths(0.4)) == [0, 0]


def test_the_best_noise_tends_to_its_limit():
    dim, beta = 10**5, 0.25
    task = ConcentricGaussians(dim, 0.3, 0.4)

    def ahead(alpha):
        return task.augmented_region(alpha).smoothed(beta).radius - task.augmented_region(0.0).radius

    assert optimize.brentq(ahead, 0.2, 0.3) == pytest.approx(LIMIT.best_train_sigma(beta), abs=1e-4)

    def balance(alpha):
        radius = task.augmented_region(alpha).radius
        one, zero = norm_margin(dim, math.sqrt(dim) * np.array([0.3, 0.4]), radius, beta)
        return one + zero

    best = LIMIT.best_train_sigma(beta, certified=True)
    assert optimize.brentq(balance, 0.2, 0.3) == pytest.approx(best, abs=1e-4)
    assert best == pytest.approx(0.2544, abs=5e-5)
    assert SPHERES.best_train_sigma(beta, certified=True) == pytest.approx(beta, abs=1e-9)
    assert LIMIT.best_train_sigma(0.0) == 0


def test_the_limit_of_a_task():
    assert ConcentricLimit.of(ConcentricGaussians(7, 0.1, 0.2)) == ConcentricLimit(0.1, 0.2)
    found = ConcentricLimit.of(ConcentricSpheres(500, 1.0, 1.3))
    assert (found.law, found.std_0 / found.std_1) == ("sphere", pytest.approx(1.3))
    with pytest.raises(NoClosedFormError, match="IsolatedBall has no such limit"):
        ConcentricLimit.of(tasks.IsolatedBall(2, 1.0))
    with pytest.raises(InvalidInputError, match="expected std_1 < std_0"):
        ConcentricLimit(0.4, 0.3)
    with pytest.raises(InvalidInputError, match="law is 'cube'"):
        ConcentricLimit(0.3, 0.4, "cube")
    with pytest.raises(InvalidInputError, match="train_sigma is -1"):
        LIMIT.threshold(-1)
