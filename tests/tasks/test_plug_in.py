"""The augmented rule of finite training data (docs/math.md 2.13)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from noiseaug import InvalidInputError, risk
from noiseaug.predictors import smoothed
from noiseaug.tasks import GaussianPair, nearest_mean_accuracy, plug_in_accuracy

PAIR = GaussianPair((1, 0.5, 0.25, 0.1), (-1, -0.5, -0.25, -0.1), (1, 0.2, 0.05, 0.01))


def isotropic(dim):
    return GaussianPair(np.eye(dim)[0], -np.eye(dim)[0], 1.0)


@pytest.mark.parametrize(("dim", "inputs"), [(1, 3), (2, 4), (10, 5), (10, 50)])
def test_large_noise_is_the_quadrature_of_the_nearer_mean(dim, inputs):
    # interval at a false-alarm rate of 1e-6
    (found,) = plug_in_accuracy(isotropic(dim), inputs, 0.2, [1e5], draws=800, failure_prob=1e-6)
    assert found.lower < nearest_mean_accuracy(dim, 2.0, 1.0, inputs, 0.2) < found.upper
    assert found.upper - found.lower < 0.15


def test_the_quadrature_has_the_right_limits():
    # infinitely many inputs know the means; the line has no direction to learn but its sign
    assert nearest_mean_accuracy(10, 2.0, 1.0, 10**9, 0.2) == pytest.approx(special.ndtr(0.8), abs=1e-6)
    flipped = special.ndtr(-np.sqrt(2 * 3))
    scale = np.sqrt(1 + 1 / 6)
    wanted = (1 - flipped) * special.ndtr(0.8 / scale) + flipped * special.ndtr(-1.2 / scale)
    assert nearest_mean_accuracy(1, 2.0, 1.0, 3, 0.2) == pytest.approx(wanted, abs=1e-9)


def test_many_inputs_are_the_population():
    levels = [0.0, 0.3, 1.0]
    found = plug_in_accuracy(PAIR, 20_000, 0.5, levels, draws=20)
    for level, estimate in zip(levels, found, strict=True):
        model = smoothed(PAIR.augmented_region(level), 0.5)
        assert estimate.value == pytest.approx(risk.certified_accuracy(PAIR, model, 0.5).value, abs=6e-3)


def test_a_full_covariance_is_its_rotation():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    turned = GaussianPair(turn @ PAIR.mean_1, turn @ PAIR.mean_0, turn @ np.diag(PAIR.covariance) @ turn.T)
    one, two = (plug_in_accuracy(task, 8, 0.3, [0.3], draws=400, failure_prob=1e-6)[0] for task in (PAIR, turned))
    assert one.agrees_with(two)


@pytest.mark.parametrize("radius", [0.0, 0.3])
def test_few_inputs_want_more_noise_than_the_population(radius):
    alpha = PAIR.optimal_train_sigma(radius)
    best = {}
    for inputs in (3, 10):
        levels = [alpha, *np.geomspace(0.05, 2, 15)]
        values = [found.value for found in plug_in_accuracy(PAIR, inputs, radius, levels, draws=300)]
        # the same samples at all levels, so that differences are far more precise than values
        best[inputs] = levels[int(np.argmax(values))]
    assert best[3] > best[10] > alpha


def test_bad_input():
    with pytest.raises(InvalidInputError, match="2 inputs of each class leave a singular covariance in 4 dimensions"):
        plug_in_accuracy(PAIR, 2, 0.1, [0.0, 0.1])
    with pytest.raises(InvalidInputError, match="inputs is 1"):
        plug_in_accuracy(PAIR, 1, 0.1, [0.1])
