"""What an (α, β) grid is: its levels, its base models, and the images that they are evaluated on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from noiseaug import validation as checks
from noiseaug.certificates import Cohen, Run, largest_radius
from noiseaug.data import LabelledSet, load_images
from noiseaug.errors import InvalidInputError
from noiseaug.tables import distinct, levels
from noiseaug.vision.device import PRECISIONS
from noiseaug.vision.grid.tables import TEST, VALIDATION, Cell
from noiseaug.vision.models import default_arch
from noiseaug.vision.objectives import Objective, make_objective
from noiseaug.vision.training import Job, Recipe, default_recipe
from noiseaug.votes import GaussianNoise, noisy_rows

__all__ = ["GridModel", "GridPlan", "GridSpec", "load_grid_images"]

_SMALLEST_BATCH, _LARGEST_BATCH = 8, 256
_BATCH_COST = 8  # what a batch costs besides its images, in images
_HELD_OUT = 1000  # images to choose α on, or a fifth of a small training set
_TRAINING = tuple(each.name for each in fields(Recipe) if each.name not in ("arch", "objective", "seed"))


@dataclass(frozen=True)
class GridSpec:
    """What a grid is.

    Attributes:
        data: name of the data set, as for :func:`noiseaug.data.load_images`.
        train_sigma: training noise levels α ≥ 0, in input units.
        smooth_sigma: smoothing noise levels β ≥ 0, in input units; 0 is the base model itself on clean images.
        radii: ℓ₂ radii of the certified accuracy, in input units. They ask nothing of models and votes, and may be
            others when a grid is taken up again.
        arch: architecture; by default what suits the images.
        objective: of training; where it is ``gaussian``, α = 0 is ``clean``.
        parameters: of the objective, by name.
        training: fields of :class:`~noiseaug.vision.training.Recipe` that are to differ from what suits the images.
        seeds: non-negative integers; a model each for every α, whose votes take the same seed.
        n: votes for an image at each β > 0.
        n0: votes besides, which pick the class that is certified; few will do, since a wrong one only costs a
            certificate.
        failure_prob: of each certificate.
        images: test images, about: every k-th is taken.
        validation: images at the end of the training set that are held out from training; α is chosen on them. By
            default 1000, or a fifth of a small training set.
        init_from_clean: whether each model starts from the clean one of its seed (Pal & Sulam 2023).
        precision: in which the models vote.

    Raises:
        InvalidInputError: for values out of range and unknown names.
    """

    data: str
    train_sigma: tuple[float, ...]
    smooth_sigma: tuple[float, ...]
    radii: tuple[float, ...] = (0.0,)
    arch: str | None = None
    objective: str = "gaussian"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
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
        seeds = [checks.integer("seeds", seed, at_least=0) for seed in _several("seeds", self.seeds)]
        object.__setattr__(self, "seeds", tuple(distinct("seeds", sorted(seeds))))
        for name in ("n", "n0", "images"):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name)))
        if self.validation is not None:
            object.__setattr__(self, "validation", checks.integer("validation", self.validation))
        checks.choice("precision", self.precision, tuple(PRECISIONS))
        for level in self.smoothed:
            Cohen().check(Run(level, self.n, self.failure_prob))
        unknown = [name for name in self.training if name not in _TRAINING]
        if unknown:
            raise InvalidInputError(f"training has no {', '.join(unknown)}; expected some of {', '.join(_TRAINING)}")
        for level in self.train_sigma:
            self.loss(level)

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The levels β > 0."""
        return tuple(level for level in self.smooth_sigma if level > 0)

    def loss(self, train_sigma: float) -> Objective:
        """The objective at a level of training noise."""
        if train_sigma == 0 and self.objective == "gaussian":
            make_objective("gaussian", 0.0, **self.parameters)  # a wrong parameter is one without noise too
            return make_objective("clean", 0.0)
        return make_objective(self.objective, train_sigma, **self.parameters)

    def out_of_reach(self) -> str | None:
        """A line about the radii that n votes cannot certify at some β, and how many could; None where there are none.

        Were all n votes for one class, Cohen et al.'s rule would certify β Φ⁻¹(failure_prob^{1/n}).
        """
        needed = {}
        for level in self.smoothed:
            for radius in self.radii:
                if radius > largest_radius(Run(level, self.n, self.failure_prob)):
                    surely = -float(special.log_ndtr(radius / level))
                    needed[level, radius] = -np.log(self.failure_prob) / surely if surely > 0 else np.inf
        if not needed:
            return None
        (level, radius), fewest = min(needed.items(), key=lambda item: item[1])
        factor = largest_radius(Run(1.0, self.n, self.failure_prob))
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


@dataclass(frozen=True)
class GridModel:
    """A base model of a grid.

    Attributes:
        train_sigma: its training noise α.
        seed: of its training and its votes.
        start: whether it only serves others to start from: the clean model of a grid without one.
    """

    train_sigma: float
    seed: int
    start: bool = False

    @property
    def name(self) -> str:
        """Of its directory."""
        return f"clean-s{self.seed}" if self.start else f"a{self.train_sigma:.12g}-s{self.seed}"


