"""What can be asked of a smoothed classifier: each quantity declared once, for theory, sampling and measurement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from noiseaug import validation
from noiseaug.errors import InvalidInputError, NoClosedFormError

__all__ = ["QUANTITIES", "Measure", "Quantity", "evaluator", "measures"]

T = TypeVar("T")


@dataclass(frozen=True)
class Quantity:
    """A quantity of the tidy table (docs/glossary.md).

    Attributes:
        name: its name in tables.
        label: its name in pictures.
        takes_radius: whether it is asked at an ℓ₂ radius.
        less_is_better: whether small values are the good ones.
        is_length: whether it is in input units; a probability otherwise.
        by_class: whether it can be asked of the points of one class.
    """

    name: str
    label: str
    takes_radius: bool = False
    less_is_better: bool = False
    is_length: bool = False
    by_class: bool = True

    @property
    def sign(self) -> int:
        """−1 where less is better, else 1."""
        return -1 if self.less_is_better else 1


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity("risk", "risk of the smoothed classifier", less_is_better=True),
        Quantity("excess_risk", "excess risk", less_is_better=True, by_class=False),
        Quantity("disagreement", "disagreement Δ", less_is_better=True, by_class=False),
        Quantity("certified_accuracy", "certified accuracy", takes_radius=True),
        Quantity("adversarial_accuracy", "adversarial accuracy", takes_radius=True),
        Quantity("acr", "average certified radius", is_length=True),
        Quantity("finite_sample_certified_accuracy", "certified accuracy of a run", takes_radius=True),
    )
}
"""Every quantity by name."""


@dataclass(frozen=True)
class Measure:
    """A quantity, at a radius where it takes one, of all points or of those of one class.

    Attributes:
        quantity: a name from ``QUANTITIES``.
        radius: ℓ₂ radius ≥ 0 in input units; None for quantities without one.
        label: the class that X is drawn from, as in "the risk given Y = 2"; None for all classes together.

    Raises:
        InvalidInputError: for an unknown quantity, a missing radius, or one too many; for a label where the quantity
            has no value by class.
    """

    quantity: str
    radius: float | None = None
    label: int | None = None

    def __post_init__(self) -> None:
        validation.choice("quantity", self.quantity, tuple(QUANTITIES))
        if self.kind.takes_radius != (self.radius is not None):
            needed = "needs a radius" if self.kind.takes_radius else "has no radius"
            raise InvalidInputError(f"{self.quantity} {needed}; radius is {self.radius}")
        if self.radius is not None:
            object.__setattr__(self, "radius", validation.nonnegative("radius", self.radius))
        if self.label is not None:
            object.__setattr__(self, "label", validation.integer("label", self.label, at_least=0))
            if not self.kind.by_class:
                raise InvalidInputError(f"{self.quantity} is of all classes together; label is {self.label}")

    @property
    def kind(self) -> Quantity:
        """The quantity's declaration."""
        return QUANTITIES[self.quantity]

    @property
    def at(self) -> float:
        """The radius as tables hold it: NaN where there is none."""
        return math.nan if self.radius is None else self.radius


def measures(quantities: Iterable[str], radii: Iterable[float], num_classes: int = 0) -> list[Measure]:
    """Every quantity; those that take a radius at each of the radii.

    Args:
        quantities: names.
        radii: ℓ₂ radii.
        num_classes: ask those that have a value by class of each of so many classes too.
    """
    radii = list(radii)
    found: list[Measure] = []
    for name in quantities:
        kind = QUANTITIES.get(name)
        labels = [None, *range(num_classes)] if kind is not None and kind.by_class else [None]
        at = radii if kind is not None and kind.takes_radius else [None]
        found += [Measure(name, radius, label) for label in labels for radius in at]
    return found


def evaluator(known: Mapping[str, T], quantity: str, how: str) -> T:
    """What evaluates a quantity, from a table of evaluators by name.

    Args:
        known: an entry for each quantity that can be evaluated this way.
        quantity: the quantity's name.
        how: the way of evaluating, for the message, as in "by votes".

    Raises:
        NoClosedFormError: where the table has no entry for the quantity.
    """
    if quantity not in known:
        raise NoClosedFormError(f"{quantity} cannot be evaluated {how}; expected one of {', '.join(known)}")
    return known[quantity]
