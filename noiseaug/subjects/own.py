"""Classifiers of the user's own: what ``module:attribute`` means, and how its classes and those of the data meet."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np

from noiseaug.data import LabelledSet
from noiseaug.errors import InvalidInputError, first_line
from noiseaug.votes import Predictor, as_predictor, checked_labels

__all__ = ["made", "over_the_classes_of", "placed"]

# what the parameters of a class or a factory are called that are filled in
_FILLED = {
    "num_classes": ("num_classes", "n_classes", "nb_classes", "num_labels", "classes"),
    "shape": ("shape", "input_shape", "image_shape"),
    "channels": ("channels", "in_channels", "in_chans", "num_channels"),
    "dim": ("dim", "in_features", "input_dim", "num_features"),
}


def made(
    found: Any, name: str, shape: tuple[int, ...], num_classes: int, *, factory: bool = False, resized: bool = False
) -> Any:
    """What an attribute stands for: itself, or what it makes where it is a class or a factory.

    A function is a factory if all that it needs is called ``num_classes``, ``shape`` or the like, or if it needs
    nothing; any other is a classifier, which takes a batch.

    Args:
        found: the attribute.
        name: ``module:attribute``, for messages.
        shape: of one input.
        num_classes: number of classes of the data.
        factory: whether a function must be a factory, since weights are to go into what it makes.
        resized: whether it gets the number of classes even where it has a default for it.

    Raises:
        InvalidInputError: where a class or factory needs something else, or fails.
    """
    routine = inspect.isroutine(found) or isinstance(found, functools.partial)
    if not isinstance(found, type) and not routine:
        return found
    try:
        needed = _needed(found)
        optional = inspect.signature(found).parameters if resized else {}
    except (TypeError, ValueError):  # some that are written in C do not say
        return found
    needed += [each for each in _FILLED["num_classes"] if each in optional and each not in needed]
    known = {"num_classes": num_classes, "shape": shape, "channels": shape[0], "dim": int(np.prod(shape))}
    filled = {each: known[what] for what, names in _FILLED.items() for each in names if each in needed}
    if missing := [each for each in needed if each not in filled]:
        if routine and not factory:
            return found
        raise InvalidInputError(
            f"{name} needs {', '.join(missing)}; expected a class or factory that needs num_classes, shape or nothing"
        )
    try:
        return found(**filled)
    except Exception as error:  # code of the user's own can raise anything
        raise InvalidInputError(f"{name} cannot be made: {first_line(error)}") from None


def _needed(found: Any) -> list[str]:
    """The parameters that a call needs; one that takes any number of positional ones needs a batch."""
    each = inspect.signature(found).parameters.values()
    return [
        one.name
        for one in each
        if (one.kind is one.VAR_POSITIONAL and not isinstance(found, type))
        or (one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD))
    ]


def over_the_classes_of(data: LabelledSet, base: Any, name: str, num_classes: int | None) -> tuple[Any, LabelledSet]:
    """A classifier that votes in the order of the data's classes, and the data with labels that it can meet.

    A fitted classifier whose own classes are names of the data's classes votes for those. Otherwise its classes are
    numbers: places in the data's classes, or, where it knows more classes than the data have, the numbers that these
    were given.

    Args:
        data: the inputs to certify.
        base: anything that :func:`~noiseaug.votes.as_predictor` takes.
        name: of the classifier, for messages.
        num_classes: number of classes, where it was given; else that of the data, for a classifier that does not say.

    Raises:
        InvalidInputError: for classes that are none of the data's.
    """
    own = getattr(base, "classes_", None)
    if own is None or np.ndim(own) != 1:
        count = num_classes or getattr(base, "num_classes", 0) or data.num_classes
        predictor = as_predictor(base, count)
        return predictor, data.numbered(predictor.num_classes)
    predictor, values = as_predictor(base, num_classes), np.asarray(own).tolist()
    names = [str(value) for value in values]
    if tuple(names) == data.classes:
        return Predictor(predictor.predict, None, predictor.num_classes), data
    if set(names) <= set(data.classes):
        places = np.array([data.classes.index(each) for each in names])
        return placed(predictor, places, data.num_classes), data
    if not all(isinstance(value, int) and value >= 0 for value in values):
        listed = [", ".join(each[:5]) + (", …" if len(each) > 5 else "") for each in (names, list(data.classes))]
        raise InvalidInputError(f"{name} knows the classes {listed[0]}; {data.name} has {listed[1]}")
    renamed = placed(predictor, np.array(values), max(max(values) + 1, data.num_classes))
    return renamed, data.numbered(renamed.num_classes)


def placed(base: Any, places: np.ndarray, num_classes: int) -> Predictor:
    """A classifier whose k-th class is class ``places[k]`` of ``num_classes``."""
    return Predictor(_Renamed(as_predictor(base), places), None, num_classes)


class _Renamed:
    """A predictor whose classes have other places."""

    def __init__(self, predictor: Predictor, places: np.ndarray) -> None:
        self.predictor, self.places = predictor, places

    def __call__(self, batch: np.ndarray) -> Any:
        found = checked_labels(self.predictor.predict(batch), len(batch), len(self.places))
        return self.places[found]
