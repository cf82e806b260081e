"""Bounds for buckets of classes, so that few bounds share the level where there are many classes."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from noiseaug import validation
from noiseaug.certificates.base import Certificate, CertificationSetting, Decision, certified_radius
from noiseaug.certificates.fixed import expected_counts, two_sided_radius
from noiseaug.confidence import binomial_lower

__all__ = ["ClassPartition"]


@dataclass(frozen=True)
class ClassPartition(Certificate):
    """Bounds for the top class and for buckets of the others (Delattre et al. 2025; docs/math.md 4.8).

    A bucket's probability is at least that of each of its classes, so its upper bound covers them all. The selection
    sample chooses the buckets and the split of the level, before the votes that they are used on are drawn.

    Attributes:
        buckets: numbers of buckets to choose from. One bucket of all others is Cohen's bound, with the whole level for
            the top class; more than there are other classes is one for each.
        weights: shares of the level for the top class to choose from; the buckets share the rest equally.
    """

    buckets: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128)
    weights: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    name: ClassVar[str] = "class-partition"
    adaptive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "buckets", tuple(validation.integer("buckets", each) for each in self.buckets))
        object.__setattr__(self, "weights", tuple(validation.probability("weights", w) for w in self.weights))

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return (setting.votes,)

    def plan(self, setting: CertificationSetting, top: int, selection: np.ndarray) -> tuple[np.ndarray, float]:
        """The buckets and the split with the largest radius if the n votes fell as the selection sample did.

        Returns:
            The place of each class, 0 for the top class and numbers from 1 for the buckets, shape (num_classes,); and
            the share of the level for the top class.
        """
        fixed = replace(setting, uniform=0.0)  # a plan that saw U would not leave it uniform
        return _plan(self, fixed, top, tuple(int(k) for k in selection))

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        radius = partitioned_radius(setting, counts[-1], *self.plan(setting, top, selection))
        return Decision(radius > 0, radius, True)


def partitioned_radius(setting: CertificationSetting, counts: np.ndarray, places: np.ndarray, weight: float) -> float:
    """The radius from the counts of the classes, with places and the top class's share of the level as of ``plan``."""
    merged = np.bincount(places, weights=counts)
    if len(merged) == 2:
        return certified_radius(
            setting, float(binomial_lower(merged[0], merged.sum(), setting.failure_prob, setting.uniform))
        )
    return two_sided_radius(setting, 0, merged, weight)


def packed(top: int, expected: np.ndarray, buckets: int) -> np.ndarray:
    """The place of each class: the largest first, each into the emptiest bucket, so that no bucket gets too full."""
    places = np.zeros(len(expected), dtype=np.int64)
    room = [(0.0, number) for number in range(1, buckets + 1)]
    for each in np.argsort(-expected, kind="stable"):
        if each != top:
            held, number = room[0]
            places[each] = number
            heapq.heapreplace(room, (held + float(expected[each]), number))
    return places


@lru_cache(maxsize=1 << 10)
def _plan(
    rule: ClassPartition, setting: CertificationSetting, top: int, selection: tuple[int, ...]
) -> tuple[np.ndarray, float]:
    votes = np.array(selection)
    # half of the other classes' votes are spread evenly: one vote makes no class the runner-up, none makes it no zero
    pseudo = (1 + votes.sum() - votes[top]) / (setting.num_classes - 1)
    expected = expected_counts(setting, top, votes, min(float(pseudo), 0.5))
    found = []
    for buckets in sorted({min(each, setting.num_classes - 1) for each in rule.buckets}):
        places = packed(top, expected, buckets)
        for weight in rule.weights:
            found.append((partitioned_radius(setting, expected, places, weight), -buckets, weight, places))
    _, _, weight, places = max(found, key=lambda each: each[:3])
    places.setflags(write=False)
    return places, weight
