"""Gaussian mixtures: densities against scipy's, the closed forms that they go to, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special, stats

from noiseaug import InvalidInputError, risk, sweep
from noiseaug.predictors import augmented, smoothed
from noiseaug.regions import Ball, HalfSpace, IntervalUnion
from noiseaug.risk import Measure, VoteBudget, VotedPredictor, evaluate
from noiseaug.tables import measures
from noiseaug.tasks import (
    ConcentricGaussians,
    GaussianMixtures,
    GaussianPair,
    LowRank,
    Mixture,
    MixtureOnLine,
)
from tests.helpers.statistics import FALSE_ALARM

RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(3, 4))
ROOTS = RNG.normal(size=(3, 4, 4))
FULL = ROOTS @ ROOTS.transpose(0, 2, 1) + 0.1 * np.eye(4)
FACTORS = RNG.normal(size=(3, 4, 2))
FORMS = {
    "one number": (0.7, [0.7 * np.eye(4)] * 3),
    "spherical": ([0.5, 1.0, 2.0], [v * np.eye(4) for v in (0.5, 1.0, 2.0)]),
    "diagonal": (np.arange(1.0, 13.0).reshape(3, 4), [np.diag(row) for row in np.arange(1.0, 13.0).reshape(3, 4)]),
    "full": (FULL, FULL),
    "low rank": (LowRank(FACTORS, np.full((3, 1), 0.3)), [f @ f.T + 0.3 * np.eye(4) for f in FACTORS]),
    "low rank, diagonal": (
        LowRank(FACTORS, np.arange(1.0, 13.0).reshape(3, 4)),
        [f @ f.T + np.diag(row) for f, row in zip(FACTORS, np.arange(1.0, 13.0).reshape(3, 4), strict=True)],
    ),
}
WEIGHTS = np.array([0.2, 0.3, 0.5])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sigma", [0.0, 0.8])
def test_densities_and_draws_of_every_form(form, sigma):
    covariances, matrices = FORMS[form]
    mixture = Mixture(WEIGHTS, MEANS, covariances)
    x = RNG.normal(size=(50, 4)) * 3
    parts = [
        np.log(w) + stats.multivariate_normal(m, c + sigma**2 * np.eye(4)).logpdf(x)
        for w, m, c in zip(WEIGHTS, MEANS, matrices, strict=True)
    ]
    expected = special.logsumexp(parts, axis=0)
    assert np.allclose(mixture.log_density(x, sigma), expected, rtol=1e-10, atol=1e-10)
    assert np.allclose(mixture.noised(sigma).log_density(x), expected, rtol=1e-10, atol=1e-10)
    # far from the origin nothing is lost
    moved = Mixture(WEIGHTS, MEANS + 1e6, covariances)
    assert np.allclose(moved.log_density(x + 1e6, sigma), expected, rtol=1e-6, atol=1e-6)
    draws = mixture.sample(40_000, np.random.default_rng(1))
    mean = WEIGHTS @ MEANS
    second = sum(w * (c + np.outer(m - mean, m - mean)) for w, m, c in zip(WEIGHTS, MEANS, matrices, strict=True))
    # seven standard errors of each entry, which for these tails stays below 1e-9
    centred = draws - mean
    products = np.einsum("ni,nj->nij", centred, centred)
    assert (np.abs(products.mean(axis=0) - second) < 7 * products.std(axis=0) / 200).all()


def test_logarithms_in_thousands_of_dimensions():
    """A tail that underflows: a hundred components in 1536 dimensions."""
    dim, count = 1536, 100
    means = np.random.default_rng(1).random((count, dim))
    factors = np.random.default_rng(2).normal(scale=0.1, size=(count, dim, 3))
    mixture = Mixture.equal(means, LowRank(factors, np.full((count, 1), 0.01)))
    found = mixture.log_density(means[:2] + 1.0, 0.2)
    cov = factors[0] @ factors[0].T + 0.05 * np.eye(dim)
    # the nearest component is all that counts
    _, logdet = np.linalg.slogdet(cov)
    direct = -0.5 * (np.ones(dim) @ np.linalg.solve(cov, np.ones(dim)) + logdet + dim * np.log(2 * np.pi))
    assert found[0] == pytest.approx(direct - np.log(count), rel=1e-9)
    assert found[0] < -1000


def pair(task: GaussianPair) -> GaussianMixtures:
    laws = [Mixture.normal(mean, task.covariance) for mean in (task.mean_0, task.mean_1)]
    return GaussianMixtures(laws, [1 - task.prior, task.prior])


def concentric(task: ConcentricGaussians) -> GaussianMixtures:
    laws = [Mixture.normal(np.zeros(task.dim), std**2) for std in (task.std_0, task.std_1)]
    return GaussianMixtures(laws, [1 - task.prior, task.prior])


def on_the_line(task: MixtureOnLine) -> GaussianMixtures:
    laws = []
    for parts in (task.components_0, task.components_1):
        weights, means, stds = np.array(parts).T
        laws.append(Mixture(weights, means[:, None], stds**2))
    return GaussianMixtures(laws, [1 - task.prior, task.prior])


CLOSED = [
    (pair(task), task, HalfSpace)
    for task in (
        GaussianPair([0.5, 1.0], [-0.5, 0.0], [1.0, 0.2], prior=0.3),
        GaussianPair([0.5, 1.0], [-0.5, 0.0], [[1.0, 0.3], [0.3, 0.5]]),
        GaussianPair([0.5, 1.0], [-0.5, 0.0], 0.8, prior=0.6),
    )
]
CLOSED += [(concentric(task), task, Ball) for task in [ConcentricGaussians(2, 0.3, 0.4, prior=0.6)]]
CLOSED += [
    (on_the_line(task), task, IntervalUnion)
    for task in [MixtureOnLine([(0.5, -2, 0.3), (0.5, 2, 0.5)], [(1, 0, 1)], prior=0.4)]
]
EVERY_CLOSED = pytest.mark.parametrize(("mixtures", "task", "kind"), CLOSED, ids=[str(t)[:30] for _, t, _ in CLOSED])


@EVERY_CLOSED
def test_closed_forms_are_found_and_give_the_same_table(mixtures, task, kind):
    assert isinstance(augmented(mixtures, 0.3), kind)
    options = {"train_sigma": [0, 0.3], "smooth_sigma": [0.25], "radii": [0.1], "by_class": True}
    options["quantities"] = ["risk", "certified_accuracy", "acr", "disagreement"]
    one, other = sweep(mixtures, **options), sweep(task, **options)
    assert np.allclose(one["value"], other["value"], rtol=1e-9, atol=1e-12)
    assert one.drop(columns=["task", "value", "lower", "upper"]).equals(
        other.drop(columns=["task", "value", "lower", "upper"])
    )


@pytest.mark.parametrize(("mixtures", "task", "kind"), CLOSED[1:], ids=[str(t)[:30] for _, t, _ in CLOSED[1:]])
def test_the_lattice_and_the_votes_lead_to_the_closed_form(mixtures, task, kind):
    """Both other roads, which the mixture would take if it had no closed form; votes at a false-alarm rate of 1e-9."""
    from noiseaug.risk.lattice import evaluate_on_lattice

    asked = measures(
        ["risk", "excess_risk", "disagreement", "certified_accuracy", "acr", "finite_sample_certified_accuracy"],
        [0.15],
        2,
    )
    budget = VoteBudget(300, 0.01)
    exact = evaluate(mixtures, smoothed(augmented(mixtures, 0.3), 0.25), asked, budget=budget)
    rule = mixtures.augmented_rule(0.3)
    for measure, one, other in zip(asked, exact, evaluate_on_lattice(mixtures, rule, 0.25, asked, budget), strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-3), measure
        assert one.value == pytest.approx(other.value, abs=4 * (other.upper - other.value) + 1e-6), measure
    options = {"method": "sampled", "n": 300, "votes_per_point": 300, "failure_prob": FALSE_ALARM, "budget": budget}
    for measure, one, other in zip(
        asked, exact, evaluate(mixtures, VotedPredictor(rule, 0.25), asked, **options), strict=True
    ):
        assert one.agrees_with(other), measure


def test_a_coarse_lattice_is_right_to_the_fourth_order():
    """So small an error, at seven cells to the smaller standard deviation, shows that the leading terms cancel."""
    from noiseaug.risk import lattice

    task = concentric(ConcentricGaussians(2, 0.3, 0.4, prior=0.6))
    asked = [Measure("risk"), Measure("certified_accuracy", 0.2), Measure("acr")]
    exact = evaluate(task, smoothed(augmented(task, 0.3), 0.25), asked)
    *_, cells = itertools.islice(lattice._lattices(task, 0.3, 0.25), 2)
    assert cells.grid.spacing > 0.3 / 8
    for measure, one in zip(asked, exact, strict=True):
        found = lattice._ON_LATTICE[measure.quantity](measure, VoteBudget(), cells)
        assert found == pytest.approx(one.value, abs=1e-4), measure


def test_no_closed_form_where_there_is_none():
    one = Mixture.normal([0, 0], 1.0)
    assert GaussianMixtures([one, Mixture.normal([0, 0], 0.5)]).closed_form() is not None
    for laws in (
        [Mixture.normal([0, 0], 0.5), one],  # class 0 is the inner one
        [Mixture.normal([1, 0], 1.0), Mixture.normal([1, 0], 0.5)],  # around another point
        [one, one],
        [one, Mixture.normal([1, 0], 0.5)],
        [one, Mixture.normal([1, 0], [1.0, 1.0])],  # another form
        [one, Mixture([0.5, 0.5], [[1, 0], [0, 1]], 1.0)],
        [one, Mixture.normal([1, 0], 1.0), one],
        [Mixture.normal([0], 1.0), Mixture.normal([0], 1.0)],
    ):
        assert GaussianMixtures(laws).closed_form() is None


def test_confusion_of_two_classes_in_closed_form():
    task = GaussianPair([1.0], [-1.0], 1.0, prior=0.3)
    predictor = smoothed(augmented(task, 0.0), 0.5)
    (right_0, wrong_0), (wrong_1, right_1) = risk.confusion(task, predictor)
    assert 0.7 * wrong_0.value + 0.3 * wrong_1.value == pytest.approx(risk.risk(task, predictor).value)
    assert right_0.value == 1 - wrong_0.value
    assert (right_1.lower, right_1.upper) == (1 - wrong_1.upper, 1 - wrong_1.lower)
    sampled = risk.confusion(task, predictor, method="sampled", n=500, votes_per_point=100, failure_prob=FALSE_ALARM)
    assert [sum(e.value for e in row) for row in sampled] == pytest.approx([1, 1])
    assert sampled[1][0].agrees_with(wrong_1)
    assert sampled[0][1].agrees_with(wrong_0)


def test_a_class_by_sampling_is_that_class():
    """Sampled values of a class of a task with regions, at a false-alarm rate of 1e-9 each."""
    task = GaussianPair([1.0, 0.0], [-1.0, 0.0], 1.0, prior=0.05)
    predictor = smoothed(augmented(task, 0.5), 0.5)
    asked = measures(["risk", "certified_accuracy", "acr"], [0.3], 2)
    exact = evaluate(task, predictor, asked)
    sampled = evaluate(task, predictor, asked, method="sampled", n=3000, failure_prob=FALSE_ALARM)
    for measure, one, other in zip(asked, exact, sampled, strict=True):
        assert one.agrees_with(other), measure
        assert other.n == 3000


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Mixture([1.0], [[0.0, 0.0]], [[-1.0, 1.0]]), "above 0"),
        (lambda: Mixture([0.5, 0.6], [[0.0], [1.0]], 1.0), "sum to 1"),
        (lambda: Mixture([1.0], [[0.0, 0.0]], np.ones((2, 2))), "spherical"),
        (lambda: Mixture([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "positive definite"),
        (lambda: Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.1, 1.0]]]), "symmetric"),
        (lambda: Mixture([1.0], [0.0, 0.0], 1.0), "means"),
        (lambda: Mixture([1.0], [[0.0]], LowRank(np.ones((2, 1, 1)), np.ones((2, 1)))), "factors"),
        (lambda: LowRank(np.ones((2, 3, 1)), np.zeros((2, 1))), "above 0"),
        (lambda: LowRank(np.ones((2, 3, 1)), np.ones((2, 2))), "rank"),
        (lambda: GaussianMixtures([Mixture.normal([0], 1.0)]), "two or more"),
        (lambda: GaussianMixtures([Mixture.normal([0], 1.0), Mixture.normal([0, 1], 1.0)]), "dimensions"),
        (lambda: GaussianMixtures([Mixture.normal([0], 1.0), 3.0]), "Mixture, float"),
        (lambda: GaussianMixtures([Mixture.normal([0], 1.0)] * 2, [0.2, 0.9]), "priors"),
        (lambda: GaussianMixtures([Mixture.normal([0], 1.0)] * 2, tolerance=0), "tolerance"),
        (lambda: Measure("risk", label=-1), "label"),
        (lambda: Measure("excess_risk", label=1), "all classes together"),
        (
            lambda: risk.evaluate(
                GaussianPair([1.0], [0.0], 1.0),
                smoothed(HalfSpace(np.ones(1), 0.0), 0.1),
                [Measure("risk", label=2)],
            ),
            "0 to 1",
        ),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(InvalidInputError, match=word) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_too_coarse_a_lattice_is_refused():
    from noiseaug import NoClosedFormError

    needles = GaussianMixtures([Mixture.normal([0, 0], [1, 1e-6]), Mixture.normal([0, 0.5], [1e-6, 1])])
    with pytest.raises(
        NoClosedFormError, match=r"lattice of 76. × 76. cells .* method 'sampled' or a larger tolerance"
    ):
        risk.risk(needles, VotedPredictor(augmented(needles, 0.0), 1.0))
