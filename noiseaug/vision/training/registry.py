"""All optimisers and schedules by name; loads none of them, and no torch, before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from noiseaug.registry import Entry, Parameter, Registry

if TYPE_CHECKING:
    import torch

    from noiseaug.vision.training.recipe import Recipe

__all__ = ["OPTIMISERS", "SCHEDULES"]

_OPTIMISERS, _SCHEDULES = "noiseaug.vision.training.optimisers", "noiseaug.vision.training.schedules"


def _rate(default: float) -> dict[str, Parameter]:
    return {"learning_rate": Parameter(default, "peak learning rate")}


OPTIMISERS: Registry[Callable[[Recipe, list[dict[str, Any]]], torch.optim.Optimizer]] = Registry(
    "optimiser",
    {
        "sgd": Entry(f"{_OPTIMISERS}:sgd", "gradient descent with Nesterov momentum"),
        "adam": Entry(f"{_OPTIMISERS}:adam", "Adam with decoupled weight decay", _rate(2e-3)),
        "adadelta": Entry(f"{_OPTIMISERS}:adadelta", "Adadelta", _rate(1.0)),
    },
)
"""Every optimiser by name, called with a recipe and groups of parameters; parameters override a recipe's defaults."""

SCHEDULES: Registry[Callable[[Recipe, float], float]] = Registry(
    "schedule",
    {
        "one-cycle": Entry(f"{_SCHEDULES}:one_cycle", "up over the first fifth of training, then linearly to 0"),
        "step": Entry(f"{_SCHEDULES}:step", "times the step factor after every so many epochs"),
        "constant": Entry(f"{_SCHEDULES}:constant", "always the same"),
    },
)
"""Every schedule by name: the factor of the learning rate, by recipe and time in epochs."""
