"""noiseaug: should the base classifier of a smoothed classifier be trained with noise, and how much?

The package joins closed-form, sampled and measured answers over one vocabulary: a *task* (the law of a labelled
point), a base classifier that is the *region* where it predicts 1, a training noise level ``train_sigma`` and a
smoothing noise level ``smooth_sigma``. See ``docs/glossary.md`` for the papers' symbols.

Importing the package is cheap; its parts load when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_SUBMODULES = (
    "certificates",
    "certification",
    "confidence",
    "errors",
    "estimates",
    "literature",
    "plotting",
    "predictors",
    "records",
    "regions",
    "report",
    "risk",
    "synthetic",
    "tables",
    "tasks",
    "votes",
)
_NAMES = {
    "Estimate": "estimates",
    "InvalidInputError": "errors",
    "NoClosedFormError": "errors",
    "NoiseaugError": "errors",
    "SmoothedClassifier": "certification",
    "best_levels": "optimum",
    "certify": "certification",
    "predict": "certification",
    "published": "literature",
    "recertify": "certification",
    "sweep": "sweeps",
}

if TYPE_CHECKING:
    from noiseaug.certification import SmoothedClassifier, certify, predict, recertify
    from noiseaug.errors import InvalidInputError, NoClosedFormError, NoiseaugError
    from noiseaug.estimates import Estimate
    from noiseaug.literature import published
    from noiseaug.optimum import best_levels
    from noiseaug.sweeps import sweep

__all__ = [
    "Estimate",
    "InvalidInputError",
    "NoClosedFormError",
    "NoiseaugError",
    "SmoothedClassifier",
    "__version__",
    "best_levels",
    "certify",
    "predict",
    "published",
    "recertify",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"noiseaug.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"noiseaug.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'noiseaug' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])
