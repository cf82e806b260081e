"""``noiseaug grid``; it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from noiseaug.cli.files import check_files
from noiseaug.cli.options import (
    DATA,
    EXECUTION,
    OUTPUT,
    TRAINING,
    VOTES,
    Data,
    Device,
    FailureProb,
    Model,
    Precision,
    Resume,
    Root,
    choice,
    data_options,
    recipe_options,
    settings,
)
from noiseaug.cli.parsing import given, need_torch, parameters, warn_of_precision
from noiseaug.cli.printing import print_files, print_table
from noiseaug.errors import InvalidInputError
from noiseaug.tables import LEVELS
from noiseaug.tables.levels import levels
from noiseaug.vision.objectives.registry import OBJECTIVES

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(grid)


@data_options
@recipe_options(precision="--train-precision")
def grid(
    train_sigma: Annotated[
        str,
        typer.Option("--train-sigma", help=f"Training noise levels α: {LEVELS}.", rich_help_panel=TRAINING),
    ],
    smooth_sigma: Annotated[
        str,
        typer.Option(
            "--smooth-sigma",
            help=f"Smoothing noise levels β: {LEVELS}; 0 is the base classifier itself.",
            rich_help_panel=VOTES,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Directory of the grid.", rich_help_panel=OUTPUT)],
    data: Data = "digits",
    images: Annotated[
        int,
        typer.Option("--images", help="Approximate number of test images, evenly spaced.", rich_help_panel=DATA),
    ] = 1000,
    validation: Annotated[
        int | None,
        typer.Option(
            "--validation",
            help="Number of images held out from the end of the training set, on which the best α is chosen.",
            show_default="1000, or a fifth of a small training set",
            rich_help_panel=DATA,
        ),
    ] = None,
    root: Root = None,
    model: Model = None,
    objective: Annotated[
        str, choice("--objective", "Training objective; gaussian at α = 0 is clean", OBJECTIVES, TRAINING)
    ] = "gaussian",
    set_: Annotated[list[str] | None, settings(OBJECTIVES, TRAINING)] = None,
    seeds: Annotated[
        str,
        typer.Option("--seeds", help="Seeds, as 0,1,2: each trains a model at every α.", rich_help_panel=TRAINING),
    ] = "0",
    init_from_clean: Annotated[
        bool,
        typer.Option(
            "--init-from-clean",
            help="Start every model from the clean model of the same seed.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    radii: Annotated[
        str,
        typer.Option("--radii", help=f"ℓ₂ radii of the certified accuracy: {LEVELS}.", rich_help_panel=VOTES),
    ] = "0",
    n: Annotated[int, typer.Option("--n", help="Votes for each image at each β.", rich_help_panel=VOTES)] = 100,
    n0: Annotated[
        int, typer.Option("--n0", help="Extra votes, used only to select the class.", rich_help_panel=VOTES)
    ] = 20,
    failure_prob: FailureProb = 1e-3,
    vote_precision: Precision = "float32",
    vote_batch: Annotated[
        int | None,
        typer.Option(
            "--vote-batch",
            help="Noisy images per forward pass.",
            show_default="by the number of votes",
            rich_help_panel=EXECUTION,
        ),
    ] = None,
    device: Device = "cpu",
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            help="Worker processes, each with one model and one thread at a time; -1 for one per core. With --device "
            "cuda they share the device. With --shard they do that part.",
            rich_help_panel=EXECUTION,
        ),
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            help="Run on the Dask scheduler at this address; each worker has one model at a time, on its own "
            "--device. All workers need access to --out.",
            rich_help_panel=EXECUTION,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", help="i/k: only the i-th of k parts of the models, from 0.", rich_help_panel=EXECUTION),
    ] = None,
    resume: Resume = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            help="CSV file with train_sigma, smooth_sigma and risk, drawn into the picture.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    reference_name: Annotated[
        str, typer.Option("--reference-name", help="Its name in the legend.", rich_help_panel=OUTPUT)
    ] = "Pal & Sulam 2023",
    **recipe: Any,
) -> None:
    """Train a model at every α and smooth each at every β: risk, certified accuracy, the best α and its gain."""
    need_torch()
    check_files(
        {"--out": [out / name for name in ("run.json", "table.csv", "optimum.csv")]},
        {"--data": data, "--reference": reference},
    )
    training = given(recipe)
    from noiseaug.data import load_images
    from noiseaug.vision.grid import GridSpec, run_grid
    from noiseaug.vision.models import default_arch
    from noiseaug.vision.objectives import make_objective
    from noiseaug.vision.training import default_recipe
    from noiseaug.vision.training.allocator import keep_pages

    loss = make_objective(objective, 0.0, **parameters(set_))  # the grid replaces its noise level
    shape = load_images(data, "test", root=root).shape  # the smaller split
    spec = GridSpec(
        data,
        train_sigma=levels("--train-sigma", train_sigma),
        smooth_sigma=levels("--smooth-sigma", smooth_sigma),
        radii=levels("--radii", radii),
        recipe=default_recipe(model or default_arch(shape), shape, loss, **training),
        seeds=_seeds(seeds),
        n=n,
        n0=n0,
        failure_prob=failure_prob,
        images=images,
        validation=validation,
        init_from_clean=init_from_clean,
        precision=vote_precision,
    )
    for each in dict.fromkeys((training.get("precision", "float32"), vote_precision)):
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
    print_table(optimum[columns])
    print_files([out / "table.csv", out / "optimum.csv", *sorted(out.glob("*.png"))])
