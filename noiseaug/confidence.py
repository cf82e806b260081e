"""Exact binomial bounds and bounds on means, one-sided after rounding.

Library quantiles are rounded to nearest, so about half of them lie on the wrong side of the exact bound; each bound
here is moved outwards by a relative 1e-12. Single quantiles are worse: that of 99 001 of 100 000 at 1e-6 is 3e-12 off.
So each bound is put into the distribution function, and moved by 1e-9 where it does not keep its level. Below 1e-130
the library fails, and such levels are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.validation import FloatArray

__all__ = [
    "VoteBudget",
    "binomial_interval",
    "binomial_lower",
    "binomial_upper",
    "check_failure_prob",
    "empirical_bernstein",
    "log_wealth",
    "majority_p_value",
    "minimum_votes",
    "rounded_down",
    "sign_test_p_value",
]

_STEP = 1e-12
_LARGE_STEP = 1e-9
_NEWTON_STEPS = 30
_BELOW_ONE = 1 - 2.0**-53
_TINY = 1e-300
_LEAST_LEVEL = 1e-130
_LEAST_FAILURE_PROB = 1e-100  # of a run, whose rules split it
_MOST_VOTES = 2**53  # counts beyond are not exact in double precision


def rounded_down(value: ArrayLike) -> FloatArray:
    """A non-negative bound, less the relative 1e-12 that its computation may be off by: a claim that stays true.

    Whatever writes a certificate rounds its radius so.

    Args:
        value: bounds or radii, of any shape.
    """
    return np.asarray(value, dtype=float) * (1 - _STEP)


def check_failure_prob(name: str, value: Any) -> float:
    """A probability that a statement is wrong: at least 1e-100, so that what a rule splits off can be computed with.

    Raises:
        InvalidInputError: for anything else.
    """
    return _at_least(validation.probability(name, value), name, _LEAST_FAILURE_PROB)


def _at_least(level: float, name: str, least: float) -> float:
    if level < least:
        raise InvalidInputError(f"{name} is {level:g}; expected at least {least:g}, below which bounds are not exact")
    return level


def _quantile(a: FloatArray, b: FloatArray, failure_prob: float) -> FloatArray:
    """A lower bound of the quantile of Beta(a, b)."""
    level = _at_least(validation.probability("failure_prob", failure_prob), "failure_prob", _LEAST_LEVEL)
    found = rounded_down(special.betaincinv(a, b, level))
    return np.where(special.betainc(a, b, found) > level, found * (1 - _LARGE_STEP), found)


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[FloatArray, FloatArray]:
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=float), np.asarray(trials, dtype=float))
    if not ((k >= 0) & (k <= n) & (k == np.floor(k)) & (n == np.floor(n)) & (n >= 1)).all():
        raise InvalidInputError("counts are not integers with 0 ≤ successes ≤ trials and trials ≥ 1")
    return k, n


def binomial_lower(
    successes: ArrayLike, trials: ArrayLike, failure_prob: float, uniform: ArrayLike = 0.0
) -> FloatArray:
    """One-sided lower bound on a success probability, rounded down: Clopper–Pearson's, or the randomised one.

    With U uniform on [0, 1) the bound p solves P(Bin(n, p) + U′ ≥ k + U) = failure_prob, U′ another such number
    (docs/math.md 4.7; Voráček 2024). It then fails with exactly the stated probability, for every success probability,
    and lies between Clopper–Pearson's bounds of k and of k + 1 successes. U = 0 gives the former, which fails less
    often than stated, since counts are discrete.

    Args:
        successes: counts; broadcasts against the others.
        trials: number of trials.
        failure_prob: probability that the bound exceeds the true value, at most; not below 1e-130.
        uniform: U, drawn once and independently of the counts; in [0, 1).

    Raises:
        InvalidInputError: for counts that are none, and a failure probability or U out of range.
    """
    k, n = _counts(successes, trials)
    plain = np.where(k == 0, 0.0, _quantile(np.maximum(k, 1), n - k + 1, failure_prob))
    u = np.asarray(uniform, dtype=float)
    if not ((u >= 0) & (u < 1)).all():
        raise InvalidInputError(f"uniform is {uniform!r}; expected at least 0 and below 1")
    return _raised(plain, k, n, failure_prob, u) if u.any() else plain


def binomial_upper(
    successes: ArrayLike, trials: ArrayLike, failure_prob: float, uniform: ArrayLike = 0.0
) -> FloatArray:
    """One-sided upper bound on a success probability, rounded up; arguments as ``binomial_lower``."""
    k, n = _counts(successes, trials)
    # through the failures, so that a bound close to 1 keeps its distance from it; the subtraction rounds, so one up
    failures = binomial_lower(n - k, n, failure_prob, uniform)
    return np.minimum(np.nextafter(1 - failures, 2.0), 1.0)


def _raised(plain: FloatArray, k: FloatArray, n: FloatArray, level: float, u: FloatArray) -> FloatArray:
    """The randomised bound, from Clopper–Pearson's.

    By Newton's method on the logarithm of the tail, which is concave: from the left it does not pass the root. What it
    finds is put into the tail all the same, as in ``_quantile``.
    """
    plain, k, n, u = np.broadcast_arrays(plain, k, n, u)
    found: FloatArray = plain
    for _ in range(_NEWTON_STEPS):
        more, as_many = _tails(k, n, found)
        tail = u * more + (1 - u) * as_many
        slope = (as_many - more) * (u * (n - k) / (1 - found) + (1 - u) * k / np.maximum(found, _TINY))
        step = tail * np.log(level / tail) / np.maximum(slope, _TINY)
        found = np.clip(found + step, plain, _BELOW_ONE)
        if (step <= 0.1 * _STEP * found).all():
            break

    def exceeds(bound: FloatArray) -> np.ndarray:
        more, as_many = _tails(k, n, bound)
        return np.asarray(u * more + (1 - u) * as_many > level)

    found = rounded_down(found)
    found = np.where(exceeds(found), found * (1 - _LARGE_STEP), found)
    return np.where((u == 0) | exceeds(found), plain, np.maximum(found, plain))


def _tails(k: FloatArray, n: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """P(Bin(n, p) ≥ k + 1) and P(Bin(n, p) ≥ k)."""
    more = np.where(k == n, 0.0, special.betainc(k + 1, np.maximum(n - k, 1), p))
    return more, np.where(k == 0, 1.0, special.betainc(np.maximum(k, 1), n - k + 1, p))


def binomial_interval(successes: int, trials: int, failure_prob: float) -> tuple[float, float]:
    """Two-sided Clopper–Pearson interval, half of the failure probability on each side."""
    half = 0.5 * validation.probability("failure_prob", failure_prob)
    return float(binomial_lower(successes, trials, half)), float(binomial_upper(successes, trials, half))


def empirical_bernstein(mean: float, variance: float, n: int, span: float, failure_prob: float) -> tuple[float, float]:
    """Two-sided interval for the mean of independent draws that lie in an interval of length ``span``.

    Maurer & Pontil 2009, Theorem 4, on each side with half of the failure probability.

    Args:
        mean: sample mean.
        variance: unbiased sample variance.
        n: number of draws, at least 2.
        span: length of an interval that holds every draw.
        failure_prob: probability that the interval misses the mean, at most.
    """
    log_term = np.log(2 / (0.5 * validation.probability("failure_prob", failure_prob)))
    width = np.sqrt(2 * max(variance, 0.0) * log_term / n) + 7 * span * log_term / (3 * (n - 1))
    return float(mean - width), float(mean + width)


def minimum_votes(votes: int, margin: ArrayLike, failure_prob: float) -> np.ndarray:
    """The fewest of ``votes`` votes whose Clopper–Pearson lower bound reaches Φ(margin): k_min of docs/math.md 1.

    The smallest k with P(Bin(n, Φ(margin)) ≥ k) ≤ failure_prob; n + 1 where not even n votes suffice.

    Args:
        votes: n, number of votes.
        margin: Φ⁻¹ of the probability to be exceeded, r/β for a radius r at smoothing level β.
        failure_prob: one-sided failure probability of the bound.
    """
    n = validation.integer("votes", votes, at_most=_MOST_VOTES)
    level = validation.probability("failure_prob", failure_prob)
    margin = np.asarray(margin, dtype=float)
    beyond = special.ndtr(-margin)  # 1 − p, exact where p is close to 1
    low, high = np.zeros(margin.shape, dtype=np.int64), np.full(margin.shape, n + 1, dtype=np.int64)
    # invariant: low fails, high suffices (n + 1 votes are impossible, probability 0)
    while ((high - low) > 1).any():
        middle = np.where(high - low > 1, (low + high) // 2, high)
        inner = np.minimum(middle, n)
        # P(Bin(n, p) ≥ k) = I_p(k, n−k+1) = 1 − I_{1−p}(n−k+1, k)
        tail = np.where(middle > n, 0.0, special.betaincc(n - inner + 1, inner, beyond))
        enough = tail * (1 + _STEP) <= level
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        low = np.minimum(low, high - 1)
    return high


@dataclass(frozen=True)
class VoteBudget:
    """How many votes an input gets and how often a certificate made from them may be wrong.

    Attributes:
        votes: n, votes behind the bound.
        failure_prob: one-sided failure probability of the Clopper–Pearson bound.
        n0: separate votes that pick the class.
    """

    votes: int = 100_000
    failure_prob: float = 0.001
    n0: int = 100

    def __post_init__(self) -> None:
        for name in ("votes", "n0"):
            object.__setattr__(self, name, validation.affordable(name, getattr(self, name), _MOST_VOTES, 1e5, "votes"))
        object.__setattr__(self, "failure_prob", check_failure_prob("failure_prob", self.failure_prob))

    def needed(self, radius: float, smooth_sigma: float) -> int:
        """k_min: the fewest votes that certify the radius; votes + 1 where none do.

        Without smoothing all votes agree and no radius above 0 is certified.
        """
        if smooth_sigma == 0 and radius > 0:
            return self.votes + 1
        return int(minimum_votes(self.votes, radius / smooth_sigma if radius > 0 else 0.0, self.failure_prob))


def log_wealth(successes: ArrayLike, trials: ArrayLike, threshold: float) -> FloatArray:
    """ln of the wealth of a bettor against "the success probability is at most ``threshold``".

    The mixture of likelihood ratios q^H (1−q)^{N−H} / t^H (1−t)^{N−H} over q from Beta(½, ½) cut off below the
    threshold t. If the success probability is at most t the wealth is a supermartingale that starts at 1, so it ever
    reaches 1/a with probability at most a (Ville): a test that may be looked at after every vote.

    Args:
        successes: H, votes for the class.
        trials: N, votes in all; broadcasts.
        threshold: t in (0, 1).
    """
    t = validation.probability("threshold", threshold)
    h, n = _counts(successes, trials)
    with np.errstate(divide="ignore"):
        # the cut-off prior's posterior mass, and its own
        kept = np.log(special.betaincc(h + 0.5, n - h + 0.5, t)) - np.log(special.betaincc(0.5, 0.5, t))
    plain = special.betaln(h + 0.5, n - h + 0.5) - special.betaln(0.5, 0.5)
    return plain + kept - h * np.log(t) - (n - h) * np.log1p(-t)


def majority_p_value(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Two-sided exact p-value of "both classes are equally likely" from the two counts (Cohen et al.'s PREDICT)."""
    top, rest = np.maximum(first, second), np.minimum(first, second)
    return np.minimum(sign_test_p_value(top, rest, two_sided=True) * (1 + _STEP), 1.0)


def sign_test_p_value(wins: ArrayLike, losses: ArrayLike, *, two_sided: bool = False) -> FloatArray:
    """Exact p-value P(Bin(wins + losses, ½) ≥ wins) of "a win is no likelier than a loss".

    For paired outcomes that differ it is McNemar's (1947) test in its exact form.

    Args:
        wins: counts of any shape.
        losses: counts; broadcasts against ``wins``.
        two_sided: test "wins and losses are equally likely" instead; a tie has p-value 1, and so does a lead of one.
    """
    won, lost = np.asarray(wins, dtype=float), np.asarray(losses, dtype=float)
    if two_sided:
        won, lost = np.maximum(won, lost), np.minimum(won, lost)
        return np.where(won - lost <= 1, 1.0, np.minimum(2 * sign_test_p_value(won, lost), 1.0))
    return np.where(won > 0, special.betainc(np.maximum(won, 1), lost + 1, 0.5), 1.0)
