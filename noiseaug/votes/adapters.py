"""Classifiers of every kind as functions from batches to class indices."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoiseaugError, first_line
from noiseaug.votes.logits import in_eval_mode, logits_of

__all__ = ["Predictor", "answers", "as_predictor", "checked_labels", "class_positions"]


@dataclass(frozen=True)
class Predictor:
    """A base classifier as the vote engine sees it.

    Attributes:
        predict: maps a batch of noisy inputs, shape (m, …) with the shape of an input, to labels 0 … num_classes−1,
            shape (m,). The batch is a buffer that the next one overwrites.
        classes: the classifier's own label of each class, shape (num_classes,), or None where 0 … num_classes−1 are.
        num_classes: number of classes; by default as many as ``classes``.

    Raises:
        InvalidInputError: where the number of classes is not known, or contradicts ``classes``.
    """

    predict: Callable[[np.ndarray], Any]
    classes: np.ndarray | None = None
    num_classes: int = 0

    def __post_init__(self) -> None:
        known = _agreed(self.num_classes, 0 if self.classes is None else len(self.classes))
        if not known:
            raise InvalidInputError("the number of classes is not known; give it as num_classes=...")
        object.__setattr__(self, "num_classes", known)
        if self.classes is not None and _numbered(self.classes):
            object.__setattr__(self, "classes", None)


def as_predictor(base: Any, num_classes: int | None = None) -> Predictor:
    """Adapts a classifier.

    Args:
        base: a Predictor; a fitted scikit-learn classifier (classes in the order of ``classes_``, inputs flattened); a
            torch module that returns logits of shape (m, num_classes), alone or within a tuple, a dictionary or an
            object, or a single logit for two classes (run in eval mode without gradients, on its own device and in its
            own precision; afterwards in the mode in which it was); an object with ``predict`` and ``num_classes``; or a
            function from batches to integer labels, or to scores of shape (m, num_classes).
        num_classes: number of classes, needed for a function, and for a torch module that has no ``num_classes``.

    Raises:
        InvalidInputError: for something else, or where the number of classes is missing or contradicts ``base``.
    """
    given = 0 if num_classes is None else validation.integer("num_classes", num_classes)
    if isinstance(base, Predictor):
        return Predictor(base.predict, base.classes, _agreed(given, base.num_classes))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(base, torch.nn.Module):
        own = getattr(base, "num_classes", 0)
        count = _agreed(given, own if isinstance(own, int) else 0)
        return Predictor(_TorchLabels(base, count), None, count)
    predict = getattr(base, "predict", None)
    if callable(predict) and not isinstance(base, type):
        if hasattr(base, "classes_"):
            classes = np.asarray(base.classes_)
            if classes.ndim != 1:
                raise InvalidInputError(f"{type(base).__name__} predicts several outputs; expected one label an input")
            return Predictor(_FittedLabels(base, classes), classes, given)
        if hasattr(base, "fit"):
            raise InvalidInputError(
                f"{type(base).__name__} has no classes_: fit it first, or give its predict function and num_classes"
            )
        return Predictor(predict, None, _agreed(given, getattr(base, "num_classes", 0)))
    if not callable(base) or isinstance(base, type):
        kind = base.__name__ if isinstance(base, type) else type(base).__name__
        raise InvalidInputError(
            f"base is {kind}; expected a function on arrays, a fitted scikit-learn classifier, or a torch module"
        )
    return Predictor(base, None, given)


def class_positions(classes: np.ndarray, labels: Any) -> np.ndarray:
    """Labels of a classifier's own classes as positions in ``classes``, int64.

    Raises:
        InvalidInputError: for labels that are none of the classes.
    """
    given = np.asarray(labels)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    names, texts = {value: place for place, value in enumerate(classes.tolist())}, given.tolist()
    strange = [value for value in texts if not isinstance(value, list) and value not in names]
    if given.ndim != 1 or strange:
        shown = f"{strange[0]!r}" if strange else f"shape {given.shape}"
        known = ", ".join(map(repr, list(names)[:5])) + (", …" if len(names) > 5 else "")
        raise InvalidInputError(
            f"labels hold {shown}; expected one of the classifier's classes for each input, {known}"
        )
    return np.array([names[value] for value in texts], dtype=np.int64)


def _numbered(classes: np.ndarray) -> bool:
    """Whether the classes are the numbers from 0."""
    return classes.dtype.kind in "iu" and np.array_equal(classes, np.arange(len(classes)))


def _agreed(given: int, own: int) -> int:
    """The number of classes from two sides, of which 0 does not know."""
    if given and own and given != own:
        raise InvalidInputError(f"num_classes is {given}; the classifier has {own} classes")
    return given or (own and validation.integer("num_classes", own))


def answers(predict: Callable[[np.ndarray], Any], batch: np.ndarray) -> Any:
    """What a classifier answers; whatever its code raises is told in one line, with the error as its cause.

    Without that a StopIteration would end the work as if it were done.

    Raises:
        InvalidInputError: where the classifier fails.
    """
    try:
        return predict(batch)
    except (NoiseaugError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise InvalidInputError(
            f"the classifier fails on inputs of shape {batch.shape}, with {type(error).__name__}: {first_line(error)}"
        ) from error


def checked_labels(labels: Any, votes: int, num_classes: int) -> np.ndarray:
    """A classifier's labels, or scores of all classes, as indices; or one line that says what is wrong with them."""
    detach = getattr(labels, "detach", None)  # of a tensor, which may be part of a graph, or on a device
    try:
        result = np.asarray(detach().cpu() if callable(detach) else labels)
    except Exception as error:
        raise InvalidInputError(f"the classifier returned {type(labels).__name__}: {error}; expected labels") from None
    if result.shape == (votes, num_classes) and result.dtype.kind in "fiu":  # a score for each class
        if np.isnan(result).any():
            raise InvalidInputError("the classifier returned NaN; expected finite scores")
        return np.argmax(result, axis=1)
    if result.shape != (votes,):
        raise InvalidInputError(f"the classifier returned shape {result.shape}; expected one label each, ({votes},)")
    if result.dtype.kind == "f":
        if np.isnan(result).any():
            raise InvalidInputError("the classifier returned NaN; expected integer labels")
        if (result != np.floor(result)).any():
            bad = result[result != np.floor(result)][0]
            raise InvalidInputError(f"the classifier returned {bad:g}; expected integer labels")
    elif result.dtype.kind not in "iub":
        raise InvalidInputError(f"the classifier returned labels of type {result.dtype}; expected integers")
    low, high = result.min(), result.max()
    if low < 0 or high >= num_classes:
        bad = low if low < 0 else high
        raise InvalidInputError(f"the classifier returned label {bad}; expected 0 … {num_classes - 1}")
    return result.astype(np.intp, copy=False)


