"""A smoothed classifier as a scikit-learn estimator: fit with noise, predict by vote, certify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, has_fit_parameter, validate_data

from noiseaug import validation
from noiseaug.certificates import Certificate, Cohen
from noiseaug.certification.certifying import certify, dense
from noiseaug.errors import InvalidInputError
from noiseaug.votes import VoteCounter, make_noise

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SmoothedClassifier", "augment", "certified_accuracy_scorer"]


class SmoothedClassifier(ClassifierMixin, BaseEstimator):
    """Any scikit-learn classifier, trained on noisy copies and smoothed with noise.

    ``fit`` trains a clone of the base on copies x + αZ with new noise for each copy; ``predict`` takes the class that
    the base gives most often to x + βZ; ``certify`` adds radii.

    Args:
        base: the classifier to train; logistic regression by default.
        train_sigma: α ≥ 0, in input units.
        smooth_sigma: β > 0, in input units.
        copies: noisy copies of each training input, m ≥ 1; one plain copy at α = 0.
        votes: votes behind a prediction.
        random_state: seed of the training noise and of the votes; an integer or a NumPy ``RandomState``.

    Attributes:
        base_: the fitted base classifier.
        classes_: labels.
        n_features_in_: number of features.
    """

    def __init__(
        self,
        base: Any = None,
        train_sigma: float = 0.0,
        smooth_sigma: float = 0.25,
        *,
        copies: int = 1,
        votes: int = 100,
        random_state: Any = 0,
    ) -> None:
        self.base = base
        self.train_sigma = train_sigma
        self.smooth_sigma = smooth_sigma
        self.copies = copies
        self.votes = votes
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fits the base classifier on noisy copies.

        Args:
            X: inputs, shape (n, features); of a frame the base gets the names of the columns. Sparse ones become dense.
            y: labels, shape (n,).
            sample_weight: of each input, shape (n,), for each of its copies alike; the base must take it.

        Raises:
            InvalidInputError: for noise levels or counts out of range, and weights that the base does not take.
        """
        train_sigma = validation.nonnegative("train_sigma", self.train_sigma)
        copies = validation.integer("copies", self.copies)
        validation.positive("smooth_sigma", self.smooth_sigma)
        validation.integer("votes", self.votes)
        points, labels = validate_data(self, X, y, dtype=(np.float64, np.float32), accept_sparse=("csr", "csc"))
        points = dense(points)
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if self.classes_.size < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}; expected at least two")
        self._seed = _seed(self.random_state)
        points, labels = augment(points, labels, train_sigma, copies, self._seed)
        base = LogisticRegression(max_iter=1000) if self.base is None else self.base
        weights = {} if sample_weight is None else self._weights(base, sample_weight, points, copies, train_sigma)
        self.base_ = clone(base).fit(self._named(points), labels, **weights)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _named(self, points: np.ndarray) -> Any:
        """Points as a frame, where fit got one: steps of the base may choose columns by name."""
        if not hasattr(self, "feature_names_in_"):
            return points
        import pandas as pd

        return pd.DataFrame(points, columns=self.feature_names_in_)

    @staticmethod
    def _weights(base: Any, given: ArrayLike, points: np.ndarray, copies: int, train_sigma: float) -> dict[str, Any]:
        """The argument of ``fit`` that takes the weights of all copies; a pipeline hands it to its last step."""
        copies = copies if train_sigma else 1
        count = len(points) // copies
        last = base.steps[-1] if hasattr(base, "steps") else ("", base)
        if not has_fit_parameter(last[1], "sample_weight"):
            raise InvalidInputError(f"{type(last[1]).__name__} takes no sample_weight; leave it out")
        weights = np.tile(_check_sample_weight(given, points[:count], dtype=points.dtype), copies)
        return {f"{last[0]}__sample_weight".removeprefix("__"): weights}

    def _counter(self, noise: str = "gaussian", batch: int = 1000) -> VoteCounter:
        return VoteCounter(self.base_, noise=make_noise(noise, self.smooth_sigma), seed=self._seed, batch=batch)

    def _checked(self, X: ArrayLike) -> Any:
        """Inputs like those of fit, dense."""
        check_is_fitted(self, "base_")
        rows = validate_data(self, X, reset=False, dtype=(np.float64, np.float32), accept_sparse=("csr", "csc"))
        return dense(rows)

    def _counts(self, X: ArrayLike) -> np.ndarray:
        points, counter = self._checked(X), self._counter()
        # the votes of an input depend on the input alone, not on its place among others
        return np.array([counter.stream(x, 0, "estimation").take(int(self.votes)) for x in points])

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Shares of the votes, shape (n, classes)."""
        counts = self._counts(X)
        return counts / counts.sum(axis=1, keepdims=True)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The classes with the most votes, shape (n,)."""
        winners = np.argmax(self._counts(X), axis=1)
        return self.classes_[winners]

    def certify(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        n: int = 10_000,
        n0: int = 100,
        failure_prob: float = 1e-3,
        certificate: Certificate | None = None,
        noise: str = "gaussian",
        **options: Any,
    ) -> pd.DataFrame:
        """Certified radii; see :func:`noiseaug.certification.certify` for the columns and further options.

        Labels and predictions in the frame are positions in ``classes_``; −1 is an abstention.

        Args:
            X: inputs, shape (m, features).
            y: labels, shape (m,).
            n: votes for an input at most.
            n0: votes of the selection sample.
            failure_prob: probability that a certificate is wrong, at most.
            certificate: the rule.
            noise: ``"gaussian"`` or ``"discrete"``.
            **options: passed on.
        """
        inputs = self._checked(X)
        return certify(
            self.base_,
            inputs,
            smooth_sigma=self.smooth_sigma,
            labels=y,
            n=n,
            n0=n0,
            failure_prob=failure_prob,
            certificate=certificate or Cohen(),
            noise=noise,
            seed=self._seed,
            **options,
        )

    def certified_accuracy(self, X: ArrayLike, y: ArrayLike, radius: float, **options: Any) -> float:
        """Share of inputs that are right and certified at ``radius``; options as in :meth:`certify`."""
        frame = self.certify(X, y, **options)
        return float((frame["correct"] & (frame["radius"] >= validation.nonnegative("radius", radius))).mean())


