"""What the commands of this part read from their options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from noiseaug.errors import InvalidInputError

__all__ = ["levels", "need_torch", "parameters"]

_MOST_LEVELS = 1000


def need_torch() -> None:
    """One line where the extra is not installed.

    Raises:
        InvalidInputError: that line.
    """
    from importlib.util import find_spec

    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        raise InvalidInputError(f"{' and '.join(missing)} not installed; pip install 'noiseaug[vision]'")


def parameters(settings: Sequence[str] | None) -> dict[str, Any]:
    """``["copies=4", "attack=pgd"]`` as a dictionary; numbers become numbers.

    Raises:
        InvalidInputError: for a text without ``=``, and a name that is given twice.
    """
    found = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise InvalidInputError(f"--set is {setting!r}; expected name=value, as in --set copies=4")
        key = name.strip().replace("-", "_")
        if key in found:
            raise InvalidInputError(f"--set gives {key} twice")
        found[key] = _number(value.strip())
    return found


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


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
    # rounded so that tables and file names read well
    return tuple(float(f"{start + (stop - start) * i / (num - 1):.12g}") for i in range(num))
