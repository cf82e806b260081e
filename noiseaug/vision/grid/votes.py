"""The votes of a grid's models: one log for each model, smoothing level and set of images."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, wait
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from noiseaug.certification import certify
from noiseaug.errors import InvalidInputError
from noiseaug.records import Outcome, RunLog
from noiseaug.runs import check_wanted
from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase, TorchCounter, load_network
from noiseaug.vision.engine.inference import prepare
from noiseaug.vision.grid.grid import Grid, GridModel
from noiseaug.vision.grid.tables import Cell
from noiseaug.votes import GaussianNoise, Stream, noisy_rows
from noiseaug.votes.counting import Purpose

__all__ = ["cpu_batch", "vote", "vote_cell"]

_CLEAN_BATCH = 500
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 256
_BATCH_COST = 8  # the fixed cost of a batch, in images


def vote(grid: Grid, model: GridModel, device: str = "cpu", batch: int | None = None) -> None:
    """Counts the votes of a trained model in all its cells, as far as its logs lack them.

    Args:
        grid: the grid.
        model: which.
        device: where the model runs.
        batch: noisy images classified at a time; by default what suits the device.
    """
    base, _, provenance = load_network(grid.folder(model), device, grid.spec.precision, trusted=(grid.recipe.arch,))
    on_cpu = as_device(device).type == "cpu"
    if batch is None and on_cpu:
        batch = cpu_batch(grid)
    stop = Event()
    # the votes on one image are too few to keep more than one core busy
    with ThreadPoolExecutor(min(2, torch.get_num_threads()) if on_cpu else 1) as pool:
        left = {pool.submit(vote_cell, grid, base, provenance, cell, batch, stop) for cell in grid.cells(model)}
        try:
            while left:
                done, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
                for task in done:
                    task.result()
                check_wanted()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def cpu_batch(grid: Grid) -> int:
    """Noisy images to classify at a time on a CPU.

    The engine classifies whole batches, which are equal parts of a block of noise. Batches that suit many votes would
    waste most of their work on a hundred.
    """
    spec = grid.spec
    block = noisy_rows(GaussianNoise(1.0), 0, grid.test.floats([0])[0], 0, "selection").block

    def cost(batch: int) -> float:
        size = block / -(-block // batch)  # on average
        batches = sum(np.ceil(votes / size) for votes in (spec.n0, spec.n))
        return float(batches * (size + _BATCH_COST))

    return min(range(_SMALLEST_BATCH, _LARGEST_BATCH + 1), key=cost)


def vote_cell(
    grid: Grid, base: TorchBase, provenance: dict[str, Any], cell: Cell, batch: int | None, stop: Event
) -> None:
    """Counts the votes of a model in one cell, as far as its log lacks them.

    Args:
        grid: the grid.
        base: the model.
        provenance: what the log records of the model.
        cell: smoothing level and set of images.
        batch: noisy images classified at a time.
        stop: ends the voting before the next image once it is set.

    Raises:
        InvalidInputError: for a log of another model or grid.
        CancelledError: where ``stop`` was set before the end.
    """
    data, indices = grid.images[cell.split]
    description = {
        "data": data.name,
        "data_digest": data.digest,
        "split": cell.split,
        "train_sigma": cell.train_sigma,
        "inputs": len(indices),
        **provenance,
    }
    if cell.smooth_sigma == 0:
        _classify(grid, base, description, cell)
        return
    certify(
        _stoppable(base, stop),
        data.floats(indices),
        labels=data.labels[indices],
        smooth_sigma=cell.smooth_sigma,
        n=grid.spec.n,
        n0=grid.spec.n0,
        failure_prob=grid.spec.failure_prob,
        seed=cell.seed,
        batch=batch,
        indices=indices.tolist(),
        log=grid.log(cell),
        resume=True,
        description=description,
    )


def _stoppable(base: TorchBase, stop: Event) -> Any:
    """The base with a vote counter that looks at an event before each image."""
    return SimpleNamespace(vote_counter=lambda **options: _StoppableCounter(base.vote_counter(**options), stop))


class _StoppableCounter:
    """A counter that raises CancelledError in place of a stream once the event is set."""

    def __init__(self, counter: TorchCounter, stop: Event) -> None:
        self._counter, self._stop = counter, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._counter, name)

    def stream(self, x: Any, index: int, purpose: Purpose) -> Stream:
        if self._stop.is_set():
            raise CancelledError
        return self._counter.stream(x, index, purpose)


def _classify(grid: Grid, base: TorchBase, description: dict[str, Any], cell: Cell) -> None:
    """Logs the base classifier's own answers, one for each image, as outcomes without estimation votes."""
    assert base.shape is not None
    assert base.num_classes is not None
    data, indices = grid.images[cell.split]
    count = base.num_classes
    full = {**description, "smooth_sigma": 0.0, "n": 0, "n0": 1, "num_classes": count, "precision": base.precision}
    with RunLog.open(grid.log(cell), full, resume=True) as book:
        left = np.array([index for index in indices.tolist() if index not in book.finished], dtype=int)
        if not len(left):
            return
        network = prepare(
            base.model,
            shape=base.shape,
            num_classes=count,
            device=as_device(base.device),
            dtype=getattr(torch, base.precision),
        )
        for begin in range(0, len(left), _CLEAN_BATCH):
            some = left[begin : begin + _CLEAN_BATCH]
            answers = network.labels(torch.from_numpy(data.floats(some)).to(base.device)).cpu().numpy()
            if (answers == count).any():
                raise InvalidInputError("the network returned NaN; expected finite logits")
            for index, answer in zip(some.tolist(), answers.tolist(), strict=True):
                selection = tuple(int(answer == label) for label in range(count))
                book.append(Outcome(index, int(data.labels[index]), answer, 0.0, selection, (), (), 0.0))
