"""How the cost of a study grows: the table and the picture of docs/results/scaling.md.

    python -m benchmarks.scaling --out docs/results/scaling.csv --picture docs/images/scaling.png

Seconds against rows (closed forms, by ``noiseaug.sweep``), against draws, against dimension and against cores, each
beside a computation that cannot be left out. Points that the file holds already are not measured again; a curve ends
before the point that would take longer than ``--seconds``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from benchmarks.__main__ import machine
from benchmarks.sampling import bare, sampled
from noiseaug import plotting, sweep, tasks
from noiseaug.runs import save_figure, threads_each, write_atomically

DIMENSIONS = (2, 10, 100, 1_000, 10_000, 100_000)
TASKS = {
    "GaussianPair, d = 4": tasks.GaussianPair([1, 0.5, 0.25, 0], [-1, -0.5, -0.25, 0], [1.0, 0.5, 0.2, 0.1]),
    "ConcentricGaussians, d = 100": tasks.ConcentricGaussians(100, 0.3, 0.4),
}
LIMITS = {
    "rows": "closed forms: building the frame",
    "draws": "sampled: drawing random numbers",
    "dimension": "sampled, n = 1e5, and a closed form",
    "cores": "the rest of one core's work",
}


class Curve(NamedTuple):
    """Something measured at several sizes."""

    against: str
    name: str
    sizes: tuple[int, ...]
    run: Callable[[int], object]


def study(task: tasks.Task, rows: int) -> object:
    """A sweep of about so many rows: levels and radii in the ratio 1 : 1 : 1."""
    side = round(rows ** (1 / 3))
    alphas, betas = np.linspace(0, 0.6, side), np.linspace(0.05, 0.6, side)
    radii = np.linspace(0, 1, -(-rows // side**2))
    return sweep(task, train_sigma=alphas, smooth_sigma=betas, radii=radii, quantities="certified_accuracy")


def plain(rows: int) -> object:
    """Two normal distribution functions a row and a frame of them: what the rows of a Gaussian pair come down to."""
    z = np.linspace(-3, 3, rows)
    values = 0.5 * special.ndtr(z) + 0.5 * special.ndtr(z - 1)
    words = {name: pd.Categorical.from_codes(np.zeros(rows, int), ["word"]) for name in ("task", "rule", "quantity")}
    return pd.DataFrame({**words, **dict.fromkeys(("a", "b", "radius", "value", "lower", "upper"), values)})


def one_cell(dim: int) -> object:
    """A closed form at 8 levels and 20 radii."""
    task = tasks.ConcentricGaussians(dim, 0.3, 0.4)
    return sweep(
        task, train_sigma=[0.25], smooth_sigma=np.linspace(0.1, 0.5, 8), radii=np.linspace(0, 1, 20),
        quantities="certified_accuracy",
    )  # fmt: skip


def curves() -> list[Curve]:
    """All that is measured."""
    rows = tuple(10**k for k in range(2, 7))
    draws = tuple(10**k for k in range(4, 9))
    cores = tuple(range(1, threads_each(-1, 1) + 1))
    return [
        *(Curve("rows", name, rows, lambda n, task=task: study(task, n)) for name, task in TASKS.items()),  # type: ignore[misc]
        Curve("rows", "two normal cdfs and a frame, plain NumPy", rows, plain),
        *(Curve("draws", f"sampled, d = {dim}", draws, lambda n, dim=dim: sampled(dim, n)) for dim in (2, 100)),  # type: ignore[misc]
        *(Curve("draws", f"points and norms, d = {dim}", draws, lambda n, dim=dim: bare(dim, n)) for dim in (2, 100)),  # type: ignore[misc]
        Curve("dimension", "sampled, n = 1e5", DIMENSIONS, lambda dim: sampled(dim, 100_000)),
        Curve("dimension", "points and norms, n = 1e5", DIMENSIONS, lambda dim: bare(dim, 100_000)),
        Curve("dimension", "160 rows in closed form", DIMENSIONS, one_cell),
        Curve("cores", "sampled, d = 2, n = 2e7", cores, lambda jobs: sampled(2, 20_000_000, jobs)),
    ]


def measured(done: pd.DataFrame, seconds: float) -> Iterator[dict[str, object]]:
    """A row for each point that is not there yet: the least time of up to three runs."""
    for curve in curves():
        last = 0.0
        for size in curve.sizes:
            there = done[(done["curve"] == curve.name) & (done["size"] == size) & (done["against"] == curve.against)]
            if len(there):
                last = float(there["seconds"].iloc[0])
                continue
            if 10 * last > seconds and curve.against != "cores":
                break
            taken: list[float] = []
            while len(taken) < 3 and sum(taken) < 2:
                begun = time.perf_counter()
                curve.run(size)
                taken.append(time.perf_counter() - begun)
            last = min(taken)
            yield {"against": curve.against, "curve": curve.name, "size": size, "seconds": round(last, 5)}


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """For each curve its slope in logarithms over the last two decades, and the time at its largest size."""
    rows = []
    for (against, name), part in table.groupby(["against", "curve"], sort=False):
        part = part.sort_values("size")
        end = part[part["size"] >= part["size"].iloc[-1] / 100]
        slope = np.polyfit(np.log(end["size"]), np.log(end["seconds"]), 1)[0] if len(end) > 1 else np.nan
        rows.append((against, name, round(slope, 2), part["size"].iloc[-1], part["seconds"].iloc[-1]))
    return pd.DataFrame(rows, columns=["against", "curve", "slope", "largest", "seconds"])


@plotting.style()
def draw(table: pd.DataFrame) -> object:
    """Seconds over the size, a panel for what grows."""
    told = slopes(table).set_index(["against", "curve"])["slope"]
    figure, axes = plotting.new_figure(1, len(LIMITS), width=3.0, height=3.0)
    for panel, (against, limit) in zip(axes[0], LIMITS.items(), strict=True):
        for name, part in table[table["against"] == against].groupby("curve", sort=False):
            line = part.sort_values("size")
            panel.plot(line["size"], line["seconds"], marker=".", label=f"{name} (slope {told[against, name]:.2f})")
        panel.set(xscale="log", yscale="log", xlabel=against, title=limit)
        panel.legend(fontsize=5)
    axes[0][0].set_ylabel("seconds")
    return plotting.finish(figure, "What a study costs, on one core except in the last panel", [machine()])


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="How the cost of a study grows.")
    parser.add_argument("--out", type=Path, required=True, help="table (CSV), taken up where it ends")
    parser.add_argument("--picture", type=Path, help="where to draw it (PNG)")
    parser.add_argument("--seconds", type=float, default=30.0, help="most that a point may take (default 30)")
    options = parser.parse_args(arguments)
    columns = ["against", "curve", "size", "seconds"]
    table = pd.read_csv(options.out, comment="#") if options.out.exists() else pd.DataFrame(columns=columns)
    for row in measured(table.copy(), options.seconds):
        table = pd.concat([table, pd.DataFrame([row])], ignore_index=True) if len(table) else pd.DataFrame([row])
        write_atomically(options.out, f"# {machine()}\n{table.to_csv(index=False)}")
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    print("| against | curve | slope | largest | seconds there |\n|---|---|---|---|---|")
    for told in slopes(table).itertuples(index=False):
        print(f"| {told.against} | {told.curve} | {told.slope} | {told.largest:.0e} | {told.seconds:.3g} |")
    if options.picture is not None:
        save_figure(draw(table), options.picture)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main())
