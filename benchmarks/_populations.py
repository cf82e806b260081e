"""Populations of p_A rebuilt from published certified-accuracy curves.

A run with n votes certifies radius r for k ≥ k_min(r) votes. So an input whose p_A is k_min(r)/n is certified at r half
of the time, and on the scale of the spread of votes (.0016 at most) nearly all others are far from that. The share
CA(r) that is certified and right is then the share of inputs that are right and have p_A ≥ k_min(r)/n, which is the
survival function of p_A. Between the radii of the table, and from the last of them to the largest radius that n votes
reach, the certified radius is taken as uniform.

What a curve does not say is left out: inputs that are certified with a wrong class, or abstained on, some 1 − CA(0) of
all. A population is that of the inputs that are right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from noiseaug.certificates import CertificationSetting, VoteBudget, largest_radius
from noiseaug.confidence import minimum_votes
from noiseaug.literature import RADII, published

__all__ = ["BUDGET", "Population", "populations"]

BUDGET = VoteBudget(100_000, 0.001)
"""Votes and failure probability of the published runs."""

_STEPS = 200  # of the radius between two of the table; less than the spread of 100 000 votes


@dataclass(frozen=True, eq=False)
class Population:
    """Inputs that a smoothed classifier has right.

    Attributes:
        name: data set and β.
        smooth_sigma: β, in input units.
        right: CA(0), the share of all inputs that these are.
        probabilities: p_A of groups of them.
        weights: shares of the groups, summing to 1.
    """

    name: str
    smooth_sigma: float
    right: float
    probabilities: np.ndarray
    weights: np.ndarray

    @property
    def setting(self) -> CertificationSetting:
        """That of the published run."""
        return CertificationSetting(self.smooth_sigma, BUDGET)

    def coarse_away_from(self, t: float) -> Population:
        """Eight groups in one where votes tell p_A from t easily, which changes no sum over the population."""
        far = np.abs(self.probabilities - t) > 12 * np.sqrt(t * (1 - t) / BUDGET.votes)
        p, weights = [self.probabilities[~far]], [self.weights[~far]]
        for side in (far & (self.probabilities < t), far & (self.probabilities >= t)):
            starts = np.arange(0, int(side.sum()), 8)
            if not len(starts):
                continue
            mass = np.add.reduceat(self.weights[side], starts)
            p.append(np.add.reduceat((self.weights * self.probabilities)[side], starts) / mass)
            weights.append(mass)
        return replace(self, probabilities=np.concatenate(p), weights=np.concatenate(weights))


def rebuilt(name: str, smooth_sigma: float, accuracies: np.ndarray) -> Population:
    """The population of a curve.

    Args:
        name: of the population.
        smooth_sigma: β, in input units.
        accuracies: certified accuracy at each of ``RADII``.
    """
    top = largest_radius(CertificationSetting(smooth_sigma, BUDGET))
    reached = np.array(RADII) < top
    radii, survival = np.append(np.array(RADII)[reached], top), np.append(accuracies[reached], 0.0)
    inner = (np.arange(_STEPS) + 0.5) / _STEPS
    fine = (radii[:-1, None] + np.diff(radii)[:, None] * inner).ravel()
    weights = np.repeat(-np.diff(survival), _STEPS)
    # k − ½: the votes that a p_A is the median of
    probabilities = (minimum_votes(BUDGET.votes, fine / smooth_sigma, BUDGET.failure_prob) - 0.5) / BUDGET.votes
    kept = weights > 0
    return Population(
        name, smooth_sigma, float(survival[0]), probabilities[kept], weights[kept] / float(weights[kept].sum())
    )


_RUNS = {
    "cifar10": {"paper": "Salman", "architecture": "resnet110", "images": 10_000},
    "mnist": {"paper": "Jeong & Shin", "architecture": "lenet", "images": 10_000},
    "imagenet": {"paper": "Salman", "architecture": "resnet50", "images": 500},
}


def populations() -> list[Population]:
    """Gaussian training, α = β = σ: the first released run of each data set and level with the most images.

    Of CIFAR-10 and ImageNet these are Cohen et al.'s networks as Salman et al. certified them.
    """
    found = []
    for data, wanted in _RUNS.items():
        for sigma in (0.25, 0.5, 1.0):
            runs = published(
                data=data, method="gaussian", train_sigma=sigma, smooth_sigma=sigma, split="test", **wanted
            )
            curve = runs[[f"ca_{radius:g}" for radius in RADII]].to_numpy(float)[0]
            found.append(rebuilt(f"{data} σ={sigma:g}", sigma, curve))
    return found
