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
from noiseaug.confidence import VoteBudget, rounded_down
from noiseaug.errors import InvalidInputError

__all__ = [
    "MOST_VOTES",
    "STANDARD_LOOKS",
    "Certificate",
    "CertificationSetting",
    "Decision",
    "VoteBudget",
    "certified_radius",
    "largest_radius",
    "target_probability",
]

STANDARD_LOOKS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
"""Numbers of votes at which every run keeps its counts, so that it can be certified anew with other rules."""


MOST_VOTES = 10**9
"""Votes for an input that may still be worth the wait, some three hours of a fast classifier."""


@dataclass(frozen=True)
class CertificationSetting:
    """What a rule must know of the run.

    Attributes:
        smooth_sigma: β > 0, in input units.
        budget: votes at most, and the probability that a certificate is wrong, at most.
        num_classes: number of classes.
        uniform: U of the input that is certified, where the run's bounds are randomised
            (:func:`noiseaug.confidence.binomial_lower`); 0 gives Clopper–Pearson's. What a rule chooses before its
            bounds must not depend on it.
    """

    smooth_sigma: float
    budget: VoteBudget
    num_classes: int = 2
    uniform: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "smooth_sigma", validation.positive("smooth_sigma", self.smooth_sigma))
        for name, votes in (("n", self.budget.votes), ("n0", self.budget.n0)):
            validation.affordable(name, votes, MOST_VOTES, 1e5, "votes")
        object.__setattr__(self, "num_classes", validation.integer("num_classes", self.num_classes, at_least=2))

    @property
    def votes(self) -> int:
        """Votes at most."""
        return self.budget.votes

    @property
    def failure_prob(self) -> float:
        """Probability that a certificate is wrong, at most."""
        return self.budget.failure_prob


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


def largest_radius(setting: CertificationSetting) -> float:
    """The most that any rule can certify: all n votes for one class, β Φ⁻¹(a^{1/n})."""
    return certified_radius(setting, float(setting.failure_prob ** (1 / setting.votes)))


def certified_radius(setting: CertificationSetting, lower: float) -> float:
    """β Φ⁻¹(p) for a lower bound p of the class probability, rounded down; 0 below ½."""
    if lower <= 0.5:
        return 0.0
    # −Φ⁻¹(1 − p) keeps its digits where p is close to 1
    return max(float(rounded_down(-setting.smooth_sigma * special.ndtri(1 - lower))), 0.0)


def target_probability(radius: float, smooth_sigma: float) -> float:
    """Φ(r/β), which the class probability must exceed for a radius; rounded up, which asks for more."""
    found = float(special.ndtr(radius / smooth_sigma)) * (1 + 1e-15)
    return float(min(found, np.nextafter(1.0, 0.0)))


class Certificate(ABC):
    """A rule from counts to a certified radius; a frozen value."""

    name: ClassVar[str]
    adaptive: ClassVar[bool] = True
    """Whether the rule may stop before n votes."""
    skips: ClassVar[bool] = False
    """Whether it may leave out a look whose counts were not kept, which are then given as 0 for every class."""

    @abstractmethod
    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        """The numbers of votes at which the rule looks, increasing; the last is at most n."""

    @abstractmethod
    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        """What holds after the looks so far.

        Args:
            setting: of the run.
            top: the class that the selection sample picked.
            selection: counts of the selection sample, shape (num_classes,).
            counts: cumulative counts at the looks so far, shape (looks so far, num_classes).
        """

    def check(self, setting: CertificationSetting) -> None:
        """Refuses runs in which the rule can certify nothing.

        Raises:
            InvalidInputError: with the smallest n that certifies anything, or the largest radius in reach.
        """
        if setting.failure_prob ** (1 / setting.votes) <= 0.5:
            needed = int(np.floor(np.log(setting.failure_prob) / np.log(0.5))) + 1
            raise InvalidInputError(
                f"n is {setting.votes}; at failure_prob {setting.failure_prob:g} fewer than {needed} votes certify "
                "nothing"
            )
