"""How much training noise can help components that hardly interfere: next to nothing, in numbers (docs/math.md 2.9)."""

from __future__ import annotations

import numpy as np
from scipy import special

from noiseaug import validation

__all__ = ["isolation_bound", "stray_mass"]


def stray_mass(dim: int, distance: float, sigma: float) -> float:
    """P(|σZ| ≥ distance): the most that anything beyond a distance adds to a Gaussian average.

    Args:
        dim: dimension d.
        distance: in input units.
        sigma: noise level σ ≥ 0 in input units.
    """
    dim, sigma = validation.integer("dim", dim), validation.nonnegative("sigma", sigma)
    if sigma == 0:
        return 0.0 if distance > 0 else 1.0
    return float(special.gammaincc(0.5 * dim, 0.5 * (max(distance, 0.0) / sigma) ** 2))


def isolation_bound(
    dim: int, separation: float, train_sigma: float, smooth_sigma: float, components: int | None = None
) -> float:
    """The most that training noise adds to the smoothed probability of class 1 at any point.

    For h the indicator of convex components at distances of at least ``separation`` and the convolved rule:
    s_{α,β}(x) ≤ s_{0,β}(x) + this. It falls with the separation like a χ² tail.

    Args:
        dim: dimension d.
        separation: ζ > 0 in input units.
        train_sigma: α ≥ 0 in input units.
        smooth_sigma: β > 0 in input units.
        components: number of components, where it is known; more than one term of the bound then does without β's tail.

    Returns:
        A number in [0, 1]; 1 where the components are too close for the bound.
    """
    dim, gap = validation.integer("dim", dim), validation.positive("separation", separation)
    beta = validation.positive("smooth_sigma", smooth_sigma)
    stray = stray_mass(dim, 0.5 * gap, train_sigma)
    if stray >= 0.5:
        return 1.0
    # by so much A_α may stick out of A
    reach = train_sigma * float(special.ndtri(0.5 + stray))
    # Gaussian surface of a convex set: two points on the line, Ball (1993) in more dimensions
    surface = np.sqrt(2 / np.pi) if dim == 1 else 4 * dim**0.25
    shell = surface * reach / beta
    far = shell + (stray_mass(dim, 0.5 * gap - reach, beta) if reach > 0 else 0.0)
    return float(min(1.0, far, np.inf if components is None else validation.integer("components", components) * shell))
