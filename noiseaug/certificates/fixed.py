"""Certificates that look once, after all votes: Cohen et al. 2019 and T-CERTIFY (Feng et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import special

from noiseaug import validation
from noiseaug.certificates.base import Certificate, CertificationSetting, Decision, certified_radius
from noiseaug.confidence import binomial_lower, binomial_upper, rounded_down

__all__ = ["Cohen", "TCertify", "TCertifyPostHoc"]


@dataclass(frozen=True)
class Cohen(Certificate):
    """One look after n votes and one Clopper–Pearson bound (Cohen et al. 2019, CERTIFY)."""

    name: ClassVar[str] = "cohen"
    adaptive: ClassVar[bool] = False

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return (setting.votes,)

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        lower = float(binomial_lower(counts[-1, top], setting.votes, setting.failure_prob, setting.uniform))
        return Decision(lower > 0.5, certified_radius(setting, lower), True)


def two_sided_radius(
    setting: CertificationSetting, top: int, counts: np.ndarray, weight: float, sharers: int | None = None
) -> float:
    """(β/2)(Φ⁻¹(p_A) − Φ⁻¹(p_B)) with the share ``weight`` of the level for p_A, the rest for p_B.

    Args:
        setting: of the run.
        top: place of the top class among the counts.
        counts: of the classes, or of the top class and of buckets of classes; shape (places,).
        weight: share of the level for the top class.
        sharers: how many bounds share the rest of the level equally; by default all but the top class.
    """
    votes = int(counts.sum())
    lower = float(binomial_lower(counts[top], votes, weight * setting.failure_prob, setting.uniform))
    others = np.delete(counts, top)
    level = (1 - weight) * setting.failure_prob / (sharers or len(others))
    # the bound grows with the count, so the largest count has the largest bound
    upper = min(float(binomial_upper(others.max(), votes, level, setting.uniform)), 1 - lower)
    if lower <= upper or lower == 0:
        return 0.0
    gap = -special.ndtri(1 - lower) - special.ndtri(upper) if upper > 0 else np.inf
    return max(float(rounded_down(0.5 * setting.smooth_sigma * gap)), 0.0)


def expected_counts(setting: CertificationSetting, top: int, selection: np.ndarray, pseudo: float) -> np.ndarray:
    """The n votes as the selection sample foretells them, shape (num_classes,).

    Args:
        setting: of the run.
        top: the top class, which gets what rounding leaves.
        selection: counts of the selection sample, shape (num_classes,).
        pseudo: votes that every class is given besides.
    """
    shares = (np.asarray(selection) + pseudo) / (np.sum(selection) + pseudo * setting.num_classes)
    expected: np.ndarray = np.floor(shares * setting.votes)
    expected[top] += setting.votes - expected.sum()
    return expected


@dataclass(frozen=True)
class TCertify(Certificate):
    """Bounds for the top class and for the runners-up, the level split between them as the selection sample suggests.

    T-CERTIFY of Feng et al. 2020, made sound: the split is chosen before the votes that it is used on are drawn, and
    each of the K−1 other classes pays its part.

    Attributes:
        weights: shares of the level for the top class to choose from.
    """

    weights: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    name: ClassVar[str] = "t-certify"
    adaptive: ClassVar[bool] = False
    sharers: ClassVar[int | None] = None
    """Upper bounds that share the rest of the level; one for each other class where None."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(validation.probability("weights", w) for w in self.weights))

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return (setting.votes,)

    def weight(self, setting: CertificationSetting, top: int, selection: np.ndarray) -> float:
        """The split with the largest radius if the n votes fell as the selection sample did."""
        setting = replace(setting, uniform=0.0)  # a split that saw U would not leave it uniform
        expected = expected_counts(setting, top, selection, self._pseudo_votes(setting))
        radii = [two_sided_radius(setting, top, expected, weight, self.sharers) for weight in self.weights]
        # of equal radii the largest weight, which is closest to Cohen's bound
        return max(zip(radii, self.weights, strict=True))[1]

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        radius = two_sided_radius(setting, top, counts[-1], self.weight(setting, top, selection), self.sharers)
        return Decision(radius > 0, radius, True)

    def _pseudo_votes(self, setting: CertificationSetting) -> float:
        """Votes that each class is taken to have beside those of the selection sample."""
        return 0.5


@dataclass(frozen=True)
class TCertifyPostHoc(Certificate):
    """Feng et al.'s own T-CERTIFY: the best split *on the votes themselves*.

    Not covered by a union bound, so the failure probability may be exceeded; the tests tabulate by how much. For
    comparison with published numbers, not for certificates that must hold.
    """

    weights: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    name: ClassVar[str] = "t-certify-post-hoc"
    adaptive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(validation.probability("weights", w) for w in self.weights))

    def looks(self, setting: CertificationSetting) -> tuple[int, ...]:
        return (setting.votes,)

    def decide(self, setting: CertificationSetting, top: int, selection: np.ndarray, counts: np.ndarray) -> Decision:
        radius = max(two_sided_radius(setting, top, counts[-1], weight) for weight in self.weights)
        return Decision(radius > 0, radius, True)
