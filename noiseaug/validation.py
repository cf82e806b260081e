"""Checks of arguments, each with one clear line on failure; and the type of arrays of floats."""

from __future__ import annotations

import importlib
import math
import numbers
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noiseaug.errors import InvalidInputError

__all__ = [
    "FloatArray",
    "array",
    "attribute",
    "choice",
    "integer",
    "nonnegative",
    "number",
    "points",
    "positive",
    "probability",
]

FloatArray = NDArray[np.float64]


def number(name: str, value: Any) -> float:
    """A finite real number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real | np.number):
        raise InvalidInputError(f"{name} is {value!r}; expected a number")
    result = float(value)
    if not math.isfinite(result):
        raise InvalidInputError(f"{name} is {result}; expected a finite number")
    return result


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    result = number(name, value)
    if result <= 0:
        raise InvalidInputError(f"{name} is {result:g}; expected a number above 0")
    return result


def nonnegative(name: str, value: Any) -> float:
    """A finite number of at least 0."""
    result = number(name, value)
    if result < 0:
        raise InvalidInputError(f"{name} is {result:g}; expected a number of at least 0")
    return result


def probability(name: str, value: Any) -> float:
    """A number strictly between 0 and 1."""
    result = number(name, value)
    if not 0 < result < 1:
        raise InvalidInputError(f"{name} is {result:g}; expected a number strictly between 0 and 1")
    return result


def integer(name: str, value: Any, *, at_least: int = 1) -> int:
    """An integer of at least ``at_least``; floats with an integral value are taken."""
    result = number(name, value)
    if result != int(result) or result < at_least:
        raise InvalidInputError(f"{name} is {value!r}; expected an integer of at least {at_least}")
    return int(result)


def choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of the allowed words."""
    if value not in allowed:
        raise InvalidInputError(f"{name} is {value!r}; expected one of {', '.join(allowed)}")
    return str(value)


def attribute(reference: str, otherwise: str) -> Any:
    """What ``module:attribute`` refers to, imported from the current directory too, as ``python -m`` would.

    Args:
        reference: the module and the attribute.
        otherwise: the message where the reference is not of that form.
    """
    module, colon, name = reference.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), name]):
        raise InvalidInputError(otherwise)
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, SyntaxError) as error:
        raise InvalidInputError(f"cannot import {module}: {error}") from None
    except AttributeError:
        raise InvalidInputError(f"{module} has no {name}") from None
    finally:
        sys.path.remove("")


def array(name: str, value: Any, ndim: int) -> FloatArray:
    """A finite float array with ``ndim`` axes."""
    try:
        result = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} is not an array of numbers: {error}") from None
    if result.ndim != ndim:
        raise InvalidInputError(f"{name} has {result.ndim} axes; expected {ndim}")
    if not np.isfinite(result).all():
        raise InvalidInputError(f"{name} holds NaN or infinite entries; expected finite numbers")
    return result


def points(x: Any, dim: int) -> FloatArray:
    """Points of R^dim as an array of shape (n, dim); for dim 1 a flat array is taken as n points."""
    result = np.asarray(x, dtype=float)
    if dim == 1 and result.ndim == 1:
        result = result[:, None]
    if result.ndim != 2 or result.shape[1] != dim:
        raise InvalidInputError(f"points have shape {result.shape}; expected (n, {dim})")
    return result
