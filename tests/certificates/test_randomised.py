"""Randomised bounds fail exactly as often as stated, and rules that use them at most as often: by enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from noiseaug.certificates import (
    CertificationSetting,
    ClassPartition,
    Cohen,
    ConfidenceSequence,
    FullRadius,
    MultiLook,
    RunnerUp,
    TCertify,
    VoteBudget,
)
from noiseaug.certificates.fixed import two_sided_radius
from noiseaug.confidence import binomial_lower, binomial_upper, log_wealth
from noiseaug.errors import InvalidInputError
from tests.certificates.test_soundness import (
    SCHEDULE,
    SIGMA,
    SIMPLEX,
    binomial_pmf,
    crossing_probability,
    false_bars,
    multinomial_pmf,
    outcomes,
)
from tests.test_confidence import upper_tail

LARGEST = 1 - 2.0**-53  # U's largest value


def first_place(is_false, votes: int) -> float:
    """The smallest k + u at which a claim is false that grows with k + u; votes + 1 where none is."""
    low, high = -1, votes + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_false(middle, LARGEST) else (middle, high)
    if high > votes or is_false(high, 0.0):
        return float(high)
    below, above = 0.0, LARGEST
    for _ in range(60):
        middle = 0.5 * (below + above)
        below, above = (below, middle) if is_false(high, middle) else (middle, above)
    return high + above


def failure(places: list[float], looks: tuple[int, ...], p: float) -> float:
    """P(K + U reaches its place at some look), exactly: between two fractions of places all U do alike."""
    whole, part = np.floor(places).astype(int), np.mod(places, 1.0)
    ends = np.unique([0.0, 1.0, *part])
    total = 0.0
    for start, end in itertools.pairwise(ends):
        bars = [int(k) + (0.5 * (start + end) < u) for k, u in zip(whole, part, strict=True)]
        total += (end - start) * crossing_probability(looks, bars, p)
    return total


@pytest.mark.parametrize("n", [1, 7, 60, 400])
@pytest.mark.parametrize("level", [0.001, 0.05])
@pytest.mark.parametrize("p", [0.003, 0.2, 0.5, 0.84, 0.99, 0.9999])
def test_a_randomised_bound_fails_exactly_as_often_as_stated(n, level, p):
    lower = first_place(lambda k, u: binomial_lower(k, n, level, u) > p, n)
    assert failure([lower], (n,), p) == pytest.approx(level, rel=1e-6)
    upper = first_place(lambda k, u: binomial_upper(n - k, n, level, u) < p, n)  # grows with the failures
    assert failure([upper], (n,), 1 - p) == pytest.approx(level, rel=1e-6)
    # and Clopper–Pearson's less often, whatever the probability
    ordinary = first_place(lambda k, u: binomial_lower(k, n, level) > p, n)
    assert failure([ordinary], (n,), p) < level


def test_the_better_of_two_draws_of_u_fails_too_often():
    n, level, p = 60, 0.05, 0.84
    place = first_place(lambda k, u: binomial_lower(k, n, level, u) > p, n)
    whole, part = int(place), place % 1
    mass = binomial_pmf(n, p)
    assert mass[whole + 1 :].sum() + (1 - part**2) * mass[whole] > 1.1 * level


@pytest.mark.parametrize(("k", "n", "u"), [(0, 10, 0.9999), (7, 10, 0.3), (10, 10, 0.5), (4_492, 5_000, 0.8)])
def test_the_bound_solves_its_equation(k, n, u):
    """Against the distribution function with 60 digits."""
    level, found = 0.001, float(binomial_lower(k, n, 0.001, u))
    plain, next_one = float(binomial_lower(k, n, level)), float(binomial_lower(min(k + 1, n), n, level))
    assert plain < found < (next_one if k < n else 1)

    def tail(p: float) -> mp.mpf:
        return u * upper_tail(k + 1, n, p) + (1 - u) * upper_tail(k, n, p)

    assert tail(found) <= level < tail(found * (1 + 1e-8))


def test_bounds_grow_with_u_and_zero_is_clopper_pearson():
    k, u = np.arange(101)[:, None], np.linspace(0, LARGEST, 11)
    bounds = binomial_lower(k, 100, 0.01, u)
    assert (bounds[:, 0] == binomial_lower(k[:, 0], 100, 0.01)).all()
    assert (np.diff(bounds.ravel()) >= -1e-11).all()
    assert bounds.max() < 1
    with pytest.raises(InvalidInputError, match="uniform"):
        binomial_lower(1, 2, 0.01, 1.0)


RULES = [
    (Cohen(), 400),
    (MultiLook((0.1, 0.4, 0.9), **SCHEDULE), 1000),
    (FullRadius(0.05, **SCHEDULE), 1000),
]


@pytest.mark.parametrize(("rule", "n"), RULES, ids=lambda v: getattr(v, "name", v))
@pytest.mark.parametrize("level", [0.001, 0.05])
def test_rules_are_sound_and_give_less_away(rule, n, level):
    """One U serves all looks: the shares of the level add up all the same."""
    run = CertificationSetting(SIGMA, VoteBudget(n, level))
    for p in (0.55, 0.84, 0.95, 0.99):
        truth, looks = SIGMA * special.ndtri(p), rule.looks(run)
        places = []
        for j, look in enumerate(looks):

            def is_false(hits: int, u: float, j=j, look=look, truth=truth) -> bool:
                counts = np.zeros((j + 1, 2), dtype=np.int64)
                counts[:, 1] = rule.looks(run)[: j + 1]
                counts[j] = hits, look - hits
                found = rule.decide(replace(run, uniform=u), 0, np.array([1, 0]), counts)
                return found.certified and found.radius > truth

            places.append(first_place(is_false, look))
        rate, ordinary = failure(places, looks, p), crossing_probability(looks, false_bars(rule, run, p), p)
        assert ordinary < rate <= level * (1 + 1e-9)
        if isinstance(rule, Cohen):
            assert rate == pytest.approx(level, rel=1e-6)


def share_of_u(is_false) -> float:
    """P(U makes the claim false), a claim that grows with U; from above, to a thousandth."""
    if is_false(0.0) or not is_false(LARGEST):
        return float(is_false(0.0))
    low, high = 0.0, LARGEST
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if is_false(middle) else (middle, high)
    return 1 - low


def test_t_certify_is_sound():
    run = CertificationSetting(SIGMA, VoteBudget(16, 0.05), 3)
    counts = outcomes(run.votes)
    radius = cache(lambda i, u: two_sided_radius(replace(run, uniform=u), 0, counts[i], 0.5))
    for p in SIMPLEX:
        truth = max(0.5 * SIGMA * (special.ndtri(p[0]) - special.ndtri(p[1:].max())), 0.0)
        shares = [share_of_u(lambda u, i=i, truth=truth: radius(i, u) > truth) for i in range(len(counts))]
        assert shares @ multinomial_pmf(counts, p) <= run.failure_prob


def test_splits_and_partitions_do_not_see_u():
    """Selections next to where the choice changes: with U in it, each of the rules would choose otherwise."""
    run = CertificationSetting(SIGMA, VoteBudget(60, 0.05), 3)
    for selection in map(np.array, ([10, 5, 5], [12, 7, 1], [11, 6, 3])):
        for choose in (TCertify().weight, RunnerUp().weight, lambda *given: ClassPartition().plan(*given)[1]):
            assert len({choose(replace(run, uniform=u), 0, selection) for u in (0.0, 0.3, 0.999, LARGEST)}) == 1


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_the_confidence_sequence_certifies_by_chance_where_it_stops(level):
    """At p = t, over all paths: crossings, and where it gives up or ends the chance a·(wealth) of a certificate."""
    run, rule = CertificationSetting(SIGMA, VoteBudget(300, level)), ConfidenceSequence(0.4)
    threshold = float(special.ndtr(rule.radius / SIGMA))
    looks, needed = rule.looks(run), rule.needed(run)
    alive, drawn, crossed, lucky = np.ones(1), 0, 0.0, 0.0
    for j, look in enumerate(looks):
        alive = np.convolve(alive, binomial_pmf(look - drawn, threshold))
        drawn = look
        crossed += alive[needed[j] :].sum()
        alive[needed[j] :] = 0
        for hits in np.flatnonzero(alive):
            counts = np.zeros((j + 1, 2), dtype=np.int64)
            counts[j] = hits, look - hits
            if not rule.decide(run, 0, np.array([1, 0]), counts).done:
                continue
            chance = level * float(np.exp(log_wealth(hits, look, threshold)))
            lucky += alive[hits] * min(chance, 1.0)
            alive[hits] = 0
            for u, certified in ((1 - 0.99 * chance, True), (1 - 1.01 * chance, False)):
                if 1e-12 < chance < 0.9:
                    found = rule.decide(replace(run, uniform=u), 0, np.array([1, 0]), counts)
                    assert (found.certified, found.done) == (certified, True)
    assert alive.sum() == 0
    assert lucky > 0
    assert crossed + lucky <= level