def load_grid_images(
    name: str, root: Path | str | None = None, folder: Path = Path()
) -> tuple[LabelledSet, LabelledSet]:
    """The training and the test images of a grid, under the name that they were asked for.

    Args:
        name: as for :func:`noiseaug.data.load_images`.
        root: folder of image sets, where it is not the usual one.
        folder: what the name of a ``.npz`` file is relative to.
    """
    # the classes that a name may choose after a colon stay where they are
    where = str(folder / Path(name).expanduser()) if ".npz" in name else name
    train, test = (replace(load_images(where, split, root=root), name=name) for split in ("train", "test"))
    return train, test


@dataclass(frozen=True, eq=False)
class GridPlan:
    """A grid and its images.

    Attributes:
        spec: what it is.
        train: what models learn from, the validation images at its end.
        test: the test split, some of whose images are used.

    Raises:
        InvalidInputError: where too few images are left to train on, or the architecture does not suit.
    """

    spec: GridSpec
    train: LabelledSet
    test: LabelledSet

    @classmethod
    def load(cls, spec: GridSpec, root: Path | str | None = None) -> GridPlan:
        """The plan of a grid, its images loaded."""
        return cls(spec, *load_grid_images(spec.data, root))

    def __post_init__(self) -> None:
        self.job(self.models[0], Path())

    @property
    def arch(self) -> str:
        """The architecture."""
        return self.spec.arch or default_arch(self.train.shape)

    @property
    def validation(self) -> int:
        """Number of images held out."""
        return self.spec.validation or min(_HELD_OUT, max(1, len(self.train) // 5))

    @property
    def models(self) -> list[GridModel]:
        """Every base model of the grid, a seed after the other."""
        return [GridModel(level, seed) for seed in self.spec.seeds for level in self.spec.train_sigma]

    @cached_property
    def images(self) -> dict[str, tuple[LabelledSet, np.ndarray]]:
        """For each split the data set and the indices of its images that are used."""
        step = max(1, len(self.test) // self.spec.images)
        last = np.arange(len(self.train) - self.validation, len(self.train))
        return {TEST: (self.test, np.arange(0, len(self.test), step)), VALIDATION: (self.train, last)}

    @cached_property
    def vote_batch(self) -> int:
        """Noisy images to classify at a time on a CPU.

        The engine classifies whole batches, which are equal parts of a block of noise: with the batches that suit many
        votes, most of what it classifies for a hundred would not be counted.
        """
        block = noisy_rows(GaussianNoise(1.0), 0, self.test.floats([0])[0], 0, "selection").block

        def cost(batch: int) -> float:
            size = block / -(-block // batch)  # on average
            batches = sum(np.ceil(votes / size) for votes in (self.spec.n0, self.spec.n))
            return float(batches * (size + _BATCH_COST))

        return min(range(_SMALLEST_BATCH, _LARGEST_BATCH + 1), key=cost)

    def start(self, seed: int) -> GridModel | None:
        """The clean model that those of a seed start from."""
        if not self.spec.init_from_clean:
            return None
        first = self.spec.train_sigma[0]
        return GridModel(0.0, seed, start=first > 0 or self.spec.loss(first).name != "clean")

    def part(self, shard: str | None) -> list[GridModel]:
        """The models of a shard ``i/k``, all for None; where models start from another, a seed stays in one shard.

        Raises:
            InvalidInputError: for more shards than there is work for.
        """
        if shard is None:
            return self.models
        number, total = levels.shard(shard)
        bound = self.spec.init_from_clean
        units: list[list[GridModel]] = (
            [[model for model in self.models if model.seed == seed] for seed in self.spec.seeds]
            if bound
            else [[model] for model in self.models]
        )
        if total > len(units):
            what = "seeds, whose models start from one another and stay together" if bound else "models"
            raise InvalidInputError(f"shard is {shard}; expected at most {len(units)} shards of {len(units)} {what}")
        return [model for unit in units[number::total] for model in unit]

    def job(self, model: GridModel, folder: Path) -> Job:
        """The training of a model.

        Args:
            model: which.
            folder: where the models are, for the one to start from.
        """
        spec, start = self.spec, self.start(model.seed)
        loss = make_objective("clean", 0.0) if model.start else spec.loss(model.train_sigma)
        recipe = default_recipe(self.arch, self.train.shape, loss, **{**spec.training, "seed": model.seed})
        init_from = None if start is None or start == model else folder / start.name
        return Job(recipe, self.train, self.validation, init_from=init_from)

    def cells(self, model: GridModel) -> list[Cell]:
        """What a model is evaluated at."""
        return [
            Cell(model.train_sigma, level, model.seed, split)
            for level in self.spec.smooth_sigma
            for split in self.images
        ]

    def description(self) -> dict[str, Any]:
        """What determines models and votes, as plain values."""
        plain = {key: value for key, value in asdict(self.spec).items() if key != "radii"}
        digests = {"train_digest": self.train.digest, "test_digest": self.test.digest}
        return {"kind": "grid", **plain, "arch": self.arch, "validation": self.validation, **digests}
