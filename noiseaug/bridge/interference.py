"""How far apart the classes of a data set are, against the reach of noise (Pal & Sulam 2023, on interference).

Pal & Sulam explain when training with noise helps by *interference*: other classes within reach of the noise. Which
length to compare? Noise of level σ has norm about σ√d, but almost all of it is sideways: of two points at distance D
with different labels, x + σZ is closer to the wrong one iff the component of σZ along their difference exceeds D/2,
which has probability Φ(−D/2σ) in every dimension. So a pair interferes when D/2 is a few σ, not when D is below σ√d.
Both are shown; one neighbour understates what many do together, which the union bound Σ Φ(−D_j/2σ) over all points of
other classes overstates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import plotting, validation
from noiseaug.bridge.samples import some, training_part
from noiseaug.data import DataSource
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Neighbours", "draw_interference", "nearest", "noise_table", "pair_distances", "study"]

_BLOCK_FLOATS = 1 << 22  # distances held at a time
_QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest point of every class for some inputs.

    Attributes:
        labels: of the inputs, shape (inputs,).
        distance: to the nearest other point of each class, in input units, shape (inputs, classes).
        crowd: Σ Φ(−D_j/2σ) over all points of other classes, for each level, shape (levels, inputs).
        sigmas: the levels σ.
        dim: d.
        points: points that were searched.
    """

    labels: np.ndarray
    distance: np.ndarray
    crowd: np.ndarray
    sigmas: tuple[float, ...]
    dim: int
    points: int

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.distance.shape[1]

    @property
    def same(self) -> np.ndarray:
        """Distance to the nearest other point of the input's own class, shape (inputs,)."""
        return self.distance[np.arange(len(self.labels)), self.labels]

    @property
    def other(self) -> np.ndarray:
        """Distance to the nearest point of another class, shape (inputs,)."""
        rest = self.distance.copy()
        rest[np.arange(len(self.labels)), self.labels] = np.inf
        return rest.min(axis=1)


