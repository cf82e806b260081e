"""Stage "question": does a larger training noise win at larger radii? Networks at several α, smoothed with one β.

The Gaussian recipe of the stage "good", shortened to the time that is left. Where that is little, fewer α: those that
come first in the list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from benchmarks.cuda.certified import RADII, Work, certify_one, keep_logs
from benchmarks.cuda.good import Setting, finished, one_network, weights
from benchmarks.cuda.stages import Context, caught
from noiseaug.certificates import MultiLook
from noiseaug.vision.device import as_device
from noiseaug.vision.objectives import make_objective

LEVELS = (0.5, 0.75, 1.0, 0.25, 1.25, 0.375, 0.625)  # of α, at β = .5
_LEAST = 20.0  # seconds for training and certifying one network
_TRAINING = 0.6  # share of that for the training
_VOTES, _EVERY = 50_000, 40  # enough for r = 1.75; 250 images


def run(context: Context) -> str:
    """One network after another, each certified before the next is begun; what there was no time for."""
    setting, table, device = Setting.of(context), context.table("question"), as_device(context.device)
    small = context.small
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    scale = setting.sigma / 0.5
    train, test = (setting.images(context, split) for split in ("train", "test"))
    levels = [level * scale for level in (LEVELS[:2] if small else LEVELS)]
    todo = [level for level in levels if not table.has(train_sigma=f"{level:g}", note="")]
    todo = todo[: max(1, int(context.left / (1 if small else _LEAST)))]
    setting = replace(
        setting, n=setting.n if small else _VOTES, every=setting.every if small else _EVERY, compiled=False
    )
    rule = MultiLook(tuple(scale * radius for radius in (RADII[:3] if small else RADII)))
    history = context.table("good")
    for done, level in enumerate(todo):
        seconds = context.left / (len(todo) - done)
        if seconds < (0.5 if small else _LEAST / 2):
            continue
        name = f"question-{level:g}"
        table.drop(network=name)
        with caught(table, network=name, train_sigma=level):
            if not finished(weights(context, name)):
                objective = make_objective("gaussian", level)
                watched = test.take(slice(1, None, 20))
                one_network(name, objective, _TRAINING * seconds, setting, context, history, train, watched)
            own: Any = replace(context, seconds=context.seconds - context.left + 0.9 * (1 - _TRAINING) * seconds)
            certify_one(Work(name, setting.sigma, rule), weights(context, name), test, setting, own, table)
        keep_logs(context)
    missing = [f"{level:g}" for level in levels if not table.has(train_sigma=f"{level:g}", note="")]
    return f"not or not wholly done: α = {', '.join(missing)}" if missing else ""
