"""Small (α, β) grids of digits, and votes made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from noiseaug.certificates import VoteBudget
from noiseaug.vision.grid import Cell, GridSpec, GridVotes
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import default_recipe

ALPHAS, BETAS, RADII = (0.0, 0.3, 0.6), (0.0, 0.4), (0.0, 0.2)


def recipe(objective="gaussian", **changes):
    settled = {"epochs": 2, **changes}
    return default_recipe("linear", (1, 8, 8), make_objective(objective, 0.0), **settled)


def small(**changes):
    settled = {"radii": RADII, "recipe": recipe(), "n": 50, "n0": 10, "images": 40}
    return GridSpec("digits", **{"train_sigma": ALPHAS, "smooth_sigma": BETAS, "validation": 60, **settled, **changes})


def frame(right, certified=None, radius=0.5):
    """Images of class 0: what most votes say, and whether that is certified."""
    certified = right if certified is None else certified
    return pd.DataFrame(
        {
            "index": range(len(right)),
            "label": 0,
            "prediction": np.where(certified, 0, -1),
            "radius": np.where(certified, radius, 0.0),
            "selection": [(6, 4)] * len(right),
            "counts": [((30, 20),) if yes else ((20, 30),) for yes in right],
        }
    )


def made(validation, test=None, *, radii=(0.0,), seeds=1, alphas=(0.0, 0.25, 0.5)):
    """A grid at β = .25 from whether each image is right: for each α (and seed) an array."""
    cells = {}
    for split, arrays in (("validation", validation), ("test", validation if test is None else test)):
        for i, alpha in enumerate(alphas):
            for seed in range(seeds):
                right = arrays[i][seed] if seeds > 1 else arrays[i]
                cells[Cell(alpha, 0.25, seed, split)] = frame(np.asarray(right, dtype=bool))
    return GridVotes("hand", "made", cells, radii, VoteBudget(50, 1e-3))


def wrong_at(*places, images=40):
    right = np.ones(images, dtype=bool)
    right[list(places)] = False
    return right
