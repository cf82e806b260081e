"""A number together with what is known about its error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Estimate", "Method"]

Method = Literal["exact", "numeric", "sampled", "measured"]


@dataclass(frozen=True)
class Estimate:
    """A value with an interval, and how they were obtained.

    ``method`` is ``"exact"`` for a closed form (evaluated up to rounding and root-finding), ``"numeric"`` for a
    quadrature whose interval holds its estimated error, and ``"sampled"`` for an average over ``n`` draws whose
    interval misses the true value with probability at most ``failure_prob``; ``"measured"`` is the same for a trained
    model on ``n`` test inputs.

    Attributes:
        value: the best single number.
        lower: lower end of the interval; equal to ``value`` for closed forms.
        upper: upper end of the interval.
        method: how the number was obtained.
        n: draws behind a sampled or measured value, else 0.
        failure_prob: probability that the interval misses the true value; 0 for exact and numeric values.
        seed: seed of a sampled or measured value, else None.
    """

    value: float
    lower: float
    upper: float
    method: Method
    n: int = 0
    failure_prob: float = 0.0
    seed: int | None = None

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A closed form."""
        return cls(float(value), float(value), float(value), "exact")

    @classmethod
    def numeric(cls, value: float, error: float, *, floor: float = -math.inf, ceiling: float = math.inf) -> Estimate:
        """A quadrature with its error; ``floor`` and ``ceiling`` are bounds known beforehand, for the interval only."""
        return cls(float(value), max(float(value - error), floor), min(float(value + error), ceiling), "numeric")

    def agrees_with(self, other: Estimate) -> bool:
        """Whether the two intervals overlap."""
        return self.lower <= other.upper and other.lower <= self.upper
