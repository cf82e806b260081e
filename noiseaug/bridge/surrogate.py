"""Two classes as Gaussians with a common covariance: the closed form of docs/math.md 2.2, and what the same rule does.

A surrogate keeps the means, the shares and the pooled covariance of two classes of training inputs. Its augmented rule
with training noise α is a half-space, so certified accuracy has a closed form *if* the classes were Gaussian, and, for
the very same half-space, is a count of signed distances on test inputs (2.1: a half-space certifies its distance,
whatever β). The two differ by the Gaussian assumption alone (and by training means that are not the test inputs').
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.bridge.choice import best_level
from noiseaug.bridge.samples import flat, principal_axes
from noiseaug.confidence import binomial_interval
from noiseaug.data import DataSource
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.predictors import smoothed
from noiseaug.regions import HalfSpace
from noiseaug.risk import evaluate
from noiseaug.subjects import load_classifier
from noiseaug.tables import Measure, measures, row, to_frame
from noiseaug.tasks import GaussianPair
from noiseaug.validation import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ACTUAL", "LINEAR", "PREDICTED", "Surrogate", "best_levels", "fit_surrogate", "linear_table", "pair_table"]

PREDICTED, ACTUAL, LINEAR = "gaussian", "gaussian, on test inputs", "logistic, on test inputs"
"""Names of the predictors in tables: closed form, the same half-space counted on test inputs, a trained one."""

_RANK = 1e-9  # of the largest variance: directions below have none
_SHRINKAGE = 1e-6  # of the mean variance, where the pooled covariance has a null direction that the means differ in
_ANY_SMOOTHING = 1.0  # a half-space certifies the same whatever β is


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A Gaussian pair in the principal axes of two classes of inputs.

    Attributes:
        pair: the task, in coordinates basisᵀ(x − centre), its covariance diagonal.
        basis: orthonormal columns, shape (dim, k).
        centre: shape (dim,).
        shrinkage: what was added to every variance so that they are positive; 0 unless needed.
        inputs: training inputs behind it.
    """

    pair: GaussianPair
    basis: FloatArray
    centre: FloatArray
    shrinkage: float
    inputs: int

    def region(self, train_sigma: float) -> HalfSpace:
        """The augmented rule as a half-space of the inputs' own space, where it predicts class 1."""
        inner = self.pair.augmented_region(train_sigma)
        normal = self.basis @ inner.normal
        return HalfSpace(normal, inner.offset + float(normal @ self.centre))


def fit_surrogate(x: ArrayLike, y: ArrayLike, *, components: int | None = None) -> Surrogate:
    """Means, shares and pooled covariance of two classes.

    Directions in which neither class varies and the means do not differ (constant pixels) are left out, which changes
    no rule. Where the means differ in a direction without variance, 10⁻⁶ of the mean variance is added to all.

    Args:
        x: inputs, shape (m, …).
        y: labels 0 and 1, shape (m,).
        components: keep only the principal components with the largest variance of all inputs together (another
            rule: it cannot see the rest); all by default.

    Raises:
        InvalidInputError: for other labels, fewer than two inputs of a class, or equal means.
    """
    rows, labels = flat(np.asarray(x)).astype(float), np.asarray(y)
    counts = [int((labels == label).sum()) for label in (0, 1)]
    if labels.shape != (len(rows),) or sum(counts) != len(rows) or min(counts) < 2:
        raise InvalidInputError(
            f"{counts[0]} inputs have label 0 and {counts[1]} label 1, of {len(rows)}; expected two of each or more, "
            "and no other labels"
        )
    centre = rows.mean(axis=0)
    rows -= centre
    kept = None if components is None else validation.integer("components", components)
    values, vectors = principal_axes(rows.T @ rows / len(rows), kept)
    axes = vectors[:, values > _RANK * values[-1]]
    projected = rows @ axes
    means = [projected[labels == label].mean(axis=0) for label in (0, 1)]
    for label in (0, 1):
        projected[labels == label] -= means[label]
    spectrum, turn = np.linalg.eigh(projected.T @ projected / (len(rows) - 2))
    shrinkage = 0.0
    if not spectrum.size or spectrum[0] <= _RANK * spectrum[-1]:
        shrinkage = _SHRINKAGE * float(spectrum.mean()) if spectrum.size else 0.0
    # a null direction may come out a little below 0
    variances = np.maximum(spectrum, 0.0) + shrinkage
    if not variances.size or variances[0] <= 0:
        raise InvalidInputError("the inputs of each class are all equal; a Gaussian needs a variance")
    pair = GaussianPair(means[1] @ turn, means[0] @ turn, variances, counts[1] / len(rows))
    return Surrogate(pair, axes @ turn, centre, shrinkage, len(rows))