@dataclass(frozen=True, eq=False)
class _FittedLabels:
    """Predictions of a scikit-learn classifier as positions in ``classes_``."""

    base: Any
    classes: np.ndarray

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        rows: Any = batch.reshape(len(batch), -1)
        names = getattr(self.base, "feature_names_in_", None)
        if (
            names is not None and len(names) == rows.shape[1]
        ):  # it was fitted on a frame, and may choose columns by name
            import pandas as pd

            rows = pd.DataFrame(rows, columns=names)
        labels = np.asarray(self.base.predict(rows))
        count = len(self.classes)
        if labels.ndim != 1 or _numbered(self.classes):
            return labels
        order = np.argsort(self.classes)
        found = order[np.minimum(np.searchsorted(self.classes, labels, sorter=order), count - 1)]
        strange = self.classes[found] != labels
        if strange.any():
            raise InvalidInputError(f"the classifier returned label {labels[strange][0]}, which is not in classes_")
        return found


@dataclass(frozen=True, eq=False)
class _TorchLabels:
    """The largest logit of a torch module."""

    module: Any
    num_classes: int

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        torch = sys.modules["torch"]
        weight = next((each for each in self.module.parameters() if each.is_floating_point()), None)
        inputs = torch.from_numpy(batch)
        if weight is not None:
            inputs = inputs.to(device=weight.device, dtype=weight.dtype)
        with in_eval_mode(self.module), torch.inference_mode():
            output = self.module(inputs)
        logits = logits_of(output, len(batch), self.num_classes, "the torch module")
        if bool(logits.isnan().any()):
            raise InvalidInputError("the torch module returned NaN; expected finite logits")
        labels: np.ndarray = logits.argmax(1).cpu().numpy()
        return labels
