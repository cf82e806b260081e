"""The votes of a grid's models: one log for each model, smoothing level and set of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from noiseaug.certification import certify
from noiseaug.errors import InvalidInputError
from noiseaug.records import Outcome, RunLog
from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase
from noiseaug.vision.engine.inference import prepare
from noiseaug.vision.grid.plan import GridPlan
from noiseaug.vision.grid.tables import Cell
from noiseaug.votes import Counter, Stream
from noiseaug.votes.counting import Purpose

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Stopped", "cell_votes"]

_CLEAN_BATCH = 500


class Stopped(Exception):
    """Voting ended because another thread said so."""


@dataclass(frozen=True, eq=False)
class _Stoppable:
    """A base whose votes end when an event is set, so that an interrupted grid does not finish its logs first."""

    base: TorchBase
    stop: Event

    def vote_counter(self, **asked: Any) -> Counter:
        return _StoppableCounter(self.base.vote_counter(**asked), self.stop)


class _StoppableCounter:
    """A vote engine that looks at an event before each image."""

    def __init__(self, counter: Counter, stop: Event) -> None:
        self._counter, self._stop, self.num_classes = counter, stop, counter.num_classes

    def stream(self, x: Any, index: int, purpose: Purpose) -> Stream:
        if self._stop.is_set():
            raise Stopped
        return self._counter.stream(x, index, purpose)

    def description(self, x: Any = None) -> dict[str, Any]:
        return self._counter.description(x)


def cell_votes(
    plan: GridPlan, base: TorchBase, told: dict[str, Any], cell: Cell, log: Path, batch: int | None, stop: Event
) -> pd.DataFrame:
    """The votes of a model in one cell, from its log as far as that goes.

    Args:
        plan: the grid.
        base: the model.
        told: what the log is to say of it.
        cell: smoothing level and set of images.
        log: the file.
        batch: noisy images classified at a time.
        stop: ends the voting once it is set.

    Raises:
        InvalidInputError: for a log of another model or grid.
        Stopped: where ``stop`` was set before the end.
    """
    data, indices = plan.images[cell.split]
    description = {
        "data": data.name,
        "data_digest": data.digest,
        "split": cell.split,
        "train_sigma": cell.train_sigma,
        **told,
    }
    if cell.smooth_sigma == 0:
        return _unsmoothed(base, data.floats(indices), data.labels[indices], indices, log, description)
    return certify(
        _Stoppable(base, stop),
        data.floats(indices),
        labels=data.labels[indices],
        smooth_sigma=cell.smooth_sigma,
        n=plan.spec.n,
        n0=plan.spec.n0,
        failure_prob=plan.spec.failure_prob,
        seed=cell.seed,
        batch=batch,
        indices=indices.tolist(),
        log=log,
        resume=True,
        description=description,
    )


def _unsmoothed(
    base: TorchBase,
    images: np.ndarray,
    labels: np.ndarray,
    indices: np.ndarray,
    log: Path,
    description: dict[str, Any],
) -> pd.DataFrame:
    """The base classifier's own answers, one to an image, as a log whose outcomes have no estimation votes."""
    assert base.shape is not None
    assert base.num_classes is not None
    count = base.num_classes
    full = {**description, "smooth_sigma": 0.0, "n": 0, "n0": 1, "num_classes": count, "precision": base.precision}
    with RunLog.open(log, full, resume=True) as book:
        left = [i for i in range(len(images)) if int(indices[i]) not in book.finished]
        if not left:
            return book.frame()
        network = prepare(
            base.model,
            shape=base.shape,
            num_classes=count,
            device=as_device(base.device),
            dtype=getattr(torch, base.precision),
        )
        for begin in range(0, len(left), _CLEAN_BATCH):
            some = left[begin : begin + _CLEAN_BATCH]
            answers = network.labels(torch.from_numpy(images[some]).to(base.device)).cpu().numpy()
            if (answers == count).any():
                raise InvalidInputError("the network returned NaN; expected finite logits")
            for i, answer in zip(some, answers, strict=True):
                selection = tuple(int(answer == label) for label in range(count))
                book.append(Outcome(int(indices[i]), int(labels[i]), int(answer), 0.0, selection, (), (), 0.0))
        return book.frame()
