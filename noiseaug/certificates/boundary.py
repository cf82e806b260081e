"""When to stop asking about one radius: the boundary with the fewest votes on average, by dynamic programming.

The votes for the class are a walk that gains a vote with probability p. At each look it may be certified, given up, or
left to go on. What it costs on average, over a population of p, is the votes, and for each class that is above the
threshold t and not certified a fine; the probability of a certificate at p = t has a price. Backward induction finds
the cheapest decisions for a price, and bisection the price at which the level is used up (docs/math.md 4.9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from noiseaug.validation import FloatArray

__all__ = ["Boundary", "optimal_boundary"]

_MARGINS = (-1.0, 4.0)  # the population's Φ⁻¹(p) is uniform between these
_CELLS = 40  # of the population, on either side of the threshold
_CLOSE = 0.999  # share of the level that is enough
_MOST_TRIES = 24
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Boundary:
    """What to do at each look.

    Attributes:
        needed: the fewest votes for the class that certify, for each look; more than there are where none do.
        hopeless: the most votes for the class with which it is given up, for each look; −1 where it is not.
        level: bound of the probability of a certificate at p = t.
    """

    needed: tuple[int, ...]
    hopeless: tuple[int, ...]
    level: float


@dataclass(frozen=True)
class _Step:
    """One look of the walk.

    Attributes:
        votes: at the look.
        first: the smallest count that is followed.
        gained: the smallest gain since the look before that is followed.
        gains: probabilities of the gains from there on, at p = t.
        population: mean likelihood ratio of the population to p = t at each count that is followed.
        above: the same of its part above the threshold, times the fine.
    """

    votes: int
    first: int
    gained: int
    gains: FloatArray
    population: FloatArray
    above: FloatArray


@lru_cache(maxsize=32)
def optimal_boundary(looks: tuple[int, ...], threshold: float, failure_prob: float, miss_cost: float = 5.0) -> Boundary:
    """The boundary with the fewest votes, for a population whose margins Φ⁻¹(p) are uniform from −1 to 4.

    It is valid whatever the population is: at p ≤ t a rule that gives up where the boundary says so certifies with
    probability at most ``failure_prob``.

    Args:
        looks: numbers of votes, increasing; the last is n.
        threshold: t in (0, 1).
        failure_prob: probability of a certificate at p ≤ t, at most.
        miss_cost: fine for a class above the threshold that is not certified, in units of n votes.
    """
    steps = _steps(looks, threshold, failure_prob, miss_cost)
    low, high = None, None  # of (log price, log level): too cheap and dear enough
    price, best = math.log(miss_cost * looks[-1]), Boundary(tuple(n + 1 for n in looks), (-1,) * len(looks), 0.0)
    wanted = math.log(failure_prob)
    for tries in range(_MOST_TRIES):
        needed, hopeless = _bars(steps, math.exp(price))
        level = _crossing(steps, needed, hopeless) * (1 + _ROUNDING)
        point = (price, math.log(max(level, 1e-300)))
        if level <= failure_prob:
            high = point
            if level >= best.level:
                best = Boundary(tuple(needed.tolist()), tuple(hopeless.tolist()), level)
            if level >= _CLOSE * failure_prob:
                break
        else:
            low = point
        price = _next(low, high, wanted, 1.5 * 2.0 ** min(tries, 5))
    return best


def _next(low: tuple[float, float] | None, high: tuple[float, float] | None, wanted: float, reach: float) -> float:
    """The next price to try: further out until it is enclosed, then between, where a line would have it."""
    if low is None or high is None:
        return low[0] + reach if low else high[0] - reach if high else 0.0
    share = (low[1] - wanted) / max(low[1] - high[1], 1e-12)
    return low[0] + min(max(share, 0.1), 0.9) * (high[0] - low[0])


def _steps(looks: tuple[int, ...], t: float, failure_prob: float, miss_cost: float) -> list[_Step]:
    p, weights, above = _population(t, looks[-1])
    fines = miss_cost * looks[-1] * above
    # counts beyond have a probability of some e⁻¹⁸ of the level
    spread = math.sqrt(-2 * math.log(failure_prob)) + 6
    steps, before = [], 0
    for votes in looks:
        deviation = spread * math.sqrt(votes * t * (1 - t)) + 20
        first, last = max(0, int(votes * t - deviation)), min(votes, int(votes * t + deviation))
        count = np.arange(first, last + 1)
        ratio = np.exp(np.outer(np.log(p / t), count) + np.outer(np.log((1 - p) / (1 - t)), votes - count))
        gained, gains = _gains(votes - before, t, failure_prob)
        steps.append(_Step(votes, first, gained, gains, weights @ ratio, fines @ ratio))
        before = votes
    return steps


def _population(t: float, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Class probabilities, their weights, and the weights of those above the threshold.

    Cells are narrow at the threshold, where a run of n votes can only just tell, and wide far from it.
    """
    margin = float(special.ndtri(t))
    narrow = 0.5 * math.sqrt(t * (1 - t) / n) * math.sqrt(2 * math.pi) * math.exp(0.5 * margin**2)
    widths = np.concatenate([[0.0], np.geomspace(narrow, max(_MARGINS[1] - _MARGINS[0], 10 * narrow), _CELLS)])
    edges = np.concatenate([margin - widths[::-1], margin + widths[1:]])
    edges = np.unique(np.clip(edges, min(_MARGINS[0], margin - 1), max(_MARGINS[1], margin + 1)))
    middle, weights = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    weights /= weights.sum()
    # 1 − p keeps its digits through Φ(−z); beyond 1 − 1e-15 all votes agree anyway
    p = np.minimum(special.ndtr(middle), 1 - 1e-15)
    return p, weights, weights * (middle > margin)


