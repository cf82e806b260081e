"""The training loop: one for all objectives, resumed exactly after a kill.

A step depends on the weights before it, on the recipe, and on (seed, epoch, batch); what has to be kept of an
interrupted run is therefore the weights, the optimiser's state and a position. Another device or number of threads
rounds otherwise.

Several processes (torchrun) share each batch. Random numbers are those of the whole batch and the gradient is its mean,
so that without batch norm they give the weights that one process gives, up to rounding.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from noiseaug.errors import InvalidInputError
from noiseaug.vision.models import Classifier
from noiseaug.vision.training.batches import TrainingSet, augmented, epoch_batches, key_of, keyed_generator, to_floats
from noiseaug.vision.training.distributed import Workers
from noiseaug.vision.training.recipe import Recipe
from noiseaug.vision.training.registry import OPTIMISERS

__all__ = ["Sums", "Trainer", "accuracy", "out_of_memory"]


class _Precise(nn.Module):
    """A network in mixed precision whose logits are float32."""

    def __init__(self, network: nn.Module, precision: str) -> None:
        super().__init__()
        self.network = network
        self.dtype = getattr(torch, precision)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            logits: Tensor = self.network(x)
        return logits.float()


@dataclass(frozen=True)
class Sums:
    """What an epoch has been like so far: the loss summed over steps, and noisy copies that were classified rightly."""

    loss: float
    right: int
    copies: int
    steps: int


@dataclass
class Trainer:
    """A model that is being trained; ``run`` goes on from wherever it stands.

    Attributes:
        recipe: how.
        training: what from, on the device.
        model: what is trained, on the device.
        epoch: the current epoch, from 0.
        batch: the next batch in it.
        rows: a record of each finished epoch.
        seconds: spent so far, in this process and those before it.
        workers: the processes that share the batches; each has a trainer in the same state.
    """

    recipe: Recipe
    training: TrainingSet
    model: Classifier
    epoch: int = 0
    batch: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    workers: Workers = field(default_factory=Workers)

    def __post_init__(self) -> None:
        if self.recipe.compiled and self.workers.count > 1 and self.workers.device != "cpu":
            raise InvalidInputError("compiled is for one process: torch does not compile batch norm over several")
        self.device = self.training.images.device
        # loss, right, copies, steps; on the device, so that no step waits for the one before
        self._sums = torch.zeros(4, dtype=torch.float64, device=self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model) if self.recipe.ema else None
        self.workers.synchronised(self.model)
        network: Any = torch.compile(self.model) if self.recipe.compiled else self.model
        self._network = _Precise(network, self.recipe.precision)
        self._wrapped = self.workers.parallel(self._network)
        self._optimiser = _optimiser(self.recipe, self.model)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self.recipe.precision == "float16")

    @property
    def result(self) -> Classifier:
        """The model to keep: the moving average where there is one."""
        return self.model if self.average is None else self.average

    def run(self, after_step: Callable[[Trainer, int], None], after_epoch: Callable[[Trainer], None]) -> None:
        """Trains to the end.

        Args:
            after_step: called after each step but the last of an epoch, with the number of steps of this epoch.
            after_epoch: called after each epoch, whose record is the last of ``rows``.

        Raises:
            InvalidInputError: where the loss is no longer finite, or memory does not suffice.
        """
        while self.epoch < self.recipe.epochs:
            batches = epoch_batches(self.training, self.recipe.batch, self.recipe.seed, self.epoch)
            while self.batch < len(batches):
                start = time.perf_counter()
                with out_of_memory(self.recipe.batch):
                    self._step(*batches[self.batch], len(batches))
                self.batch += 1
                if self.batch < len(batches):
                    after_step(self, len(batches))
                else:
                    sums = self.sums()
                # with the wait for the device, which is where its time shows
                self.seconds += time.perf_counter() - start
            self.rows.append(
                {
                    "epoch": self.epoch + 1,
                    "learning_rate": self.recipe.rate(self.epoch),
                    "loss": sums.loss / sums.steps,
                    "train_accuracy": sums.right / sums.copies,
                    "seconds": round(self.seconds, 3),
                }
            )
            self.epoch, self.batch = self.epoch + 1, 0
            self._sums.zero_()
            after_epoch(self)

    def sums(self) -> Sums:
        """The current epoch so far; waits for the device.

        Raises:
            InvalidInputError: where the loss is no longer finite.
        """
        loss, right, copies, steps = self._sums.tolist()
        if not math.isfinite(loss):
            raise InvalidInputError(
                f"the loss is no longer finite in epoch {self.epoch + 1}, step {self.batch}; try a lower learning_rate "
                f"than {self.recipe.learning_rate:g}"
            )
        return Sums(loss, int(right), int(copies), int(steps))

    def _step(self, indices: Tensor, weight: float, batches: int) -> None:
        recipe, device = self.recipe, self.device
        when = self.epoch + self.batch / batches
        key = (recipe.seed, self.epoch, self.batch)
        share = self.workers.share(len(indices))
        if share is not None:
            # processes average their gradients as equals, so that a larger share has to count for more
            indices, weight = indices[share.images], weight * self.workers.count * share.part
        indices = indices.to(device, non_blocking=True)
        x = to_floats(self.training.images[indices])
        x = augmented(x, recipe.crop, recipe.flip, keyed_generator(device, "augmentation", *key), share)
        x = x.contiguous(memory_format=torch.channels_last)
        y = self.training.labels[indices]
        own = [self.workers.rank] if self.workers.rank else []
        torch.manual_seed(key_of("layers", *key, *own))  # dropout and the like in a user's model
        for group in self._optimiser.param_groups:
            group["lr"] = recipe.rate(when)
        self._network.train()
        weights = None if weight == 1 else torch.full((len(y),), weight, device=device)
        loss, logits = recipe.objective.loss(
            self._wrapped,
            x,
            y,
            generator=keyed_generator(device, "noise", *key),
            epoch=when,
            weights=weights,
            attacked=self._network,
            share=share,
        )
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        if recipe.clip:
            self._scaler.unscale_(self._optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._follow()
        self._sums += self.workers.add(self._addend(loss, logits, y, shared=share is not None))

    def _addend(self, loss: Tensor, logits: Tensor, y: Tensor, *, shared: bool) -> Tensor:
        """What this process adds to the sums: loss, right, copies, steps; nothing is waited for.

        The loss is the mean over processes; a step counts once, and so do the images of a batch that was not shared.
        """
        mean = loss.detach().double() / self.workers.count
        images = int(shared or self.workers.leads)
        right = (logits.argmax(-1) == y).sum().double() * images
        counts = logits.shape[0] * logits.shape[1] * images, int(self.workers.leads)
        return torch.stack([mean, right, *(mean.new_full((), count) for count in counts)])

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves the average towards the weights; batch-norm's statistics are averages already and are taken over."""
        if self.average is None:
            return
        for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now, 1 - self.recipe.ema)
        for kept, current in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(current)

    def state(self) -> dict[str, Any]:
        """All that an interrupted run needs to go on: tensors and plain values."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self._sums,
            "rows": self.rows,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what :meth:`state` gave.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: where it is the state of something else.
        """
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        self.epoch, self.batch = int(state["epoch"]), int(state["batch"])
        self._sums.copy_(state["sums"])
        self.rows = list(state["rows"])
        self.seconds = float(state["seconds"])


