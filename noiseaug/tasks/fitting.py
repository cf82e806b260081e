"""Gaussian mixtures from data, by scikit-learn's estimators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.tasks.covariances import LowRank
from noiseaug.tasks.mixtures import Mixture
from noiseaug.tasks.points import labels_of
from noiseaug.validation import FloatArray

__all__ = ["fitted_classes"]

_FORMS = ("full", "tied", "diag", "spherical")


def fitted_classes(
    x: ArrayLike,
    y: ArrayLike,
    components: int | Sequence[int] | str,
    *,
    form: str,
    rank: int | None,
    most: int,
    seed: int,
) -> tuple[list[Mixture], FloatArray]:
    """The mixtures and shares of the classes; arguments and errors as ``GaussianMixtures.fit``."""
    points = validation.array("x", x, 2)
    labels = labels_of("y", y, len(points))
    sizes = np.bincount(labels)
    if len(sizes) < 2 or sizes.min() == 0:
        raise InvalidInputError(f"y holds {np.unique(labels).tolist()}; expected 0, …, K−1 with K ≥ 2, each present")
    validation.choice("form", form, _FORMS)
    counts = _counts(components, len(sizes), validation.integer("most", most))
    if rank is not None and counts != [(1,)] * len(sizes):
        raise InvalidInputError("rank goes with one component a class; leave components at 1")
    for label, (size, wanted) in enumerate(zip(sizes, counts, strict=True)):
        if size <= min(wanted) or size < 2:
            raise InvalidInputError(
                f"class {label} has {size} points for {min(wanted)} components; expected more points than components"
            )
    parts = [points[labels == label] for label in range(len(sizes))]
    if rank is not None:
        return [_factors(part, validation.integer("rank", rank)) for part in parts], sizes / sizes.sum()
    tried = [[k for k in wanted if k < len(part)] for part, wanted in zip(parts, counts, strict=True)]
    return [_best(part, ks, form, seed) for part, ks in zip(parts, tried, strict=True)], sizes / sizes.sum()


def _counts(components: Any, classes: int, most: int) -> list[tuple[int, ...]]:
    """The numbers of components to try in each class."""
    if isinstance(components, str):
        validation.choice("components", components, ("bic",))
        return [tuple(range(1, most + 1))] * classes
    given = [components] * classes if np.ndim(components) == 0 else list(components)
    if len(given) != classes:
        raise InvalidInputError(f"components has {len(given)} entries for {classes} classes; expected one for each")
    return [(validation.integer("components", count),) for count in given]


def _best(points: FloatArray, counts: Sequence[int], form: str, seed: int) -> Mixture:
    from sklearn.mixture import GaussianMixture

    found = [
        GaussianMixture(k, covariance_type=form, n_init=3, max_iter=500, random_state=seed).fit(points) for k in counts
    ]
    best = min(found, key=lambda model: model.bic(points)) if len(found) > 1 else found[0]
    covariances = best.covariances_
    if form == "tied":
        covariances = np.broadcast_to(covariances, (best.n_components, *covariances.shape))
    return Mixture(best.weights_ / best.weights_.sum(), best.means_, covariances)


def _factors(points: FloatArray, rank: int) -> Mixture:
    from sklearn.decomposition import FactorAnalysis

    model = FactorAnalysis(rank).fit(points)
    # constant coordinates have no noise of their own; a millionth of the mean variance stands in for it
    noise = np.maximum(model.noise_variance_, 1e-6 * points.var(axis=0).mean())
    return Mixture(np.ones(1), points.mean(axis=0)[None], LowRank(model.components_.T[None], noise[None]))
