"""Radii of the rules that bound other classes too, for few and many classes and several ways to err."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks import Row, benchmark
from noiseaug.certificates import CertificationSetting, ClassPartition, Cohen, RunnerUp, TCertify, VoteBudget

RULES = (Cohen(), TCertify(), ClassPartition(), RunnerUp())
SELECTIONS = 20  # selection samples of 100 votes, over which radii are averaged
WRONG: dict[str, Callable[[int], np.ndarray]] = {
    "in one class": lambda others: (np.arange(others) == 0).astype(float),
    "halving": lambda others: 0.5 ** np.arange(others, dtype=float),
    "as 1/rank": lambda others: 1 / np.arange(1.0, others + 1),
    "evenly": lambda others: np.ones(others),
}
"""How wrong votes fall, from the runner-up down."""


@benchmark("partition")
def run(repeats: int) -> list[Row]:
    """Mean R/β of each rule; n = 100 000 votes that fall as expected, failure probability 0.001."""
    rows = []
    for classes in (10, 100, 1_000):
        setting = CertificationSetting(1.0, VoteBudget(100_000, 0.001), classes)
        for wrong, shape in WRONG.items():
            for p in (0.45, 0.6, 0.8, 0.95):
                shares = np.concatenate([[p], (1 - p) * shape(classes - 1) / shape(classes - 1).sum()])
                counts = np.floor(shares * setting.votes).astype(int)
                counts[0] += setting.votes - counts.sum()
                rng = np.random.default_rng(0)
                drawn = [rng.multinomial(100, shares) for _ in range(SELECTIONS)]
                means = [
                    np.mean([rule.decide(setting, 0, each, counts[None]).radius for each in drawn]) for rule in RULES
                ]
                radii = ", ".join(f"{rule.name} {mean:.3f}" for rule, mean in zip(RULES, means, strict=True))
                rows.append(Row(f"K = {classes}, p_A = {p:g}, wrong votes {wrong}: {radii}", None))
    return rows
