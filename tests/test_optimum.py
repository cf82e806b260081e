"""The best levels for a radius: closed forms where they are known, and searches that no grid beats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

import noiseaug
from noiseaug import InvalidInputError, NoClosedFormError, risk, tasks
from noiseaug.optimum import HALF_SPACE_RATIO, best_levels
from noiseaug.predictors import smoothed

PAIR = tasks.GaussianPair((1, 0.5, 0.25, 0.1), (-1, -0.5, -0.25, -0.1), (1, 0.2, 0.05, 0.01))


def accuracy(task, alpha, beta, radius, votes):
    model = smoothed(task.augmented_region(alpha), beta)
    if votes is None:
        return risk.certified_accuracy(task, model, radius).value
    return risk.finite_sample_certified_accuracy(task, model, radius, budget=risk.VoteBudget(votes)).value


def test_it_is_public_and_light():
    assert noiseaug.best_levels is best_levels


def test_unlimited_votes_on_a_pair_are_the_closed_form():
    best = best_levels(PAIR, 0.5, votes=None, tolerance=1e-3)
    assert best.found == "closed form"
    assert best.train_sigma == PAIR.optimal_train_sigma(0.5)
    assert best.accuracy.value == pytest.approx(0.7933, abs=5e-5)  # docs/math.md 2.2
    assert best.smooth_range == (0, math.inf)
    assert best.beats_constant
    for end, side in zip(best.train_range, (-1, 1), strict=True):
        lost = best.accuracy.value - np.array([accuracy(PAIR, end + s * 0.01, 0.3, 0.5, None) for s in (-side, side)])
        assert lost[0] < 1e-3 < lost[1]
    # and the search for it finds the same
    searched = best_levels(PAIR, 0.5, votes=None, smooth_sigma=0.3)
    assert searched.found == "search"
    assert searched.train_sigma == pytest.approx(best.train_sigma, abs=1e-3)


@pytest.mark.parametrize("votes", [1000, 100_000])
def test_no_level_of_a_grid_is_better(votes):
    best = best_levels(PAIR, 0.5, votes=votes)
    assert best.accuracy.value == pytest.approx(accuracy(PAIR, best.train_sigma, best.smooth_sigma, 0.5, votes))
    others = [
        accuracy(PAIR, best.train_sigma * a, best.smooth_sigma * b, 0.5, votes)
        for a in (0.5, 0.8, 0.97, 1, 1.03, 1.25, 2)
        for b in (0.8, 0.97, 1, 1.03, 1.25, 2)
    ]
    assert max(others) <= best.accuracy.value + 1e-7
    # votes that are few call for more noise in training than the radius alone
    assert best.train_sigma > PAIR.optimal_train_sigma(0.5)


def test_the_best_smoothing_of_a_half_space_tends_to_a_fixed_ratio():
    def spread(ratio):  # of the estimated radius, in units of r/√n
        return math.sqrt(stats.norm.cdf(ratio) * stats.norm.sf(ratio)) / (ratio * stats.norm.pdf(ratio))

    found = optimize.minimize_scalar(spread, bounds=(0.5, 3), method="bounded", options={"xatol": 1e-9})
    assert found.x == pytest.approx(HALF_SPACE_RATIO, abs=5e-4)
    ratios = [0.5 / best_levels(PAIR, 0.5, votes=n, train_sigma=0.63).smooth_sigma for n in (1000, 10**5)]
    assert abs(ratios[1] - HALF_SPACE_RATIO) < min(0.05, abs(ratios[0] - HALF_SPACE_RATIO))


def test_high_dimension_wants_equal_noise_and_votes_bound_it():
    task = tasks.ConcentricGaussians(100, 0.3, 0.4)
    best = best_levels(task, 0.2, smooth_sigma=0.25, votes=None)
    limit = tasks.ConcentricLimit(0.3, 0.4)
    assert best.train_sigma == pytest.approx(limit.best_train_sigma(0.25, certified=True), abs=0.01)
    assert best.train_range[0] < best.train_sigma < best.train_range[1]
    few = best_levels(task, 0.2, votes=100, train_sigma=0.25, smooth_sigma=(0.1, 0.2, 0.3))
    assert few.smooth_sigma == 0.2  # with 0.1 even 100 equal votes do not reach the radius
    assert risk.VoteBudget(100).needed(0.2, 0.1) > 100


def test_without_a_radius_there_is_nothing_to_gain_from_noise():
    best = best_levels(tasks.ConcentricGaussians(10, 0.3, 0.4, prior=0.4), 0.0)
    assert (best.train_sigma, best.smooth_sigma, best.found, best.constant) == (0, 0, "closed form", 0.6)


def test_beyond_the_means_a_constant_is_best():
    best = best_levels(PAIR, 2.0)
    assert (best.train_sigma, best.accuracy.value, best.beats_constant) == (math.inf, 0.5, False)


def test_sampled_levels_come_with_intervals():
    task = tasks.PointMasses.moons(n=60, seed=1)
    with pytest.raises(NoClosedFormError):
        best_levels(task, 0.1, smooth_sigma=0.2, train_sigma=(0.1, 0.2))
    best = best_levels(task, 0.1, smooth_sigma=0.2, train_sigma=(0.05, 0.2, 2.0), method="sampled", n=80, votes=100)
    assert best.train_sigma in (0.05, 0.2)
    assert best.accuracy.lower < best.accuracy.value < best.accuracy.upper
    assert best.train_range[0] in (0.05, 0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooth_sigma": 0.0}, "smooth_sigma is 0, which certifies no radius above 0; radius is 0.5"),
        ({"smooth_sigma": ()}, "smooth_sigma is empty"),
        ({"train_sigma": -1.0}, "train_sigma is -1"),
        ({"rule": "best"}, "rule is 'best'"),
        ({"votes": 0}, "votes is 0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InvalidInputError, match=message):
        best_levels(PAIR, 0.5, **options)


def test_a_mixture_that_is_a_pair_has_the_pair_s_levels():
    pair = tasks.GaussianPair([1.0, 0.5], [-1.0, -0.5], [0.5, 0.3])
    one, zero = (tasks.Mixture([1.0], [mean], [[0.5, 0.3]]) for mean in ([1.0, 0.5], [-1.0, -0.5]))
    mixture = tasks.GaussianMixtures([zero, one])
    found, expected = (best_levels(task, 0.4, votes=None) for task in (mixture, pair))
    assert (found.found, found.train_sigma) == ("closed form", pytest.approx(expected.train_sigma))
