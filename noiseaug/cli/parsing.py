"""What commands make of the text of their options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal
from noiseaug.tables.levels import plain_value

if TYPE_CHECKING:
    from noiseaug.data import LabelledSet

__all__ = ["given", "need_torch", "parameters", "say_scaling", "warn_of_precision"]


def need_torch() -> None:
    """One line where the extra is not installed.

    Raises:
        InvalidInputError: that line.
    """
    from importlib.util import find_spec

    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        raise InvalidInputError(f"{' and '.join(missing)} not installed; pip install 'noiseaug[vision]'")


def given(recipe: dict[str, Any]) -> dict[str, Any]:
    """The options of a recipe that were given.

    Raises:
        InvalidInputError: for an option of a schedule that is not chosen.
    """
    changes = {name: value for name, value in recipe.items() if value is not None}
    if changes.get("schedule") != "step" and ("step_epochs" in changes or "step_factor" in changes):
        raise InvalidInputError("--step-epochs and --step-factor belong to --schedule step")
    return changes


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
        found[key] = plain_value(value.strip())
    return found


def say_scaling(data: LabelledSet) -> None:
    """One line on standard error where inputs were scaled, since a radius is in units of the scaled ones."""
    if data.notes:
        done = next((note for note in data.notes.values() if isinstance(note, str)), "scaled column by column")
        print(for_terminal(f"{data.name}: {done}; radii are in these units"), file=sys.stderr)


def warn_of_precision(precision: str, device: str) -> None:
    """One line on standard error where the processor has no instructions for a precision."""
    if precision == "float32":
        return
    from noiseaug.vision.device import emulated

    if line := emulated(precision, device):
        print(f"warning: {line}", file=sys.stderr)
