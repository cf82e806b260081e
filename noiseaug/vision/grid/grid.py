"""A grid in its directory: its images, its models, the logs of their votes, and at the end tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.data import DataName, LabelledSet, load_images
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.runs import RunDirectory, make_folder, read_file, read_record, save_figure, write_atomically
from noiseaug.tables import levels
from noiseaug.vision.grid.spec import GridSpec, objective_at
from noiseaug.vision.grid.tables import TEST, VALIDATION, Cell
from noiseaug.vision.models import build_model, default_arch
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import Job, default_recipe

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Grid", "GridModel"]

_HELD_OUT = 1000  # images to choose α on, or a fifth of a small training set


@dataclass(frozen=True)
class GridModel:
    """A base model of a grid.

    Attributes:
        train_sigma: its training noise α.
        seed: of its training and its votes.
        start: whether other models only start from it: the clean model of a grid that does not evaluate one.
    """

    train_sigma: float
    seed: int
    start: bool = False

    @property
    def name(self) -> str:
        """Of its directory."""
        return f"clean-s{self.seed}" if self.start else f"a{self.train_sigma:.12g}-s{self.seed}"


class Grid(RunDirectory):
    """A grid with its images, in its directory.

    Args:
        spec: what it is.
        path: its directory, which nothing is written to yet.
        root: folder of image sets, where it is not the usual one.
        folder: what the path of a file of images is relative to.

    Attributes:
        spec: what it is.
        train: what models learn from; the validation images are at its end.
        test: the test split, of which some images are used.
        recipe: how models are trained, up to α and seed.
        validation: number of images held out.
        models: every base model, one seed after another.
        images: for each split the data set, and the indices of the images that are used.

    Raises:
        InvalidInputError: for data that cannot be loaded, too few images to train on, or an architecture that does not
            fit them.
    """

    def __init__(self, spec: GridSpec, path: Path, root: Path | str | None = None, folder: Path = Path()) -> None:
        name = str(DataName.parse(spec.data).inside(folder))
        train, test = (replace(load_images(name, split, root=root), name=spec.data) for split in ("train", "test"))
        self.spec, self.train, self.test = spec, train, test
        self.recipe = spec.recipe or default_recipe(
            default_arch(train.shape), train.shape, make_objective("gaussian", 0.0)
        )
        self.validation = spec.validation or min(_HELD_OUT, max(1, len(train) // 5))
        self.models = [GridModel(level, seed) for seed in spec.seeds for level in spec.train_sigma]
        last = np.arange(len(train) - self.validation, len(train))
        some = np.arange(0, len(test), max(1, len(test) // spec.images))
        self.images: dict[str, tuple[LabelledSet, np.ndarray]] = {TEST: (test, some), VALIDATION: (train, last)}
        super().__init__(path, self._describe(), results=("table.csv", "optimum.csv"))
        self.job(self.models[0])  # refuses too few images, and the next line an architecture that does not fit them
        build_model(self.recipe.arch, train.shape, train.num_classes)

    def _describe(self) -> dict[str, Any]:
        """What determines models and votes, as plain values."""
        plain = {key: value for key, value in asdict(self.spec).items() if key not in ("radii", "recipe")}
        recipe = self.recipe.description()
        del recipe["seed"], recipe["objective"]["train_sigma"]
        digests = {"train_digest": self.train.digest, "test_digest": self.test.digest}
        return {"kind": "grid", **plain, "recipe": recipe, "validation": self.validation, **digests}

    # --- models

    def shard(self, shard: str | None) -> list[GridModel]:
        """The models of a shard ``i/k``, all for None; where models start from another, a seed stays in one shard.

        Raises:
            InvalidInputError: for more shards than there is work for.
        """
        if shard is None:
            return self.models
        number, total = levels.shard(shard)
        units, what = [[model] for model in self.models], "models"
        if self.spec.init_from_clean:
            units = [[model for model in self.models if model.seed == seed] for seed in self.spec.seeds]
            what = "seeds, whose models start from one another and stay together"
        if total > len(units):
            raise InvalidInputError(f"shard is {shard}; expected at most {len(units)} shards of {len(units)} {what}")
        return [model for unit in units[number::total] for model in unit]

    def start(self, seed: int) -> GridModel | None:
        """The clean model that those of a seed start from."""
        if not self.spec.init_from_clean:
            return None
        first = self.spec.train_sigma[0]
        clean = first == 0 and objective_at(self.recipe.objective, first).name == "clean"
        return GridModel(0.0, seed, start=not clean)

    def folder(self, model: GridModel) -> Path:
        """The directory of a model's training run."""
        return self.path / "models" / model.name

    def job(self, model: GridModel) -> Job:
        """The training of a model."""
        start = self.start(model.seed)
        objective = self.recipe.objective
        loss = make_objective("clean", 0.0) if model.start else objective_at(objective, model.train_sigma)
        init_from = None if start in (None, model) else self.folder(start)
        return Job(
            replace(self.recipe, objective=loss, seed=model.seed), self.train, self.validation, init_from=init_from
        )

    def is_trained(self, model: GridModel) -> bool:
        """Whether a model is finished."""
        record = read_record(self.folder(model))
        return record is not None and record.status == "complete"

    # --- votes

    def cells(self, model: GridModel) -> list[Cell]:
        """What a model is evaluated at."""
        return [
            Cell(model.train_sigma, level, model.seed, split)
            for level in self.spec.smooth_sigma
            for split in self.images
        ]

    def log(self, cell: Cell) -> Path:
        """The log of a cell."""
        model = GridModel(cell.train_sigma, cell.seed)
        return self.path / "votes" / f"{model.name}-b{cell.smooth_sigma:.12g}-{cell.split}.jsonl"

    def missing(self, cell: Cell) -> int:
        """How many images the log of a cell lacks."""
        path = self.log(cell)
        lines = read_file(path).count(b"\n") if path.exists() else 0
        return max(0, len(self.images[cell.split][1]) - max(0, lines - 1))

    def votes(self, cell: Cell) -> pd.DataFrame:
        """The frame of a cell's log."""
        return read_log(self.log(cell))[1]

    # --- the directory

    @contextmanager
    def claimed(self, models: list[GridModel], resume: bool) -> Iterator[None]:
        """Claims the directory for some models, or against every other process for all of them.

        Shards may run at the same time: each model and each log has its own lock.

        Raises:
            InvalidInputError: for a directory that belongs to something else, or that holds some of the work already
                if ``resume`` is not set.
        """
        record = read_record(self.path)
        whole = len(models) == len(self.models)
        same = record is not None and record.description == self.description
        if same and not resume and (whole or any(self.folder(model).exists() for model in models)):
            raise InvalidInputError(
                f"{self.path} holds work on this grid already; add --resume, or choose another --out"
            )
        if whole:
            with self.held(resume):
                yield
            return
        self.check(resume=True)
        yield

    def begin(self) -> None:
        """Marks the directory as that of an unfinished grid, unless it is this grid's already."""
        make_folder(self.path)
        if read_record(self.path) is None:
            self.write_record("unfinished")
        (self.path / "votes").mkdir(exist_ok=True)

    def finish(self, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Figure]) -> None:
        """Writes tables and pictures, by their names, and marks the grid complete."""
        for name, table in tables.items():
            write_atomically(self.path / f"{name}.csv", table.to_csv(index=False))
        for name, figure in figures.items():
            save_figure(figure, self.path / f"{name}.png")
        self.write_record("complete", radii=list(self.spec.radii))
