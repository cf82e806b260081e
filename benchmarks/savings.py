"""Votes saved by stopping early, at the same failure probability and no fewer certificates.

The population is made so that its certified accuracy is that of Cohen et al. (2019), CIFAR-10, ResNet-110, σ = .5:
65.7, 54.9, 42.8, 32.5, 22.0, 14.1, 8.3, 3.9% at r = 0, .25, …, 1.75. Inputs whose class is wrong vote like the right
ones at small radii. One run of votes serves all rules.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from benchmarks import Row, benchmark
from noiseaug.certificates import (
    Certificate,
    CertificationSetting,
    Cohen,
    ConfidenceSequence,
    FullRadius,
    MultiLook,
    TCertify,
    VoteBudget,
)

SIGMA, VOTES, LEVEL = 0.5, 100_000, 0.001
RADII = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 1.9])
CERTIFIED = np.array([0.657, 0.549, 0.428, 0.325, 0.220, 0.141, 0.083, 0.039, 0.0])


def population(size: int, seed: int = 0) -> np.ndarray:
    """Probability of the top class for each input, shape (size,)."""
    rank = (np.arange(size) + 0.5) / size
    right = np.interp(rank, CERTIFIED[::-1], RADII[::-1])
    wrong = np.interp((rank - CERTIFIED[0]) / (1 - CERTIFIED[0]), [0, 1], [0.6, 0.0])
    return np.random.default_rng(seed).permutation(special.ndtr(np.where(rank < CERTIFIED[0], right, wrong) / SIGMA))


def path(p: float, looks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cumulative votes for the class at each look: one run of votes, which every rule sees."""
    return np.cumsum(rng.binomial(np.diff(looks, prepend=0), p))


def played(rule: Certificate, run: CertificationSetting, looks: np.ndarray, hits: np.ndarray) -> tuple[float, int]:
    """Radius (−1: abstained) and votes used on one path."""
    mine = rule.looks(run)
    counts = np.stack([hits[np.searchsorted(looks, mine)], mine], axis=1)
    counts[:, 1] -= counts[:, 0]
    for seen, look in enumerate(mine, start=1):
        decision = rule.decide(run, 0, np.array([1, 0]), counts[:seen])
        if decision.done:
            return (decision.radius if decision.certified else -1.0), look
    raise AssertionError("a rule must stop at its last look")


@benchmark("savings")
def run(repeats: int) -> list[Row]:
    """Votes of the fixed number against those of each rule, and how many inputs each certifies."""
    run_, size, rows = CertificationSetting(SIGMA, VoteBudget(VOTES, LEVEL)), 1000 * repeats, []
    inputs = population(size)
    rules: list[tuple[Certificate, float, int]] = [(FullRadius(), 0.0, 0)]
    for radius in (0.25, 0.5, 1.0):
        rules += [(MultiLook((radius,)), radius, 15), (ConfidenceSequence(radius), radius, 20)]
    looks = np.array(sorted({look for rule in (Cohen(), *(r for r, _, _ in rules)) for look in rule.looks(run_)}))
    paths = [path(p, looks, np.random.default_rng([1, i])) for i, p in enumerate(inputs)]

    def campaign(rule: Certificate) -> tuple[np.ndarray, np.ndarray]:
        radii, votes = zip(*(played(rule, run_, looks, hits) for hits in paths), strict=True)
        return np.array(radii), np.array(votes)

    fixed, _ = campaign(Cohen())
    for rule, radius, target in rules:
        radii, votes = campaign(rule)
        if target:
            certified, base = int((radii >= radius).sum()), int((fixed >= radius).sum())
            label = f"{rule.name}, r = {radius:g}: {certified} certified, fixed n {base}"
        else:
            label = f"{rule.name}: ACR {np.maximum(radii, 0).mean():.4f}, fixed n {np.maximum(fixed, 0).mean():.4f}"
        met, words = VOTES / votes.mean() >= target, f"{target}x" if target else ""
        rows.append(Row(label, float(votes.mean()), float(VOTES), words, bool(met), "votes"))
    return rows


@benchmark("t-certify")
def two_sided(repeats: int) -> list[Row]:
    """T-CERTIFY's radius over Cohen's, ten classes, wrong mass in one class or spread; ratio of the radii."""
    run_ = CertificationSetting(SIGMA, VoteBudget(VOTES, LEVEL), 10)
    rows = []
    for spread in ("one class", "spread evenly"):
        for p in (0.55, 0.6, 0.8, 0.95, 0.99):
            shares = np.full(10, (1 - p) / 9) if spread != "one class" else np.array([0, 1 - p] + [0] * 8, dtype=float)
            shares[0] = p
            counts, selection = np.round(shares * VOTES).astype(int), np.round(shares * 100).astype(int)
            cohen = Cohen().decide(run_, 0, selection, counts[None]).radius
            two = TCertify().decide(run_, 0, selection, counts[None]).radius
            label = f"p_A = {p:g}, wrong mass {spread}"
            # a larger radius is better, so the ratio is that of the reciprocals
            rows.append(Row(label, 1 / two, 1 / cohen, "0.99x", bool(two >= 0.99 * cohen), "1/r"))
    return rows
