"""What an (α, β) grid is: its levels, how its models are trained, and how many votes they get."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from noiseaug import validation as checks
from noiseaug.certificates import CertificationSetting, Cohen, VoteBudget, largest_radius
from noiseaug.errors import InvalidInputError
from noiseaug.tables import distinct
from noiseaug.vision.device import PRECISIONS
from noiseaug.vision.objectives import Objective, describe, make_objective
from noiseaug.vision.training import Recipe

__all__ = ["GridSpec", "objective_at"]


def objective_at(objective: Objective, train_sigma: float) -> Objective:
    """An objective with another training noise α; ``gaussian`` without noise is ``clean``.

    Raises:
        InvalidInputError: for an objective that is not in the registry or does not take this level.
    """
    if train_sigma == 0 and objective.name == "gaussian":
        return make_objective("clean", 0.0)
    return make_objective(**{**describe(objective), "train_sigma": train_sigma})


@dataclass(frozen=True)
class GridSpec:
    """What a grid is.

    Attributes:
        data: name of the data set, as for :func:`noiseaug.data.load_images`.
        train_sigma: training noise levels α ≥ 0, in input units.
        smooth_sigma: smoothing noise levels β ≥ 0, in input units; 0 is the base model itself on clean images.
        radii: ℓ₂ radii of the certified accuracy, in input units. Models and votes do not depend on them, so they may
            change when a grid is resumed.
        recipe: how every model is trained. The grid replaces its seed and the α of its objective; ``gaussian`` at
            α = 0 becomes ``clean``. By default ``gaussian`` with what suits the images.
        seeds: non-negative integers; one model for each α and seed, whose votes use the same seed.
        n: votes for an image at each β > 0.
        n0: extra votes, used only to select the class to certify. A few suffice: a wrong choice costs a certificate
            but is never certified.
        failure_prob: of each certificate.
        images: approximate number of test images; every k-th is taken.
        validation: images at the end of the training set that are held out to choose α on. By default 1000, or a
            fifth of a small training set.
        init_from_clean: whether each model starts from the clean model of its seed (Pal & Sulam 2023).
        precision: numerical precision of the voting.

    Raises:
        InvalidInputError: for values out of range and unknown names.
    """

    data: str
    train_sigma: tuple[float, ...]
    smooth_sigma: tuple[float, ...]
    radii: tuple[float, ...] = (0.0,)
    recipe: Recipe | None = None
    seeds: tuple[int, ...] = (0,)
    n: int = 100
    n0: int = 20
    failure_prob: float = 1e-3
    images: int = 1000
    validation: int | None = None
    init_from_clean: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("train_sigma", "smooth_sigma", "radii"):
            found = sorted(checks.nonnegative(name, level) for level in _several(name, getattr(self, name)))
            object.__setattr__(self, name, tuple(distinct(name, [level + 0.0 for level in found])))
        most = 2**63 - 1  # that a table holds
        seeds = [checks.integer("seeds", s, at_least=0, at_most=most) for s in _several("seeds", self.seeds)]
        object.__setattr__(self, "seeds", tuple(distinct("seeds", sorted(seeds))))
        for name in ("n", "n0", "images"):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name)))
        if self.validation is not None:
            object.__setattr__(self, "validation", checks.integer("validation", self.validation))
        checks.choice("precision", self.precision, PRECISIONS)
        for level in self.smoothed:
            Cohen().check(CertificationSetting(level, VoteBudget(self.n, self.failure_prob)))
        if self.recipe is not None:
            for level in self.train_sigma:
                objective_at(self.recipe.objective, level)

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The levels β > 0."""
        return tuple(level for level in self.smooth_sigma if level > 0)

    def out_of_reach(self) -> str | None:
        """A note on the radii that n votes cannot certify at some β, and how many votes could; None if there are none.

        If all n votes agree, Cohen et al.'s rule certifies β Φ⁻¹(failure_prob^{1/n}), and never more.
        """
        needed = {}
        for level in self.smoothed:
            for radius in self.radii:
                if radius > largest_radius(CertificationSetting(level, VoteBudget(self.n, self.failure_prob))):
                    surely = -float(special.log_ndtr(radius / level))
                    needed[level, radius] = -np.log(self.failure_prob) / surely if surely > 0 else np.inf
        if not needed:
            return None
        (level, radius), fewest = min(needed.items(), key=lambda item: item[1])
        factor = largest_radius(CertificationSetting(1.0, VoteBudget(self.n, self.failure_prob)))
        pairs = f"{len(needed)} of {len(self.smoothed) * len(self.radii)} pairs (β, r)"
        return (
            f"{self.n} votes at failure_prob {self.failure_prob:g} certify no radius above {factor:.3g} β; out of "
            f"reach: {pairs}. n = {_rounded_up(fewest)} would reach r = {radius:g} at β = {level:g}, "
            f"n = {_rounded_up(max(needed.values()))} all"
        )


def _several(name: str, values: Any) -> list[Any]:
    found = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]
    if not found:
        raise InvalidInputError(f"{name} is empty; expected at least one")
    return found


def _rounded_up(votes: float) -> str:
    return f"{int(np.ceil(votes * (1 + 1e-9)))}" if votes < 1e6 else f"{votes * 1.005:.2g}"
