"""Votes saved by stopping early, at the same failure probability, on populations of published runs.

Nothing is drawn: votes and certificates are computed exactly (``_stopping``), on populations that are rebuilt from
certified-accuracy curves (``_populations``), beside a lower bound on the votes of any valid rule (``_fewest``).

    python -m benchmarks.savings [--out FILE]      the table of docs/results/savings.md
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import Row, benchmark
from benchmarks._fewest import fewest_votes
from benchmarks._populations import BUDGET, Population, populations
from benchmarks._stopping import campaign, certified_at_n, path_of
from noiseaug.certificates import (
    Certificate,
    CertificationSetting,
    Cohen,
    ConfidenceSequence,
    MultiLook,
    TCertify,
    largest_radius,
)

__all__ = ["main", "table"]

_RADII = (0.25, 0.5, 1.0)
_MOST_LOST = 0.002  # of the certified
_TARGETS = {"multi-look": 25, "confidence-sequence": 35}


def _rules(radius: float) -> list[Certificate]:
    return [MultiLook((radius,)), ConfidenceSequence(radius)]


def table(inputs: list[Population]) -> pd.DataFrame:
    """A row for each population, radius and rule, and one for the lower bound."""
    rows = []
    for population, radius in itertools.product(inputs, _RADII):
        if radius >= largest_radius(population.setting):
            continue
        margin = radius / population.smooth_sigma
        fixed = certified_at_n(margin, population)
        head = {"population": population.name, "radius": radius, "certified_at_n": fixed}
        for rule in _rules(radius):
            found = campaign(path_of(rule, population.setting, radius), margin, population)
            rows.append(
                {**head, "rule": rule.name, "votes": found.votes, "lost": 1 - found.certified / fixed}
                | {"false": found.false}
            )
        least = fewest_votes(margin, population, _MOST_LOST)
        rows.append({**head, "rule": "any (lower bound)", "votes": least, "lost": _MOST_LOST})
        print(f"{population.name}, r = {radius:g}", file=sys.stderr, flush=True)
    frame = pd.DataFrame(rows)
    return frame.assign(saved=BUDGET.votes / frame["votes"], n=BUDGET.votes, failure_prob=BUDGET.failure_prob)


@benchmark("savings")
def run(repeats: int) -> list[Row]:
    """Votes of each rule against the fixed number on the CIFAR-10 populations, and the fewest that any rule needs."""
    found = table([each for each in populations() if each.name.startswith("cifar10")])
    rows = []
    for _, row in found.iterrows():
        label = f"{row['population']}, r = {row['radius']:g}, {row['rule']}: {100 * row['lost']:.2f}% lost"
        target = _TARGETS.get(row["rule"], 0)
        words = f"{target}x, at most {100 * _MOST_LOST:g}% lost" if target else ""
        met = row["saved"] >= target and row["lost"] <= _MOST_LOST
        rows.append(Row(label, float(row["votes"]), float(BUDGET.votes), words, bool(met), "votes"))
    return rows


@benchmark("t-certify")
def two_sided(repeats: int) -> list[Row]:
    """T-CERTIFY's radius over Cohen's, ten classes, wrong mass in one class or spread; ratio of the radii."""
    run_ = CertificationSetting(0.5, BUDGET, 10)
    rows = []
    for spread in ("one class", "spread evenly"):
        for p in (0.55, 0.6, 0.8, 0.95, 0.99):
            shares = np.full(10, (1 - p) / 9) if spread != "one class" else np.array([0, 1 - p] + [0] * 8, dtype=float)
            shares[0] = p
            counts, selection = np.round(shares * BUDGET.votes).astype(int), np.round(shares * 100).astype(int)
            cohen = Cohen().decide(run_, 0, selection, counts[None]).radius
            two = TCertify().decide(run_, 0, selection, counts[None]).radius
            label = f"p_A = {p:g}, wrong mass {spread}"
            # a larger radius is better, so the ratio is that of the reciprocals
            rows.append(Row(label, 1 / two, 1 / cohen, "0.99x", bool(two >= 0.99 * cohen), "1/r"))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Writes the whole table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.savings", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--out", type=Path, help="file for the table, csv")
    options = parser.parse_args(arguments)
    found = table(populations()).round({"certified_at_n": 4, "votes": 1, "lost": 5, "false": 6, "saved": 1})
    print(found.to_string(index=False))
    if options.out is not None:
        found.to_csv(options.out, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
