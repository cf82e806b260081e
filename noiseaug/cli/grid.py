"""``noiseaug grid``; it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseaug.cli.options import Data, Device, Model, Optimiser, Root, Schedule, StepEpochs, StepFactor
from noiseaug.errors import InvalidInputError
from noiseaug.tables import LEVELS
from noiseaug.tables.levels import levels

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(grid)


def grid(
    train_sigma: Annotated[str, typer.Option("--train-sigma", help=f"Training noise levels α: {LEVELS}.")],
    smooth_sigma: Annotated[
        str, typer.Option("--smooth-sigma", help=f"Smoothing noise levels β: {LEVELS}; 0 for unsmoothed.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Directory of the grid.")],
    data: Data = "digits",
    model: Model = None,
    radii: Annotated[str, typer.Option("--radii", help=f"ℓ₂ radii of the certified accuracy: {LEVELS}.")] = "0",
    objective: Annotated[
        str, typer.Option("--objective", help="As in train; with gaussian, α = 0 is clean.")
    ] = "gaussian",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Parameter of the objective, name=value (repeatable).")
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="A model for each α and seed: 0,1,2.")] = "0",
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the training set.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Images a training step.")] = None,
    optimiser: Optimiser = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Its largest value.")] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay", help="Of the weights.")] = None,
    schedule: Schedule = None,
    step_epochs: StepEpochs = None,
    step_factor: StepFactor = None,
    train_precision: Annotated[
        str | None, typer.Option("--train-precision", help="Of the training: float32, bfloat16 or float16.")
    ] = None,
    n: Annotated[int, typer.Option("--n", help="Votes for an image at each β.")] = 100,
    n0: Annotated[int, typer.Option("--n0", help="Votes besides, that pick the class to certify.")] = 20,
    failure_prob: Annotated[
        float, typer.Option("--failure-prob", help="Probability that a certificate is wrong, at most.")
    ] = 1e-3,
    images: Annotated[int, typer.Option("--images", help="Test images, about: every k-th.")] = 1000,
    validation: Annotated[
        int | None,
        typer.Option(
            "--validation",
            help="Last images of the training set, held out to choose α on.",
            show_default="1000, or a fifth of a small training set",
        ),
    ] = None,
    init_from_clean: Annotated[
        bool, typer.Option("--init-from-clean", help="Start every model from the clean one of its seed.")
    ] = False,
    precision: Annotated[
        str, typer.Option("--precision", help="Of the voting: float32, bfloat16 or float16; another classifier each.")
    ] = "float32",
    vote_batch: Annotated[int | None, typer.Option("--vote-batch", help="Noisy images classified at a time.")] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="CSV with train_sigma, smooth_sigma, risk, to lay over the picture."),
    ] = None,
    reference_name: Annotated[str, typer.Option("--reference-name", help="What to call it.")] = "Pal & Sulam 2023",
    device: Device = "cpu",
    root: Root = None,
    shard: Annotated[str | None, typer.Option("--shard", help="i/k: the i-th of k parts of the models.")] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            help="Worker processes, a model at a time on one thread each; -1 for one a core. With --device cuda they "
            "share the device. With --shard they do that part.",
        ),
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            help="Run on the Dask scheduler at this address, a model at a time in each worker, on its own --device. "
            "The workers must share --out.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the models and votes that are there.")] = False,
) -> None:
    """Train a model for every α, smooth each at every β; risk, certified accuracy, the best α and what it gains."""
    from noiseaug.cli.parsing import need_step_schedule, need_torch, parameters, warn_of_precision

    need_torch()
    need_step_schedule(schedule, step_epochs, step_factor)
    from noiseaug.vision.grid import GridSpec, run_grid
    from noiseaug.vision.training.allocator import keep_pages

    asked = {
        "epochs": epochs,
        "batch": batch,
        "optimiser": optimiser,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "step_epochs": step_epochs,
        "step_factor": step_factor,
        "precision": train_precision,
    }
    spec = GridSpec(
        data,
        train_sigma=levels("--train-sigma", train_sigma),
        smooth_sigma=levels("--smooth-sigma", smooth_sigma),
        radii=levels("--radii", radii),
        arch=model,
        objective=objective,
        parameters=parameters(settings),
        training={name: value for name, value in asked.items() if value is not None},
        seeds=_seeds(seeds),
        n=n,
        n0=n0,
        failure_prob=failure_prob,
        images=images,
        validation=validation,
        init_from_clean=init_from_clean,
        precision=precision,
    )
    for each in dict.fromkeys((train_precision or "float32", precision)):
        warn_of_precision(each, device)
    keep_pages()
    run_grid(
        spec,
        out,
        root=root,
        device=device,
        vote_batch=vote_batch,
        shard=shard,
        jobs=jobs,
        dask=dask,
        resume=resume,
        reference=reference,
        reference_name=reference_name,
        progress=True,
    )
    _report(out)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidInputError(f"--seeds is {text!r}; expected integers as 0,1,2") from None


def _report(out: Path) -> None:
    """The best levels, and the files."""
    import pandas as pd

    from noiseaug.runs import read_record

    record = read_record(out)
    if record is None or record.status != "complete":
        print(f"{out}: this part is finished; tables and pictures follow when the other shards are")
        return
    optimum = pd.read_csv(out / "optimum.csv")
    columns = ["smooth_sigma", "quantity", "radius", "best_train_sigma", "interval", "value", "standard_error"]
    columns += ["without_noise", "same_noise"]
    print(optimum[columns].to_string(index=False, float_format="{:.4g}".format, na_rep=""))
    print("written:")
    for path in [out / "table.csv", out / "optimum.csv", *sorted(out.glob("*.png"))]:
        print(f"  {path}")
