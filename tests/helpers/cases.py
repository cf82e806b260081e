"""The tasks and regions that every law is applied to; a new one is one line here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noiseaug.regions import Ball, HalfSpace, IntervalUnion, Region
from noiseaug.tasks import (
    BinaryTask,
    ConcentricGaussians,
    ConcentricSpheres,
    GaussianPair,
    Intervals,
    IsolatedBall,
    Lattice,
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

REGIONS: dict[str, Region] = {
    "half-space": HalfSpace(np.array([1.0, -2.0, 0.5]), 0.3),
    "ball-1": Ball(1, 1.5),
    "ball-2": Ball(2, 1.0),
    "ball-20-outside": Ball(20, 4.0, outside=True),
    "line": IntervalUnion(np.array([[-1.0, 0.5], [1.0, 1.3], [2.0, 5.0]])),
    "line-unbounded": IntervalUnion(np.array([[-np.inf, 0.5], [1.0, 1.3], [2.0, np.inf]])),
    "circle": IntervalUnion(np.array([[0.0, 1.0], [2.0, 2.4], [5.0, 6.0]]), period=6.0),
}


def ids(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]