def _optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    weights = [each for each in model.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in weights if each.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [each for each in weights if each.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMISERS.load(recipe.optimiser)(recipe, groups)


@contextmanager
def out_of_memory(batch: int | None) -> Iterator[None]:
    """Turns a lack of memory into one line that says which batch size to try; None: no batch is to blame."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        short = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not short:
            raise
        if batch is None:
            raise InvalidInputError("out of memory before the first batch: images and model do not fit") from None
        if batch == 1:
            raise InvalidInputError("out of memory with a batch of 1; use a smaller model or another device") from None
        raise InvalidInputError(f"out of memory with batches of {batch}; try --batch {batch // 2}") from None


@torch.inference_mode()
def accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, sigma: float = 0.0, *, seed: int = 0, batch: int = 500
) -> float:
    """Share of images that the base classifier gets right, each with one draw of noise.

    Args:
        model: returns logits, shape (b, num_classes).
        images: shape (n, channels, height, width), uint8 or floats in [0, 1].
        labels: shape (n,).
        sigma: standard deviation of the noise, in units of the input.
        seed: of the noise.
        batch: images at a time; noise is drawn for each such batch, so that it belongs to the result.
    """
    training, right = model.training, 0
    model.eval()
    for number, (some, truth) in enumerate(zip(images.split(batch), labels.split(batch), strict=True)):
        x = to_floats(some)
        if sigma:
            generator = keyed_generator(x.device, "accuracy", seed, number)
            x = x + sigma * torch.randn(x.shape, generator=generator, device=x.device)
        logits = model(x.contiguous(memory_format=torch.channels_last))
        right += int((logits.argmax(1) == truth).sum())
    model.train(training)
    return right / len(images)
