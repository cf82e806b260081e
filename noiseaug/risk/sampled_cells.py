"""What is known beforehand about drawn points: between a few coordinates every decision about them is constant.

The level sets of a smoothed region are unions of intervals of one coordinate, found once. A point whose coordinate
lies away from all their ends is decided by the piece that it lies in; one that lies within a narrow zone around an end,
where rounding could decide, by its own margin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from noiseaug.predictors import SmoothedRegion
from noiseaug.regions import ProfileRegion, Region
from noiseaug.tables import Measure
from noiseaug.tasks import BinaryTask
from noiseaug.validation import FloatArray

__all__ = ["Cells", "shares_coordinate"]

_WIDTHS = 10.0 ** np.arange(-9, -2)  # of a zone, relative to the lengths of the problem; the first that is wide enough
_WITH_ENDS = ("certified_accuracy", "adversarial_accuracy")  # whose decisions change elsewhere than the prediction
_CLEAR = 1e-11  # margins this close to a level, relative to 1 + |level|, are not told apart from it


def shares_coordinate(region: Region, bayes: Region) -> bool:
    """Whether the Bayes decision is known from the region's coordinate too."""
    return isinstance(region, ProfileRegion) and isinstance(bayes, ProfileRegion) and bayes.same_coordinate(region)


@dataclass(frozen=True)
class Cells:
    """The line of a region's coordinate, cut into zones in which decisions may change and cells in which none does.

    Attributes:
        zones: sorted and disjoint, shape (k, 2), k ≥ 1.
    """

    zones: FloatArray

    @classmethod
    def of(
        cls, task: BinaryTask, predictor: SmoothedRegion, asked: Iterable[Measure], bayes: Region | None
    ) -> Cells | None:
        """The cells for some quantities; None where the region has no coordinate or its level sets are not proven.

        Args:
            task: the law of the points.
            predictor: the smoothed classifier.
            asked: the quantities.
            bayes: the Bayes region, where it counts and shares the coordinate.
        """
        base, sigma = predictor.base, predictor.smooth_sigma
        if not isinstance(base, ProfileRegion):
            return None
        radii = {name: [m.at for m in asked if m.quantity == name] for name in _WITH_ENDS}
        steps = np.array(radii["certified_accuracy"]) / sigma if sigma > 0 else np.empty(0)
        levels = np.unique(np.concatenate([[0.0], steps, -steps]))
        passed, proven = base.passing_coordinates(sigma, levels)
        if not proven:
            return None
        decision = predictor.decision
        assert isinstance(decision, ProfileRegion)
        ends = [passed]
        ends += [decision.distance_coordinates(r) for r in radii["adversarial_accuracy"]]
        if isinstance(bayes, ProfileRegion):
            ends.append(bayes.profile().ravel())
        cuts = np.concatenate(ends)
        cuts = np.unique(cuts[np.isfinite(cuts)]) if np.isfinite(cuts).any() else np.zeros(1)
        lengths = sigma + task.reach() + np.abs(cuts)
        for width in _WIDTHS:
            zones = _merged(cuts - width * lengths, cuts + width * lengths)
            margins = base.margin_of(zones.ravel(), sigma)
            with np.errstate(invalid="ignore"):
                gaps = np.abs(margins[:, None] - levels)
            if (gaps > _CLEAR * (1 + np.abs(levels))).all():
                return cls(zones)
        return None

    @property
    def count(self) -> int:
        """Number of pieces, cells and zones."""
        return 2 * len(self.zones) + 1

    def pieces(self, coordinate: FloatArray) -> np.ndarray:
        """The piece that each coordinate lies in, shape (n,): even for cells, odd for zones."""
        return np.searchsorted(self.zones.ravel(), coordinate)

    def constants(self, at_borders: FloatArray) -> FloatArray:
        """The value of each piece, NaN for zones, from those at the borders of the zones.

        Args:
            at_borders: values at ``zones.ravel()`` in the first axis.

        Returns:
            Shape (count, ...); NaN too where the two borders of a cell disagree, as none should.
        """
        result = np.full((self.count, *at_borders.shape[1:]), np.nan)
        result[0], result[-1] = at_borders[0], at_borders[-1]
        left, right = at_borders[1:-1:2], at_borders[2::2]
        result[2:-1:2] = np.where(left == right, left, np.nan)
        return result


def _merged(lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Sorted intervals with those that meet joined, shape (k, 2); upper ends sorted as well."""
    apart = lower[1:] > upper[:-1]
    return np.stack([lower[np.append(True, apart)], upper[np.append(apart, True)]], axis=1)
