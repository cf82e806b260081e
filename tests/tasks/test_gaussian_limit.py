"""The law of traces (docs/math.md 2.11) against its special cases and against sampling."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from noiseaug import InvalidInputError
from noiseaug.tasks import ConcentricLimit, GaussianLimit


def example(seed=0, dim=30, gap=0.0):
    rng = np.random.default_rng(seed)
    covariances = []
    for scale in (0.3, 0.5):
        axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        covariances.append(axes * (scale * rng.uniform(0.5, 1.5, dim)) ** 2 @ axes.T)
    means = np.stack([np.zeros(dim), gap * rng.standard_normal(dim)])
    return means, np.stack(covariances)


def test_isotropic_classes_have_the_concentric_band_in_every_dimension():
    covariances = np.stack([0.09 * np.eye(7), 0.16 * np.eye(7)])
    limit = GaussianLimit.of(np.zeros((2, 7)), covariances)
    for alpha in (0.1, 0.25, 0.5):
        low, high = limit.edges(alpha)
        lower, upper = ConcentricLimit(0.3, 0.4).edges(alpha)
        assert high[0] == pytest.approx(float(upper))
        assert low[1] == pytest.approx(float(lower), abs=1e-7)
        assert (low[0], high[1]) == (0, np.inf)


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_the_evidence_is_the_mean_log_ratio_of_smoothed_points(gap):
    means, covariances = example(gap=gap)
    limit = GaussianLimit.of(means, covariances)
    alpha, beta, count = 0.3, 0.5, 40_000
    noised = covariances + alpha**2 * np.eye(30)
    rng = np.random.default_rng(1)
    for label in (0, 1):
        x = rng.multivariate_normal(means[label], covariances[label] + beta**2 * np.eye(30), size=count)
        scores = []
        for c in (label, 1 - label):
            shifted = x - means[c]
            forms = np.einsum("ij,ij->i", shifted, np.linalg.solve(noised[c], shifted.T).T)
            scores.append(-0.5 * forms - 0.5 * np.linalg.slogdet(noised[c])[1])
        ratio = scores[0] - scores[1]
        # 6 standard errors: a false alarm in 5e8
        error = 6 * ratio.std() / np.sqrt(count)
        assert limit.evidence(alpha, beta)[label, 1 - label] == pytest.approx(ratio.mean(), abs=error)


def test_equal_noise_lies_inside_and_the_edges_are_where_evidence_ends():
    limit = GaussianLimit.of(*example(gap=0.1))
    for alpha in (0.05, 0.3, 1.0):
        evidence = limit.evidence(alpha, alpha)
        np.testing.assert_allclose(evidence, limit.divergences(alpha))
        assert (evidence[~np.eye(2, dtype=bool)] > 0).all()
        _, high = limit.edges(alpha)
        assert limit.evidence(alpha, float(high[0]))[0, 1] == pytest.approx(0, abs=1e-9)
        assert limit.accuracy(alpha, alpha) == 1
        assert limit.accuracy(alpha, 1.01 * float(high[0])) == 0.5


def test_a_common_covariance_sets_no_bound():
    means = np.array([[0.0, 0.0], [1.0, 0.0]])
    low, high = GaussianLimit.of(means, np.stack([np.diag([1.0, 0.2])] * 2)).edges(0.3)
    assert (list(low), list(high)) == ([0, 0], [np.inf, np.inf])


def test_the_accuracy_of_a_class_is_the_normal_probability_of_its_evidence():
    # docs/math.md 2.11, theorem: mean over standard deviation, both by traces; the rule itself by medians of votes
    dim, alpha, points = 200, 0.3, 250
    rng = np.random.default_rng(2)
    variances = (0.3 * rng.uniform(0.7, 1.3, dim)) ** 2, (0.33 * rng.uniform(0.7, 1.3, dim)) ** 2
    limit = GaussianLimit.of(np.zeros((2, dim)), np.stack([np.diag(v) for v in variances]))
    beta = 0.98 * float(limit.edges(alpha)[1][0])
    weights = 1 / (variances[0] + alpha**2) - 1 / (variances[1] + alpha**2)
    mean = limit.evidence(alpha, beta)[0, 1]
    spread = np.sqrt(0.5 * np.sum((weights * variances[0]) ** 2))
    x = rng.standard_normal((points, dim)) * np.sqrt(variances[0])
    volume = 0.5 * np.sum(np.log((variances[1] + alpha**2) / (variances[0] + alpha**2)))
    medians = [np.median(volume - 0.5 * (p + beta * rng.standard_normal((400, dim))) ** 2 @ weights) for p in x]
    wanted = float(special.ndtr(mean / spread))
    assert 0.1 < wanted < 0.9
    # 5 standard errors, a false alarm in 1e6; and the theorem's own error
    assert np.mean(np.array(medians) > 0) == pytest.approx(wanted, abs=2.5 / np.sqrt(points) + 0.03)


def test_bad_input():
    with pytest.raises(InvalidInputError, match=r"expected \(K, d\) and \(K, d, d\)"):
        GaussianLimit.of(np.zeros((2, 3)), np.zeros((2, 3, 2)))
    with pytest.raises(InvalidInputError, match="train_sigma is 0"):
        GaussianLimit.of(*example()).edges(0.0)
