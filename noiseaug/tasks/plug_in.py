"""What a finite training set does to the augmented rule of a Gaussian pair (docs/math.md 2.13)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.confidence import empirical_bernstein
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.numerics import panel_nodes
from noiseaug.tasks.gaussian import GaussianPair
from noiseaug.validation import FloatArray

__all__ = ["nearest_mean_accuracy", "plug_in_accuracy"]


def plug_in_accuracy(
    task: GaussianPair,
    inputs: int,
    radius: float,
    train_sigma: ArrayLike,
    *,
    draws: int = 1000,
    seed: int = 0,
    failure_prob: float = 1e-3,
) -> list[Estimate]:
    """Expected certified accuracy of the augmented rule of sample means and covariance, for every β.

    The rule is the half-space with normal (S + α²I)⁻¹(x̄₁ − x̄₀), S the pooled sample covariance. Given the sample its
    certified accuracy is in closed form (docs/math.md 2.2). Samples are drawn, the same for every level and radius.

    Args:
        task: the pair; its prior is taken as known.
        inputs: training inputs of each class, at least 2.
        radius: r ≥ 0 in input units.
        train_sigma: levels α, shape (k,), in input units.
        draws: training sets that are drawn.
        seed: their seed.
        failure_prob: probability that an interval misses the expected value, at most, for each level.

    Returns:
        One estimate for each level.

    Raises:
        InvalidInputError: where α is 0 and the sample covariance is singular.
    """
    count = validation.integer("inputs", inputs, at_least=2)
    draws = validation.integer("draws", draws, at_least=2)
    radius = validation.nonnegative("radius", radius)
    levels = np.array([validation.nonnegative("train_sigma", level) for level in np.ravel(train_sigma)])
    if levels.min() == 0 and 2 * count - 2 < task.dim:
        raise InvalidInputError(
            f"train_sigma is 0, but {count} inputs of each class leave a singular covariance in {task.dim} dimensions; "
            "expected levels above 0"
        )
    rng = np.random.default_rng(seed)
    accuracies = np.stack([_accuracies(task, count, radius, levels**2, rng) for _ in range(draws)])
    found = []
    for column in accuracies.T:
        low, high = empirical_bernstein(column.mean(), column.var(ddof=1), draws, 1.0, failure_prob)
        value = float(column.mean())
        found.append(Estimate(value, max(low, 0.0), min(high, 1.0), "sampled", draws, failure_prob, seed))
    return found


def _accuracies(
    task: GaussianPair, count: int, radius: float, ridges: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Certified accuracy at each ridge of the rule of one training set."""
    samples = []
    for label in (1, 0):
        # in the pair's own coordinates: noise with covariance Σ
        mean = task.mean_1 if label else task.mean_0
        samples.append(mean + task.noise(count, rng))
    means = [sample.mean(axis=0) for sample in samples]
    scatter = np.concatenate([sample - mean for sample, mean in zip(samples, means, strict=True)])
    values, axes = np.linalg.eigh(scatter.T @ scatter / (2 * count - 2))
    difference, middle = means[0] - means[1], 0.5 * (means[0] + means[1])
    normals = (axes.T @ difference / (np.maximum(values, 0.0) + ridges[:, None])) @ axes.T
    lengths = np.linalg.norm(normals, axis=1)
    offsets = normals @ middle - special.logit(task.prior)
    spreads = np.sqrt(np.sum(task.covariance_times(normals) * normals, axis=1)) / lengths
    margins = [sign * (normals @ mean - offsets) / lengths for sign, mean in ((1, task.mean_1), (-1, task.mean_0))]
    right = [special.ndtr((margin - radius) / spreads) for margin in margins]
    return task.prior * right[0] + (1 - task.prior) * right[1]


def nearest_mean_accuracy(dim: int, separation: float, std: float, inputs: int, radius: float) -> float:
    """The same for isotropic classes and equal priors as α → ∞, by quadrature: the rule of the nearer sample mean.

    E Φ((|δ|U − r)/(s√(1 + 1/2n))), U the cosine between the estimated and the true difference of means.

    Args:
        dim: dimension d.
        separation: |μ₁ − μ₀| in input units.
        std: s, standard deviation in each coordinate.
        inputs: n, training inputs of each class.
        radius: r in input units.
    """
    half, n = 0.5 * validation.positive("separation", separation), validation.integer("inputs", inputs)
    # the estimated difference over its own standard deviation: a along the true one, standard normal noise
    along = half * np.sqrt(2 * n) / std
    # the cosine turns where the noise cancels the difference
    g, weights = panel_nodes(np.unique([*np.arange(-9.0, 10.0), max(-along, -9.0)]), 12)
    weights = weights * np.exp(-0.5 * g**2) / np.sqrt(2 * np.pi)
    if dim == 1:
        squares, masses = np.zeros(1), np.ones(1)
    else:
        levels = np.concatenate([np.geomspace(1e-12, 0.5, 25), 1 - np.geomspace(0.5, 1e-12, 25)[1:]])
        ends = np.sqrt(2 * special.gammaincinv(0.5 * (dim - 1), levels))
        norms, steps = panel_nodes(np.unique(ends), 8)
        log_density = (dim - 2) * np.log(norms) - 0.5 * norms**2
        masses = steps * np.exp(log_density - special.gammaln(0.5 * (dim - 1)) - (0.5 * (dim - 1) - 1) * np.log(2))
        squares = norms**2
    cosine = (along + g[:, None]) / np.sqrt((along + g[:, None]) ** 2 + squares)
    return float(weights @ special.ndtr((half * cosine - radius) / (std * np.sqrt(1 + 0.5 / n))) @ masses)