def _gains(votes: int, t: float, failure_prob: float) -> tuple[int, FloatArray]:
    """The law of the votes for the class among so many, without what is negligible beside the level."""
    k = np.arange(votes + 1)
    logs = special.gammaln(votes + 1) - special.gammaln(k + 1) - special.gammaln(votes - k + 1)
    mass = np.exp(logs + special.xlogy(k, t) + special.xlog1py(votes - k, -t))
    kept = np.flatnonzero(mass > 1e-20 * failure_prob)
    return int(kept[0]), mass[kept[0] : kept[-1] + 1]


def _bars(steps: list[_Step], price: float) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest decisions at each look, from the last to the first: fewest votes that certify, most that give up.

    Costs are those of the population times its likelihood ratio to p = t, so that the walk is that of p = t at every
    count: a certificate costs the price, giving up the fine of what is above the threshold.
    """
    needed, hopeless = np.empty(len(steps), dtype=np.int64), np.empty(len(steps), dtype=np.int64)
    cost: FloatArray = np.zeros(0)
    for at in range(len(steps) - 1, -1, -1):
        step, stopping = steps[at], np.minimum(price, steps[at].above)
        goes_on = np.zeros(len(stopping), dtype=bool)
        if at + 1 < len(steps):
            after = steps[at + 1]
            # counts at the next look, from the smallest to the largest that can be reached
            places = step.first + after.gained - after.first + np.arange(len(stopping) + len(after.gains) - 1)
            ahead = cost[np.clip(places, 0, len(cost) - 1)]
            further = np.convolve(ahead, after.gains[::-1], "valid") + (after.votes - step.votes) * step.population
            goes_on = further < stopping
            cost = np.where(goes_on, further, stopping)
        else:
            cost = stopping
        certified = (price <= step.above) & ~goes_on
        given_up = ~certified & ~goes_on
        others, kept = np.flatnonzero(~certified), np.flatnonzero(~given_up)
        needed[at] = step.first + (others[-1] + 1 if len(others) else 0)
        hopeless[at] = step.first + (kept[0] if len(kept) else len(given_up)) - 1
    return needed, hopeless


def _crossing(steps: list[_Step], needed: np.ndarray, hopeless: np.ndarray) -> float:
    """P(certified) at p = t, from above: what is no longer followed counts as certified unless it is given up."""
    alive, first, crossed = np.ones(1), 0, 0.0
    for step, bar, floor in zip(steps, needed, hopeless, strict=True):
        alive, first = np.convolve(alive, step.gains), first + step.gained
        crossed += float(alive[max(bar - first, 0) :].sum())
        alive = alive[: max(bar - first, 0)]
        given_up = max(floor + 1 - first, 0)
        dropped = max(step.first - first, given_up)
        crossed += float(alive[given_up:dropped].sum())
        alive, first = alive[dropped:], first + dropped
        if not len(alive):
            break
    return crossed
