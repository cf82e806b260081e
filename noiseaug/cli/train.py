"""``noiseaug train``, ``attack`` and ``data``; they parse, call and print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseaug.cli.files import check_files
from noiseaug.cli.options import (
    DATA,
    EXECUTION,
    MODEL,
    OUTPUT,
    TRAINING,
    VOTES,
    Consensus,
    Data,
    Device,
    FailureProb,
    Model,
    Normalisation,
    Precision,
    Resume,
    Root,
    SmoothSigma,
    TrustArch,
    Weights,
    choice,
    data_options,
    recipe_options,
    settings,
)
from noiseaug.cli.parsing import given, need_torch, parameters, warn_of_precision
from noiseaug.cli.printing import print_table
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal
from noiseaug.vision.attacks.registry import ATTACKS
from noiseaug.vision.objectives.registry import OBJECTIVES

if TYPE_CHECKING:
    from noiseaug.data import Inventory, LabelledSet
    from noiseaug.vision.training import Job

__all__ = ["register"]

_MOST_CLASSES = 10  # that are named


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (train, attack, data):
        app.command()(command)


@data_options
@recipe_options()
def train(
    out: Annotated[Path, typer.Option("--out", help="Directory of the run.", rich_help_panel=OUTPUT)],
    data: Data = "digits",
    validation: Annotated[
        int,
        typer.Option(
            "--validation", help="Number of images held out from the end of the training set.", rich_help_panel=DATA
        ),
    ] = 0,
    labelled: Annotated[
        int | None,
        typer.Option(
            "--labelled",
            help="Keep the labels of this many images only; --teacher labels the others, else they are left out.",
            show_default="all",
            rich_help_panel=DATA,
        ),
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option("--unlabelled", help="More images, as --data; their labels are ignored.", rich_help_panel=DATA),
    ] = None,
    root: Root = None,
    model: Model = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from",
            help="Start from the weights of this run or checkpoint (pre-training).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    fresh_head: Annotated[
        bool,
        typer.Option(
            "--fresh-head", help="With --init-from: replace the last layer even if it fits.", rich_help_panel=MODEL
        ),
    ] = False,
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher", help="Run or checkpoint that labels the images without labels.", rich_help_panel=MODEL
        ),
    ] = None,
    trust_arch: TrustArch = None,
    train_sigma: Annotated[
        float | None,
        typer.Option(
            "--train-sigma",
            help="Training noise α, in input units; needed by every objective but clean.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    objective: Annotated[str, choice("--objective", "Training objective", OBJECTIVES, TRAINING)] = "gaussian",
    set_: Annotated[list[str] | None, settings(OBJECTIVES, TRAINING)] = None,
    pseudo_weight: Annotated[
        float,
        typer.Option(
            "--pseudo-weight",
            help="Weight in the loss of an image that the teacher labelled.",
            rich_help_panel=TRAINING,
        ),
    ] = 1.0,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", help="Seed of weights, order of images, augmentation and noise.", rich_help_panel=TRAINING
        ),
    ] = 0,
    device: Device = "cpu",
    resume: Resume = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write files for TensorBoard.", rich_help_panel=OUTPUT)
    ] = False,
    **recipe: Any,
) -> None:
    """Train a base classifier, with or without noise.

    Processes started by torchrun share each batch.
    """
    need_torch()
    from noiseaug.data import load_images
    from noiseaug.vision.models import default_arch
    from noiseaug.vision.objectives import make_objective
    from noiseaug.vision.training import Job, default_recipe, run_job, workers
    from noiseaug.vision.training.allocator import keep_pages

    written = [out / name for name in ("run.json", "model.safetensors", "metrics.csv", "state.pt")]
    read = {"--data": data, "--unlabelled": unlabelled, "--init-from": init_from, "--teacher": teacher}
    with workers(device) as team:
        team.lead(lambda: check_files({"--out": written}, read))
        if train_sigma is None:
            if objective != "clean":
                raise InvalidInputError(f"{objective} trains with noise; give its level α as --train-sigma")
            train_sigma = 0.0
        # errors that need no data are reported before the data are loaded
        changes = given(recipe)
        loss = make_objective(objective, train_sigma, **parameters(set_))
        with team.one_first():
            images = load_images(data, "train", root=root)
            others = None if unlabelled is None else load_images(unlabelled, "train", root=root)
        settled = default_recipe(model or default_arch(images.shape), images.shape, loss, **changes, seed=seed)
        job = Job(
            settled,
            images,
            validation,
            labelled,
            others,
            teacher,
            pseudo_weight,
            init_from,
            fresh_head,
            tuple(trust_arch or ()),
        )
        if team.leads:
            _announce(job, team.count)
            warn_of_precision(settled.precision, team.device)
        keep_pages()
        with team.one_first():
            test = load_images(data, "test", root=root)
        results = run_job(
            job,
            out,
            test=test,
            device=team.device,
            resume=resume,
            progress=True,
            tensorboard=tensorboard,
            workers=team,
        )
        if team.leads:
            print(f"{out}: " + ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in results.items()))


def _announce(job: Job, processes: int) -> None:
    recipe, objective = job.recipe, job.recipe.objective
    alone = job.labelled is not None and job.teacher is None
    images = job.labelled if alone else len(job.data) - job.validation
    print(
        f"{recipe.arch} on {images} images of {job.data.name}: {objective.name}, "
        f"α = {objective.train_sigma:g}, {recipe.epochs} epochs, batches of {recipe.batch}, seed {recipe.seed}"
        + (f", {processes} processes" if processes > 1 else ""),
        file=sys.stderr,
    )
    if objective.attack is not None and 2 * objective.warm_up > recipe.epochs:
        print(
            f"warning: the attack's radius grows over {objective.warm_up} epochs, training takes {recipe.epochs}; "
            "see --set warm_up=…",
            file=sys.stderr,
        )


@data_options
def attack(
    model: Annotated[
        Path,
        typer.Argument(
            help="Directory of a training run, a checkpoint, module:attribute of your own (a torch module, or what "
            "makes one), or several of them, a,b,c, whose logits are averaged."
        ),
    ],
    smooth_sigma: SmoothSigma,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="Data set, as in train.",
            show_default="what the model was trained on",
            rich_help_panel=DATA,
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every",
            help="Attack every k-th input.",
            show_default="the inputs of --log, else about 100",
            rich_help_panel=DATA,
        ),
    ] = None,
    root: Root = None,
    normalisation: Normalisation = None,
    trust_arch: TrustArch = None,
    weights: Weights = None,
    method: Annotated[str, choice("--attack", "Attack", ATTACKS, "Attack")] = "pgd",
    radius: Annotated[
        list[float] | None,
        typer.Option(
            "--radius", help="ℓ₂ radius ε; repeatable.", show_default="0.25 and 0.5", rich_help_panel="Attack"
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps of the attack.", rich_help_panel="Attack")] = 20,
    samples: Annotated[
        int, typer.Option("--samples", help="Noise vectors that the attack averages over.", rich_help_panel="Attack")
    ] = 128,
    restarts: Annotated[
        int, typer.Option("--restarts", help="Attacks from different starting points.", rich_help_panel="Attack")
    ] = 1,
    n: Annotated[int, typer.Option("--n", help="Votes for a prediction.", rich_help_panel=VOTES)] = 1000,
    failure_prob: FailureProb = 1e-3,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the attack's noise and of the votes.", rich_help_panel=VOTES)
    ] = 0,
    precision: Precision = "float32",
    batch: Annotated[
        int | None, typer.Option("--batch", help="Noisy copies per forward pass.", rich_help_panel=EXECUTION)
    ] = None,
    consensus: Consensus = None,
    device: Device = "cpu",
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            help="Log of noiseaug certify: an attack that succeeds within a certified radius is reported.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="CSV file with a row for each input and radius.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Attack a smoothed classifier: accuracy under attack beside certified accuracy."""
    need_torch()
    from noiseaug.records import refuse_table
    from noiseaug.runs import write_atomically
    from noiseaug.subjects import attack_model

    check_files({"--out": out}, {"attack": str(model).split(","), "--data": data, "--log": log})
    refuse_table(out)
    warn_of_precision(precision, device)
    frame, summary = attack_model(
        model,
        data,
        smooth_sigma=smooth_sigma,
        method=method,
        radii=radius or [0.25, 0.5],
        steps=steps,
        samples=samples,
        restarts=restarts,
        n=n,
        failure_prob=failure_prob,
        log=log,
        every=every,
        seed=seed,
        batch=batch,
        device=device,
        precision=precision,
        root=root,
        normalisation=normalisation,
        trusted=trust_arch or (),
        weights=weights,
        consensus=consensus,
    )
    if out is not None:
        write_atomically(out, frame.to_csv(index=False))
    print_table(summary, missing="NaN")


