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
PAIR = tasks.GaussianPair([1, 0.5, 0.25, 0], [-1, -0.5, -0.25, 0], [1.0, 0.5, 0.2, 0.1])  # type: ignore[arg-type]


class Curve(NamedTuple):
    """Something measured at several sizes, and what its cost consists of."""

    against: str
    name: str
    limit: str
    sizes: tuple[int, ...]
    run: Callable[[int], object]


def study(task: tasks.Task, rows: int, jobs: int = 1) -> object:
    """A sweep of about so many rows, over as many levels α as β and radii."""
    side = round(rows ** (1 / 3))
    alphas, betas = np.linspace(0, 0.6, side), np.linspace(0.05, 0.6, side)
    radii = np.linspace(0, 1, -(-rows // side**2))
    asked = {"train_sigma": alphas, "smooth_sigma": betas, "radii": radii, "quantities": "certified_accuracy"}
    return sweep(task, **asked, jobs=jobs)  # type: ignore[arg-type]


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
    rows, draws = tuple(10**k for k in range(2, 7)), tuple(10**k for k in range(4, 9))
    cores = tuple(range(1, threads_each(-1, 1) + 1))
    pair, concentric = PAIR, tasks.ConcentricGaussians(100, 0.3, 0.4)
    normals = "d normal numbers a draw"
    few = "one gamma and one uniform number a draw, in any dimension"
    return [
        Curve("rows", "GaussianPair, d = 4", "the frame and its checks", rows, lambda n: study(pair, n)),
        Curve("rows", "ConcentricGaussians, d = 100", "tails of chi-square laws", rows, lambda n: study(concentric, n)),
        Curve("rows", "two normal cdfs and a frame, plain NumPy", "writing the columns", rows, plain),
        Curve("draws", "sampled, d = 2", few, draws, lambda n: sampled(2, n)),
        Curve("draws", "points and norms, d = 2", normals, draws, lambda n: bare(2, n)),
        Curve("draws", "sampled, d = 100", few, draws, lambda n: sampled(100, n)),
        Curve("draws", "points and norms, d = 100", normals, draws, lambda n: bare(100, n)),
        Curve("dimension", "sampled, n = 1e5", few, DIMENSIONS, lambda dim: sampled(dim, 100_000)),
        Curve("dimension", "points and norms, n = 1e5", normals, DIMENSIONS, lambda dim: bare(dim, 100_000)),
        Curve("dimension", "160 rows in closed form", "level radii, 48 nodes a tail", DIMENSIONS, one_cell),
        Curve(
            "cores", "sampled, d = 2, n = 2e7", "threads share nothing", cores, lambda jobs: sampled(2, 2 * 10**7, jobs)
        ),
        Curve(
            "cores",
            "8 000 rows, d = 100",
            "processes start and send rows",
            cores,
            lambda jobs: study(concentric, 8000, jobs),
        ),
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
            yield {"against": curve.against, "curve": curve.name, "size": size, "seconds": float(f"{last:.4g}")}


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
    figure, axes = plotting.new_figure(2, 2, width=3.6, height=2.8)
    for panel, (against, group) in zip(axes.ravel(), table.groupby("against", sort=False), strict=False):
        for name, part in group.groupby("curve", sort=False):
            line = part.sort_values("size")
            panel.plot(line["size"], line["seconds"], marker=".", label=f"{name} (slope {told[against, name]:.2f})")
        panel.set(xscale="log", yscale="log", xlabel=against, ylabel="seconds")
        panel.set_ylim(group["seconds"].min() / 4, group["seconds"].max() * 30)
        panel.legend(fontsize=6, loc="upper left")
    return plotting.finish(figure, "What a study costs: seconds on one core, and on several", [machine()])


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
    limits = {(curve.against, curve.name): curve.limit for curve in curves()}
    print("| against | curve | slope | seconds at the largest size | limit |\n|---|---|---|---|---|")
    for told in slopes(table).itertuples(index=False):
        there = f"{told.seconds:.3g} at {told.largest:g}"
        print(f"| {told.against} | {told.curve} | {told.slope} | {there} | {limits[told.against, told.curve]} |")
    if options.picture is not None:
        save_figure(draw(table), options.picture)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main())
