"""Certificates that look several times and may stop early: several looks, full radius, one radius."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.certificates.base import (
    STANDARD_LOOKS,
    Certificate,
    CertificationSetting,
    Decision,
    certified_radius,
    largest_radius,
    target_probability,
)
from noiseaug.confidence import binomial_lower, binomial_upper, log_wealth, minimum_votes
from noiseaug.errors import InvalidInputError

__all__ = ["ConfidenceSequence", "FullRadius", "MultiLook", "frequent_looks"]


@dataclass(frozen=True)
class _Schedule:
    """Looks of a rule that splits its level over them in advance."""

    looks: tuple[int, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, looks: tuple[int, ...], shares: tuple[float, ...], n: int) -> _Schedule:
        """The looks below n, and one at n that gets the shares of all later ones."""
        kept = [(look, share) for look, share in zip(looks, shares, strict=True) if look < n]
        rest = 1.0 - sum(share for _, share in kept)
        return cls((*(look for look, _ in kept), n), (*(share for _, share in kept), rest))


def _check_schedule(looks: tuple[int, ...], shares: tuple[float, ...]) -> None:
    if len(looks) != len(shares) or not looks or any(a >= b for a, b in itertools.pairwise(looks)):
        raise InvalidInputError("looks must increase and have one share of the level each")
    if any(share <= 0 for share in shares) or abs(sum(shares) - 1) > 1e-9 or looks[0] < 1:
        raise InvalidInputError("shares of the level must be above 0 and sum to 1, looks must be at least 1")


# found on populations of published runs and tested on others: docs/results/savings.md
_SHARES = (0.005, 0.008, 0.012, 0.017, 0.024, 0.038, 0.053, 0.075, 0.118, 0.65)
_LAST_CHANCE = 5e-3  # chance, at each look, of giving up on a target that all votes certify every other time
_FUTILITY = 1e-3  # chance, at each look, of giving up on a target that the class probability just reaches


@dataclass(frozen=True)
class MultiLook(Certificate):
    """Looks at a few fixed numbers of votes; stops as soon as the largest target radius is certified, or out of reach.

    Each look has its share of the level, so all bounds hold together. Giving up is free: it certifies nothing more.

    Attributes:
        radii: target ℓ₂ radii, in input units.
        votes: numbers of votes at which it looks.
        shares: shares of the failure probability, summing to 1.
    """

    radii: tuple[float, ...]
    votes: tuple[int, ...] = STANDARD_LOOKS
    shares: tuple[float, ...] = _SHARES
    name: ClassVar[str] = "multi-look"
    skips: ClassVar[bool] = True  # each look has paid for its bound, also where nobody looks

    def __post_init__(self) -> None:
        radii = tuple(sorted(validation.nonnegative("radii", radius) for radius in self.radii))
        if not radii:
            raise InvalidInputError("radii are empty; multi-look needs at least one target radius")
        object.__setattr__(self, "radii", radii)
        _check_schedule(self.votes, self.shares)

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return _Schedule.of(self.votes, self.shares, setting.votes).looks

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        schedule = _Schedule.of(self.votes, self.shares, setting.votes)
        lower = max(_bounds(setting, schedule, tuple(int(k) for k in counts[:, top])))
        best, majority = certified_radius(setting, lower), lower > 0.5
        open_targets = [radius for radius in self.radii if radius > best or not majority]
        used = schedule.looks[len(counts) - 1]
        if not open_targets or used == setting.votes:
            return Decision(majority, best, True)
        hope = float(binomial_upper(counts[-1, top], used, _LAST_CHANCE))
        return Decision(majority, best, hope < _in_reach(setting, schedule.shares[-1], open_targets[0]))

    def check(self, setting: CertificationSetting) -> None:
        super().check(setting)
        most = largest_radius(setting)
        if self.radii[0] > most:
            raise InvalidInputError(
                f"radii start at {self.radii[0]:g}; {setting.votes} votes at failure_prob {setting.failure_prob:g} "
                f"reach {most:.4g}"
            )


@lru_cache(maxsize=256)
def _in_reach(setting: CertificationSetting, share: float, radius: float) -> float:
    """The class probability with which all votes certify the radius every other time; more than Φ(r/β)."""
    needed = minimum_votes(setting.votes, radius / setting.smooth_sigma, share * setting.failure_prob)
    return float(needed) / setting.votes


@lru_cache(maxsize=1 << 14)
def _one_bound(successes: int, votes: int, level: float, uniform: float) -> float:
    return float(binomial_lower(successes, votes, level, uniform))


def _bounds(setting: CertificationSetting, schedule: _Schedule, successes: tuple[int, ...]) -> list[float]:
    """Lower bounds of the class probability at the looks so far, valid together."""
    looks = zip(successes, schedule.looks, schedule.shares, strict=False)
    return [_one_bound(k, votes, share * setting.failure_prob, setting.uniform) for k, votes, share in looks]


@dataclass(frozen=True)
class FullRadius(Certificate):
    """The full radius, stopping when the votes that are left can hardly raise it.

    Attributes:
        tolerance: stop when the radius to be gained is below this, in units of β.
        votes: numbers of votes at which it looks.
        shares: shares of the failure probability, summing to 1.
    """

    tolerance: float = 0.05
    votes: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 100_000)
    shares: tuple[float, ...] = (0.1, 0.1, 0.1, 0.2, 0.5)
    name: ClassVar[str] = "full-radius"
    skips: ClassVar[bool] = True  # each look has paid for its bound, also where nobody looks

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", validation.positive("tolerance", self.tolerance))
        _check_schedule(self.votes, self.shares)

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return _Schedule.of(self.votes, self.shares, setting.votes).looks

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        schedule = _Schedule.of(self.votes, self.shares, setting.votes)
        lower = max(_bounds(setting, schedule, tuple(int(k) for k in counts[:, top])))
        best, used = certified_radius(setting, lower), schedule.looks[len(counts) - 1]
        if used == setting.votes:
            return Decision(lower > 0.5, best, True)
        # were the class as likely as the votes so far allow at 95%, what would all n votes certify?
        hope = float(binomial_upper(counts[-1, top], used, 0.05))
        last = schedule.shares[-1] * setting.failure_prob
        reachable = certified_radius(
            setting, _one_bound(int(hope * setting.votes), setting.votes, last, setting.uniform)
        )
        return Decision(lower > 0.5, best, reachable - best < self.tolerance * setting.smooth_sigma)


@lru_cache(maxsize=32)
def frequent_looks(n: int) -> tuple[int, ...]:
    """Every 10 votes, later every 2% more."""
    looks, at = [], 0
    while at < n:
        at = min(max(at + 10, int(at * 1.02)), n)
        looks.append(at)
    return tuple(looks)


@lru_cache(maxsize=256)
def _sequence_needed(n: int, threshold: float, failure_prob: float) -> tuple[int, ...]:
    """For each look the fewest votes for the class that certify the threshold; votes + 1 where none do."""
    looks = np.array(frequent_looks(n))
    low, high = np.floor(looks * threshold).astype(np.int64), looks + 1
    # above the threshold the wealth grows with the count
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = log_wealth(np.minimum(middle, looks), looks, threshold) >= -np.log(failure_prob) + 1e-9
        split = high - low > 1
        low, high = np.where(split & ~enough, middle, low), np.where(split & enough, middle, high)
    return tuple(int(k) for k in high)


@dataclass(frozen=True)
class ConfidenceSequence(Certificate):
    """One radius, tested after every few votes by a bettor's wealth (``confidence.log_wealth``); valid at every look.

    Attributes:
        radius: the target ℓ₂ radius, in input units.
    """

    radius: float
    name: ClassVar[str] = "confidence-sequence"

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", validation.nonnegative("radius", self.radius))

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return frequent_looks(setting.votes)

    def needed(self, setting: CertificationSetting) -> tuple[int, ...]:
        """The fewest votes for the class that certify at each look."""
        return _sequence_needed(
            setting.votes, target_probability(self.radius, setting.smooth_sigma), setting.failure_prob
        )

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        at, successes = len(counts) - 1, int(counts[-1, top])
        used = frequent_looks(setting.votes)[at]
        if successes >= self.needed(setting)[at]:
            return Decision(True, self.radius, True)
        hope = float(binomial_upper(successes, used, _FUTILITY))
        if used < setting.votes and hope >= float(special.ndtr(self.radius / setting.smooth_sigma)):
            return Decision(False, 0.0, False)
        # where it stops anyway, a wealth of (1 − U)/a is enough (docs/math.md 4.7)
        wealth = float(log_wealth(successes, used, target_probability(self.radius, setting.smooth_sigma)))
        enough = setting.uniform > 0 and wealth >= np.log1p(-setting.uniform) - np.log(setting.failure_prob) + 1e-9
        return Decision(enough, self.radius if enough else 0.0, True)

    def check(self, setting: CertificationSetting) -> None:
        super().check(setting)
        if all(needed > look for needed, look in zip(self.needed(setting), self.looks(setting), strict=True)):
            raise InvalidInputError(
                f"radius is {self.radius:g}; {setting.votes} votes at failure_prob {setting.failure_prob:g} reach less "
                f"than {largest_radius(setting):.4g}"
            )
