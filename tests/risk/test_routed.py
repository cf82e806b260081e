"""A level for each input in closed form: against the radii of single points, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from noiseaug import risk
from noiseaug.errors import InvalidInputError
from noiseaug.predictors import augmented, smoothed
from noiseaug.regions import Ball, HalfSpace, IntervalUnion
from noiseaug.risk import VoteBudget
from noiseaug.risk.routed import RoutedPredictor, best_certified_accuracy, routed_certified_accuracy
from noiseaug.tasks import ConcentricGaussians, Intervals

LINE = Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 9.0]], (0.0, 10.0))
CIRCLE = Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 9.0]], (0.0, 10.0), True)
BALLS = ConcentricGaussians(5, 0.3, 0.5)
RADII = np.array([0.0, 0.1, 0.25, 0.4])
LEVELS = (0.15, 0.5)


def parts(task):
    """Two experts and the region of the second one's level."""
    experts = tuple(smoothed(augmented(task, level), level) for level in LEVELS)
    if isinstance(task, ConcentricGaussians):
        return experts, Ball(5, 0.8, True)
    return experts, IntervalUnion(np.array([[4.5, 9.5]]), 10.0 if task.periodic else None)


def routed(task, sigma=0.3):
    experts, second = parts(task)
    return RoutedPredictor((second.complement(), second), sigma, experts)


def radii_at(task, predictor, x, label):
    """min(R₀, R_k) of single points by their margins, negative where the answer is wrong."""
    own = np.stack([predictor.router_sigma * route.margin(x, predictor.router_sigma) for route in predictor.routes])
    sign = 1 if label else -1
    experts = np.stack([sign * e.smooth_sigma * e.base.margin(x, e.smooth_sigma) for e in predictor.experts])
    named = np.argmax(own, axis=0)
    at = np.arange(len(x))
    return np.minimum(own[named, at], experts[named, at]), experts.max(axis=0)


@pytest.mark.parametrize("task", [LINE, CIRCLE, BALLS], ids=["line", "circle", "balls"])
def test_masses_are_those_of_the_points(task):
    """Evenly spaced quantiles of X given each class: off by what lies between two of them, at most some ends."""
    predictor, count = routed(task), 4000
    rng = np.random.default_rng(0)
    x, y = task.sample(2 * count, rng)
    if not isinstance(task, ConcentricGaussians):
        x = np.linspace(0, 10, 2 * count, endpoint=False)[:, None]
        y = task.bayes_region().contains(x).astype(int)
    found, best = np.empty(len(x)), np.empty(len(x))
    for label in (0, 1):
        found[y == label], best[y == label] = radii_at(task, predictor, x[y == label], label)
    # points on a grid are off by an end of an interval each; random ones by five standard errors
    slack = 0.03 if isinstance(task, ConcentricGaussians) else 40 / len(x)
    exact = routed_certified_accuracy(task, predictor, RADII)
    oracle = best_certified_accuracy(task, predictor.experts, RADII)
    for radius, value, most in zip(RADII, exact, oracle, strict=True):
        assert value == pytest.approx(np.mean(found >= radius), abs=slack)
        assert most == pytest.approx(np.mean(best >= radius), abs=slack)
    assert (exact <= oracle + 1e-12).all()
    # and a router that is left out would be noticed
    assert np.mean(best >= 0.1) - exact[1] > 2 * slack


def test_one_level_is_the_smoothed_classifier():
    expert = parts(LINE)[0][0]
    accuracies = [risk.certified_accuracy(LINE, expert, float(radius)).value for radius in RADII]
    assert best_certified_accuracy(LINE, [expert], RADII) == pytest.approx(accuracies, rel=1e-12)
    everywhere = IntervalUnion(np.array([[-np.inf, np.inf]]))
    alone = RoutedPredictor((everywhere,), 0.7, (expert,))
    assert routed_certified_accuracy(LINE, alone, RADII) == pytest.approx(accuracies, rel=1e-12)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 3.0])
def test_a_border_costs_what_lies_within_the_radius_whatever_the_routers_level(sigma):
    """Both levels have the same expert, so only the router's radius is lost: the distance to its border at 5."""
    expert = parts(LINE)[0][0]
    border = IntervalUnion(np.array([[5.0, np.inf]]))
    predictor = RoutedPredictor((border.complement(), border), sigma, (expert, expert))
    lost = best_certified_accuracy(LINE, [expert], RADII) - routed_certified_accuracy(LINE, predictor, RADII)
    # class 0 from 3 to 6 is certified around the border, on a domain of length 10
    assert lost == pytest.approx(2 * RADII / 10, abs=1e-9)


def test_votes_limit_the_router_and_the_experts():
    budget = VoteBudget(1000, 1e-3)  # 2.46 β at most
    predictor = routed(LINE, 0.1)
    radii = [0.2, 0.3]
    free, bound = (
        routed_certified_accuracy(LINE, predictor, radii),
        routed_certified_accuracy(LINE, predictor, radii, budget),
    )
    assert bound[0] == free[0] > 0
    assert bound[1] == 0 < free[1]  # beyond what the router's votes certify
    (fine, coarse), _ = parts(LINE)
    at = [0.38]
    assert best_certified_accuracy(LINE, [fine], at, budget)[0] == 0 < best_certified_accuracy(LINE, [fine], at)[0]
    assert best_certified_accuracy(LINE, [fine, coarse], at, budget) == best_certified_accuracy(LINE, [coarse], at)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda e, s: RoutedPredictor((s,), 0.5, e), "1 routes to 2 experts"),
        (lambda e, s: RoutedPredictor((s, Ball(2, 1.0)), 0.5, e), "one coordinate"),
        (lambda e, s: RoutedPredictor((s, s.complement()), 0.0, e), "router_sigma"),
        (
            lambda e, s: best_certified_accuracy(LINE, [e[0], smoothed(HalfSpace(np.ones(1), 0.0), 0.5)], [0.1]),
            "one coord",
        ),
        (lambda e, s: best_certified_accuracy(LINE, e, [-0.1]), "radii"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InvalidInputError, match=words):
        make(*parts(LINE))
