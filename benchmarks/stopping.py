"""Votes that rules for one radius need on average, beside what any rule needs with the same chances of a certificate.

Means are exact: the law of the count is carried from look to look, once at p = t, and weighted by likelihood ratios.
The lower bound is Wald's (1945): a rule that certifies with probability c(p) needs on average at least
kl(c(p), c(q)) / kl(p, q) votes at p, for every q, by the data-processing inequality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from benchmarks import Row, benchmark
from noiseaug.certificates import CertificationSetting, ConfidenceSequence, OptimalStopping, VoteBudget
from noiseaug.certificates.base import target_probability
from paper_figs.savings import LEVEL, SIGMA, VOTES, population

INPUTS = 200  # quantiles of the population
NEAR = np.linspace(-0.1, 0.1, 41)  # margins at the threshold, for the bound


@dataclass(frozen=True)
class Bars:
    """At each look, the fewest votes that certify and the most that give up."""

    looks: tuple[int, ...]
    needed: tuple[int, ...]
    hopeless: tuple[int, ...]


def chances_and_votes(bars: Bars, threshold: float, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P(certified) and the mean number of votes at each p, shape as ``p``."""
    certified, votes = np.zeros(len(p)), np.zeros(len(p))
    alive, first, drawn = np.ones(1), 0, 0
    for look, bar, floor in zip(bars.looks, bars.needed, bars.hopeless, strict=True):
        gains = stats.binom.pmf(np.arange(look - drawn + 1), look - drawn, threshold)
        kept = np.flatnonzero(gains > 1e-22)
        alive, first = np.convolve(alive, gains[kept[0] : kept[-1] + 1]), first + int(kept[0])
        drawn, hits = look, first + np.arange(len(alive))
        stops = (hits >= bar) | (hits <= floor) | (look == bars.looks[-1])
        ends = stops & (alive > 0)
        ratio = np.outer(np.log(p / threshold), hits[ends])
        ratio += np.outer(np.log1p(-p) - np.log1p(-threshold), look - hits[ends])
        mass = np.exp(ratio + np.log(alive[ends]))
        certified += mass @ (hits[ends] >= bar)
        votes += look * mass.sum(axis=1)
        inner = np.flatnonzero(~stops)
        if not len(inner):
            break
        alive, first = alive[inner[0] : inner[-1] + 1], first + int(inner[0])
    return certified, votes


def least_votes(p: np.ndarray, certified: np.ndarray, others: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Wald's bound at each p, the best over the other class probabilities; shape as ``p``."""
    own, other = (np.clip(each, 1e-12, 1 - 1e-12) for each in (certified, chances))
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = divergence(own[:, None], other) / divergence(p[:, None], others)
    return np.maximum(np.where(np.isfinite(bound), bound, 0).max(axis=1), 1)


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Kullback–Leibler divergence of Bernoulli laws."""
    found: np.ndarray = special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)
    return found


def rules(radius: float) -> dict[str, Bars]:
    """The bars of each rule."""
    run, sequence = CertificationSetting(SIGMA, VoteBudget(VOTES, LEVEL)), ConfidenceSequence(radius)
    looks, threshold = sequence.looks(run), target_probability(radius, SIGMA)
    # the sequence gives up where so few votes have a probability below 1/1000 at the threshold
    hopeless = stats.binom.ppf(1e-3, looks, threshold).astype(int) - 1
    found = {"confidence-sequence": Bars(looks, sequence.needed(run), tuple(hopeless.tolist()))}
    for cost in (1.0, 2.0, 5.0):
        boundary = OptimalStopping(radius, cost).boundary(run)
        found[f"optimal-stopping, miss_cost {cost:g}"] = Bars(looks, boundary.needed, boundary.hopeless)
    return found


@benchmark("stopping")
def run(repeats: int) -> list[Row]:
    """Mean votes of each rule over the population, and the least that any rule needs to decide like it."""
    p = np.sort(population(20 * INPUTS))[10::20]
    rows = []
    for radius in (0.25, 0.5, 1.0):
        threshold = target_probability(radius, SIGMA)
        near = special.ndtr(radius / SIGMA + NEAR)
        fixed = stats.binom.sf(VoteBudget(VOTES, LEVEL).needed(radius, SIGMA) - 1, VOTES, p).mean()
        for name, bars in rules(radius).items():
            others = np.concatenate([p, near])
            chances, votes = chances_and_votes(bars, threshold, others)
            least = least_votes(p, chances[: len(p)], others, chances)
            lost = 100 * (1 - chances[: len(p)].mean() / fixed)
            label = (
                f"r = {radius:g}, {name}: {VOTES / votes[: len(p)].mean():.1f}x fewer, {lost:.2f}% of certified lost"
            )
            rows.append(Row(label, float(votes[: len(p)].mean()), float(least.mean()), unit="votes"))
    return rows
