"""Level sets on the line and the circle: none missing, none invented, and an honest word where they touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from noiseaug.numerics import FourierStep, MixtureMeasure, MixtureRatio, RatioFunction, StepMeasure, find_crossings
from noiseaug.regions import IntervalUnion


def brute_mass(bounds: np.ndarray, x: np.ndarray, sigma: float, period: float | None) -> np.ndarray:
    """1_A ∗ p_σ by its sum, images included: an independent road."""
    shifts = [0.0] if period is None else [k * period for k in range(-40, 41)]
    total = np.zeros_like(x)
    for shift in shifts:
        for low, high in bounds + shift:
            total += special.ndtr((high - x) / sigma) - special.ndtr((low - x) / sigma)
    return total


@st.composite
def interval_unions(draw):
    count = draw(st.integers(1, 6))
    gaps = draw(st.lists(st.floats(0.02, 3.0), min_size=2 * count, max_size=2 * count))
    ends = np.cumsum(gaps)
    return ends.reshape(-1, 2)


@settings(max_examples=60, deadline=None)
@given(bounds=interval_unions(), sigma=st.floats(0.02, 4.0), margin=st.floats(-3, 3))
def test_line_level_sets_match_a_fine_grid(bounds, sigma, margin):
    region = IntervalUnion(bounds)
    level = region.superlevels(sigma, [margin])[0]
    x = np.linspace(bounds[0, 0] - 8 * sigma - 1, bounds[-1, 1] + 8 * sigma + 1, 20_001)
    mass = brute_mass(bounds, x, sigma, None)
    clear = np.abs(mass - special.ndtr(margin)) > 1e-9
    assert np.array_equal(level.contains(x)[clear], (mass >= special.ndtr(margin))[clear])
    # every end is a root, and smoothing has not raised their number
    ends = level.intervals.ravel()
    assert np.allclose(region.margin_at(ends, sigma), margin, atol=1e-9)
    assert ends.size <= bounds.size
    assert level.proven


@settings(max_examples=60, deadline=None)
@given(bounds=interval_unions(), extra=st.floats(0.05, 3.0), share=st.floats(0.005, 1.5), margin=st.floats(-2, 2))
def test_circle_level_sets_match_a_fine_grid(bounds, extra, share, margin):
    period = float(bounds[-1, 1] + extra)
    sigma = share * period
    region = IntervalUnion(bounds, period)
    level = region.superlevels(sigma, [margin])[0]
    x = np.linspace(0, period, 5001)[:-1]
    mass = brute_mass(bounds, x, sigma, period)
    clear = np.abs(mass - special.ndtr(margin)) > 1e-9
    assert np.array_equal(level.contains(x)[clear], (mass >= special.ndtr(margin))[clear])
    assert level.proven


def test_images_and_harmonics_agree():
    bounds, period = np.array([[0.3, 1.0], [1.4, 3.0], [4.2, 4.4]]), 5.0
    x = np.linspace(0, period, 101)
    for sigma in (2.0, 3.0, 5.0):
        series = FourierStep(bounds, period, sigma)
        assert np.allclose(
            series.mean + series.scale * series.value(x), brute_mass(bounds, x, sigma, period), atol=1e-13
        )


def test_strong_noise_on_a_circle_keeps_the_phase_far_below_rounding():
    """Half of the circle covered: the smoothed indicator is ½ ± e^{−2π²σ²/L²}, 1e-342 here, and its level set exact."""
    region = IntervalUnion(np.array([[1.0, 3.0]]), 4.0).superlevels(25.0, [0.0])[0]
    assert np.allclose(region.intervals, [[1.0, 3.0]], atol=1e-12)
    # a hair more or less than half: everything or nothing
    assert len(IntervalUnion(np.array([[1.0, 2.99]]), 4.0).smoothed(25.0).intervals) == 0
    assert np.array_equal(IntervalUnion(np.array([[1.0, 3.01]]), 4.0).smoothed(25.0).intervals, [[0.0, 4.0]])


def test_symmetric_set_on_a_circle():
    """Four equal arcs, half of the circle: the first harmonics vanish and the set is its own smoothing."""
    bounds = np.array([[k + 0.25, k + 0.75] for k in range(4)], dtype=float)
    assert np.allclose(IntervalUnion(bounds, 4.0).smoothed(3.0).intervals, bounds, atol=1e-12)


def test_two_intervals_merge_and_vanish():
    """Just below and above the noise at which a pair of intervals loses its gap: 4, then 2 roots, both proven."""
    bounds = np.array([[-5.0, -0.5], [0.5, 5.0]])
    region = IntervalUnion(bounds)
    low, high = 0.2, 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if region.margin_at(np.zeros(1), middle)[0] < 0 else (low, middle)
    below, above = region.smoothed(low * (1 - 1e-6)), region.smoothed(high * (1 + 1e-6))
    assert (len(below.intervals), len(above.intervals)) == (2, 1)
    assert below.proven
    assert above.proven


def test_a_touching_point_is_reported():
    """At a double root no bound can decide: the answer says so, and misses nothing wider than the last cells."""
    measure = MixtureMeasure(np.ones(2), np.array([-1.0, 1.0]), np.zeros(2))
    other = MixtureMeasure(np.ones(1), np.zeros(1), np.zeros(1))
    ratio = RatioFunction(measure, other, 1.0)
    # ln(2e^{−½} cosh x) has its minimum at 0
    touching = float(np.log(2) - 0.5)
    crossings = find_crossings(
        ratio, np.array([touching - 1e-3, touching, touching + 1e-3]), np.array([-3.0, 0.1, 3.0])
    )
    assert [c.proven for c in crossings] == [True, False, True]
    assert [c.points.size for c in (crossings[0], crossings[2])] == [0, 2]


def test_slope_range_holds_on_every_cell():
    rng = np.random.default_rng(3)
    pieces = np.sort(rng.uniform(0, 10, 8)).reshape(-1, 2)
    region = IntervalUnion(pieces)
    ratio = RatioFunction(*region._measures(0.7), 0.7)
    left = rng.uniform(-5, 15, 200)
    right = left + rng.uniform(1e-3, 2, 200)
    low, high = ratio.slope_range(left, right)
    for share in np.linspace(0, 1, 9):
        x = left + share * (right - left)
        slope = (ratio.value(x + 1e-5) - ratio.value(x - 1e-5)) / 2e-5
        assert (slope >= low - 1e-4 * (1 + abs(low))).all()
        assert (slope <= high + 1e-4 * (1 + abs(high))).all()


def test_conditional_means_are_monotone():
    x = np.linspace(-30, 30, 2001)
    step = StepMeasure(np.array([[-np.inf, -2.0], [0.0, 0.1], [3.0, 4.0]]))
    mixture = MixtureMeasure(np.array([0.2, 1.0, 3.0]), np.array([-1.0, 0.0, 4.0]), np.array([0.0, 2.0, 0.3]))
    for measure in (step, mixture):
        for sigma in (0.3, 1.0, 5.0):
            assert (np.diff(measure.conditional_mean(x, sigma)) >= -1e-10).all()


def test_mixture_tails_are_decided_by_the_widest_component():
    narrow = MixtureMeasure(np.array([0.99]), np.zeros(1), np.zeros(1))
    wide = MixtureMeasure(np.array([1e-12]), np.zeros(1), np.array([0.1]))
    ratio = MixtureRatio(wide, narrow, 1.0)
    assert not ratio.settled(1.0, 1, 0.0)
    assert ratio.settled(40.0, 1, 0.0)
    assert float(ratio.value(np.array([40.0]))[0]) > 0


@pytest.mark.parametrize("bad", [[[0.0, 2.0], [1.0, 3.0]], [[1.0, 0.0]], [[0.0, float("nan")]]])
def test_bad_intervals(bad):
    from noiseaug.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match="intervals"):
        IntervalUnion(np.array(bad))
