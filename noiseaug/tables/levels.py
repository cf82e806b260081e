"""Numbers as text: levels of noise, equal steps, parts of a run; from the command line and from files."""

from __future__ import annotations

import math
from typing import Any

from noiseaug.errors import InvalidInputError

__all__ = ["LEVELS", "levels", "plain_value", "shard", "steps"]

LEVELS = "0,.1,.2 or start:stop:num"
"""What :func:`levels` reads, for help texts."""

_MOST_STEPS = 100_000
_MOST_LEVELS = 1000


def steps(name: str, start: Any, stop: Any, num: Any) -> tuple[float, ...]:
    """Equal steps from ``start`` to ``stop``, rounded so that tables and file names read well."""
    import numpy as np  # here, because command lines read help texts from this module

    from noiseaug import validation

    start, stop = validation.number(f"{name}, start", start), validation.number(f"{name}, stop", stop)
    num = validation.integer(f"{name}, num", num)
    if num > _MOST_STEPS:
        raise InvalidInputError(f"{name}, num is {num}; expected at most {_MOST_STEPS}")
    return tuple(float(f"{value:.12g}") for value in np.linspace(start, stop, num))


def levels(option: str, text: str) -> tuple[float, ...]:
    """Numbers: ``0,.1,.2``, or ``0:1:11`` for eleven equal steps from 0 to 1.

    Args:
        option: whose value it is, for the message.
        text: the value.

    Raises:
        InvalidInputError: for anything else.
    """
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return tuple(float(part) for part in text.split(","))
        start, stop, num = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) > 3 or not (2 <= num <= _MOST_LEVELS and math.isfinite(start) and math.isfinite(stop)):
            raise ValueError
    except (ValueError, IndexError):
        raise InvalidInputError(
            f"{option} is {text!r}; expected numbers as 0,.1,.2 or start:stop:num as 0:1:11"
        ) from None
    return steps(option, start, stop, num)


def plain_value(text: str) -> Any:
    """A number or a truth value where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def shard(text: str) -> tuple[int, int]:
    """``"i/k"`` as numbers, 0 ≤ i < k.

    Raises:
        InvalidInputError: for anything else.
    """
    number, slash, total = text.partition("/")
    digits = (number + total).isdecimal() and len(text) < 20
    if not (slash and number and total and digits and int(number) < int(total)):
        raise InvalidInputError(f"shard is {text!r}; expected i/k with 0 ≤ i < k")
    return int(number), int(total)