def data(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Data sets to download and check; files and folders of your own to describe.",
            show_default="list the data sets",
        ),
    ] = None,
    root: Root = None,
) -> None:
    """List the data sets, download some and check every file, or say what a file or folder of your own holds."""
    from noiseaug import data as sets

    if not names:
        for name in sets.DATASETS:
            print(_stock(sets.describe(name, root)))
        return
    for name in names:
        if name not in sets.DATASETS:
            source = sets.load_data(name, root)
            for part in (source.train, source.test):
                if part is not None:
                    print(_held(part))
            continue
        files = sets.fetch(name, root=root)
        print(f"{name}: {len(files)} files checked" + (f" in {files[0].parent}" if files else ""))


def _held(part: LabelledSet) -> str:
    """What there is of a split, in a line."""
    import numpy as np

    counts = np.bincount(part.labels, minlength=part.num_classes)
    classes = [f"{for_terminal(name)} ({count})" for name, count in zip(part.classes, counts, strict=True)]
    more = f" and {len(classes) - _MOST_CLASSES} more" if len(classes) > _MOST_CLASSES else ""
    return (
        f"{for_terminal(part.name)}, {part.split}: {len(part)} inputs of shape {part.shape} ({part.inputs.dtype}), "
        f"{len(classes)} classes: {', '.join(classes[:_MOST_CLASSES])}{more}"
    )


def _stock(found: Inventory) -> str:
    """What is there of a data set, in a line."""
    if found.root is None:
        state = "comes with scikit-learn"
    elif found.complete:
        state = f"complete in {found.root}"
    else:
        lacking = [
            f"{len(paths)} {word}" for word, paths in (("missing", found.missing), ("damaged", found.damaged)) if paths
        ]
        size = f"{found.download_bytes / 1e6:.0f} MB"
        state = f"{', '.join(lacking)} in {found.root}: {size} to fetch with `noiseaug data {found.name}`"
    return f"{found.name:<14} {found.title}: {state}"
