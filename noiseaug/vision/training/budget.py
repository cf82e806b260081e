"""Training for a given time: as many epochs as fit, so that the schedule ends before the time does."""

from __future__ import annotations

import time
from dataclasses import replace

from noiseaug import validation
from noiseaug.vision.training.trainer import Trainer

__all__ = ["TimeBudget"]

_SETTLING, _TIMED = 10, 20  # steps that are left out, for they compile and choose kernels, and steps that are timed


class TimeBudget:
    """Sets the number of epochs of a training by what its steps take on this device.

    ``after_step`` and ``after_epoch`` belong into those of ``Trainer.run``. The plan is made after some steps and
    revised after each epoch by what that one took, validation and all. A schedule that goes by the share of the epochs
    that is done, as ``one-cycle`` does, stretches accordingly.

    Args:
        seconds: from now to the end of the training.

    Attributes:
        seconds: as given.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = validation.positive("seconds", seconds)
        self._end = time.monotonic() + seconds
        self._timing: tuple[int, float] | None = None  # steps that were done, and when, once the first ones were over
        self._steps = 1  # of an epoch
        self._epoch_begun: float | None = None
        self._planned = False

    @property
    def left(self) -> float:
        """Seconds to the end."""
        return self._end - time.monotonic()

    def after_step(self, trainer: Trainer, steps: int) -> None:
        """Makes the first plan, once enough steps were timed; waits for the device twice."""
        done = trainer.epoch * steps + trainer.batch
        if self._planned or done < _SETTLING:
            return
        if self._timing is None:
            trainer.sums()
            self._timing, self._steps = (done, time.monotonic()), steps
        elif done - self._timing[0] >= _TIMED:
            trainer.sums()
            self._plan_by_steps(trainer, done, trainer.batch / steps)

    def after_epoch(self, trainer: Trainer) -> None:
        """Revises the plan by what the epoch took.

        The first epoch, which has compiled and chosen kernels, counts with the steps after those alone.
        """
        now = time.monotonic()
        if self._epoch_begun is not None:
            self._plan(trainer, now - self._epoch_begun, 0.0)
        elif not self._planned and self._timing is not None:
            self._plan_by_steps(trainer, trainer.epoch * self._steps, 0.0)
        self._epoch_begun = now

    def _plan_by_steps(self, trainer: Trainer, done: int, share: float) -> None:
        first, begun = self._timing or (0, self._end - self.seconds)
        self._plan(trainer, (time.monotonic() - begun) / (done - first) * self._steps, share)
        self._planned = True

    def _plan(self, trainer: Trainer, epoch_seconds: float, done: float) -> None:
        """As many whole epochs as fit, with the share of the current one that is done."""
        more = int(self.left / max(epoch_seconds, 1e-9) + done)
        # the current epoch is gone through in any case
        epochs = trainer.epoch + max(more, 1 if done else 0)
        trainer.recipe = replace(trainer.recipe, epochs=max(epochs, 1))
