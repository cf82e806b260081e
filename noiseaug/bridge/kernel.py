"""The kernel rule of a training set for many training noises at once (docs/math.md 2.8).

The noised law of a training set is a mixture of Gaussians around its points; its Bayes rule is the Gaussian kernel rule
with bandwidth α. That is what a learner without any prejudice makes of noise-augmented training on these very points.
A network has prejudices (it generalises between the points), so this is a prediction, not a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from noiseaug.bridge.samples import inputs_of, labelled, noise_levels

__all__ = ["KernelFamily"]

_BLOCK_FLOATS = 1 << 22  # distances held at a time: 16 MiB, and as much again for their exponentials
_LEAST_VARIANCE = 2.0 * float(np.finfo(np.float32).tiny)  # half of its reciprocal is a float32


@dataclass(frozen=True, eq=False)
class KernelFamily:
    """Kernel rules of one training set, one for each training noise α.

    Distances are computed once for all α, in float32 around the mean of the points: squared ones are off by some 1e-6
    of |x − mean|², which can decide only between classes whose scores are that close.

    Attributes:
        points: training inputs, shape (n, dim), float32.
        labels: 0 … K−1, each class present, shape (n,).
        train_sigma: the levels α ≥ 0; 0 stands for the nearest neighbour, the limit α → 0.
        num_classes: K, as many as there are labels.
    """

    points: np.ndarray
    labels: np.ndarray
    train_sigma: tuple[float, ...]
    num_classes: int = 0

    name: ClassVar[str] = "kernel"

    def __post_init__(self) -> None:
        points, labels, total = labelled(self.points, self.labels, self.num_classes)
        order = np.argsort(labels, kind="stable")
        object.__setattr__(self, "points", points[order].astype(np.float32))
        object.__setattr__(self, "labels", labels[order])
        object.__setattr__(self, "num_classes", total)
        object.__setattr__(self, "train_sigma", noise_levels(self.train_sigma))

    @cached_property
    def _prepared(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The mean; −2(points − mean) as columns, so that one product gives −2x·xᵢ; |xᵢ|²; where each class starts."""
        centre = self.points.mean(axis=0, dtype=float)
        middle = self.points - centre
        squares = np.sum(middle**2, axis=1).astype(np.float32)
        columns = np.ascontiguousarray(-2 * middle.T, dtype=np.float32)
        starts = np.searchsorted(self.labels, np.arange(self.num_classes))
        return centre.astype(np.float32), columns, squares, starts

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return self.points.shape[1]

    @property
    def width(self) -> int:
        """Numbers held for each input that is classified."""
        return len(self.points)

    @property
    def remark(self) -> str:
        """What the rules are of."""
        return f"kernel rule of {len(self.points)} training inputs"

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class of each point by each rule, shape (levels, m); ties go to the smaller label.

        Args:
            x: points, shape (m, dim).
        """
        places = inputs_of(x, self.dim)
        out = np.empty((len(self.train_sigma), len(places)), dtype=np.int64)
        rows = max(1, _BLOCK_FLOATS // len(self.points))
        centre, columns, squares, _ = self._prepared
        scratch = np.empty((min(rows, len(places)), len(self.points)), dtype=np.float32)
        for begin in range(0, len(places), rows):
            # |x|² is common to all points
            distance = (places[begin : begin + rows] - centre) @ columns
            distance += squares
            # the nearest point's term is then 1: its class cannot underflow, and what does could not have won
            distance -= distance.min(axis=1, keepdims=True)
            out[:, begin : begin + rows] = self._decide(distance, scratch[: len(distance)])
        return out

    def _decide(self, distance: np.ndarray, scratch: np.ndarray) -> np.ndarray:
        """Classes from squared distances beyond the nearest, shape (m, n)."""
        decided = np.empty((len(self.train_sigma), len(distance)), dtype=np.int64)
        starts = self._prepared[-1]
        for level, train_sigma in enumerate(self.train_sigma):
            if train_sigma == 0:
                decided[level] = np.argmin(np.minimum.reduceat(distance, starts, axis=1), axis=1)
                continue
            # beyond float32 all but the nearest points vanish, as they should
            rate = np.float32(-0.5 / max(train_sigma**2, _LEAST_VARIANCE))
            with np.errstate(under="ignore", over="ignore"):
                np.multiply(distance, rate, out=scratch)
                np.exp(scratch, out=scratch)
                decided[level] = np.argmax(np.add.reduceat(scratch, starts, axis=1), axis=1)
        return decided
