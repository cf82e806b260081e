"""Gaussian surrogates of two classes, and linear models beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from noiseaug import risk
from noiseaug.bridge import best_levels, fit_surrogate, linear_table, pair_table
from noiseaug.bridge.surrogate import ACTUAL, LINEAR, PREDICTED
from noiseaug.data import load_data
from noiseaug.predictors import smoothed
from noiseaug.subjects import load_classifier
from noiseaug.tasks import GaussianPair
from tests.helpers.bridge import value
from tests.helpers.statistics import assert_frequency

PAIR = GaussianPair([1, 0.5, 0.25, 0.1], [-1, -0.5, -0.25, -0.1], [1, 0.2, 0.05, 0.01], 0.4)


def with_exact_moments(pair, copies=50):
    """Inputs whose means, shares and pooled covariance are those of the pair, up to rounding."""
    counts = {1: round(pair.prior * 2 * pair.dim * copies), 0: round((1 - pair.prior) * 2 * pair.dim * copies)}
    x, y = [], []
    total = sum(counts.values())
    for label, mean in ((1, pair.mean_1), (0, pair.mean_0)):
        repeats = counts[label] // (2 * pair.dim)
        axes = np.diag(np.sqrt(pair.covariance)) * np.sqrt(pair.dim * (total - 2) / total)
        cross = np.tile(np.concatenate([axes, -axes]), (repeats, 1))
        x.append(cross + mean)
        y.append(np.full(len(cross), label))
    return np.concatenate(x), np.concatenate(y)


def turned(x, extra, seed=0):
    """In a larger space, rotated and moved; a half-space does not care."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((x.shape[1] + extra, x.shape[1] + extra)))[0]
    return np.pad(x, ((0, 0), (0, extra))) @ rotation + 0.3


@pytest.mark.parametrize("extra", [0, 3])
def test_closed_form_is_recovered(extra):
    x, y = with_exact_moments(PAIR)
    surrogate = fit_surrogate(turned(x, extra), y)
    assert surrogate.pair.dim == 4
    assert surrogate.shrinkage == 0
    radii, levels = [0.0, 0.3, 0.8], [0.0, 0.354, 1.256]
    table = pair_table(surrogate, turned(x, extra), y, train_sigma=levels, radii=radii, task="pair")
    closed = table[table["predictor"] == PREDICTED]
    for level, radius in itertools.product(levels, radii):
        rule = smoothed(PAIR.augmented_region(level), 0.5)
        row = closed[(closed["train_sigma"] == level) & (closed["radius"] == radius)]
        # inputs are float32
        assert float(row["value"].iloc[0]) == pytest.approx(risk.certified_accuracy(PAIR, rule, radius).value, abs=1e-5)
        # the same half-space, in the inputs' own space
        expected = PAIR.augmented_region(level).coordinate(x)
        np.testing.assert_allclose(surrogate.region(level).coordinate(turned(x, extra)), expected, atol=1e-5)
    best = best_levels(surrogate, table, radii)
    assert best["optimal_train_sigma"].tolist() == pytest.approx([0, 0.354, 1.256], abs=1e-3)
    assert best[f"{PREDICTED}, best α"].tolist() == levels


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_counts_on_test_inputs_follow_the_law_of_the_half_space(level):
    """Whatever was fitted: on fresh draws the count is binomial with the true law's probability."""
    rng = np.random.default_rng(5)
    x, y = PAIR.sample(300, rng)
    surrogate = fit_surrogate(x, y)
    fresh, labels = PAIR.sample(4000, rng)
    fresh = fresh.astype(np.float32)
    table = pair_table(surrogate, fresh, labels, train_sigma=[level], radii=[0.0, 0.5], task="pair")
    rule = smoothed(surrogate.region(level), 1.0)
    for radius in (0.0, 0.5):
        row = table[(table["predictor"] == ACTUAL) & (table["radius"] == radius)].iloc[0]
        assert_frequency(round(row["value"] * 4000), 4000, risk.certified_accuracy(PAIR, rule, radius).value)
    actual = table[table["predictor"] == ACTUAL].set_index("quantity")
    assert actual.loc["risk", "value"] == pytest.approx(np.mean(rule.predict(fresh) != labels))
    own = np.where(labels == 1, 1, -1) * surrogate.region(level).coordinate(fresh)
    assert actual.loc["acr", "value"] == pytest.approx(np.maximum(own, 0).mean())


def test_shrinkage_only_where_it_is_needed():
    x, y = with_exact_moments(PAIR)
    beyond = np.concatenate([x, 0.1 * y[:, None]], axis=1)  # tells the classes apart without any variance
    assert fit_surrogate(beyond, y).shrinkage > 0
    assert fit_surrogate(x, y).shrinkage == 0


def test_components_see_the_largest_variance():
    x, y = with_exact_moments(PAIR)
    surrogate = fit_surrogate(turned(x, 2), y, components=2)
    assert surrogate.pair.dim == 2
    assert np.allclose(surrogate.basis.T @ surrogate.basis, np.eye(2))
    whole = fit_surrogate(turned(x, 2), y).pair
    assert surrogate.pair.covariance.max() == pytest.approx(whole.covariance.max(), rel=0.1)


def test_linear_models_are_counted_exactly():
    data = load_data("digits:3,8")
    table = linear_table(data, train_sigma=[0.3], radii=[0.0, 0.5], copies=2, seed=4)
    model = load_classifier("logistic", data, 0.3, 2, 4)
    margin = (data.test.rows() @ model.coef_[0] + model.intercept_[0]) / np.linalg.norm(model.coef_[0])
    own = np.where(data.test.labels == 1, margin, -margin)
    assert set(table["predictor"]) == {LINEAR}
    assert value(table, "certified_accuracy", 0.5, 0.3) == pytest.approx(np.mean(own >= 0.5))
    assert value(table, "risk", level=0.3) == pytest.approx(
        np.mean(model.predict(data.test.rows()) != data.test.labels)
    )
