"""One run of votes on a population of inputs, played through every rule.

The population is made so that its certified accuracy is that of Cohen et al. (2019), CIFAR-10, ResNet-110, σ = .5:
65.7, 54.9, 42.8, 32.5, 22.0, 14.1, 8.3, 3.9% at r = 0, .25, …, 1.75. Inputs whose class is wrong vote like the right
ones at small radii.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from noiseaug.certificates import Certificate, CertificationSetting

__all__ = ["LEVEL", "SIGMA", "VOTES", "path", "played", "population"]

SIGMA, VOTES, LEVEL = 0.5, 100_000, 0.001
RADII = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 1.9])
CERTIFIED = np.array([0.657, 0.549, 0.428, 0.325, 0.220, 0.141, 0.083, 0.039, 0.0])


def population(size: int, seed: int = 0) -> np.ndarray:
    """Probability of the top class for each input, shape (size,)."""
    rank = (np.arange(size) + 0.5) / size
    right = np.interp(rank, CERTIFIED[::-1], RADII[::-1])
    wrong = np.interp((rank - CERTIFIED[0]) / (1 - CERTIFIED[0]), [0, 1], [0.6, 0.0])
    return np.random.default_rng(seed).permutation(special.ndtr(np.where(rank < CERTIFIED[0], right, wrong) / SIGMA))


def path(p: float, looks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cumulative votes for the class at each look: one run of votes, which every rule sees."""
    return np.cumsum(rng.binomial(np.diff(looks, prepend=0), p))


def played(rule: Certificate, run: CertificationSetting, looks: np.ndarray, hits: np.ndarray) -> tuple[float, int]:
    """Radius (−1: abstained) and votes used on one path."""
    mine = rule.looks(run)
    counts = np.stack([hits[np.searchsorted(looks, mine)], mine], axis=1)
    counts[:, 1] -= counts[:, 0]
    for seen, look in enumerate(mine, start=1):
        decision = rule.decide(run, 0, np.array([1, 0]), counts[:seen])
        if decision.done:
            return (decision.radius if decision.certified else -1.0), look
    raise AssertionError("a rule must stop at its last look")
