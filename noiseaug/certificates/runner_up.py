"""A bound for the runner-up that does not pay for the number of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from noiseaug.certificates.base import CertificationSetting
from noiseaug.certificates.fixed import TCertify

__all__ = ["RunnerUp"]


@dataclass(frozen=True)
class RunnerUp(TCertify):
    """T-CERTIFY without the correction for K − 1 classes, which is not needed (docs/math.md 4.8).

    Which class is the true runner-up is unknown but fixed. The largest of all upper bounds is at least that class's, so
    it fails at most as often as one bound.

    Attributes:
        weights: shares of the level for the top class to choose from, as the selection sample suggests.
    """

    weights: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
    name: ClassVar[str] = "runner-up"
    sharers: ClassVar[int | None] = 1

    def _pseudo_votes(self, setting: CertificationSetting) -> float:
        # one in all: with a thousand classes half a vote each would be most of them
        return 1 / setting.num_classes
