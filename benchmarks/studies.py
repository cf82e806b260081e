"""Studies in closed form on one core, beside the same numbers by plain NumPy and SciPy; and the default study."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from benchmarks import Row, benchmark, timed
from noiseaug import sweep, tasks
from noiseaug.runs import threads_each

MEAN, VARIANCE = np.array([1.0, 0.5, 0.25, 0.1]), np.array([1.0, 0.2, 0.05, 0.01])
INNER, OUTER = 0.3, 0.4
CORES = threads_each(-1, 1)


def levels(alphas: int, betas: int, radii: int, top: float) -> dict[str, np.ndarray]:
    return {
        "train_sigma": np.linspace(0, top, alphas),
        "smooth_sigma": np.linspace(0.05, top, betas),
        "radii": np.linspace(0, 1, radii),
    }


def frame(values: np.ndarray, grid: dict[str, np.ndarray], task: object) -> pd.DataFrame:
    """The plain values, shape (α, β, r), as a frame with the columns of the tidy table."""
    alpha, beta, radius = (array.ravel() for array in np.meshgrid(*grid.values(), indexing="ij"))
    columns = {"task": str(task), "rule": "augmented", "train_sigma": alpha, "smooth_sigma": beta}
    columns |= {"quantity": "certified_accuracy", "radius": radius}
    columns |= {name: values.ravel() for name in ("value", "lower", "upper")}
    table = pd.DataFrame({**columns, "method": "exact", "n": 0, "failure_prob": 0.0, "seed": pd.NA})
    return table.astype({"seed": "Int64"})


def plain_pair(grid: dict[str, np.ndarray]) -> pd.DataFrame:
    """Two normal distribution functions a row: the half-space with normal (Σ + α²I)⁻¹(μ₁ − μ₀), with equal priors."""
    alpha, beta, radius = grid.values()
    normals = 2 * MEAN / (VARIANCE + alpha[:, None] ** 2)
    lengths = np.linalg.norm(normals, axis=1)
    spread = np.sqrt(np.sum(normals**2 * VARIANCE, axis=1)) / lengths
    distance = normals @ MEAN / lengths
    # the signed distance less the certified one, β·(r/β), once for each class
    rest = distance[:, None, None] - beta[:, None] * (radius / beta[:, None])
    right = special.ndtr(rest / spread[:, None, None])
    return frame(0.5 * right + 0.5 * special.ndtr(rest / spread[:, None, None]), grid, "a pair of Gaussians")


def plain_balls(dim: int, grid: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """Some rows, evenly spread: SciPy's noncentral χ² inverted for both level radii, then two χ² functions.

    Where SciPy's inversion gives up, the value is NaN.
    """
    alpha, beta, radius = (array.ravel() for array in np.meshgrid(*grid.values(), indexing="ij"))
    some = np.linspace(0, alpha.size - 1, rows).astype(int)
    alpha, beta, radius = alpha[some], beta[some], radius[some]
    inner, outer = INNER**2 + alpha**2, OUTER**2 + alpha**2
    ball = dim * np.log(outer / inner) / (1 / inner - 1 / outer)  # its radius squared
    inside, outside = (
        beta**2 * special.chndtrinc(ball / beta**2, dim, special.ndtr(sign * radius / beta)) for sign in (1, -1)
    )
    return 0.5 * special.chdtr(dim, inside / INNER**2) + 0.5 * special.chdtrc(dim, outside / OUTER**2)


def pair_study(grid: dict[str, np.ndarray]) -> pd.DataFrame:
    return sweep(tasks.GaussianPair(MEAN, -MEAN, VARIANCE), **grid, quantities="certified_accuracy")


def ball_study(dim: int, grid: dict[str, np.ndarray]) -> pd.DataFrame:
    return sweep(tasks.ConcentricGaussians(dim, INNER, OUTER), **grid, quantities="certified_accuracy")


@benchmark("studies")
def run(repeats: int) -> list[Row]:
    """Certified accuracy of two Gaussians and of concentric ones; the values are held against the plain ones."""
    rows = []
    for counts, target in (((50, 40, 50), None), ((100, 100, 100), 15.0)):
        grid = levels(*counts, top=2.0)
        ways = {"noiseaug": lambda grid=grid: pair_study(grid), "plain": lambda grid=grid: plain_pair(grid)}
        seconds, found = timed(ways, repeats)
        values = [table["value"].to_numpy() for table in found.values()]  # type: ignore[index]
        np.testing.assert_allclose(*values, rtol=1e-11)
        mine, plain = seconds["noiseaug"], seconds["plain"]
        met = mine <= 8 * plain if target is None else mine <= target
        words = "1/8x" if target is None else f"{target:g} s"
        label = f"GaussianPair, {values[0].size} rows, plain with its frame"
        rows.append(Row(label, mine, plain, words, met))
    grid, part = levels(40, 40, 20, top=0.6), 32
    ways = {"noiseaug": lambda: ball_study(784, grid), "plain": lambda: plain_balls(784, grid, part)}
    seconds, found = timed(ways, 1)
    mine = found["noiseaug"]["value"].to_numpy()  # type: ignore[index]
    some, plain = np.linspace(0, mine.size - 1, part).astype(int), np.asarray(found["plain"])
    known = np.isfinite(plain)
    np.testing.assert_allclose(mine[some][known], plain[known], rtol=1e-4, atol=1e-6)
    label = f"concentric, d = 784, 32000 rows, plain: {part} of them"
    scaled = seconds["plain"] * mine.size / part
    rows.append(Row(label, seconds["noiseaug"], scaled, "1.4 s", seconds["noiseaug"] <= 1.4))
    million, _ = timed({"noiseaug": lambda: ball_study(100, levels(100, 100, 100, top=0.6))}, 1)
    rows.append(Row("concentric, d = 100, 1000000 rows", million["noiseaug"], None, "60 s", million["noiseaug"] <= 60))
    return rows


@benchmark("default-study")
def default_study(repeats: int) -> list[Row]:
    """``python -m noiseaug.synthetic``, from the start of the interpreter to the last picture."""

    def study() -> object:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "noiseaug.synthetic", "--out", str(Path(folder) / "study")]
            return subprocess.run(command, check=True, capture_output=True)

    seconds, _ = timed({"study": study}, 1)
    taken = seconds["study"]
    return [Row(f"the default study, {CORES} cores", taken, None, "12 s on two cores", taken <= 12)]