def augment(
    points: np.ndarray, labels: np.ndarray, train_sigma: float, copies: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Noisy copies x + αZ of training inputs, with new noise for each copy; the inputs themselves at α = 0.

    Args:
        points: inputs, shape (n, …), float32 or float64; the noise has their precision.
        labels: shape (n,).
        train_sigma: α ≥ 0, in input units.
        copies: noisy copies of each input.
        seed: of the noise.

    Returns:
        Inputs of shape (n · copies, …) and their labels, one copy of all after the other.
    """
    if train_sigma == 0:
        return points, labels
    rng = np.random.default_rng([seed, 0])
    noise = (rng.standard_normal(points.shape).astype(points.dtype) for _ in range(copies))
    return np.concatenate([points + points.dtype.type(train_sigma) * z for z in noise]), np.tile(labels, copies)


def certified_accuracy_scorer(radius: float, **options: Any) -> Any:
    """A scorer for grid search: certified accuracy at ``radius``, in the units of the smoothed classifier's input.

    For a pipeline that ends in a :class:`SmoothedClassifier` the radius is in the units after the earlier steps.

    Args:
        radius: ℓ₂ radius.
        **options: passed to :meth:`SmoothedClassifier.certify`.
    """

    def score(estimator: Any, X: ArrayLike, y: ArrayLike) -> float:
        if hasattr(estimator, "steps"):
            *earlier, (_, last) = estimator.steps
            for _, step in earlier:
                if step is not None and step != "passthrough":
                    X = step.transform(X)
            return last.certified_accuracy(X, y, radius, **options)
        return estimator.certified_accuracy(X, y, radius, **options)

    return score


def _seed(random_state: Any) -> int:
    """An integer seed from what scikit-learn takes as a random state."""
    if random_state is None or isinstance(random_state, np.random.RandomState):
        source = np.random.RandomState() if random_state is None else random_state
        return int(source.randint(2**31 - 1))
    return validation.integer("random_state", random_state, at_least=0)
