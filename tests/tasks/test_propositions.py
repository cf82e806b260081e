"""When training noise cannot help, by how much at most, and when it must (docs/math.md 2.9)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from noiseaug import risk
from noiseaug.predictors import smoothed
from noiseaug.tasks import ConcentricGaussians, DiscLattice, Intervals, IsolatedBall
from noiseaug.tasks.isolation import isolation_bound, stray_mass


def disagreement(task, alpha, beta):
    return risk.disagreement(task, smoothed(task.convolved_region(alpha), beta)).value


# ---- components that hardly interfere


def circle(widths, separation, length=30.0):
    lower = np.concatenate([[0.0], np.cumsum(np.array(widths[:-1]) + separation)]) + 1
    return Intervals(np.stack([lower, lower + widths], axis=1), (0.0, length), True)


@given(st.floats(0.5, 4), st.floats(0.5, 4), st.floats(0.5, 6), st.floats(0.05, 1.5), st.floats(0.2, 2))
@settings(max_examples=25, deadline=None)
def test_votes_gain_at_most_the_bound(first, second, separation, alpha, beta):
    task = circle([first, second], separation)
    bound = isolation_bound(1, task.separation, alpha, beta, components=2)
    x = np.linspace(0, 30, 151)
    without, with_noise = (task.convolved_region(a).gaussian_mass(x, beta) for a in (0.0, alpha))
    assert (with_noise <= without + bound + 1e-12).all()
    # and so the disagreement falls by no more than where the vote was that close, and where merging is undone
    close = task.bayes_region().contains(x) & (without >= 0.5 - bound) & (without < 0.5)
    merged = ~task.bayes_region().contains(x) & (without >= 0.5)
    if not close.any() and not merged.any():
        # up to what lies between the points
        assert disagreement(task, alpha, beta) >= disagreement(task, 0.0, beta) - 4 * 0.2 / 30


def test_the_bound_falls_like_a_chi_square_tail():
    for dim in (1, 2, 10):
        bounds = [isolation_bound(dim, gap, 0.5, 0.5, components=1) for gap in (6.0, 8.0, 10.0)]
        assert bounds == sorted(bounds, reverse=True)
        for gap, bound in zip((6.0, 8.0, 10.0), bounds, strict=True):
            surface = math.sqrt(2 / math.pi) if dim == 1 else 4 * dim**0.25
            tail = special.gammaincc(dim / 2, (gap / 1.0) ** 2 / 2)
            assert bound == pytest.approx(surface * math.sqrt(2 * math.pi) * tail, rel=0.01)
    assert isolation_bound(2, 1.0, 0.0, 0.5) == 0
    assert isolation_bound(2, 0.1, 1.0, 0.5) == 1
    assert stray_mass(2, 3.0, 1.0) == pytest.approx(math.exp(-4.5))  # docs/math.md 2.9


@pytest.mark.parametrize("width", [1.0, 2.0, 2.5])
def test_gaps_as_wide_as_the_intervals_leave_nothing_to_gain(width):
    # five equal intervals around a circle, gaps of 2.5
    lower = (width + 2.5) * np.arange(5)
    task = Intervals(np.stack([lower, lower + width], axis=1), (0.0, 5 * (width + 2.5)), True)
    for beta in (0.5, 1.0, 2.0):
        plain = disagreement(task, 0.0, beta)
        for alpha in (0.3, 1.0, 3.0):
            assert disagreement(task, alpha, beta) >= plain - 1e-12


def test_narrower_gaps_are_the_counterexample():
    task = circle([2.0, 2.0], 1.0, 10.0)
    assert disagreement(task, 0.75, 1.4) == pytest.approx(0.1015, abs=5e-5)  # docs/math.md 2.6
    assert disagreement(task, 0.75, 1.4) < disagreement(task, 0.0, 1.4) - 0.05


def test_isolated_balls_and_discs_gain_nothing():
    for dim in (1, 2, 10):
        ball = IsolatedBall(dim, 3.0)
        assert disagreement(ball, 0.5, 0.4) >= disagreement(ball, 0.0, 0.4)
    discs = DiscLattice(separation=12, size=60)
    assert isolation_bound(2, 12, 1.2, 3.0, components=9) < 2e-4
    for beta in (2.0, 3.0):
        assert disagreement(discs, 1.2, beta) >= disagreement(discs, 0.0, beta)


# ---- small noise: the condition under which it helps


def small_noise_ratio(dim, inner, outer, square):
    """(α/β)² of the theorem for concentric Gaussians with a Bayes ball of this squared radius."""
    return (dim - 1) / (square * (1 / inner**2 + 1 / outer**2) - dim)


@pytest.mark.parametrize(("dim", "prior"), [(2, 0.5), (10, 0.5), (100, 0.5), (10, 0.7)])
def test_little_noise_helps_as_much_as_the_boundary_says(dim, prior):
    task, beta = ConcentricGaussians(dim, 0.3, 0.4, prior), 0.004
    bayes = task.augmented_region(0.0)
    wanted = math.sqrt(small_noise_ratio(dim, 0.3, 0.4, bayes.radius**2))

    def ahead(alpha):
        return task.augmented_region(alpha).smoothed(beta).radius - bayes.radius

    assert optimize.brentq(ahead, 0.1 * beta, 5 * beta, xtol=1e-12) / beta == pytest.approx(wanted, rel=2e-3)
    # the excess risk of smoothing alone is ¼ ∫ μ|∇ℓ| u², u = β²H/2
    radius = bayes.radius
    density = sum(
        share * np.exp(task.log_density(np.eye(1, dim) * radius, y)[0]) for y, share in ((1, prior), (0, 1 - prior))
    )
    area = 2 * math.pi ** (dim / 2) / math.gamma(dim / 2) * radius ** (dim - 1)
    slope = radius * (1 / 0.3**2 - 1 / 0.4**2)
    shift = 0.5 * beta**2 * (dim - 1) / radius
    excess = risk.excess_risk(task, smoothed(bayes, beta)).value
    assert excess == pytest.approx(0.25 * density * area * slope * shift**2, rel=0.02)


def test_the_smallest_example_and_its_counterexample():
    # in the plane with equal priors noise helps; with prior 0.4 the condition fails, and noise hurts
    for prior, helps in ((0.5, True), (0.4, False)):
        task = ConcentricGaussians(2, 0.3, 0.4, prior)
        bayes = task.augmented_region(0.0).radius
        assert (small_noise_ratio(2, 0.3, 0.4, bayes**2) > 0) == helps
        for beta in (0.02, 0.05):
            risks = [risk.risk(task, smoothed(task.augmented_region(a * beta), beta)).value for a in (0.0, 0.3, 0.6)]
            assert (risks == sorted(risks, reverse=True)) == helps
            assert (risks == sorted(risks)) != helps
