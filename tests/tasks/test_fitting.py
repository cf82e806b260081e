"""Mixtures fitted to data, mixtures by name, and tasks from densities."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from noiseaug import InvalidInputError, risk
from noiseaug.predictors import augmented
from noiseaug.risk import VotedPredictor
from noiseaug.synthetic.study import TASKS
from noiseaug.tasks import DensityRule, FromDensities, GaussianMixtures, Mixture
from tests.helpers.statistics import FALSE_ALARM

TRUTH = GaussianMixtures(
    [Mixture.equal([[0, 0], [4, 0]], [0.3, 0.5]), Mixture.normal([2, 3], [[1, 0.4], [0.4, 0.5]])], [0.7, 0.3]
)


@pytest.fixture(scope="module")
def data():
    return TRUTH.sample(3000, np.random.default_rng(0))


@pytest.mark.parametrize("form", ["full", "diag", "spherical", "tied"])
def test_a_fit_finds_the_law_that_drew_the_data(data, form):
    x, y = data
    found = GaussianMixtures.fit(x, y, components=[2, 1], form=form)
    assert found.priors.tolist() == pytest.approx([np.mean(y == 0), np.mean(y == 1)])
    means = found.classes[0].means
    assert np.allclose(means[np.argsort(means[:, 0])], [[0, 0], [4, 0]], atol=0.15)
    if form == "full":
        fresh, labels = TRUTH.sample(2000, np.random.default_rng(1))
        gap = (found.log_scores(fresh) - TRUTH.log_scores(fresh))[np.arange(2000), labels]
        # the mean log-likelihood that n points lose is about parameters / 2n
        assert abs(gap.mean()) < 0.02


def test_the_number_of_components_by_bic(data):
    x, y = data
    found = GaussianMixtures.fit(x, y, components="bic", most=4)
    assert [len(law.weights) for law in found.classes] == [2, 1]
    assert str(GaussianMixtures.fit(x, y, name="mine")) == "GaussianMixtures(mine)"


def test_factors_in_many_dimensions():
    rng = np.random.default_rng(2)
    factor = rng.normal(size=(30, 2))
    y = np.repeat([0, 1], 1000)
    x = rng.normal(size=(2000, 2)) @ factor.T + 0.3 * rng.standard_normal((2000, 30)) + y[:, None]
    found = GaussianMixtures.fit(x, y, rank=2)
    covariance = found.classes[0].covariances
    (root,) = covariance.factors
    assert np.allclose(root @ root.T, factor @ factor.T, atol=1.0)
    assert np.allclose(covariance.diagonal, 0.09, atol=0.03)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"y": [0, 0, 2, 2]}, "each present"),
        ({"y": [0, 0, 1]}, "shape"),
        ({"y": [0.0, 0.0, 1.0, 1.0]}, "integers"),
        ({"components": 2}, "more points"),
        ({"components": "aic"}, "bic"),
        ({"components": [1, 1, 1]}, "3 entries for 2 classes"),
        ({"components": 0}, "components"),
        ({"form": "round"}, "form"),
        ({"rank": 1, "components": [2, 1]}, "rank"),
    ],
)
def test_a_fit_refuses(change, word):
    given = {"x": np.arange(8.0).reshape(4, 2), "y": [0, 0, 1, 1]} | change
    with pytest.raises(InvalidInputError, match=word) as caught:
        GaussianMixtures.fit(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["xor", "rings", "moons"])
def test_mixtures_by_name(name):
    task = TASKS[f"GaussianMixtures.{name}"]()
    x, y = task.sample(500, np.random.default_rng(3))
    assert x.shape == (500, 2)
    assert np.mean(augmented(task, 0.0).predict(x) == y) > 0.9
    assert name in str(task)
    assert str(pickle.loads(pickle.dumps(task))) == str(task)
    by_hand = GaussianMixtures(
        [{"weights": law.weights, "means": law.means, "covariances": law.covariances} for law in task.classes],
        task.priors,
    )
    assert np.array_equal(by_hand.log_scores(x), task.log_scores(x))


def test_moons_are_those_of_scikit_learn():
    from sklearn.datasets import make_moons

    x, y = make_moons(400, noise=0.15, random_state=0)
    assert np.mean(augmented(GaussianMixtures.moons(std=0.15), 0.0).predict(x) == y) > 0.97


def log_normal(mean):
    return lambda x: -0.5 * np.sum((x - mean) ** 2, axis=1) - 0.5 * x.shape[1] * np.log(2 * np.pi)


def draw(dim, gap=1.0, prior=0.5):
    def sample(n, rng):
        y = (rng.random(n) < prior).astype(int)
        return rng.standard_normal((n, dim)) + gap * (2 * y[:, None] - 1) / np.sqrt(dim), y

    return sample


def densities(dim, gap=1.0):
    return [log_normal(side * gap / np.sqrt(dim)) for side in (-1, 1)]


@pytest.mark.parametrize("dim", [1, 2])
def test_densities_lead_to_the_closed_form(dim):
    task = FromDensities(densities(dim), draw(dim), dim)
    pair = GaussianMixtures([Mixture.normal(np.full(dim, s / np.sqrt(dim)), 1.0) for s in (-1, 1)])
    assert pair.closed_form() is not None
    for alpha in (0.0, 0.7):
        found = risk.certified_accuracy(task, VotedPredictor(augmented(task, alpha), 0.5), 0.3)
        assert found.method == "numeric"
        assert found.value == pytest.approx(0.75804, abs=1e-3)  # Φ(0.7)


def test_open_votes_widen_the_interval():
    """In six dimensions few draws leave votes open; the truth stays inside at a false-alarm rate of 1e-9."""
    truth, widths = 0.15866, []
    for draws in (50, 2000):
        task = FromDensities(densities(6), draw(6), 6, draws=draws)
        predictor = VotedPredictor(augmented(task, 1.5), 0.3)
        counts, unsure = predictor.tally(task.sample(5, np.random.default_rng(0))[0], 100, np.random.default_rng(1))
        assert (unsure <= counts).all()
        assert unsure.sum() > 0
        found = risk.risk(task, predictor, method="sampled", n=150, votes_per_point=80, failure_prob=FALSE_ALARM)
        assert found.lower <= truth <= found.upper
        # the same votes, if none were open
        settled = risk.risk(
            task,
            VotedPredictor(DensityRule(task, 1.5), 0.3),
            method="sampled",
            n=150,
            votes_per_point=80,
            failure_prob=FALSE_ALARM,
        )
        assert settled.value == found.value
        assert settled.upper - settled.lower < found.upper - found.lower
        widths.append(found.upper - found.lower)
    assert widths[1] < widths[0]


def unnormalised(x):
    return log_normal(0.0)(x) + 1


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: FromDensities(densities(2)[:1], draw(2), 2), "at least|or more"),
        (lambda: FromDensities(densities(2), draw(2, prior=0.7), 2), "priors"),
        (lambda: FromDensities(densities(2), draw(3), 2), "shape"),
        (lambda: FromDensities(densities(2), lambda n, rng: (np.zeros((n, 2)), np.full(n, 2)), 2), "labels 0 to 1"),
        (lambda: FromDensities([lambda x: x, lambda x: x], draw(2), 2).log_density(np.zeros((3, 2)), 0), "shape"),
        (lambda: FromDensities([lambda x: x[:, 0] / 0, log_normal(0)], draw(2), 2).log_scores(np.ones((3, 2))), "NaN"),
        (
            lambda: risk.risk(
                task := FromDensities([unnormalised, unnormalised], draw(1), 1),
                VotedPredictor(augmented(task, 0.5), 0.5),
            ),
            "integrates to 2.718",
        ),
    ],
)
def test_functions_that_do_not_fit_are_refused(make, word):
    with np.errstate(all="ignore"), pytest.raises(InvalidInputError, match=word) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_jump_needs_a_finer_lattice_but_is_found():
    """Uniform on the unit disc against uniform on the ring around it: without noise nothing is ever wrong."""

    def sample(n, rng):
        y = rng.integers(2, size=n)
        angle = 2 * np.pi * rng.random(n)
        norm = np.sqrt(rng.random(n) + y)
        return norm[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y

    def log_density(label):
        def of(x):
            squares = np.sum(x**2, axis=1)
            return np.where((squares >= label) & (squares < label + 1), -np.log(np.pi), -np.inf)

        return of

    task = FromDensities([log_density(0), log_density(1)], sample, 2, tolerance=0.02)
    assert risk.risk(task, VotedPredictor(augmented(task, 0.0), 0.0)).value < 0.02
    found = risk.risk(task, VotedPredictor(augmented(task, 0.2), 0.2))
    assert found.lower > 0.01
