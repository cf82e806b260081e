"""Schedules: the factor of a recipe's learning rate at a time in epochs, which need not be whole."""

from __future__ import annotations

import math

from noiseaug.vision.training.recipe import Recipe

__all__ = ["constant", "one_cycle", "step"]

_RISE = 0.2  # share of a one-cycle schedule in which the learning rate grows


def one_cycle(recipe: Recipe, epoch: float) -> float:
    """Up over the first fifth of training, then linearly to 0."""
    share = epoch / recipe.epochs
    return max(share / _RISE, 0.01) if share < _RISE else (1 - share) / (1 - _RISE)


def step(recipe: Recipe, epoch: float) -> float:
    """Multiplied by ``step_factor`` after every ``step_epochs``."""
    return recipe.step_factor ** math.floor(epoch / recipe.step_epochs)


def constant(recipe: Recipe, epoch: float) -> float:
    """Always 1."""
    return 1.0
