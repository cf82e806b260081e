"""Checks of arguments, each with one clear line on failure; and the type of arrays of floats."""

from __future__ import annotations

import importlib
import math
import numbers
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noiseaug.errors import InvalidInputError, first_line

__all__ = [
    "FloatArray",
    "affordable",
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
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidInputError(f"{name} is {value!r}; expected a number")
    try:
        result = float(value)
    except OverflowError:  # a whole number
        raise InvalidInputError(f"{name} is {_brief(value)}; expected a number below 1.8e308") from None
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


def integer(name: str, value: Any, *, at_least: int = 1, at_most: int | None = None) -> int:
    """An integer of at least ``at_least``, every digit of it; floats with an integral value are taken."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    exact = int(value) if whole else number(name, value)
    if exact != int(exact) or exact < at_least:
        raise InvalidInputError(f"{name} is {_brief(value)}; expected an integer of at least {at_least}")
    if at_most is not None and exact > at_most:
        raise InvalidInputError(f"{name} is {_brief(value)}; expected an integer of at most {at_most}")
    return int(exact)


def affordable(name: str, value: Any, most: int, rate: float, unit: str) -> int:
    """An integer from 1 to ``most``: a number of pieces of work that can be waited for.

    Args:
        name: of the argument.
        value: the number of pieces.
        most: how many are taken.
        rate: pieces that are done in a second, about, for the message.
        unit: what a piece is, in the plural.

    Raises:
        InvalidInputError: for another value; how long the work would take.
    """
    count = integer(name, value)
    if count > most:
        years = min(count, 10**200) / rate / (365.25 * 24 * 3600)
        takes = f"{years:.2g} years" if years < 1e6 else f"{years / 1e6:.2g} million years"
        raise InvalidInputError(
            f"{name} is {_brief(count)}; at some {rate:g} {unit} a second they take {takes}; expected at most {most}"
        )
    return count


def _brief(value: Any) -> str:
    """A value in a message; of a whole number with many digits how many there are."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of some {int(value.bit_length() * 0.30103) + 1} digits"
    return repr(value)


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

    Raises:
        InvalidInputError: for such a reference, a module of Python itself, and a module that cannot be imported or
            lacks the attribute. Where it was the module's own code that failed, its error is the cause.
    """
    module, colon, name = reference.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), name]):
        raise InvalidInputError(otherwise)
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise InvalidInputError(f"{module} is the name of a module of Python itself; expected one of your own")
    sys.path.insert(0, "")
    try:
        found = importlib.import_module(module)
    except (ImportError, SyntaxError) as error:
        raise InvalidInputError(f"cannot import {module}: {first_line(error)}") from None
    except (Exception, SystemExit) as error:  # whatever the user's own code runs into
        raise InvalidInputError(f"cannot import {module}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.remove("")
    try:
        return getattr(found, name)
    except AttributeError:
        raise InvalidInputError(f"{module} has no {name}") from None


def array(name: str, value: Any, ndim: int) -> FloatArray:
    """A finite float array with ``ndim`` axes."""
    try:
        result = np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
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
