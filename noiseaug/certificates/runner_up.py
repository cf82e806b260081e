"""A bound for the runner-up that does not pay for the number of classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from noiseaug import validation
from noiseaug.certificates.base import Certificate, CertificationSetting, Decision
from noiseaug.certificates.fixed import expected_counts, two_sided_radius

__all__ = ["RunnerUp"]


@dataclass(frozen=True)
class RunnerUp(Certificate):
    """T-CERTIFY without the correction for K − 1 classes, which is not needed (docs/math.md 4.8).

    Which class is the true runner-up is unknown but fixed. The largest of all upper bounds is at least that class's, so
    it fails at most as often as one bound.

    Attributes:
        weights: shares of the level for the top class to choose from, as the selection sample suggests.
    """

    weights: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
    name: ClassVar[str] = "runner-up"
    adaptive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(validation.probability("weights", w) for w in self.weights))

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return (setting.votes,)

    def weight(self, setting: CertificationSetting, top: int, selection: np.ndarray) -> float:
        """The split with the largest radius if the n votes fell as the selection sample did."""
        setting = replace(setting, uniform=0.0)  # a split that saw U would not leave it uniform
        # one pseudo-vote in all: with a thousand classes half a vote each would be most of them
        expected = expected_counts(setting, top, selection, 1 / setting.num_classes)
        return max((two_sided_radius(setting, top, expected, weight, 1), weight) for weight in self.weights)[1]

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        radius = two_sided_radius(setting, top, counts[-1], self.weight(setting, top, selection), 1)
        return Decision(radius > 0, radius, True)
