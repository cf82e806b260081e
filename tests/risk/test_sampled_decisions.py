"""The sampled road: decisions known beforehand, chunks with streams of their own, coordinates in place of points."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from noiseaug import risk
from noiseaug.confidence import VoteBudget
from noiseaug.predictors import augmented, bayes, by_rule, smoothed
from noiseaug.regions import Ball, HalfSpace, IntervalUnion
from noiseaug.risk import Measure, evaluate
from noiseaug.risk.sampled import _at, _Chunk, _Study
from noiseaug.risk.sampled_cells import Cells
from noiseaug.risk.sampled_draws import Coordinates, Source, in_order
from noiseaug.tasks import ConcentricGaussians, CoordinateTask, GaussianPair, Intervals, ProfileTask
from tests.helpers.cases import CASES
from tests.helpers.statistics import assert_frequency, assert_mean

LINE = Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 8.0]], (0.0, 10.0))
PROFILED = [(c, rule) for c in CASES if isinstance(c.task, ProfileTask) for rule in c.task.rules]
DIRECT = [c for c in CASES if isinstance(c.task, CoordinateTask)]
MANY = 100_000  # more than a chunk


def questions(radius: float) -> list[Measure]:
    with_radius = [
        Measure(name, r)
        for name in ("certified_accuracy", "adversarial_accuracy")
        for r in (0.0, 0.5 * radius, radius, 40 * radius)
    ]
    return [Measure("risk"), Measure("disagreement"), Measure("excess_risk"), *with_radius]


def study_of(task, predictor, asked) -> _Study:
    return _Study(task, predictor, VoteBudget(), asked, Source.of(task, predictor.base, MANY, 0))


@pytest.mark.parametrize("smoothing", [0.0, 1.0, 20.0])
@pytest.mark.parametrize(("case", "rule"), PROFILED, ids=[f"{c.name}-{rule}" for c, rule in PROFILED])
def test_known_decisions_are_those_of_the_margins(case, rule, smoothing):
    """At drawn points, and at points on and around every end of a level set, down to the last bit."""
    predictor = smoothed(by_rule(case.task, rule, case.train_sigma), smoothing * case.smooth_sigma)
    study = study_of(case.task, predictor, questions(case.radius))
    assert study.known is not None
    cells = study.known.cells
    draws, rng = study.source.draws(1)
    draws = draws.take(np.arange(2_000))
    ends = cells.zones.mean(axis=1)
    width = np.diff(cells.zones, axis=1).ravel()
    offsets = np.concatenate([[0.0], *([-(10.0**k), 10.0**k] for k in (-7, -4, -1, 0, 1, 3))])
    near = np.concatenate(
        [(ends[:, None] + width[:, None] * offsets).ravel(), np.nextafter(ends, np.inf), np.nextafter(ends, -np.inf)]
    )
    if isinstance(predictor.base, Ball):
        near = near[near >= 0]
    elif case.task.dim == 1:
        near = near[(near >= 0) & (near <= 10)] if isinstance(case.task, Intervals) else near
    at = np.concatenate([draws.coordinate(predictor.base), near])
    labels = np.concatenate([draws.y, np.arange(near.size) % 2])
    shared = study.bayes.same_coordinate(predictor.base)
    given = Coordinates(case.task, at, at, labels)
    pieces = cells.pieces(at)
    decided = 0
    quick, slow = _Chunk(study, given, rng, study.known.classes[pieces]), _Chunk(study, given, rng)
    assert np.array_equal(quick.predicted, slow.predicted)
    for measure, (values, _), table in zip(study.asked, study.ways, study.known.tables, strict=True):
        if table is None:
            assert measure.quantity == "excess_risk" or not shared
            continue
        found = quick.settled(table.ravel()[2 * pieces + labels], partial(_at, values, measure.at))
        assert np.array_equal(found == 1, values(slow, measure.at))
        decided += 1
    assert decided >= 9
    # hardly any draw needs its margin
    assert np.mean(cells.pieces(draws.coordinate(predictor.base)) % 2) < 0.01


def test_a_zone_is_widened_until_its_borders_are_clear_of_the_level():
    """At the centre of a ball the margin is flat: a level that it just reaches is decided by margins around there."""
    task = ConcentricGaussians(2, 0.3, 0.4)
    base, sigma = Ball(2, 1.0), 0.5
    top = float(base.margin(np.zeros((1, 2)), sigma)[0])
    predictor = smoothed(base, sigma)
    plain = Cells.of(task, predictor, [Measure("certified_accuracy", 0.5 * sigma * top)], None)
    flat = Cells.of(task, predictor, [Measure("certified_accuracy", sigma * top)], None)
    assert plain is not None
    assert flat is not None
    assert flat.zones[0, 1] > 100 * plain.zones[0, 1]
    assert flat.zones[0, 1] < 0.01
    # the level sets of a constant classifier have no ends at all
    assert Cells.of(LINE, smoothed(IntervalUnion(np.array([[-np.inf, np.inf]])), 1.0), [Measure("risk")], None)


def test_unproven_level_sets_are_not_relied_on():
    unproven = IntervalUnion(np.array([[1.0, 2.0]]), proven=False)
    assert Cells.of(LINE, smoothed(unproven, 0.3), [Measure("risk")], None) is None
    found = risk.risk(LINE, smoothed(unproven, 0.3), method="sampled", n=MANY, failure_prob=1e-9)
    assert found.agrees_with(risk.risk(LINE, smoothed(unproven, 0.3)))


@pytest.mark.parametrize(
    "task",
    [LINE, ConcentricGaussians(100, 0.3, 0.4), next(c.task for c in CASES if c.name == "lattice-torus")],
    ids=["line", "100", "lattice"],
)
def test_numbers_do_not_depend_on_the_threads(task):
    predictor = smoothed(augmented(task, 0.3), 0.4)
    asked = questions(0.1)
    if task.dim < 100:
        asked.append(Measure("finite_sample_certified_accuracy", 0.1))
    several = [
        evaluate(task, predictor, asked, method="sampled", n=MANY + 1, seed=3, jobs=jobs, budget=VoteBudget(50, 0.01))
        for jobs in (1, 2, 5, -1)
    ]
    assert all(found == several[0] for found in several[1:])


def test_few_draws_are_points_from_the_stream_of_the_seed():
    """One chunk holds them, and a value is the plain average over ``Task.sample``."""
    task = ConcentricGaussians(3, 0.3, 0.4)
    predictor = smoothed(augmented(task, 0.2), 0.25)
    x, y = task.sample(20_000, np.random.default_rng(4))
    expected = float(np.mean(predictor.predict(x) != y))
    assert risk.risk(task, predictor, method="sampled", n=20_000, seed=4).value == pytest.approx(expected, rel=1e-15)
    source = Source.of(task, predictor.base, MANY, 4)
    first, second = (source.draws(k)[0].coordinate(predictor.base) for k in (0, 1))
    assert not np.isin(first, second).any()
    assert sum(source.draws(k)[0].y.size for k in range(source.chunks)) == MANY


@pytest.mark.parametrize("case", DIRECT, ids=[c.name for c in DIRECT])
def test_coordinates_have_the_law_of_the_points(case):
    """Class masses of regions and of differences, and the mean of h; false alarm 1e-9 for each count."""
    task, region = case.task, augmented(case.task, case.train_sigma)
    best = bayes(task)
    for other in (region, region.smoothed(case.smooth_sigma)):
        at, bayes_at, y = task.coordinate_sampler(other)(MANY, np.random.default_rng(11))
        assert_frequency(int(y.sum()), MANY, task.prior)
        inside = (at[:, None] >= other.profile()[:, 0]).any(1) & (at[:, None] <= other.profile()[:, 1]).any(1)
        for label in (0, 1):
            mass = float(task.class_mass(label, [other])[0])
            assert_frequency(int(inside[y == label].sum()), int((y == label).sum()), mass)
        in_bayes = (bayes_at[:, None] >= best.profile()[:, 0]).any(1) & (bayes_at[:, None] <= best.profile()[:, 1]).any(
            1
        )
        assert_frequency(int((inside != in_bayes).sum()), MANY, task.disagreement_mass(other, best))
        assert_mean(task.regression_at(bayes_at) - y, 0.0, 2.0)


def test_regression_from_a_coordinate_is_that_at_the_point():
    for case in DIRECT:
        x, _ = case.task.sample(200, np.random.default_rng(5))
        found = case.task.regression_at(bayes(case.task).coordinate(x))
        assert np.allclose(found, case.task.regression(x), rtol=1e-10, atol=1e-300)


def test_regions_without_a_known_law_are_held_against_points():
    task = ConcentricGaussians(2, 0.3, 0.4)
    predictor = smoothed(HalfSpace(np.array([1.0, 0.0]), 0.1), 0.25)
    found = evaluate(task, predictor, questions(0.1), method="sampled", n=MANY, failure_prob=1e-9)
    # P(X₁ < .1) in class 1, P(X₁ ≥ .1) in class 0
    from scipy import special

    expected = 0.5 * (special.ndtr(0.1 / 0.3) + special.ndtr(-0.1 / 0.4))
    assert found[0].lower <= expected <= found[0].upper


def test_dimension_costs_nothing_where_the_norm_decides():
    """Points would be 10⁹ numbers; a run takes less than a second."""
    task = ConcentricGaussians(100_000, 0.3, 0.4)
    predictor = smoothed(augmented(task, 0.25), 0.25)
    found = risk.certified_accuracy(task, predictor, 0.1, method="sampled", n=10_000, failure_prob=1e-9)
    assert found.agrees_with(risk.certified_accuracy(task, predictor, 0.1))
    pair = GaussianPair(np.full(20_000, 0.01), np.full(20_000, -0.01), np.linspace(0.5, 2, 20_000))
    predictor = smoothed(augmented(pair, 0.25), 0.25)
    asked = questions(0.1)
    exact, sampled = evaluate(pair, predictor, asked), evaluate(pair, predictor, asked, method="sampled", n=MANY)
    assert all(one.agrees_with(other) for one, other in zip(exact, sampled, strict=True))


def test_calls_come_in_order_and_end_with_their_reader():
    assert list(in_order(lambda k: k * k, 50, 4)) == [k * k for k in range(50)]
    made = []
    results = in_order(lambda k: made.append(k) or k, 1000, 3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert len(made) < 30


def test_classes_whose_distance_has_no_square_are_sampled_right():
    # the Bayes classifier says 0 everywhere, so the risk is the prior of 1; false alarm 1e-9
    task = GaussianPair([1e-180, 0], [-1e-180, 0], [1, 1], prior=0.3)
    found = risk.risk(task, smoothed(augmented(task, 0.1), 0.1), method="sampled", n=50_000, seed=0, failure_prob=1e-9)
    assert found.lower <= 0.3 <= found.upper
