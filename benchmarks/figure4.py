"""The sweep behind Pal & Sulam's Figure 4: β ∈ {8, 11, 14}, ζ = 0…3, ten draws, α = 0…20."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks import Row, benchmark, timed
from noiseaug.tasks import PublishedDiscs, disagreement_curves
from noiseaug.tasks.discs import _legacy_stream

BETAS, ZETAS, DRAWS, ALPHAS = (8, 11, 14), range(4), 10, range(21)


def obvious_lattice(candidates: np.ndarray, zeta: int) -> np.ndarray:
    """The discs by Python loops."""
    window, centres = 20 + zeta, []
    for x, y in candidates.tolist():  # plain integers: loops over numpy's are slower
        if not any(x - window <= a < x + window and y - window <= b < y + window for a, b in centres):
            centres.append((x, y))
    h = np.zeros((100, 100))
    for x, y in centres:
        for dx in range(-10, 10):
            for dy in range(-10, 10):
                if dx**2 + dy**2 <= 100 and x + dx < 100 and y + dy < 100:
                    h[x + dx, y + dy] = 1
    return h


def obvious() -> np.ndarray:
    """Every Δ, shape (β, ζ, draws, α), with one ``gaussian_filter`` call per smoothing step."""
    stream = np.random.RandomState(246)
    result = np.empty((len(BETAS), len(ZETAS), DRAWS, len(ALPHAS)))
    for b, beta in enumerate(BETAS):
        for z, zeta in enumerate(ZETAS):
            for draw in range(DRAWS):
                h = obvious_lattice(stream.randint(0, 100, (10_000, 2)), zeta)
                for a, alpha in enumerate(ALPHAS):
                    trained = gaussian_filter(h, alpha, mode="constant") >= 0.5
                    smoothed = gaussian_filter(trained.astype(float), beta, mode="constant") >= 0.5
                    result[b, z, draw, a] = np.abs(smoothed - h).mean()
    return result


def fast() -> np.ndarray:
    """The same by noiseaug, from the random numbers on."""
    _legacy_stream.cache_clear()
    result = np.empty((len(BETAS), len(ZETAS), DRAWS, len(ALPHAS)))
    for b, beta in enumerate(BETAS):
        tasks = [task for zeta in ZETAS for task in PublishedDiscs.figure4(beta, zeta)]
        result[b] = disagreement_curves(tasks, ALPHAS, [beta]).reshape(result.shape[1:])
    return result


@benchmark("figure4")
def run(repeats: int) -> list[Row]:
    """The whole figure both ways in turns; the two must agree in every Δ."""
    fast()  # kernels and imports, once
    seconds, results = timed({"noiseaug": fast, "obvious": obvious}, repeats)
    if not np.array_equal(results["noiseaug"], results["obvious"]):
        raise AssertionError("figure4: noiseaug and the obvious implementation differ")
    ratio = seconds["obvious"] / seconds["noiseaug"]
    label = "Figure 4, 120 draws x 21 noise levels, identical"
    return [Row(label, seconds["noiseaug"], seconds["obvious"], "25x", ratio >= 25)]
