"""Checks of the stage "right" about training: steps beside the CPU's, mixed precision, resumption, a process group."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks._networks import COLOUR, SIGMA
from benchmarks.cuda.stages import Context
from noiseaug.vision.engine.inference import full_precision
from noiseaug.vision.models import Classifier, build_model
from noiseaug.vision.objectives import OBJECTIVES, Objective, make_objective
from noiseaug.vision.training import Recipe, Trainer, TrainingSet, default_recipe

Found = tuple[bool | None, float | None, str]
_PATIENCE = 60.0  # seconds for torchrun
# relative, of gradients: rounding, which the attack's normalised steps and MACER's quantiles carry further
_PLAIN, _STEEP = 1e-3, 3e-2


def objectives() -> dict[str, Objective]:
    """Every objective, in small, and the other attack."""
    found = {}
    for name, kind in OBJECTIVES.items():
        small = {"copies": 2, "steps": 2, "warm_up": 0}
        settings = {key: value for key, value in small.items() if key in kind.parameters}
        found[name] = make_objective(name, 0.0 if name == "clean" else SIGMA, **settings)
    found["smoothadv, ddn"] = make_objective("smoothadv", SIGMA, copies=2, steps=3, warm_up=0, attack="ddn")
    return found


def checks(context: Context, device: torch.device) -> dict[str, Callable[[], Found]]:
    """By name."""
    work = _Steps("lenet" if context.small else "resnet-narrow", 8 if context.small else 32, device)
    found: dict[str, Callable[[], Found]] = {}
    for name, objective in objectives().items():
        found[f"step, {name}, float32"] = partial(work.beside_the_cpu, objective)
    for name, objective in objectives().items():
        found[f"step, {name}, bfloat16"] = partial(work.finite, objective, "bfloat16")
    found["step, gaussian, float16"] = partial(work.finite, make_objective("gaussian", SIGMA), "float16")
    found["resumed"] = work.resumed
    found["step, gaussian, compiled"] = work.compiled
    return found


class _Steps:
    """Steps from the same weights on the same images."""

    def __init__(self, arch: str, batch: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.arch, self.batch, self.device = arch, batch, device
        shape = (1, 28, 28) if arch == "lenet" else COLOUR
        self.model = build_model(arch, shape, 10)
        draw = torch.Generator().manual_seed(1)
        self.images = torch.randint(256, (4 * batch, *shape), generator=draw, dtype=torch.uint8)
        self.labels = torch.randint(10, (4 * batch,), generator=draw)

    def _gradients(self, objective: Objective, device: torch.device) -> tuple[float, Tensor]:
        model = copy.deepcopy(self.model).to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        x = (self.images[: self.batch].float() / 255).to(device).contiguous(memory_format=torch.channels_last)
        noise = torch.Generator().manual_seed(2)  # of the CPU, the same for both
        with full_precision(device):
            loss, _ = objective.loss(model, x, self.labels[: self.batch].to(device), generator=noise)
            loss.backward()
        return float(loss.detach()), torch.cat([each.grad.cpu().double().reshape(-1) for each in model.parameters()])

    def beside_the_cpu(self, objective: Objective) -> Found:
        """Loss and gradient; the relative difference of the larger."""
        (ours, gradient), (theirs, expected) = (
            self._gradients(objective, device) for device in (self.device, torch.device("cpu"))
        )
        gap = max(abs(ours - theirs) / max(1.0, abs(theirs)), float((gradient - expected).norm() / expected.norm()))
        most = _STEEP if objective.attack is not None or objective.name == "macer" else _PLAIN
        return gap <= most, gap, f"loss {theirs:.4f}, {most:g} allowed"

    def _trainer(self, recipe: Recipe, model: Classifier | None = None) -> Trainer:
        data = TrainingSet(self.images.to(self.device), self.labels.to(self.device), len(self.labels))
        return Trainer(recipe, data, copy.deepcopy(model or self.model).to(self.device))

    def _recipe(self, objective: Objective, **changes: Any) -> Recipe:
        settled = {"epochs": 1, "batch": self.batch, "learning_rate": 0.01, "clip": 1.0} | changes
        return default_recipe(self.arch, self.model.shape, objective, **settled)

    def finite(self, objective: Objective, precision: str) -> Found:
        """An epoch of four steps in mixed precision, which raises where the loss is not finite."""
        trainer = self._trainer(self._recipe(objective, precision=precision))
        trainer.run(_nothing, _nothing)
        finite = all(bool(each.isfinite().all()) for each in trainer.model.state_dict().values())
        return finite, None, f"loss {trainer.rows[-1]['loss']:.4f}"

    def compiled(self) -> Found:
        """An epoch through torch.compile, beside one without."""
        if self.device.type == "cpu":
            return None, None, "on another device"
        losses = []
        for compiled in (False, True):
            trainer = self._trainer(self._recipe(make_objective("gaussian", SIGMA), compiled=compiled))
            trainer.run(_nothing, _nothing)
            losses.append(trainer.rows[-1]["loss"])
        gap = abs(losses[1] / losses[0] - 1)
        return gap < 0.02, gap, f"loss {losses[1]:.4f}"

    def resumed(self) -> Found:
        """Two epochs at a stretch, and begun anew from what was saved in the middle of the second."""
        recipe = self._recipe(make_objective("smoothadv", SIGMA, copies=2, warm_up=0), epochs=2, ema=0.9)
        saved = io.BytesIO()

        def save(trainer: Trainer, steps: int) -> None:
            if (trainer.epoch, trainer.batch) == (1, 2):
                torch.save(trainer.state(), saved)

        straight = self._trainer(recipe)
        straight.run(save, _nothing)
        torch.manual_seed(9)
        again = self._trainer(replace(recipe), build_model(self.arch, self.model.shape, 10))
        saved.seek(0)
        again.restore(torch.load(saved, map_location="cpu", weights_only=True))
        again.run(_nothing, _nothing)
        pairs = zip(straight.result.state_dict().values(), again.result.state_dict().values(), strict=True)
        gap = max(float((a.double() - b.double()).abs().max()) for a, b in pairs)
        # a device may choose its kernels' order of sums anew
        return gap < 1e-3, gap, "exactly" if gap == 0 else "up to the order of sums"


def _nothing(*_: Any) -> None:
    """Looks at nothing."""


def begin_alone(context: Context) -> subprocess.Popen[str]:
    """Starts torchrun with one process, which runs beside the other checks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    command += ["-m", "benchmarks.cuda.one_process", context.device]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end_alone(process: subprocess.Popen[str]) -> Found:
    """What it found: the largest relative difference of gradients that went through the group."""
    said, _ = process.communicate(timeout=_PATIENCE)
    lines = said.strip().splitlines() or [""]
    results = [line.split() for line in lines if line.startswith("difference ")]
    if process.returncode or not results:
        return False, None, lines[-1][:300]
    gap = float(results[-1][1])
    return gap < 1e-5, gap, " ".join(results[-1][2:])
