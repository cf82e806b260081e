"""A number together with what is known about its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

__all__ = ["METHOD_NAMES", "Estimate", "Estimates", "Method"]

Method = Literal["exact", "numeric", "sampled", "measured"]

METHOD_NAMES: tuple[Method, ...] = get_args(Method)
"""Every method; :class:`Estimates` holds places in it."""


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
        """A quadrature with its error; ``floor`` and ``ceiling`` are bounds that the true value keeps."""
        value = min(max(float(value), floor), ceiling)
        return cls(value, max(float(value - error), floor), min(float(value + error), ceiling), "numeric")

    def agrees_with(self, other: Estimate) -> bool:
        """Whether the two intervals overlap."""
        return self.lower <= other.upper and other.lower <= self.upper


class Estimates:
    """Many estimates as arrays, one for each field of :class:`Estimate`, to be filled in part by part.

    ``method`` holds places in :data:`METHOD_NAMES`, ``seed`` −1 where there is none. A new one is all exact zeros.

    Args:
        shape: of each array.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value, self.lower, self.upper, self.failure_prob = np.zeros((4, *shape))
        self.method = np.zeros(shape, np.uint8)
        self.n = np.zeros(shape, np.int64)
        self.seed = np.full(shape, -1, np.int64)

    def put(self, place: Any, value: Any, error: Any = 0.0, numeric: Any = False) -> None:
        """Closed forms, or where ``numeric`` holds values with an error; arguments broadcast to the place."""
        slack = np.where(numeric, error, 0.0)
        self.value[place], self.lower[place], self.upper[place] = value, value - slack, value + slack
        self.method[place] = np.where(numeric, METHOD_NAMES.index("numeric"), METHOD_NAMES.index("exact"))

    def put_all(self, place: Any, estimates: Sequence[Estimate]) -> None:
        """Estimates one by one, at places that are an array of indices for each axis or leave one axis."""
        for name in ("value", "lower", "upper", "n", "failure_prob"):
            getattr(self, name)[place] = [getattr(estimate, name) for estimate in estimates]
        self.method[place] = [METHOD_NAMES.index(estimate.method) for estimate in estimates]
        self.seed[place] = [-1 if estimate.seed is None else estimate.seed for estimate in estimates]

    def insert(self, place: Any, others: Estimates) -> None:
        """Other estimates at a place of their shape."""
        for name, array in vars(self).items():
            array[place] = getattr(others, name)

    def at(self, place: Any) -> Estimate:
        """The one at an index."""
        value, lower, upper, failure_prob = (
            float(array[place]) for array in (self.value, self.lower, self.upper, self.failure_prob)
        )
        seed = int(self.seed[place])
        method = METHOD_NAMES[self.method[place]]
        return Estimate(value, lower, upper, method, int(self.n[place]), failure_prob, None if seed < 0 else seed)
