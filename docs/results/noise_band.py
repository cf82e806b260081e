"""The table of noise_band.md: the share of classes that the law of traces keeps, beside measured accuracies.

    python docs/results/noise_band.py mnist docs/results/mnist_grid.csv --out docs/results/noise_band.csv

Means and covariances of the classes are those of all training images; docs/math.md 2.11 has the law.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from noiseaug.data import load_images
from noiseaug.runs import write_atomically
from noiseaug.tables import read_table
from noiseaug.tasks import GaussianLimit


def limit_of(name: str) -> GaussianLimit:
    """The law of a data set's classes."""
    images = load_images(name, "train")
    x = np.asarray(images.rows(np.arange(len(images))), dtype=float)
    classes = [x[images.labels == label] for label in np.unique(images.labels)]
    return GaussianLimit.of([part.mean(axis=0) for part in classes], [np.cov(part.T, bias=True) for part in classes])


def compared(limit: GaussianLimit, grid: pd.DataFrame) -> pd.DataFrame:
    """A row for each measured (α, β) above 0, the smoothed accuracy averaged over seeds."""
    kept = grid[(grid["quantity"] == "risk") & (grid["split"] == "test")]
    kept = kept[(kept["train_sigma"] > 0) & (kept["smooth_sigma"] > 0)]
    table = kept.groupby(["train_sigma", "smooth_sigma"], as_index=False)["value"].mean()
    pairs = list(zip(table["train_sigma"], table["smooth_sigma"], strict=True))
    edges = {alpha: limit.edges(alpha) for alpha in table["train_sigma"].unique()}
    middle = len(limit.variances) // 2
    return table.assign(
        measured_accuracy=(1 - table["value"]).round(4),
        classes_kept=[limit.accuracy(alpha, beta) for alpha, beta in pairs],
        first_edge=[round(float(edges[alpha][1].min()), 4) for alpha, _ in pairs],
        median_edge=[round(float(np.sort(edges[alpha][1])[middle]), 4) for alpha, _ in pairs],
        largest_lower_edge=[round(float(edges[alpha][0].max()), 4) for alpha, _ in pairs],
    ).drop(columns="value")


def main() -> None:
    """Writes the table and prints how well it fits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="name of a data set")
    parser.add_argument("grid", type=Path, help="a measured grid")
    parser.add_argument("--out", type=Path, required=True, help="file for the table")
    options = parser.parse_args()
    table = compared(limit_of(options.data), read_table(options.grid))
    write_atomically(options.out, table.to_csv(index=False))
    for name, part in (
        ("all", table),
        ("α ≥ β", table[table["train_sigma"] >= table["smooth_sigma"]]),
        ("α from 0.3 on", table[table["train_sigma"] >= 0.3]),
        ("β within the first edge", table[table["smooth_sigma"] < table["first_edge"]]),
        ("β beyond the median edge", table[table["smooth_sigma"] > table["median_edge"]]),
    ):
        gap = part["classes_kept"] - part["measured_accuracy"]
        print(
            f"{name}: {len(part)} pairs, mean gap {gap.mean():+.3f}, mean size {gap.abs().mean():.3f}, "
            f"largest {gap.abs().max():.3f}; least accuracy {part['measured_accuracy'].min():.3f}"
        )


if __name__ == "__main__":
    main()
