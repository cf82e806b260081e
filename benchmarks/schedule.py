"""The schedule of multi-look: searched on some populations and tested on the others.

    python -m benchmarks.schedule [--out FILE]

A schedule is a series of looks, the last look's share of the level, the exponent with which the shares of the others
grow with their votes, and the futility level, the chance at each look of giving up on an input that all votes certify
every other time. Searched is the largest geometric mean of the votes saved, over the targets .25, .5 and 1 up to two
standard deviations, where no target may lose more than .15% of the certified, so that .2% are kept to elsewhere. Each
data set is left out in turn, then each noise level, and the best schedule of the others is tested on it; so for each
series of looks.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from benchmarks._populations import BUDGET, Population, populations
from benchmarks._stopping import Path as Bars
from benchmarks._stopping import binomial, campaign, certified_at_n
from noiseaug.confidence import minimum_votes

__all__ = ["main"]

_MOST_LOST = 0.0015
_RADII = (0.25, 0.5, 1.0)


def _decades(*digits: int) -> tuple[int, ...]:
    return (*(digit * 10**power for power in (2, 3, 4) for digit in digits), BUDGET.votes)


_SERIES = {
    "1, 3": _decades(1, 3),
    "1, 2, 5": _decades(1, 2, 5),
    "powers of 2": (*(100 * 2**i for i in range(10)), BUDGET.votes),
    "1, 1.5, 2, 3, 5, 7": tuple(
        int(each) for each in (*np.outer((100, 1000, 10_000), (1, 1.5, 2, 3, 5, 7)).ravel(), 1e5)
    ),
}


@dataclass(frozen=True)
class Schedule:
    """Looks, shares of the level, and the chance of giving up at each look."""

    series: str
    last: float
    exponent: float
    futility: float

    @property
    def looks(self) -> tuple[int, ...]:
        return _SERIES[self.series]

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the failure probability, summing to 1."""
        raw = np.array(self.looks[:-1], dtype=float) ** self.exponent
        return (*((1 - self.last) * raw / raw.sum()).tolist(), self.last)

    def bars(self, margin: float) -> Bars:
        """What ``path_of`` gives for ``MultiLook`` with this schedule."""
        level = BUDGET.failure_prob
        certify = tuple(
            int(minimum_votes(look, margin, share * level)) for look, share in zip(self.looks, self.shares, strict=True)
        )
        reach, give_up = certify[-1] / BUDGET.votes, []
        for look in self.looks[:-1]:
            first, law = binomial(look, reach)
            give_up.append(first + int(np.searchsorted(np.cumsum(law), self.futility)) - 1)
        return Bars(self.looks, certify, (*give_up, certify[-1] - 1))


def _candidates() -> list[Schedule]:
    product = itertools.product(_SERIES, (0.35, 0.5, 0.65), (0.25, 0.5), (0.0025, 0.005, 0.01, 0.015, 0.02))
    return [Schedule(*each) for each in product]


def _table(candidates: list[Schedule], inputs: list[Population]) -> pd.DataFrame:
    """A row for each schedule, population and radius: votes saved and the share of the certified that is lost."""
    rows = []
    for population, radius in itertools.product(inputs, _RADII):
        margin = radius / population.smooth_sigma
        if margin > 2:
            continue
        fixed, few = certified_at_n(margin, population), population.coarse_away_from(float(special.ndtr(margin)))
        for number, schedule in enumerate(candidates):
            found = campaign(schedule.bars(margin), margin, few)
            data, _, sigma = population.name.partition(" ")
            saved, lost = BUDGET.votes / found.votes, 1 - found.certified / fixed
            rows.append((number, data, sigma, radius, saved, lost))
        print(f"{population.name}, r = {radius:g}", file=sys.stderr, flush=True)
    return pd.DataFrame(rows, columns=["schedule", "data", "sigma", "radius", "saved", "lost"])


def _best(table: pd.DataFrame) -> int:
    groups = table.assign(log=np.log(table["saved"])).groupby("schedule")
    means = groups["log"].mean()[groups["lost"].max() <= _MOST_LOST]
    return int(means.idxmax())


def _summary(left_out: str, candidates: list[Schedule], seen: pd.DataFrame, tested: pd.DataFrame) -> dict[str, object]:
    number = _best(seen)
    rows, schedule = tested[tested["schedule"] == number], candidates[number]
    return {
        "left_out": left_out,
        "looks": schedule.series,
        "last_share": schedule.last,
        "exponent": schedule.exponent,
        "futility": schedule.futility,
        "saved_mean": np.exp(np.log(rows["saved"]).mean()),
        "saved_least": rows["saved"].min(),
        "lost_most": rows["lost"].max(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedule", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--out", type=Path, help="file for the table, csv")
    options = parser.parse_args(arguments)
    candidates = _candidates()
    table = _table(candidates, populations())
    rows = []
    for series in _SERIES:
        part = table[[candidates[number].series == series for number in table["schedule"]]]
        rows.append(_summary("", candidates, part, part))
        for column in ("data", "sigma"):
            for value in table[column].unique():
                inside = part[column] == value
                rows.append(_summary(value, candidates, part[~inside], part[inside]))
    found = pd.DataFrame(rows).round(4)
    print(found.to_string(index=False))
    if options.out is not None:
        found.to_csv(options.out, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