def pair_table(
    surrogate: Surrogate, x: ArrayLike, y: ArrayLike, *, train_sigma: Sequence[float], radii: Sequence[float], task: str
) -> pd.DataFrame:
    """The closed form and the count: risk, certified accuracy and ACR of the augmented rule for every α.

    Both hold for every smoothing noise β > 0, so ``smooth_sigma`` is missing. Counts have Clopper–Pearson intervals
    over inputs at 95%, that of ACR is the normal approximation's.

    Args:
        surrogate: from :func:`fit_surrogate`.
        x: test inputs, shape (m, …).
        y: labels 0 and 1, shape (m,).
        train_sigma: levels α ≥ 0.
        radii: ℓ₂ radii, in input units.
        task: what to call the data.

    Returns:
        Rows with the columns of ``noiseaug.sweeps``, the predictor :data:`~noiseaug.bridge.surrogate.PREDICTED` or
        :data:`~noiseaug.bridge.surrogate.ACTUAL`.
    """
    asked = measures(("risk", "certified_accuracy", "acr"), radii)
    rows: list[dict[str, Any]] = []
    for level in train_sigma:
        predictor = smoothed(surrogate.pair.augmented_region(level), _ANY_SMOOTHING)
        facts = {"task": task, "predictor": PREDICTED, "train_sigma": float(level), "smooth_sigma": np.nan}
        estimates = evaluate(surrogate.pair, predictor, asked)
        rows += [row(measure, estimate, **facts) for measure, estimate in zip(asked, estimates, strict=True)]
        rows += _counted(surrogate.region(level), x, y, radii, level, ACTUAL, task)
    return to_frame(rows)


def linear_table(
    data: DataSource, *, train_sigma: Sequence[float], radii: Sequence[float], copies: int = 10, seed: int = 0
) -> pd.DataFrame:
    """Logistic regression trained on noisy copies, for every α: the linear model that is measured, exact on each input.

    Args:
        data: two classes, with training inputs; risks are on ``x``, ``y``.
        train_sigma: levels α ≥ 0.
        radii: ℓ₂ radii, in input units.
        copies: noisy copies of each training input.
        seed: of the training noise.

    Raises:
        InvalidInputError: for data of other than two classes.
    """
    if data.train is None or not np.array_equal(np.unique(data.train.labels), [0, 1]):
        raise InvalidInputError(f"{data.name} does not have two classes to train on; choose some, as in digits:3,8")
    rows: list[dict[str, Any]] = []
    for level in train_sigma:
        model = load_classifier("logistic", data, level, copies, seed)
        region = HalfSpace(model.coef_[0].astype(float), -float(model.intercept_[0]))
        rows += _counted(region, data.test.inputs, data.test.labels, radii, level, LINEAR, data.name)
    return to_frame(rows)


def _counted(
    region: HalfSpace, x: ArrayLike, y: ArrayLike, radii: Sequence[float], level: float, predictor: str, task: str
) -> list[dict[str, Any]]:
    """Quantities of a half-space on inputs, by their signed distances."""
    labels = np.asarray(y)
    distance = region.coordinate(flat(np.asarray(x)).astype(float))
    own = np.where(labels == 1, distance, -distance)
    n, failure_prob = len(own), 0.05
    asked = [(Measure("risk"), own < 0)]
    asked += [(Measure("certified_accuracy", float(radius)), own >= radius) for radius in radii]
    facts = {"task": task, "predictor": predictor, "train_sigma": float(level), "smooth_sigma": np.nan}
    rows = []
    for measure, hits in asked:
        lower, upper = binomial_interval(int(hits.sum()), n, failure_prob)
        rows.append(row(measure, Estimate(int(hits.sum()) / n, lower, upper, "sampled", n, failure_prob), **facts))
    earned = np.maximum(own, 0)
    mean, error = float(earned.mean()), 1.96 * float(earned.std()) / np.sqrt(n)
    estimate = Estimate(mean, mean - error, mean + error, "sampled", n, failure_prob)
    return [*rows, row(Measure("acr"), estimate, **facts)]


def best_levels(surrogate: Surrogate, table: pd.DataFrame, radii: Sequence[float]) -> pd.DataFrame:
    """The closed form's α(r) beside the level of the table that is best on test inputs, for each radius.

    Args:
        surrogate: from :func:`fit_surrogate`.
        table: from :func:`pair_table`, with :func:`linear_table`'s rows if there are any.
        radii: radii of the table.

    Returns:
        A row for each radius: radius, optimal_train_sigma (∞ from half the distance of the means on, where no level is
        best), and for each predictor in the table its best level on the grid (``… best``, the middle one of equals)
        and the certified accuracy there.
    """
    import pandas as pd

    rows = []
    for radius in radii:
        row: dict[str, Any] = {"radius": float(radius)}
        row["optimal_train_sigma"] = surrogate.pair.optimal_train_sigma(radius)
        for name in (PREDICTED, ACTUAL, LINEAR):
            chosen = (
                (table["predictor"] == name) & (table["quantity"] == "certified_accuracy") & (table["radius"] == radius)
            )
            line = table[chosen].sort_values("train_sigma")
            if not line.empty:
                row[f"{name}, best α"] = best_level(line["train_sigma"], line["value"])
                row[f"{name}, certified accuracy there"] = float(line["value"].max())
        rows.append(row)
    return pd.DataFrame(rows)
