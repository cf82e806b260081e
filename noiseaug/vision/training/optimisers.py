"""Optimisers of a recipe, for groups of parameters with their own weight decay."""

from __future__ import annotations

from typing import Any

import torch

from noiseaug.vision.training.recipe import Recipe

__all__ = ["adadelta", "adam", "sgd"]


def sgd(recipe: Recipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Gradient descent, with Nesterov's momentum where there is any."""
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def adam(recipe: Recipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (AdamW)."""
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def adadelta(recipe: Recipe, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Adadelta, whose learning rate is 1 by default."""
    return torch.optim.Adadelta(groups, lr=recipe.learning_rate)