def nearest(
    points: ArrayLike, labels: ArrayLike, *, inputs: ArrayLike | None = None, sigmas: Sequence[float] = ()
) -> Neighbours:
    """Nearest neighbours of points among all points, by class; a point is not its own neighbour.

    Candidates are found with float32 products around the mean, distances then computed anew in float64.

    Args:
        points: shape (n, dim).
        labels: 0 … K−1, each with two points or more, shape (n,).
        inputs: indices of the points to ask for; all by default.
        sigmas: levels σ > 0 of the union bound.

    Raises:
        InvalidInputError: for shapes or labels that do not fit.
    """
    cloud, classes = validation.array("points", points, 2), np.asarray(labels)
    if classes.shape != (len(cloud),) or not len(cloud) or not np.issubdtype(classes.dtype, np.integer):
        raise InvalidInputError(
            f"points have shape {cloud.shape}, labels are {classes.dtype} of shape {classes.shape}; expected (n, dim) "
            "and n integers"
        )
    found, counts = np.unique(classes, return_counts=True)
    if not np.array_equal(found, np.arange(len(found))) or len(found) < 2 or counts.min() < 2:
        raise InvalidInputError(
            f"labels {found.tolist()} have {counts.tolist()} points; expected 0, …, K−1 with K ≥ 2 and two points each"
        )
    levels = tuple(validation.positive("sigmas", sigma) for sigma in sigmas)
    order = np.argsort(classes, kind="stable")
    cloud, sorted_labels, place = cloud[order], classes[order], np.argsort(order)
    asked = np.arange(len(cloud)) if inputs is None else np.asarray(inputs)
    middle = (cloud - cloud.mean(axis=0)).astype(np.float32)
    squares = np.sum(middle.astype(float) ** 2, axis=1)
    starts = np.searchsorted(sorted_labels, found)
    distance, crowd = np.empty((len(asked), len(found))), np.zeros((len(levels), len(asked)))
    step = max(1, _BLOCK_FLOATS // len(cloud))
    for begin in range(0, len(asked), step):
        rows = place[asked[begin : begin + step]]
        block = squares[rows, None] + squares - 2 * (middle[rows] @ middle.T)
        block[np.arange(len(rows)), rows] = np.inf
        for label, (low, high) in enumerate(zip(starts, [*starts[1:], len(cloud)], strict=True)):
            best = low + np.argmin(block[:, low:high], axis=1)
            distance[begin : begin + step, label] = np.sqrt(np.sum((cloud[rows] - cloud[best]) ** 2, axis=1))
        if levels:
            half = 0.5 * np.sqrt(np.maximum(block, 0))
            half[sorted_labels[rows][:, None] == sorted_labels] = np.inf
            for level, sigma in enumerate(levels):
                crowd[level, begin : begin + step] = special.ndtr(-half / sigma).sum(axis=1)
    return Neighbours(classes[asked], distance, crowd, levels, cloud.shape[1], len(cloud))


def study(
    data: DataSource, *, points: int | None = 10_000, inputs: int | None = 1000, sigmas: Sequence[float], seed: int = 0
) -> Neighbours:
    """Nearest neighbours among a data set's training inputs.

    Args:
        data: with training inputs.
        points: how many to search, a random part; all where None. Distances shrink as there are more.
        inputs: how many of those to ask for; all where None.
        sigmas: noise levels σ > 0.
        seed: of the two random parts.

    Raises:
        InvalidInputError: for data without training inputs, and as :func:`nearest`.
    """
    x, y = training_part(data, points, seed)
    return nearest(x, y, inputs=some(len(x), inputs, seed + 1), sigmas=sigmas)


def pair_distances(neighbours: Neighbours, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Nearest distances for every ordered pair of classes.

    Returns:
        A row for each pair: first (class of the input), second (class of the nearest point), inputs, then distance_min,
        distance_05, distance_50, distance_95 (quantiles over inputs) and half_distance (half of the median), all in
        input units. Where first equals second it is the nearest *other* point of the class.
    """
    import pandas as pd

    known = list(names) if names is not None else [str(label) for label in range(neighbours.num_classes)]
    if len(known) != neighbours.num_classes:
        raise InvalidInputError(f"names are {len(known)}; expected {neighbours.num_classes}, one a class")
    rows = []
    for first in np.unique(neighbours.labels):
        own = neighbours.distance[neighbours.labels == first]
        for second in range(neighbours.num_classes):
            column = own[:, second]
            row: dict[str, Any] = {"first": known[first], "second": known[second], "inputs": len(column)}
            row["distance_min"] = float(column.min())
            row |= {f"distance_{100 * q:02.0f}": float(np.quantile(column, q)) for q in _QUANTILES}
            rows.append({**row, "half_distance": 0.5 * float(np.median(column))})
    return pd.DataFrame(rows)


def noise_table(neighbours: Neighbours) -> pd.DataFrame:
    """The reach of each noise level against the distances.

    Returns:
        A row for each level σ: sigma, noise_norm (σ√d), share_within_norm (inputs whose nearest other-class point is
        closer than σ√d), half_distance (median D/2 to it), half_distances_in_sigmas (median D/2σ), confusion (mean
        Φ(−D/2σ), by that one point), confusion_worst (its largest value over inputs), union_bound (mean of
        min(1, Σ Φ(−D_j/2σ)) over all points of other classes), and share_same_closer (inputs whose nearest neighbour is
        of their own class).
    """
    import pandas as pd

    other, same = neighbours.other, neighbours.same
    rows = []
    for sigma, crowd in zip(neighbours.sigmas, neighbours.crowd, strict=True):
        single = special.ndtr(-0.5 * other / sigma)
        norm = sigma * np.sqrt(neighbours.dim)
        row = {"sigma": sigma, "noise_norm": norm, "share_within_norm": float((other < norm).mean())}
        row |= {"half_distance": 0.5 * float(np.median(other))}
        row |= {"half_distances_in_sigmas": 0.5 * float(np.median(other)) / sigma}
        row |= {"confusion": float(single.mean()), "confusion_worst": float(single.max())}
        row |= {"union_bound": float(np.minimum(crowd, 1).mean()), "share_same_closer": float((same < other).mean())}
        rows.append(row)
    return pd.DataFrame(rows)


@plotting.style()
def draw_interference(neighbours: Neighbours, pairs: pd.DataFrame, title: str, notes: Sequence[str] = ()) -> Figure:
    """D/2 for every pair of classes as a heat map, and the distributions of nearest distances against the noise.

    Args:
        neighbours: from :func:`nearest`.
        pairs: from :func:`pair_distances`.
        title: of the figure.
        notes: lines below it.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = plotting.new_figure(1, 2, width=4.6, height=3.9)
    left, right = axes[0]
    order = list(dict.fromkeys(pairs["second"]))
    grid = pairs.pivot(index="first", columns="second", values="half_distance")[order]
    grid = grid.reindex([name for name in order if name in grid.index])
    mesh = left.imshow(grid.to_numpy(), cmap=plotting.colour_map("radius"))
    left.set_xticks(range(len(order)), map(for_picture, order), rotation=90 if max(map(len, order)) > 3 else 0)
    left.set_yticks(range(len(grid)), map(for_picture, grid.index))
    left.set_xlabel("class of the nearest point")
    left.set_ylabel("class of the input")
    left.grid(False)
    figure.colorbar(mesh, ax=left, label="D/2, median over inputs")
    right.ecdf(0.5 * neighbours.same, color="0.6", lw=1.4, label="D/2, own class")
    right.ecdf(0.5 * neighbours.other, color="0.1", lw=1.4, label="D/2, other class")
    for colour, sigma in zip(plotting.colours("smooth_sigma", len(neighbours.sigmas)), neighbours.sigmas, strict=True):
        right.axvline(sigma, color=colour, lw=1.2, label=f"σ = {sigma:g}")
        half_norm = 0.5 * sigma * np.sqrt(neighbours.dim)
        right.axvline(half_norm, color=colour, lw=1.2, ls=":", label=f"½σ√d = {half_norm:.3g}")
    right.set_xscale("log")
    # a few plain numbers: less than a decade with a label at every step is a smear
    right.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_xlabel("half the distance to the nearest point, in input units")
    right.set_ylabel("share of the inputs")
    right.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    return plotting.finish(figure, title, notes)
