"""Votes saved by stopping early, at the same failure probability and no fewer certificates.

One run of votes on a population of inputs (``paper_figs.savings``) serves all rules.
"""

from __future__ import annotations

import numpy as np

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
from paper_figs.savings import LEVEL, SIGMA, VOTES, path, played, population


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
