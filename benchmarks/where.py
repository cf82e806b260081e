"""Where the time goes: certifying a network and training one, part by part.

    python -m benchmarks.where                              on this machine's CPU, one thread
    python -m benchmarks.where --device cuda --out where.csv

Votes are timed as a whole, and with noise and network taken out in turn, which leaves the rest. A training step is
timed part by part, waiting for the device after each, so that parts may come to more than a step that overlaps them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks._networks import COLOUR, SHAPES, SIGMA, ResultTable, add_options, finished, rate, without_noise
from noiseaug.errors import InvalidInputError
from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase
from noiseaug.vision.engine.inference import Network
from noiseaug.vision.models import build_model
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.objectives import objective as objectives
from noiseaug.vision.training import Trainer, TrainingSet, default_recipe, epoch_batches
from noiseaug.vision.training import trainer as training
from noiseaug.votes import GaussianNoise


def shares_of_votes(name: str, precision: str, device: torch.device, seconds: float) -> Iterator[dict[str, Any]]:
    """Microseconds a vote of noise, network and the rest."""
    shape = SHAPES.get(name, COLOUR)
    torch.manual_seed(0)
    base = TorchBase(build_model(name, shape, 10).eval(), shape, str(device), precision)
    x = np.random.default_rng(0).random(shape, dtype=np.float32)

    def each() -> float:
        counter = base.vote_counter(noise=GaussianNoise(SIGMA))
        return 1e6 / rate(lambda n: counter.stream(x, 0, "estimation").take(n), 1000, seconds, device)[0]

    whole = each()
    with without_noise():
        quiet = each()
    with without_noise(), without_network():
        rest = each()
    parts = {"noise": whole - quiet, "network": quiet - rest, "copies, counting": rest}
    for part, micros in parts.items():
        yield {"what": f"votes, {name}, {precision}", "part": part, "unit": "µs a vote", "time": micros, "whole": whole}


@contextmanager
def without_network() -> Iterator[None]:
    """The label is whether the first value is above ½."""

    def labels(self: Network, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs.flatten(1)[:, 0] > 0.5).long()

    with patch.object(Network, "labels", labels):
        yield


def shares_of_training(
    name: str, objective: str, precision: str, device: torch.device, seconds: float
) -> Iterator[dict[str, Any]]:
    """Milliseconds a step of its parts; those of the attack contain its own passes through the network."""
    torch.manual_seed(0)
    shape, batch = COLOUR, 128
    images = torch.randint(256, (10 * batch, *shape), dtype=torch.uint8, device=device)
    data = TrainingSet(images, torch.randint(10, (len(images),), device=device), len(images))
    settings = {"warm_up": 0, "copies": 2, "steps": 1} if objective == "smoothadv" else {}
    loss = make_objective(objective, SIGMA, **settings)
    recipe = default_recipe(name, shape, loss, batch=batch, precision=precision, epochs=1)
    trainer = Trainer(recipe, data, build_model(name, shape, 10).to(device))
    batches = epoch_batches(data, batch, 0, 0)

    def steps(count: int) -> None:
        for number in range(count):
            trainer._step(*batches[number % len(batches)], len(batches))

    steps(2)
    whole, _ = rate(steps, 2, seconds, device)
    watch = Stopwatch(device)
    with (
        watch.on(training, "augmented", "augmentation"),
        watch.on(objectives, "draw_noise", "noise"),
        watch.on(type(loss.attack), "perturb", "attack") if loss.attack is not None else nullcontext(),
        watch.on(trainer._network, "forward", "forward"),
        watch.on(torch.Tensor, "backward", "backward"),
        watch.on(trainer._optimiser, "step", "optimiser"),
    ):
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            steps(2)
            done += 2
        total = time.perf_counter() - begun
    watch.spent["the rest"] = total - sum(watch.spent.values())
    for part, spent in watch.spent.items():
        what = f"training step, {name}, {objective}, {precision}"
        yield {"what": what, "part": part, "unit": "ms a step of 128", "time": 1e3 * spent / done, "whole": 1e3 / whole}


class Stopwatch:
    """Seconds spent in functions while they are watched; what one calls of the others counts for itself alone."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spent: dict[str, float] = {}
        self._inside = False

    @contextmanager
    def on(self, owner: Any, attribute: str, name: str) -> Iterator[None]:
        """Watches a function, or a method of an object or of a class."""
        original: Callable[..., Any] = getattr(owner, attribute)
        self.spent[name] = 0.0

        def timed(*arguments: Any, **options: Any) -> Any:
            if self._inside:
                return original(*arguments, **options)
            finished(self.device)
            begun, self._inside = time.perf_counter(), True
            try:
                return original(*arguments, **options)
            finally:
                finished(self.device)
                self._inside = False
                self.spent[name] += time.perf_counter() - begun

        with patch.object(owner, attribute, timed):
            yield


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.where", description="Where the time goes.")
    parser.add_argument("--networks", default="cnn,resnet20,resnet110", help="whose votes are timed")
    parser.add_argument("--trained", default="resnet-narrow,resnet20", help="whose training steps are timed")
    add_options(parser, seconds=3.0)
    options = parser.parse_args(arguments)
    try:
        device = as_device(options.device)
        if device.type == "cpu":
            torch.set_num_threads(1)
        table = ResultTable(device, options.out)
        work = [
            shares_of_votes(name, precision, device, options.seconds)
            for name in options.networks.split(",")
            for precision in options.precisions.split(",")
        ] + [
            shares_of_training(name, objective, precision, device, options.seconds)
            for name in options.trained.split(",")
            for objective in ("gaussian", "smoothadv")
            for precision in options.precisions.split(",")
        ]
        for parts in work:
            found = list(parts)
            total = sum(row["time"] for row in found)
            told = ", ".join(f"{row['part']} {row['time'] / total:.0%}" for row in found)
            print(f"{found[0]['what']}: {found[0]['whole']:.4g} {found[0]['unit']}: {told}", flush=True)
            table.add([row | {"share": row["time"] / total} for row in found])
    except InvalidInputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
