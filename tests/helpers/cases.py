"""The tasks and regions that every law is applied to; a new one is one line here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noiseaug.regions import Ball, HalfSpace, IntervalUnion, Region
from noiseaug.tasks import (
    BinaryTask,
    ConcentricGaussians,
    ConcentricSpheres,
    DensityTask,
    FromDensities,
    GaussianMixtures,
    GaussianPair,
    Intervals,
    IsolatedBall,
    Lattice,
    LowRank,
    Mixture,
    MixtureOnLine,
)


@dataclass(frozen=True)
class Case:
    """A task with noise levels and a radius that make it interesting.

    ``sampled_points`` draws are enough for a test of seconds.
    """

    name: str
    task: BinaryTask
    train_sigma: float
    smooth_sigma: float
    radius: float
    sampled_points: int = 40_000


def _rotation(dim: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]


_FIELD = np.random.default_rng(7).random((12, 9))
_TURN = _rotation(3, 5)
CASES = [
    Case("pair-diagonal", GaussianPair([1, 0.5, 0.25], [-1, -0.5, -0.25], [1.0, 0.2, 0.05]), 0.5, 0.4, 0.3),
    Case(
        "pair-full",
        GaussianPair([0.7, 0.1, 0.0], [-0.4, 0.3, 1.0], _TURN @ np.diag([1.0, 0.3, 0.1]) @ _TURN.T, prior=0.3),
        0.6,
        0.5,
        0.2,
    ),
    Case("concentric-2", ConcentricGaussians(2, 0.3, 0.4), 0.2, 0.25, 0.2),
    Case("concentric-30", ConcentricGaussians(30, 0.3, 0.4, prior=0.6), 0.2, 0.25, 0.1),
    Case("concentric-1", ConcentricGaussians(1, 0.5, 1.0), 0.3, 0.3, 0.2),
    Case("spheres", ConcentricSpheres(50, 1.0, 1.3), 0.1, 0.1, 0.05),
    Case("isolated", IsolatedBall(3, 2.0), 0.4, 0.5, 0.3),
    Case("isolated-window", IsolatedBall(2, 1.0, window=3.0), 0.3, 0.4, 0.2),
    Case("line", Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 8.0]], (0.0, 10.0)), 0.3, 0.4, 0.3),
    Case("line-border", Intervals([[0.0, 2.0], [2.5, 3.0], [6.0, 10.0]], (0.0, 10.0)), 0.6, 0.5, 0.4),
    Case("lattice-torus", Lattice(np.round(_FIELD), periodic=True), 0.8, 1.0, 0.5),
    Case("lattice-edges", Lattice(_FIELD[:, 0], weights=1 + _FIELD[:, 1]), 1.0, 1.5, 0.5),
    Case("circle", Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 8.0]], (0.0, 10.0), periodic=True), 0.4, 0.5, 0.3),
    Case("circle-row", Intervals.row(2, 2.0, 1.0, (-5.0, 5.0)), 0.75, 1.4, 0.2),
    Case("mixture", MixtureOnLine([(0.5, -2, 0.3), (0.5, 2, 0.5)], [(1, 0, 1)], prior=0.4), 0.4, 0.5, 0.2),
    Case(
        "mixture-equal", MixtureOnLine([(0.5, -1, 0.5), (0.5, 1, 0.5)], [(0.6, 0, 0.5), (0.4, 2, 0.5)]), 0.2, 0.3, 0.1
    ),
]


@dataclass(frozen=True)
class DensityCase:
    """A task with class densities, with noise levels and a radius that make it interesting."""

    name: str
    task: DensityTask
    train_sigma: float
    smooth_sigma: float
    radius: float


_SPHERICAL = Mixture([0.5, 0.5], [[0, 0], [2, 2]], [0.3, 0.2])
_DIAGONAL = Mixture([0.3, 0.7], [[0, 2], [2, 0]], [[0.3, 0.1], [0.2, 0.2]])
_FACTORS = np.random.default_rng(3).normal(scale=0.5, size=(2, 5, 2))
DENSITY_CASES = [
    DensityCase(
        "mixtures-plane",
        GaussianMixtures([_SPHERICAL, _DIAGONAL, Mixture.normal([3, 3], [[1, 0.3], [0.3, 0.5]])], [0.4, 0.4, 0.2]),
        0.3,
        0.4,
        0.2,
    ),
    DensityCase(
        "mixtures-line",
        GaussianMixtures([Mixture([0.5, 0.5], [[-2], [2]], 0.2), Mixture.normal([0], 0.5), Mixture.normal([4], 1.0)]),
        0.4,
        0.5,
        0.3,
    ),
    DensityCase("two-in-the-plane", GaussianMixtures([_DIAGONAL, _SPHERICAL], tolerance=3e-3), 0.2, 0.3, 0.1),
    DensityCase(
        "low-rank",
        GaussianMixtures(
            [
                Mixture([0.5, 0.5], np.eye(2, 5), LowRank(_FACTORS, np.full((2, 1), 0.1))),
                Mixture([0.2, 0.8], -np.eye(2, 5), LowRank(_FACTORS[::-1], np.linspace(0.1, 0.3, 10).reshape(2, 5))),
            ]
        ),
        0.3,
        0.4,
        0.2,
    ),
]


def _log_disc(x: np.ndarray) -> np.ndarray:
    """A soft disc: density in proportion to exp(−|x|⁴)."""
    return -(np.sum(x**2, axis=1) ** 2) - np.log(0.5 * np.pi**1.5)


def _log_far(x: np.ndarray) -> np.ndarray:
    return -0.5 * np.sum((x - [1.5, 0.0]) ** 2, axis=1) - np.log(2 * np.pi)


def _draw_soft_discs(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = (rng.random(n) < 0.6).astype(int)
    # |x|⁴ has the law of half a chi-square with one degree of freedom
    directions = rng.standard_normal((n, 2))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    disc = directions * ((0.5 * rng.chisquare(1, n)) ** 0.25)[:, None]
    return np.where(y[:, None] == 1, rng.normal([1.5, 0.0], 1.0, (n, 2)), disc), y


DENSITY_CASES.append(
    DensityCase(
        "densities",
        FromDensities([_log_disc, _log_far], _draw_soft_discs, 2, priors=[0.4, 0.6], draws=300),
        0.3,
        0.4,
        0.2,
    )
)

REGIONS: dict[str, Region] = {
    "half-space": HalfSpace(np.array([1.0, -2.0, 0.5]), 0.3),
    "ball-1": Ball(1, 1.5),
    "ball-2": Ball(2, 1.0),
    "ball-20-outside": Ball(20, 4.0, outside=True),
    "line": IntervalUnion(np.array([[-1.0, 0.5], [1.0, 1.3], [2.0, 5.0]])),
    "line-unbounded": IntervalUnion(np.array([[-np.inf, 0.5], [1.0, 1.3], [2.0, np.inf]])),
    "circle": IntervalUnion(np.array([[0.0, 1.0], [2.0, 2.4], [5.0, 6.0]]), period=6.0),
}


def ids(cases: list[Case] | list[DensityCase]) -> list[str]:
    return [case.name for case in cases]
