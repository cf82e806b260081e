"""Binomial bounds are one-sided against mpmath, and vote thresholds are exact."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from noiseaug.confidence import (
    VoteBudget,
    binomial_interval,
    binomial_lower,
    binomial_upper,
    empirical_bernstein,
    minimum_votes,
)
from noiseaug.errors import InvalidInputError

COUNTS = [
    (0, 10),
    (1, 10),
    (5, 10),
    (10, 10),
    (99, 100),
    (84_492, 100_000),
    (99_999, 100_000),
    (100_000, 100_000),
    (3, 7),
]


def upper_tail(k: int, n: int, p: float) -> mp.mpf:
    """P(Bin(n, p) ≥ k) with 60 digits."""
    with mp.workdps(60):
        p = mp.mpf(p)
        term, total = mp.binomial(n, k) * p**k * (1 - p) ** (n - k), mp.mpf(0)
        for j in range(k, n + 1):
            total += term
            term *= p * (n - j) / ((1 - p) * (j + 1)) if p < 1 else 0
        return total


@pytest.mark.parametrize(("k", "n"), COUNTS)
@pytest.mark.parametrize("level", [0.001, 0.05])
def test_lower_bound_is_sound_and_tight(k, n, level):
    bound = float(binomial_lower(k, n, level))
    if k == 0:
        assert bound == 0
        return
    # at the bound, k or more successes are at most as likely as the level; a little above it they are more likely
    assert upper_tail(k, n, bound) <= level
    assert upper_tail(k, n, bound * (1 + 1e-10)) > level


@pytest.mark.parametrize(("k", "n"), COUNTS)
def test_upper_bound_mirrors_the_lower_one(k, n):
    bound = float(binomial_upper(k, n, 0.001))
    with mp.workdps(60):
        at_most = 1 - upper_tail(k + 1, n, bound) if k < n else mp.mpf(0)
    assert at_most <= 0.001
    assert bound == pytest.approx(1 - float(binomial_lower(n - k, n, 0.001)), abs=1e-15)


def test_bounds_are_vectorised():
    k = np.arange(101)
    assert binomial_lower(k, 100, 0.01).shape == (101,)
    assert (np.diff(binomial_lower(k, 100, 0.01)) > 0).all()
    low, high = binomial_interval(30, 100, 0.01)
    assert low < 0.3 < high


def test_coverage_by_enumeration():
    """The interval misses the true probability with at most the stated probability: no simulation."""
    n, level = 60, 0.05
    k = np.arange(n + 1)
    low, high = binomial_lower(k, n, level / 2), binomial_upper(k, n, level / 2)
    for p in np.linspace(0.003, 0.997, 91):
        pmf = np.exp(special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1))
        pmf *= p**k * (1 - p) ** (n - k)
        assert pmf[(p < low) | (p > high)].sum() <= level


def test_minimum_votes():
    # the worked figure: n = 10⁵, failure probability .001, radius β
    assert int(minimum_votes(100_000, 1.0, 0.001)) == 84_492
    for n, margin, level in [(1, 0.0, 0.001), (10, 0.0, 0.001), (10, 3.0, 0.001), (1000, 0.7, 0.01), (1000, 2.9, 0.01)]:
        k = int(minimum_votes(n, margin, level))
        p = float(special.ndtr(margin))
        if k <= n:
            assert upper_tail(k, n, p) <= level
        assert upper_tail(k - 1, n, p) > level
    assert int(minimum_votes(9, 0.0, 0.001)) == 10  # 2⁻⁹ > .001: no number of votes is enough
    assert int(minimum_votes(10, 0.0, 0.001)) == 10
    assert minimum_votes(1000, np.array([0.0, 0.5, 1.0]), 0.001).shape == (3,)


def test_minimum_votes_agrees_with_the_lower_bound():
    k = np.arange(1001)
    bounds = binomial_lower(k, 1000, 0.001)
    for margin in (0.0, 0.3, 1.7):
        assert int(minimum_votes(1000, margin, 0.001)) == int(np.flatnonzero(bounds >= special.ndtr(margin))[0])


def test_empirical_bernstein_covers():
    """Coverage on a skewed law: misses of 2 000 intervals at level .01 are rarer than a false alarm of 1e-9 allows."""
    rng = np.random.default_rng(4)
    misses = 0
    for _ in range(2000):
        draws = (rng.random(400) < 0.02).astype(float)
        low, high = empirical_bernstein(draws.mean(), draws.var(ddof=1), draws.size, 1.0, 0.01)
        misses += not low <= 0.02 <= high
    assert special.bdtrc(misses - 1, 2000, 0.01) > 1e-9


@pytest.mark.parametrize("bad", [(-1, 10), (11, 10), (0.5, 10), (0, 0), (float("nan"), 3)])
def test_bad_counts(bad):
    with pytest.raises(InvalidInputError, match="counts"):
        binomial_lower(*bad, 0.01)


@pytest.mark.parametrize("level", [1e-6, 1e-10, 1e-16, 1e-20, 1e-50, 1e-100, 1e-130])
def test_bounds_are_sound_at_tiny_levels(level):
    """Single quantiles of the library are off by more than 1e-12, such as those of 99 001 of 100 000 from 1e-6 on."""
    for n in (10, 2000, 100_000):
        for k in sorted({1, 5, n // 2 + 1, n * 99 // 100 + 1, n - 1, n}):
            lower, upper = float(binomial_lower(k, n, level)), float(binomial_upper(n - k, n, level))
            assert 0 < lower < k / n
            # the same bound of the failures, where it is not rounded away beside 1
            for bound in (lower, 1 - mp.mpf(upper)):
                assert bound <= 0 or log_tail(k, n, bound) <= mp.log(mp.mpf(level))


def log_tail(k: int, n: int, p: mp.mpf | float) -> mp.mpf:
    """ln P(Bin(n, p) ≥ k) for p below k/n, with the terms of the sum that count."""
    with mp.workdps(40):
        p = mp.mpf(p)
        term = total = mp.mpf(1)
        for j in range(k, n):
            term *= mp.mpf(n - j) / (j + 1) * p / (1 - p)
            total += term
            if term < total * mp.mpf(10) ** -30:
                break
        lead = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
        return lead + k * mp.log(p) + (n - k) * mp.log(1 - p) + mp.log(total)


def test_levels_at_which_bounds_do_not_hold_are_refused():
    """The library's quantile is NaN for 5 of 10⁷ at 1e-150, and 1 980 of 2 000 at 1e-300 got a bound that was wrong."""
    for level in (1e-131, 1e-200, 1e-300, 5e-324):
        for bound in (binomial_lower, binomial_upper):
            with pytest.raises(InvalidInputError, match="expected at least 1e-130"):
                bound(1980, 2000, level)
    with pytest.raises(InvalidInputError, match="failure_prob is 1e-200; expected at least 1e-100"):
        VoteBudget(100, 1e-200)
    with pytest.raises(InvalidInputError, match="votes is 9007199254740993; at some"):
        VoteBudget(2**53 + 1)
