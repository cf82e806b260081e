"""Laws of every region: what smoothing commutes with, what it keeps, and what it does not (docs/math.md 2.9)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special

from noiseaug.errors import InvalidInputError
from noiseaug.regions import Ball, HalfSpace, IntervalUnion
from tests.helpers.cases import REGIONS
from tests.helpers.statistics import assert_frequency

SIGMAS = (0.2, 0.7, 2.0)
EVERY = pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS.keys())


def points(region, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=2.0, size=(n, region.dim))


@EVERY
def test_mass_matches_sampling(region):
    """Noisy copies counted against the exact mass: false alarm 1e-9 each, 15 counts."""
    rng = np.random.default_rng(11)
    for x in points(region, 5, 1):
        for sigma in SIGMAS:
            inside = int(region.contains(x + sigma * rng.standard_normal((20_000, region.dim))).sum())
            assert_frequency(inside, 20_000, float(region.gaussian_mass(x[None], sigma)[0]))


@EVERY
@pytest.mark.parametrize("sigma", SIGMAS)
def test_superlevels_are_where_the_margin_is(region, sigma):
    x = points(region, 400, 2)
    margin = region.margin(x, sigma)
    for level, chosen in zip((-1.2, 0.0, 0.4), region.superlevels(sigma, [-1.2, 0.0, 0.4]), strict=True):
        clear = np.abs(margin - level) > 1e-9
        assert np.array_equal(chosen.contains(x)[clear], (margin >= level)[clear])


@EVERY
def test_superlevels_shrink_with_the_level(region):
    x = points(region, 300, 3)
    inside = [chosen.contains(x) for chosen in region.superlevels(0.6, np.linspace(-2, 2, 9))]
    for larger, smaller in itertools.pairwise(inside):
        assert not (smaller & ~larger).any()


@EVERY
def test_infinite_levels_and_no_noise(region):
    x = points(region, 100, 4)
    everything, nothing = region.superlevels(0.5, [-np.inf, np.inf])
    assert everything.contains(x).all()
    assert not nothing.contains(x).any()
    assert np.array_equal(region.smoothed(0.0).contains(x), region.contains(x))
    assert np.array_equal(region.margin(x, 0.0) > 0, region.contains(x))


@EVERY
@pytest.mark.parametrize("sigma", SIGMAS)
def test_smoothing_commutes_with_the_complement(region, sigma):
    x = points(region, 300, 5)
    assert np.allclose(region.complement().margin(x, sigma), -region.margin(x, sigma), rtol=1e-9, atol=1e-12)
    one, other = region.complement().smoothed(sigma), region.smoothed(sigma).complement()
    away = np.abs(region.margin(x, sigma)) > 1e-9
    assert np.array_equal(one.contains(x)[away], other.contains(x)[away])


@EVERY
@pytest.mark.parametrize("sigma", SIGMAS)
def test_certified_radius_is_lipschitz_and_below_the_distance(region, sigma):
    x = points(region, 300, 6)
    step = 0.05 * np.random.default_rng(7).standard_normal(x.shape)
    change = np.abs(region.margin(x + step, sigma) - region.margin(x, sigma)) * sigma
    assert (change <= np.linalg.norm(step, axis=1) * (1 + 1e-9) + 1e-12).all()
    distance = region.smoothed(sigma).distance_to_boundary(x)
    assert (sigma * np.abs(region.margin(x, sigma)) <= distance * (1 + 1e-9) + 1e-9).all()


@EVERY
@pytest.mark.parametrize("radius", [0.0, 0.1, 0.4])
def test_erosion_is_a_distance(region, radius):
    x = points(region, 500, 8)
    distance = region.distance_to_boundary(x)
    clear = np.abs(distance - radius) > 1e-9
    assert np.array_equal(region.eroded(radius).contains(x)[clear], (region.contains(x) & (distance >= radius))[clear])


def scaled(region, factor: float):
    """The region multiplied by a factor."""
    if isinstance(region, HalfSpace):
        return HalfSpace(region.normal, factor * region.offset)
    if isinstance(region, Ball):
        return Ball(region.dim, factor * region.radius, region.outside)
    return IntervalUnion(factor * region.intervals, region.period and factor * region.period)


@EVERY
def test_scaling(region):
    x = points(region, 100, 9)
    assert np.allclose(scaled(region, 3.0).margin(3 * x, 1.8), region.margin(x, 0.6), rtol=1e-9, atol=1e-10)


def test_translation():
    line = REGIONS["line"]
    x = points(line, 100, 10)
    moved = IntervalUnion(line.intervals + 1.7)
    assert np.allclose(moved.margin(x + 1.7, 0.5), line.margin(x, 0.5), rtol=1e-9, atol=1e-10)
    circle = REGIONS["circle"]
    turned = IntervalUnion(np.array([[0.7, 1.7], [2.7, 3.1], [5.7, 6.7]]), 6.0, 0.7)
    assert np.allclose(turned.margin(x + 0.7, 0.5), circle.margin(x, 0.5), rtol=1e-9, atol=1e-10)


def test_rotation_of_a_half_space():
    region = REGIONS["half-space"]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    x = points(region, 50, 12)
    assert np.allclose(HalfSpace(turn @ region.normal, region.offset).margin(x @ turn.T, 0.4), region.margin(x, 0.4))


def test_half_spaces_are_fixed_points():
    region = REGIONS["half-space"]
    smooth = region.smoothed(5.0)
    assert np.array_equal(smooth.normal, region.normal)
    assert smooth.offset == region.offset


@pytest.mark.parametrize("sigma", SIGMAS)
def test_smoothing_is_monotone(sigma):
    x = points(REGIONS["ball-2"], 200, 13)
    assert (Ball(2, 1.0).margin(x, sigma) <= Ball(2, 1.2).margin(x, sigma)).all()
    y = points(REGIONS["line"], 200, 14)
    smaller, larger = IntervalUnion(np.array([[0.0, 1.0]])), IntervalUnion(np.array([[-0.1, 1.0], [2.0, 2.5]]))
    assert (smaller.margin(y, sigma) <= larger.margin(y, sigma) + 1e-12).all()


@pytest.mark.parametrize("dim", [1, 2, 5, 100])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.8])
def test_convex_regions_shrink_into_themselves(dim, sigma):
    ball = Ball(dim, np.sqrt(dim))
    assert ball.smoothed(sigma).radius <= ball.radius
    again = ball.smoothed(sigma)
    assert again.smoothed(sigma).radius <= again.radius


def test_smoothing_twice_is_not_smoothing_once():
    once = Ball(2, 10.0).smoothed(np.hypot(4.0, 4.0)).radius
    twice = Ball(2, 10.0).smoothed(4.0).smoothed(4.0).radius
    assert abs(once - twice) > 0.1


def test_ball_and_interval_are_the_same_on_the_line():
    ball, interval = Ball(1, 1.5), IntervalUnion(np.array([[-1.5, 1.5]]))
    x = np.linspace(-4, 4, 81)
    assert np.allclose(ball.margin(x[:, None], 0.7), interval.margin(x, 0.7), rtol=1e-10)
    assert ball.superlevels(0.7, [0.3])[0].radius == pytest.approx(interval.superlevels(0.7, [0.3])[0].intervals[0, 1])


def test_empty_and_whole_balls():
    x = points(REGIONS["ball-2"], 10, 15)
    for empty in (Ball(2, 0.0), Ball(2, -1.0), Ball(2, np.inf, outside=True), Ball(2, 1.0).smoothed(100.0)):
        assert not empty.contains(x).any()
        assert (empty.margin(x, 1.0) == -np.inf).all()
        assert (empty.distance_to_boundary(x) == np.inf).all()
        assert not empty.smoothed(1.0).contains(x).any()
        assert empty.complement().contains(x).all()


def test_smoothed_ball_level_in_closed_form():
    """At the centre the mass is central chi-square, so the critical noise is ρ/√median."""
    for dim in (2, 10, 784):
        critical = 3.0 / np.sqrt(2 * special.gammaincinv(dim / 2, 0.5))
        assert Ball(dim, 3.0).smoothed(critical * (1 - 1e-9)).radius > 0
        assert Ball(dim, 3.0).smoothed(critical * (1 + 1e-9)).radius == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: HalfSpace(np.zeros(2), 0.0),
        lambda: HalfSpace(np.array([1.0, np.nan]), 0.0),
        lambda: Ball(0, 1.0),
        lambda: Ball(2, float("nan")),
        lambda: IntervalUnion(np.array([[0.0, 3.0]]), period=2.0),
        lambda: Ball(2, 1.0).margin(np.zeros((3, 5)), 0.5),
        lambda: Ball(2, 1.0).margin(np.zeros((3, 2)), -0.5),
        lambda: Ball(2, 1.0).superlevels(0.5, [np.nan]),
        lambda: Ball(2, 1.0).eroded(-1.0),
    ],
)
def test_bad_input(make):
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert "\n" not in str(caught.value)
