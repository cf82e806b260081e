"""Votes that randomised bounds save: those with which Clopper–Pearson's bound gives the same mean radius."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from benchmarks import Row, benchmark
from noiseaug.confidence import binomial_lower

LEVEL = 0.001
DRAWS = (np.arange(50) + 0.5) / 50  # of U


def mean_radius(votes: int, p: float, *, randomised: bool) -> float:
    """Mean of R/β over the counts, and over a grid of U; 0 where nothing is certified.

    Args:
        votes: n.
        p: probability of the class.
        randomised: whether bounds are.
    """
    hits = np.arange(votes + 1)
    mass = stats.binom.pmf(hits, votes, p)
    hits, mass = hits[mass > 1e-12], mass[mass > 1e-12]
    lower = binomial_lower(hits[:, None], votes, LEVEL, DRAWS if randomised else 0.0)
    return float(mass @ np.maximum(-special.ndtri(1 - lower), 0.0).mean(axis=1))


def equivalent(votes: int, p: float) -> float:
    """The number of votes, between two whole ones, with which the ordinary bound does as well."""
    target, more = mean_radius(votes, p, randomised=True), votes
    while (reached := mean_radius(more, p, randomised=False)) < target:
        before, more = reached, more + 1
    return more - (reached - target) / (reached - before) if more > votes else float(votes)


@benchmark("randomised")
def run(repeats: int) -> list[Row]:
    """Votes with randomised bounds, and as many without for the same mean radius."""
    rows = []
    for p in (0.8, 0.95, 0.99):
        for n in (20, 50, 100, 500, 2_000):
            mine, ordinary = (mean_radius(n, p, randomised=each) for each in (True, False))
            rows.append(
                Row(f"p_A = {p:g}: R/β {mine:.3f}, else {ordinary:.3f}", float(n), equivalent(n, p), unit="votes")
            )
    return rows
