"""The kernel rule and the rules of Gaussian classes, at every level of training noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from noiseaug.bridge import KernelFamily, QuadraticFamily, kernel, quadratic
from noiseaug.bridge.prediction import make_family
from noiseaug.bridge.samples import training_part
from noiseaug.errors import InvalidInputError
from noiseaug.tasks import GaussianPair
from tests.helpers.bridge import LEVELS, rule_of

# --- the kernel rule


def test_predictions_are_those_of_the_rule_for_one_level(family, digits):
    rng = np.random.default_rng(0)
    x = digits.test.rows(slice(150)) + 0.5 * rng.standard_normal((150, 64)).astype(np.float32)
    together = family.predict(x)
    for level, labels in zip(LEVELS, together, strict=True):
        np.testing.assert_array_equal(labels, rule_of(family, level).predict(x))
    assert (together[0] != together[-1]).sum() > 5


def test_neither_blocks_nor_the_place_of_the_data_matter(family, digits, monkeypatch):
    x = digits.test.rows(slice(97))
    expected = family.predict(x)
    moved = KernelFamily(family.points + 100, family.labels, LEVELS).predict(x + 100)
    assert (moved != expected).mean() < 0.01  # float32 at 100 has fewer digits left
    monkeypatch.setattr(kernel, "_BLOCK_FLOATS", 10 * len(family.points))
    np.testing.assert_array_equal(family.predict(x), expected)


@pytest.mark.parametrize(
    ("train_sigma", "boundary"), [(0.1, 0.5), (0.3, 0.47977), (0.5, 0.38791), (1, -0.08192), (2, -1.97674)]
)
def test_worked_boundaries_on_the_line(train_sigma, boundary):
    # docs/math.md 2.8: class 1 at 0, class 0 at 1 and 1.2
    rule = KernelFamily([[0.0], [1.0], [1.2]], np.array([1, 0, 0]), (0.0, train_sigma))
    assert rule.predict([[boundary - 1e-3], [boundary + 1e-3]])[1].tolist() == [1, 0]
    assert rule.predict([[0.499], [0.501]])[0].tolist() == [1, 0]


def test_far_points_and_small_levels_do_not_underflow():
    rule = KernelFamily([[0.0, 0.0], [3.0, 0.0]], np.array([0, 1]), (1e-3, 0.01))
    np.testing.assert_array_equal(rule.predict([[40.0, 2.0], [-40.0, 2.0], [1.51, 9.0]]), [[1, 0, 1]] * 2)


@pytest.mark.parametrize("train_sigma", [1e-15, 1e-20, 1e-170])
def test_the_smallest_levels_are_the_nearest_neighbour(train_sigma, family, digits):
    together = KernelFamily(family.points, family.labels, (0.0, train_sigma)).predict(digits.test.rows(slice(50)))
    np.testing.assert_array_equal(together[0], together[1])


# --- Gaussian classes


def test_quadratic_rules_are_bayes_rules_of_noised_gaussians(digits):
    """Against densities of scipy in float64, in all coordinates and in the first principal ones."""
    x, y = training_part(digits, None, 0)
    rng = np.random.default_rng(1)
    noisy = digits.test.rows(slice(100)) + 0.3 * rng.standard_normal((100, 64)).astype(np.float32)
    axes = np.linalg.eigh(np.cov(x, rowvar=False))[1][:, -20:]
    for components, rows, places in ((None, x, noisy), (20, x @ axes, noisy @ axes)):
        found = QuadraticFamily(x, y, LEVELS[1:], components).predict(noisy)
        for level, labels in zip(LEVELS[1:], found, strict=True):
            scores = []
            for label in range(10):
                part = rows[y == label].astype(float)
                law = stats.multivariate_normal(part.mean(axis=0), np.cov(part.T) + level**2 * np.eye(len(part.T)))
                scores.append(np.log(len(part) / len(rows)) + law.logpdf(places))
            first, second = np.sort(scores, axis=0)[[-1, -2]]
            sure = first - second > 1e-2  # float32
            assert sure.mean() > 0.95
            np.testing.assert_array_equal(labels[sure], np.argmax(scores, axis=0)[sure])


@pytest.mark.parametrize(("train_sigma", "boundary"), [(0, 1.35956), (0.5, 1.47211), (1, 1.74766), (2, 2.50334)])
def test_worked_boundaries_of_gaussian_classes(train_sigma, boundary):
    # docs/math.md 2.8: both means at 0, variances 1 and 4
    points = np.array([[1.0], [-1.0], [2.0], [-2.0]]) / np.sqrt(2)
    rule = QuadraticFamily(points, np.array([1, 1, 0, 0]), (train_sigma,))
    assert rule.predict([[boundary - 1e-4], [boundary + 1e-4], [-boundary - 1e-4]])[0].tolist() == [1, 0, 0]


def test_a_common_covariance_gives_the_half_space():
    rng = np.random.default_rng(2)
    pair = GaussianPair([0.5, 0.2], [-0.5, 0.0], covariance=[0.3, 0.1])
    x, y = pair.sample(40_000, rng)
    rule = QuadraticFamily(x, y, (0.0, 1.0))
    places = rng.uniform(-1, 1, (2000, 2))
    for level, labels in zip((0.0, 1.0), rule.predict(places), strict=True):
        # 40 000 draws know the boundary to a percent
        assert (labels != pair.augmented_region(level).contains(places)).mean() < 0.02


def test_neither_blocks_nor_the_shrinkage_matter(digits, monkeypatch):
    x, y = training_part(digits, 400, 0)
    rule = QuadraticFamily(x, y, LEVELS)
    noisy = digits.test.rows(slice(90))
    expected = rule.predict(noisy)
    monkeypatch.setattr(quadratic, "_BLOCK_FLOATS", 7 * 64)
    np.testing.assert_array_equal(rule.predict(noisy), expected)
    monkeypatch.setattr(quadratic, "_SHRINKAGE", 1e-7)
    np.testing.assert_array_equal(QuadraticFamily(x, y, LEVELS[1:]).predict(noisy), expected[1:])


@pytest.mark.parametrize(
    ("points", "labels", "more", "message"),
    [
        ([[0.0], [1.0], [2.0]], [0, 0, 1], {}, "one training input alone"),
        ([[0.0], [1.0]], [0, 2], {}, "each present"),
        ([[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1], {}, "needs a variance"),
        ([[0.0], [1.0], [2.0], [1.0]], [0, 0, 1, 1], {"components": 0}, "components is 0"),
        ([[0.0], [1.0], [2.0], [1.0]], [0, 0, 1, 1], {"train_sigma": ()}, "train_sigma is empty"),
    ],
)
def test_gaussian_classes_refuse_bad_input(points, labels, more, message):
    settings = {"train_sigma": (0.5,), **more}
    with pytest.raises(InvalidInputError, match=message):
        QuadraticFamily(points, np.array(labels), **settings).predict([[0.0]])


def test_families_by_name(digits):
    x, y = training_part(digits, 300, 0)
    assert make_family("kernel", x, y, [0.5]).name == "kernel"
    wide = np.tile(x, 16)
    assert make_family("quadratic", wide, y, [0.5]).remark == "quadratic rule of 300 training inputs, 200 axes"
    assert make_family("quadratic", x, y, [0.5]).remark == "quadratic rule of 300 training inputs, 64 axes"
    with pytest.raises(InvalidInputError, match="predictor is 'linear'"):
        make_family("linear", x, y, [0.5])
