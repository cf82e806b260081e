"""What a certificate is: the run that it belongs to, its looks at the counts, its decision after each of them.

A rule looks at the cumulative counts of every class after certain numbers of votes. At each look it may stop. What it
certifies is the class that a separate selection sample has picked; it is wrong with probability at most the run's
failure probability, whatever the class probabilities are (docs/math.md section 4; the tests prove it for each rule by
dynamic programming or enumeration).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.confidence import rounded_down
from noiseaug.errors import InvalidInputError

__all__ = ["STANDARD_LOOKS", "Certificate", "Decision", "Run", "certified_radius", "largest_radius"]

STANDARD_LOOKS = (100, 500, 2_000, 10_000, 100_000)
"""Numbers of votes at which every run keeps its counts, so that it can be certified anew with other rules."""


@dataclass(frozen=True)
class Run:
    """What a rule must know of the run.

    Attributes:
        smooth_sigma: β > 0, in input units.
        n: votes at most.
        failure_prob: probability that a certificate is wrong, at most.
        num_classes: number of classes.
    """

    smooth_sigma: float
    n: int
    failure_prob: float
    num_classes: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "smooth_sigma", validation.positive("smooth_sigma", self.smooth_sigma))
        object.__setattr__(self, "n", validation.integer("n", self.n))
        object.__setattr__(self, "failure_prob", validation.probability("failure_prob", self.failure_prob))
        object.__setattr__(self, "num_classes", validation.integer("num_classes", self.num_classes, at_least=2))


@dataclass(frozen=True)
class Decision:
    """What a rule says after a look.

    Attributes:
        certified: whether the class is certified, at radius 0 at least.
        radius: certified ℓ₂ radius in input units, rounded down; 0 where nothing is certified (yet).
        done: whether to stop.
    """

    certified: bool
    radius: float
    done: bool


def largest_radius(run: Run) -> float:
    """The most that any rule can certify: all n votes for one class, β Φ⁻¹(a^{1/n})."""
    return certified_radius(run, float(run.failure_prob ** (1 / run.n)))


def certified_radius(run: Run, lower: float) -> float:
    """β Φ⁻¹(p) for a lower bound p of the class probability, rounded down; 0 below ½."""
    if lower <= 0.5:
        return 0.0
    # −Φ⁻¹(1 − p) keeps its digits where p is close to 1
    return max(float(rounded_down(-run.smooth_sigma * special.ndtri(1 - lower))), 0.0)


class Certificate(ABC):
    """A rule from counts to a certified radius; a frozen value."""

    name: ClassVar[str]
    adaptive: ClassVar[bool] = True
    """Whether the rule may stop before n votes."""

    @abstractmethod
    def looks(self, run: Run) -> tuple[int, ...]:
        """The numbers of votes at which the rule looks, increasing; the last is at most n."""

    @abstractmethod
    def decide(self, run: Run, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        """What holds after the looks so far.

        Args:
            run: the run.
            top: the class that the selection sample picked.
            selection: counts of the selection sample, shape (num_classes,).
            counts: cumulative counts at the looks so far, shape (looks so far, num_classes).
        """

    def check(self, run: Run) -> None:
        """Refuses runs in which the rule can certify nothing.

        Raises:
            InvalidInputError: with the smallest n that certifies anything, or the largest radius in reach.
        """
        if run.failure_prob ** (1 / run.n) <= 0.5:
            needed = int(np.floor(np.log(run.failure_prob) / np.log(0.5))) + 1
            raise InvalidInputError(
                f"n is {run.n}; at failure_prob {run.failure_prob:g} fewer than {needed} votes certify nothing"
            )
