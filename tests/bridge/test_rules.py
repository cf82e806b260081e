"""The kernel rule and the rules of Gaussian classes, at every level of training noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.linear_model import Ridge

from noiseaug.bridge import ConvolutionalFamily, KernelFamily, QuadraticFamily, kernel, quadratic
from noiseaug.bridge.convolutional import ConvolutionalFeatures, PatchFeatures, _NormalEquations
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


# --- the convolutional rule


def images(n=60, side=8, channels=1, seed=0):
    """Bright bars on the left or on the right of a noisy image."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.uniform(0, 0.2, (n, channels, side, side)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        column = rng.integers(side // 2 - 1) + label * side // 2
        image[:, :, column] += 0.7
    return x, y


def convolutional(x, y, levels=(0.0, 0.3), **more):
    return ConvolutionalFamily(x.reshape(len(x), -1), y, levels, x.shape[1:], filters=4, **more)


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (13, 3), (28, 1)])
def test_features_are_averages_of_thresholded_responses_of_patches(side, channels):
    """One position, one filter, one cell at a time."""
    x, _ = images(30, side, channels)
    features = PatchFeatures.fit(x, 3)
    found = features(x)
    assert found.shape == (30, features.width)
    expected = []
    for bank in features._banks:
        starts = [range((s - bank.size) % bank.stride // 2, s - bank.size + 1, bank.stride) for s in x.shape[2:]]
        responses = np.array(
            [
                [x[:, :, i : i + bank.size, j : j + bank.size].reshape(30, -1) @ bank.columns for j in starts[1]]
                for i in starts[0]
            ]
        )
        for clipped in (np.maximum(responses, bank.threshold), np.minimum(responses, -bank.threshold)):
            parts = [
                clipped[np.ix_(own(i, len(clipped)), own(j, clipped.shape[1]))].mean(axis=(0, 1))
                for i in range(3)
                for j in range(3)
            ]
            expected.append(np.stack(parts, axis=1).reshape(30, -1))
    np.testing.assert_allclose(
        found[:, : sum(part.shape[1] for part in expected)], np.concatenate(expected, 1), atol=2e-5
    )
    quarters = [own(cell, side, 4) for cell in range(4)]
    pixels = [x[:, :, a][..., b].mean(axis=(2, 3)) for a in quarters for b in quarters]
    np.testing.assert_allclose(found[:, -16 * channels :], np.stack(pixels, axis=2).reshape(30, -1), atol=1e-6)


def own(cell, count, cells=3):
    """Places of a cell along an axis."""
    return [place for place in range(count) if place * cells // count == cell]


def test_the_second_layer_compares_with_training_images():
    x, _ = images(80)
    both = ConvolutionalFeatures.fit(x, 4)
    first, marks = both.patches(x), both.landmarks
    found = both(x)
    np.testing.assert_array_equal(found[:, : first.shape[1]], first)
    distances = cdist((first - marks.centre) @ marks.axes, marks.places, "sqeuclidean")
    np.testing.assert_allclose(found[:, first.shape[1] :], np.exp(-marks.rate * distances), rtol=1e-3, atol=1e-4)
    # a tenth of the images are landmarks, and each next to itself
    assert np.sort(found[:, first.shape[1] :].max(axis=1))[-8:] == pytest.approx(np.ones(8), abs=1e-3)
    assert len(marks.places) == 8
    assert marks.axes.T @ marks.axes == pytest.approx(np.eye(marks.axes.shape[1]), abs=1e-4)


def test_the_equations_are_those_of_ridge_regression():
    """Against scikit-learn, on the very rows; several parts and one are the same."""
    rng = np.random.default_rng(3)
    rows, answers = rng.normal(2, 1, (200, 7)).astype(np.float32), np.eye(3)[rng.integers(0, 3, 200)]
    variances = rng.uniform(0.5, 2, 7)
    equations = _NormalEquations(variances, 3)
    for part in np.array_split(np.arange(200), 5):
        equations.add(rows[part], answers[part].astype(np.float32))
    weights, shifts = equations.solve()
    scale = np.sqrt(variances + 1e-3 * variances.mean())
    model = Ridge(alpha=200 * 1e-3).fit(rows / scale, answers)
    np.testing.assert_allclose(weights, model.coef_.T / scale[:, None], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(shifts, model.intercept_, rtol=1e-3, atol=1e-5)


def test_the_convolutional_rule_learns_and_noise_prepares_it():
    (x, y), (places, truth) = images(400), images(200, seed=1)
    rule = convolutional(x, y, (0.0, 0.4))
    rng = np.random.default_rng(0)
    clean = rule.predict(places.reshape(200, -1))
    noisy = rule.predict((places + 0.4 * rng.standard_normal(places.shape)).reshape(200, -1))
    assert (clean[0] == truth).mean() > 0.95
    assert (noisy[1] == truth).mean() > (noisy[0] == truth).mean() + 0.02


def test_the_convolutional_rule_is_the_same_again_and_in_parts():
    x, y = images()
    rule, rows = convolutional(x, y), images(40, seed=5)[0].reshape(40, -1)
    together = rule.predict(rows)
    np.testing.assert_array_equal(convolutional(x, y).predict(rows), together)
    np.testing.assert_array_equal(np.concatenate([rule.predict(part) for part in (rows[:7], rows[7:])], 1), together)
    # a level does not depend on the others
    np.testing.assert_array_equal(convolutional(x, y, (0.3,)).predict(rows), together[1:])
    assert (convolutional(x, y, seed=1).features(images()[0]) != rule.features(images()[0])).any()


@pytest.mark.parametrize(
    ("x", "shape", "message"),
    [
        (np.zeros((4, 64)), (64,), "needs images"),
        (np.zeros((4, 64)), (1, 7, 8), "needs images"),
        (np.zeros((4, 16)), (1, 4, 4), "images have 4×4 pixels"),
        (np.full((4, 64), 0.5), (1, 8, 8), "are blank"),
    ],
)
def test_the_convolutional_rule_refuses_what_is_no_image(x, shape, message):
    with pytest.raises(InvalidInputError, match=message):
        ConvolutionalFamily(x, np.array([0, 1, 0, 1]), (0.5,), shape).predict(x)
