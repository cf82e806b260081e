"""A smoothed classifier as a scikit-learn estimator: fit with noise, predict by vote, certify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from noiseaug import validation
from noiseaug.certificates import Certificate, Cohen
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

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fits the base classifier on noisy copies.

        Args:
            X: inputs, shape (n, features).
            y: labels, shape (n,).

        Raises:
            InvalidInputError: for noise levels or counts out of range.
        """
        train_sigma = validation.nonnegative("train_sigma", self.train_sigma)
        copies = validation.integer("copies", self.copies)
        validation.positive("smooth_sigma", self.smooth_sigma)
        validation.integer("votes", self.votes)
        points, labels = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if self.classes_.size < 2:
            raise ValueError(f"y holds one class only, {self.classes_[0]!r}; expected at least two")
        self._seed = _seed(self.random_state)
        points, labels = augment(points, labels, train_sigma, copies, self._seed)
        base = LogisticRegression(max_iter=1000) if self.base is None else self.base
        self.base_ = clone(base).fit(points, labels)
        return self

    def _counter(self, noise: str = "gaussian", batch: int = 1000) -> VoteCounter:
        return VoteCounter(self.base_, noise=make_noise(noise, self.smooth_sigma), seed=self._seed, batch=batch)

    def _counts(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self, "base_")
        points = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        counter = self._counter()
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
        from noiseaug.certification.certifying import certify

        check_is_fitted(self, "base_")
        inputs = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        return certify(
            self.base_,
            inputs,
            smooth_sigma=self.smooth_sigma,
            labels=None if y is None else self._positions(np.asarray(y)),
            n=n,
            n0=n0,
            failure_prob=failure_prob,
            certificate=certificate or Cohen(),
            noise=noise,
            seed=self._seed,
            **options,
        )

    def _positions(self, y: np.ndarray) -> np.ndarray:
        places = np.clip(np.searchsorted(self.classes_, y), 0, self.classes_.size - 1)
        if not (self.classes_[places] == y).all():
            raise InvalidInputError("y holds labels that fit has not seen")
        return places

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
