"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Compiled",
    "Data",
    "Device",
    "Model",
    "Normalisation",
    "Optimiser",
    "Root",
    "Schedule",
    "StepEpochs",
    "StepFactor",
]

Data = Annotated[
    str,
    typer.Option("--data", help="digits, mnist, fashion_mnist, cifar10 (mnist:3,8 for classes), or a .npz file."),
]
Root = Annotated[
    Path | None,
    typer.Option("--root", help="Folder of data sets in torchvision's layout; else $NOISEAUG_DATA, else a cache."),
]
Device = Annotated[str, typer.Option("--device", help="Where a network runs: cpu, cuda, cuda:1, …")]
Compiled = Annotated[
    bool, typer.Option("--compiled", help="Network through torch.compile, on a CUDA device; slow to start.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="linear, mlp, lenet, cnn, resnet, resnet-narrow, resnet20, resnet110, or module:attribute."
    ),
]
Normalisation = Annotated[
    str | None,
    typer.Option("--normalisation", help="standardised or centred: of a published checkpoint that does not tell."),
]
Optimiser = Annotated[str | None, typer.Option("--optimiser", help="sgd, adam or adadelta.")]
Schedule = Annotated[str | None, typer.Option("--schedule", help="one-cycle, step or constant.")]
StepEpochs = Annotated[int | None, typer.Option("--step-epochs", help="Epochs between two steps of the schedule.")]
StepFactor = Annotated[float | None, typer.Option("--step-factor", help="What a step multiplies the learning rate by.")]
