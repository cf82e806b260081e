"""Data sets as tasks: the kernel rule by brute force, its limits, and risks by votes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from noiseaug import risk, sweep
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.predictors import augmented, bayes, convolved, smoothed
from noiseaug.regions import HalfSpace
from noiseaug.risk import Measure, VoteBudget, VotedPredictor, evaluate
from noiseaug.tasks import GaussianPair, PointMasses
from tests.helpers.statistics import FALSE_ALARM


@pytest.fixture(scope="module")
def moons() -> PointMasses:
    return PointMasses.moons(60, seed=1)


@pytest.mark.parametrize("train_sigma", [0.05, 0.3, 2.0])
def test_kernel_rule_by_brute_force(train_sigma):
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(40, 3)), rng.integers(0, 4, 40)
    labels[:4] = range(4)
    task = PointMasses(points, labels)
    x = rng.normal(size=(200, 3))
    scores = np.zeros((200, 4))
    for point, label in zip(points, labels, strict=True):
        scores[:, label] += np.exp(-np.sum((x - point) ** 2, axis=1) / (2 * train_sigma**2))
    felt = scores.max(axis=1) > 1e-290  # further out the plain sum underflows, the rule does not
    assert felt.sum() > 50
    assert np.array_equal(augmented(task, train_sigma).predict(x)[felt], scores.argmax(axis=1)[felt])


def test_no_noise_is_the_nearest_neighbour(moons):
    x = np.random.default_rng(2).uniform(-1, 2, (500, 2))
    want = KNeighborsClassifier(1).fit(moons.points, moons.labels).predict(x)
    assert np.array_equal(bayes(moons).predict(x), want)
    # far below the spacing of the points the kernel rule is the same, without underflow
    assert np.array_equal(augmented(moons, 1e-4).predict(x), want)


def test_much_noise_leaves_the_larger_class():
    task = PointMasses(np.array([[0.0], [1.0], [1.2]]), np.array([1, 0, 0]))
    # the worked figures of docs/math.md 2.8
    for train_sigma, edge in ((0.1, 0.5), (0.3, 0.47977), (0.5, 0.38791), (1.0, -0.08192), (2.0, -1.97674)):
        rule = augmented(task, train_sigma)
        assert rule.predict(np.array([[edge - 2e-5], [edge + 2e-5]])).tolist() == [1, 0]


def test_data_sets_of_scikit_learn():
    assert PointMasses.circles().num_classes == 2
    digits = PointMasses.digits()
    assert (digits.dim, digits.num_classes) == (64, 10)
    assert digits.test_points is not None
    assert len(digits.points) + len(digits.test_points) == 1797
    assert (digits.points.min(), digits.points.max()) == (0, 1)
    assert str(digits) == "PointMasses(digits(test_share=0.5,seed=0))"


def test_sampler_draws_from_the_evaluation_points(moons):
    x, y = moons.sample(300, np.random.default_rng(0))
    table = {tuple(point): label for point, label in zip(moons.points, moons.labels, strict=True)}
    assert all(table[tuple(point)] == label for point, label in zip(x, y, strict=True))


def test_what_data_sets_do_not_have(moons):
    with pytest.raises(NoClosedFormError, match="augmented"):
        convolved(moons, 0.1)
    with pytest.raises(NoClosedFormError, match="sampled"):
        sweep(moons, train_sigma=0.1, smooth_sigma=0.1)
    with pytest.raises(NoClosedFormError, match="certified_accuracy"):
        risk.adversarial_accuracy(moons, VotedPredictor(augmented(moons, 0.1), 0.2), 0.1, method="sampled", n=10)


def test_votes_of_a_half_space_against_its_closed_form():
    """Votes on points whose share is known: every interval covers, at a false-alarm rate of 1e-9."""
    task = GaussianPair([1.0, 0.0], [-1.0, 0.0], 0.5)
    predictor = smoothed(HalfSpace(np.array([1.0, 0.0]), 0.1), 0.6)
    asked = [Measure("risk"), Measure("certified_accuracy", 0.4), Measure("acr"), Measure("excess_risk")]
    exact = evaluate(task, predictor, asked)
    options = {"method": "sampled", "n": 500, "seed": 5, "failure_prob": FALSE_ALARM}
    for one, other in zip(exact, evaluate(task, predictor, asked, votes_per_point=500, **options), strict=True):
        assert one.agrees_with(other)
    narrow = evaluate(task, predictor, asked, votes_per_point=20_000, **options)[1]
    wide = evaluate(task, predictor, asked, votes_per_point=50, **options)[1]
    assert narrow.upper - narrow.lower < wide.upper - wide.lower


def test_counts_do_not_depend_on_the_block(moons, monkeypatch):
    from noiseaug.risk import voted

    predictor = VotedPredictor(augmented(moons, 0.2), 0.3)
    x = moons.points[:5]
    whole = predictor.counts(x, 100, np.random.default_rng(0))
    monkeypatch.setattr(voted, "_BLOCK_FLOATS", 14)
    assert np.array_equal(predictor.counts(x, 100, np.random.default_rng(0)), whole)
    assert (whole.sum(axis=1) == 100).all()


def test_finite_sample_accuracy_by_votes_is_a_run(moons):
    """A run of 50 votes at each point certifies nothing beyond what 50 votes can."""
    predictor = VotedPredictor(augmented(moons, 0.2), 0.3)
    options = {"method": "sampled", "n": 50, "votes_per_point": 50}
    reach = 0.3 * 1.51
    found = risk.finite_sample_certified_accuracy(moons, predictor, reach, budget=VoteBudget(50, 0.001), **options)
    assert found.value == 0
    assert VoteBudget(50, 0.001).needed(reach, 0.3) == 51
    assert (
        risk.finite_sample_certified_accuracy(moons, predictor, 0.05, budget=VoteBudget(50, 0.001), **options).value
        > 0.5
    )


def test_sweep_over_a_data_set(moons):
    frame = sweep(
        moons,
        train_sigma=[0, 0.3],
        smooth_sigma=[0.2, 0.6],
        radii=[0.1],
        quantities=["risk", "disagreement", "certified_accuracy", "acr"],
        method="sampled",
        n=80,
        votes_per_point=200,
    )
    assert len(frame) == 16
    assert (frame["method"] == "sampled").all()
    assert ((frame["lower"] <= frame["value"]) & (frame["value"] <= frame["upper"])).all()


@pytest.mark.parametrize(
    ("points", "labels", "word"),
    [
        (np.zeros((3, 2)), [0, 1], "labels"),
        (np.zeros((3, 2)), [0, 0, 0], "labels"),
        (np.zeros((3, 2)), [0, 2, 2], "labels"),
        (np.zeros((3, 2)), [0.0, 1.0, 1.0], "labels"),
        (np.zeros((3, 2)), [-1, 0, 1], "labels"),
        (np.array([[0.0], [np.nan]]), [0, 1], "points"),
        (np.zeros((0, 2)), [], "points"),
        (np.zeros(3), [0, 1, 1], "points"),
    ],
)
def test_bad_data(points, labels, word):
    with pytest.raises(InvalidInputError, match=word):
        PointMasses(points, np.array(labels))
    with pytest.raises(InvalidInputError, match="test_"):
        PointMasses(np.zeros((2, 1)), np.array([0, 1]), test_points=np.zeros((2, 1)))
