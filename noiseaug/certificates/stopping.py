"""One radius with the fewest votes: a rule that looks often and stops on a boundary computed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from noiseaug import validation
from noiseaug.certificates.base import Certificate, CertificationSetting, Decision, largest_radius, target_probability
from noiseaug.certificates.boundary import Boundary, optimal_boundary
from noiseaug.certificates.sequential import frequent_looks
from noiseaug.errors import InvalidInputError

__all__ = ["OptimalStopping"]

_MOST_VOTES = 10**6  # takes some ten seconds


@dataclass(frozen=True)
class OptimalStopping(Certificate):
    """One radius, tested after every few votes by :func:`noiseaug.certificates.boundary.optimal_boundary`.

    Valid at every look. Giving up is part of the rule: a class that was given up is not certified by later votes.
    Randomised bounds change nothing, since the boundary uses up the level already.

    Attributes:
        radius: the target ℓ₂ radius, in input units.
        miss_cost: what leaving a class uncertified whose radius is large enough costs, in units of n votes. At 1 the
            rule gives up sooner, and loses about one in a hundred of the inputs that all n votes certify; at 5 one or
            two in a thousand.
    """

    radius: float
    miss_cost: float = 5.0
    name: ClassVar[str] = "optimal-stopping"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", validation.nonnegative("radius", self.radius))
        object.__setattr__(self, "miss_cost", validation.positive("miss_cost", self.miss_cost))

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return frequent_looks(setting.votes)

    def boundary(self, setting: CertificationSetting) -> Boundary:
        """What to do at each look."""
        threshold = target_probability(self.radius, setting.smooth_sigma)
        return optimal_boundary(self.looks(setting), threshold, setting.failure_prob, self.miss_cost)

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        boundary, at, successes = self.boundary(setting), len(counts) - 1, int(counts[-1, top])
        if successes >= boundary.needed[at]:
            return Decision(True, self.radius, True)
        return Decision(False, 0.0, successes <= boundary.hopeless[at] or at + 1 == len(boundary.needed))

    def check(self, setting: CertificationSetting) -> None:
        super().check(setting)
        if setting.votes > _MOST_VOTES:
            raise InvalidInputError(
                f"n is {setting.votes}; {self.name} computes its boundary for at most {_MOST_VOTES} votes, "
                "confidence-sequence takes more"
            )
        if self.radius > (most := largest_radius(setting)):
            raise InvalidInputError(
                f"radius is {self.radius:g}; {setting.votes} votes at failure_prob {setting.failure_prob:g} reach "
                f"{most:.4g}"
            )
