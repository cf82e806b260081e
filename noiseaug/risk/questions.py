"""What can be asked of a smoothed classifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from noiseaug import validation
from noiseaug.confidence import minimum_votes
from noiseaug.errors import InvalidInputError

__all__ = ["QUANTITIES", "WITH_RADIUS", "Question", "VoteBudget", "questions"]

QUANTITIES = (
    "risk",
    "excess_risk",
    "disagreement",
    "certified_accuracy",
    "adversarial_accuracy",
    "acr",
    "finite_sample_certified_accuracy",
)
WITH_RADIUS = frozenset({"certified_accuracy", "adversarial_accuracy", "finite_sample_certified_accuracy"})


@dataclass(frozen=True)
class Question:
    """A quantity, with its radius where it has one.

    Attributes:
        quantity: one of ``QUANTITIES``.
        radius: ℓ₂ radius in input units, None for quantities without one.
    """

    quantity: str
    radius: float | None = None

    def __post_init__(self) -> None:
        validation.choice("quantity", self.quantity, QUANTITIES)
        if (self.quantity in WITH_RADIUS) != (self.radius is not None):
            needed = "needs a radius" if self.quantity in WITH_RADIUS else "has no radius"
            raise InvalidInputError(f"{self.quantity} {needed}; radius is {self.radius}")
        if self.radius is not None:
            object.__setattr__(self, "radius", validation.nonnegative("radius", self.radius))


@dataclass(frozen=True)
class VoteBudget:
    """A certification run: how many votes an input gets and how often a certificate may fail.

    Attributes:
        votes: n, votes behind the bound.
        failure_prob: one-sided failure probability of the Clopper–Pearson bound.
    """

    votes: int = 100_000
    failure_prob: float = 0.001

    def __post_init__(self) -> None:
        object.__setattr__(self, "votes", validation.integer("votes", self.votes))
        object.__setattr__(self, "failure_prob", validation.probability("failure_prob", self.failure_prob))

    def needed(self, radius: float, smooth_sigma: float) -> int:
        """k_min: the fewest votes that certify the radius; votes + 1 where none do.

        Without smoothing all votes agree and no radius above 0 is certified.
        """
        if smooth_sigma == 0 and radius > 0:
            return self.votes + 1
        return int(minimum_votes(self.votes, radius / smooth_sigma if radius > 0 else 0.0, self.failure_prob))


def questions(quantities: Iterable[str], radii: Iterable[float]) -> list[Question]:
    """Every quantity, those with a radius at each of the radii."""
    radii = list(radii)
    asked: list[Question] = []
    for quantity in quantities:
        if quantity in WITH_RADIUS:
            asked.extend(Question(quantity, radius) for radius in radii)
        else:
            asked.append(Question(quantity))
    return asked
