"""How long training and voting will take, from a few steps and votes of an untrained model."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch

from noiseaug.vision.engine import TorchBase
from noiseaug.vision.training import Job, Trainer
from noiseaug.votes import GaussianNoise

__all__ = ["time_training", "time_votes"]

_SECONDS = 1.0  # of measuring each, about
_MOST_STEPS = 30


class _EnoughError(Exception):
    """Ends a training that was begun to be timed."""


def time_training(job: Job, device: torch.device) -> tuple[float, int]:
    """Seconds for a whole training, and the number of steps that were timed.

    The steps are those of the last epoch, when the attack of an objective that has one has grown to its full radius.
    """
    # weights to start from take the same steps, and may not be there yet
    job = replace(job, init_from=None)
    recipe = job.recipe
    trainer = Trainer(recipe, job.training_set(device), job.first_model().to(device), epoch=recipe.epochs - 1)
    steps_an_epoch = max(1, -(-len(trainer.training.labels) // recipe.batch))
    moments: list[float] = []

    def look(trainer: Trainer, steps: int = 0) -> None:
        trainer.sums()  # waits for the device
        moments.append(time.perf_counter())
        if len(moments) > _MOST_STEPS or moments[-1] - moments[0] > _SECONDS:
            raise _EnoughError

    start = time.perf_counter()
    with suppress(_EnoughError):
        trainer.run(look, lambda trainer: moments.append(time.perf_counter()))
    # the first step is slower than the rest, where there is a rest
    timed = np.diff(moments) if len(moments) > 1 else np.array([moments[0] - start])
    return float(timed.mean()) * steps_an_epoch * recipe.epochs, len(timed)


def time_votes(
    base: TorchBase, images: np.ndarray, smooth_sigma: float, n0: int, n: int, batch: int | None, workers: int
) -> tuple[float, int]:
    """Seconds for the votes on one image, and the number of images that were timed, ``workers`` of them at a time."""
    from concurrent.futures import ThreadPoolExecutor

    counter = base.vote_counter(noise=GaussianNoise(smooth_sigma), batch=batch)

    def vote(index: int) -> None:
        x = images[index % len(images)]
        counter.stream(x, index, "selection").take(n0)
        counter.stream(x, index, "estimation").take(n)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(vote, range(workers)))  # prepares the network
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < _SECONDS:
            list(pool.map(vote, range(done, done + 4 * workers)))
            done += 4 * workers
    return (time.perf_counter() - start) / done, done
