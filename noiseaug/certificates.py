"""From counts of votes to certified radii: rules that say when to stop drawing and what then holds.

A rule looks at the cumulative counts of every class after certain numbers of votes. At each look it may stop. What it
certifies is the class that a separate selection sample has picked; it is wrong with probability at most the run's
failure probability, whatever the class probabilities are (docs/math.md section 4; the tests prove it for each rule by
dynamic programming or enumeration).
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy import special

from noiseaug import _validate
from noiseaug.confidence import binomial_lower, binomial_upper, log_wealth
from noiseaug.errors import InvalidInputError

__all__ = [
    "CERTIFICATES",
    "STANDARD_LOOKS",
    "Certificate",
    "Cohen",
    "ConfidenceSequence",
    "Decision",
    "FullRadius",
    "MultiLook",
    "Run",
    "TCertify",
    "TCertifyPostHoc",
    "largest_radius",
]

STANDARD_LOOKS = (100, 500, 2_000, 10_000, 100_000)
"""Numbers of votes at which every run keeps its counts, so that it can be certified anew with other rules."""

_ROUND_DOWN = 1 - 1e-12


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
        object.__setattr__(self, "smooth_sigma", _validate.positive("smooth_sigma", self.smooth_sigma))
        object.__setattr__(self, "n", _validate.integer("n", self.n))
        object.__setattr__(self, "failure_prob", _validate.probability("failure_prob", self.failure_prob))
        object.__setattr__(self, "num_classes", _validate.integer("num_classes", self.num_classes, at_least=2))


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
    return _radius(run, float(run.failure_prob ** (1 / run.n)))


def _radius(run: Run, lower: float) -> float:
    """β Φ⁻¹(p) for a lower bound p of the class probability, rounded down; 0 below ½."""
    if lower <= 0.5:
        return 0.0
    # −Φ⁻¹(1 − p) keeps its digits where p is close to 1
    return float(max(-run.smooth_sigma * special.ndtri(1 - lower) * _ROUND_DOWN, 0.0))


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


@dataclass(frozen=True)
class Cohen(Certificate):
    """One look after n votes and one Clopper–Pearson bound (Cohen et al. 2019, CERTIFY)."""

    name: ClassVar[str] = "cohen"
    adaptive: ClassVar[bool] = False

    def looks(self, run: Run) -> tuple[int, ...]:
        return (run.n,)

    def decide(self, run: Run, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        lower = float(binomial_lower(counts[-1, top], run.n, run.failure_prob))
        return Decision(lower > 0.5, _radius(run, lower), True)


def two_sided_radius(run: Run, top: int, counts: np.ndarray, weight: float) -> float:
    """(β/2)(Φ⁻¹(p_A) − Φ⁻¹(p_B)) with the share ``weight`` of the level for p_A, the rest for the K−1 other classes."""
    votes = int(counts.sum())
    lower = float(binomial_lower(counts[top], votes, weight * run.failure_prob))
    others = np.delete(counts, top)
    level = (1 - weight) * run.failure_prob / (run.num_classes - 1)
    # the bound grows with the count, so the largest count has the largest bound
    upper = min(float(binomial_upper(others.max(), votes, level)), 1 - lower)
    if lower <= upper or lower == 0:
        return 0.0
    gap = -special.ndtri(1 - lower) - special.ndtri(upper) if upper > 0 else np.inf
    return float(max(0.5 * run.smooth_sigma * gap * _ROUND_DOWN, 0.0))


@dataclass(frozen=True)
class TCertify(Certificate):
    """Bounds for the top class and for the runners-up, the level split between them as the selection sample suggests.

    T-CERTIFY of Feng et al. 2020, made sound: the split is chosen before the votes that it is used on are drawn, and
    each of the K−1 other classes pays its part.

    Attributes:
        weights: shares of the level for the top class to choose from.
    """

    weights: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    name: ClassVar[str] = "t-certify"
    adaptive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(_validate.probability("weights", w) for w in self.weights))

    def looks(self, run: Run) -> tuple[int, ...]:
        return (run.n,)

    def weight(self, run: Run, top: int, selection: np.ndarray) -> float:
        """The split with the largest radius if the n votes fell as the selection sample did."""
        shares = (np.asarray(selection) + 0.5) / (np.sum(selection) + 0.5 * run.num_classes)
        expected = np.floor(shares * run.n)
        expected[top] += run.n - expected.sum()
        radii = [two_sided_radius(run, top, expected, weight) for weight in self.weights]
        # of equal radii the largest weight, which is closest to Cohen's bound
        return max(zip(radii, self.weights, strict=True))[1]

    def decide(self, run: Run, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        radius = two_sided_radius(run, top, counts[-1], self.weight(run, top, selection))
        return Decision(radius > 0, radius, True)


@dataclass(frozen=True)
class TCertifyPostHoc(Certificate):
    """Feng et al.'s own T-CERTIFY: the best split *on the votes themselves*.

    Not covered by a union bound, so the failure probability may be exceeded; the tests tabulate by how much. For
    comparison with published numbers, not for certificates that must hold.
    """

    weights: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    name: ClassVar[str] = "t-certify-post-hoc"
    adaptive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(_validate.probability("weights", w) for w in self.weights))

    def looks(self, run: Run) -> tuple[int, ...]:
        return (run.n,)

    def decide(self, run: Run, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        radius = max(two_sided_radius(run, top, counts[-1], weight) for weight in self.weights)
        return Decision(radius > 0, radius, True)


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


_SHARES = (0.02, 0.03, 0.05, 0.1, 0.8)
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

    def __post_init__(self) -> None:
        radii = tuple(sorted(_validate.nonnegative("radii", radius) for radius in self.radii))
        if not radii:
            raise InvalidInputError("radii are empty; multi-look needs at least one target radius")
        object.__setattr__(self, "radii", radii)
        _check_schedule(self.votes, self.shares)

    def looks(self, run: Run) -> tuple[int, ...]:
        return _Schedule.of(self.votes, self.shares, run.n).looks

    def decide(self, run: Run, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        schedule = _Schedule.of(self.votes, self.shares, run.n)
        lower = max(_bounds(run, schedule, tuple(int(k) for k in counts[:, top])))
        best, majority = _radius(run, lower), lower > 0.5
        open_targets = [radius for radius in self.radii if radius > best or not majority]
        used = schedule.looks[len(counts) - 1]
        if not open_targets or used == run.n:
            return Decision(majority, best, True)
        hope = float(binomial_upper(counts[-1, top], used, _FUTILITY))
        return Decision(majority, best, hope < float(special.ndtr(open_targets[0] / run.smooth_sigma)))

    def check(self, run: Run) -> None:
        super().check(run)
        most = largest_radius(run)
        if self.radii[0] > most:
            raise InvalidInputError(
                f"radii start at {self.radii[0]:g}; {run.n} votes at failure_prob {run.failure_prob:g} reach {most:.4g}"
            )


@lru_cache(maxsize=1 << 14)
def _one_bound(successes: int, votes: int, level: float) -> float:
    return float(binomial_lower(successes, votes, level))


def _bounds(run: Run, schedule: _Schedule, successes: tuple[int, ...]) -> list[float]:
    """Lower bounds of the class probability at the looks so far, valid together."""
    looks = zip(successes, schedule.looks, schedule.shares, strict=False)
    return [_one_bound(k, votes, share * run.failure_prob) for k, votes, share in looks]


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", _validate.positive("tolerance", self.tolerance))
        _check_schedule(self.votes, self.shares)

    def looks(self, run: Run) -> tuple[int, ...]:
        return _Schedule.of(self.votes, self.shares, run.n).looks

    def decide(self, run: Run, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        schedule = _Schedule.of(self.votes, self.shares, run.n)
        lower = max(_bounds(run, schedule, tuple(int(k) for k in counts[:, top])))
        best, used = _radius(run, lower), schedule.looks[len(counts) - 1]
        if used == run.n:
            return Decision(lower > 0.5, best, True)
        # were the class as likely as the votes so far allow at 95%, what would all n votes certify?
        hope = float(binomial_upper(counts[-1, top], used, 0.05))
        reachable = _radius(run, _one_bound(int(hope * run.n), run.n, schedule.shares[-1] * run.failure_prob))
        return Decision(lower > 0.5, best, reachable - best < self.tolerance * run.smooth_sigma)


@lru_cache(maxsize=32)
def _sequence_looks(n: int) -> tuple[int, ...]:
    """Every 10 votes, later every 2% more."""
    looks, at = [], 0
    while at < n:
        at = min(max(at + 10, int(at * 1.02)), n)
        looks.append(at)
    return tuple(looks)


@lru_cache(maxsize=256)
def _sequence_needed(n: int, threshold: float, failure_prob: float) -> tuple[int, ...]:
    """For each look the fewest votes for the class that certify the threshold; votes + 1 where none do."""
    looks = np.array(_sequence_looks(n))
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
        object.__setattr__(self, "radius", _validate.nonnegative("radius", self.radius))

    def looks(self, run: Run) -> tuple[int, ...]:
        return _sequence_looks(run.n)

    def needed(self, run: Run) -> tuple[int, ...]:
        """The fewest votes for the class that certify at each look."""
        # a threshold rounded up asks for more
        threshold = min(float(special.ndtr(self.radius / run.smooth_sigma)) * (1 + 1e-15), np.nextafter(1.0, 0.0))
        return _sequence_needed(run.n, threshold, run.failure_prob)

    def decide(self, run: Run, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        at, successes = len(counts) - 1, int(counts[-1, top])
        used = _sequence_looks(run.n)[at]
        if successes >= self.needed(run)[at]:
            return Decision(True, self.radius, True)
        hope = float(binomial_upper(successes, used, _FUTILITY))
        return Decision(False, 0.0, used == run.n or hope < float(special.ndtr(self.radius / run.smooth_sigma)))

    def check(self, run: Run) -> None:
        super().check(run)
        if all(needed > look for needed, look in zip(self.needed(run), self.looks(run), strict=True)):
            raise InvalidInputError(
                f"radius is {self.radius:g}; {run.n} votes at failure_prob {run.failure_prob:g} reach less than "
                f"{largest_radius(run):.4g}"
            )


CERTIFICATES: dict[str, type[Certificate]] = {
    rule.name: rule for rule in (Cohen, TCertify, TCertifyPostHoc, MultiLook, FullRadius, ConfidenceSequence)
}
"""Every rule by name; a new one is one class and one entry here."""
