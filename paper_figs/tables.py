"""The tables behind the figures: committed ones read, studies run, everything with the column ``origin``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.certificates import CertificationSetting, VoteBudget, largest_radius
from noiseaug.errors import InvalidInputError
from noiseaug.runs import run_all
from noiseaug.sweeps import run_cell
from noiseaug.tables import read_table, to_frame

if TYPE_CHECKING:
    import pandas as pd

    from noiseaug.synthetic.study import Study

__all__ = [
    "COHEN",
    "OURS",
    "PAL_SULAM",
    "RELEASED",
    "ROOT",
    "SALMAN",
    "cells_of",
    "committed",
    "few",
    "measured_grid",
    "objectives",
    "published_risks",
    "reach",
    "report_rows",
    "run_study",
    "runs_of",
    "there",
    "within_reach",
]

ROOT = Path(__file__).resolve().parents[1]
"""Root of the checkout, or the folder that the package is installed in."""

OURS = "ours"
PAL_SULAM, COHEN, SALMAN = "Pal & Sulam 2023", "Cohen et al. 2019", "Salman et al. 2019"
RELEASED = "released logs"
"""What the column ``origin`` holds; a log's paper stands in the column ``paper`` or in the figure's source."""


def there(path: str) -> bool:
    """Whether a table is committed (yet).

    Args:
        path: relative to the root of the repository.
    """
    return _place(path).is_file()


def _place(path: str) -> Path:
    """Where a table is: under its own path in a checkout, in ``data`` beside this module where it is installed."""
    own = ROOT / path
    return own if own.is_file() else ROOT / "paper_figs" / "data" / own.name


def committed(path: str) -> pd.DataFrame:
    """A committed table.

    Args:
        path: relative to the root of the repository.

    Raises:
        InvalidInputError: where it is not there.
    """
    if not there(path):
        raise InvalidInputError(f"no file {path}; it is committed with the repository and installed with the package")
    return read_table(_place(path))


def published_risks(path: str) -> pd.DataFrame:
    """Released risks of Pal & Sulam, with the columns of a measured grid.

    Args:
        path: a table with train_sigma, smooth_sigma and risk.
    """
    table = committed(path)
    return table[["train_sigma", "smooth_sigma"]].assign(
        quantity="risk", radius=np.nan, value=table["risk"], lower=np.nan, upper=np.nan, origin=PAL_SULAM
    )


def measured_grid(path: str, quantities: Sequence[str]) -> pd.DataFrame:
    """Test rows of a measured (α, β) grid, seeds averaged.

    Args:
        path: a table of ``noiseaug grid``.
        quantities: which.

    Returns:
        train_sigma, smooth_sigma, quantity, radius, value, lower, upper, images (n), votes,
        vote_failure_prob, origin.

    Raises:
        InvalidInputError: where it is not there.
    """
    table = committed(path)
    rows = table[(table["split"] == "test") & table["quantity"].isin(list(quantities))]
    keys = ["train_sigma", "smooth_sigma", "quantity", "radius"]
    groups = rows.groupby(keys, dropna=False, as_index=False)
    # the ends of the intervals too: a band around the mean that is no narrower than it has to be
    means = groups.agg(
        value=("value", "mean"),
        lower=("lower", "mean"),
        upper=("upper", "mean"),
        images=("n", "max"),
        votes=("votes", "max"),
        vote_failure_prob=("vote_failure_prob", "max"),
    )
    return means.assign(origin=OURS)


def reach(votes: int, failure_prob: float) -> float:
    """The largest radius that so many votes certify, in units of β."""
    return largest_radius(CertificationSetting(1.0, VoteBudget(votes, failure_prob)))


def within_reach(table: pd.DataFrame) -> pd.DataFrame:
    """The rows without those measured at radii that their votes cannot certify, where 0 says nothing of the model."""
    if "votes" not in table:
        return table
    known = table["votes"].notna() & table["vote_failure_prob"].notna()
    bounds = [
        reach(int(votes), float(level)) if told else np.inf
        for votes, level, told in zip(table["votes"], table["vote_failure_prob"], known, strict=True)
    ]
    return table[table["radius"].isna() | (table["radius"] <= np.array(bounds) * table["smooth_sigma"])]


def objectives() -> pd.DataFrame:
    """Runs of docs/results/mnist_objectives.csv as tidy rows: objective, seed, quantity, radius, value, origin.

    Rows of ``certified_accuracy`` have their interval over images in ``lower`` and ``upper``.
    """
    import pandas as pd

    rows = []
    for name, row in report_rows("docs/results/mnist_objectives.csv"):
        found = re.fullmatch(r"(.+)-(\d+)", name)
        if found is None:
            raise InvalidInputError(f"docs/results/mnist_objectives.csv has a run {name!r}; expected NAME-SEED.jsonl")
        rows.append({"objective": found[1], "seed": int(found[2])} | row)
    return pd.DataFrame(rows).assign(origin=OURS)


def report_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A table of ``noiseaug report --format csv`` as tidy rows, each with the name of its log.

    Rows have smooth_sigma, votes, images, quantity, radius and value; those of ``certified_accuracy`` have their
    interval over images in ``lower`` and ``upper``.
    """
    table = committed(path)
    accuracies = {found[1]: column for column in table if (found := re.fullmatch(r"ca_([0-9.]+)", str(column)))}
    acr = next(column for column in table if str(column).startswith("acr"))
    for run in table.to_dict("records"):
        name = str(run["run"]).removesuffix(".jsonl")
        common = {"smooth_sigma": run["smooth_sigma"], "votes": run["n"], "images": run["images"]}
        for radius, column in accuracies.items():
            row = {"quantity": "certified_accuracy", "radius": float(radius), "value": run[column]}
            yield name, common | row | {"lower": run[f"{column}_lower"], "upper": run[f"{column}_upper"]}
        yield name, common | {"quantity": "acr", "radius": np.nan, "value": run[acr]}


def run_study(study: Study, fast: bool) -> pd.DataFrame:
    """The table of a study of ``noiseaug.synthetic``, with ``origin``.

    Args:
        study: what to compute.
        fast: in this process; otherwise on every core.
    """
    cells = study.cells()
    jobs, title = (1, None) if fast else (-1, study.name)
    results = dict(run_all(run_cell, [cell for _, cell in cells], jobs=jobs, progress=title, if_worth=True))
    rows = [{**row, **columns} for index, (columns, _) in enumerate(cells) for row in results[index]]
    return to_frame(rows).assign(origin=OURS)


def few(levels: Sequence[float], count: int) -> list[float]:
    """At most ``count`` of the levels, evenly spread, the first and the last among them."""
    ordered = sorted(set(levels))
    if len(ordered) <= count:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count)]


def runs_of(mask: np.ndarray) -> list[tuple[int, int, int]]:
    """A set of cells as horizontal runs (row, first column, last column).

    Args:
        mask: booleans of shape (rows, columns).
    """
    padded = np.pad(np.asarray(mask, dtype=np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [(int(row), int(first), int(last) - 1) for (row, first), (_, last) in zip(starts, ends, strict=True)]


def cells_of(runs: pd.DataFrame, size: int) -> np.ndarray:
    """The set of cells that :func:`runs_of` took apart, booleans of shape (size, size)."""
    mask = np.zeros((size, size), dtype=bool)
    for row, first, last in runs[["row", "first", "last"]].to_numpy(int):
        mask[row, first : last + 1] = True
    return mask
