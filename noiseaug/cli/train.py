"""``noiseaug train``, ``attack`` and ``data``; they parse, call and print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noiseaug.cli.options import Data, Device, Model, Normalisation, Optimiser, Root, Schedule, StepEpochs, StepFactor
from noiseaug.cli.parsing import need_step_schedule, need_torch, parameters, warn_of_precision
from noiseaug.errors import InvalidInputError

if TYPE_CHECKING:
    from noiseaug.data import Inventory
    from noiseaug.vision.training import Job

__all__ = ["register"]

Resume = Annotated[bool, typer.Option("--resume", help="Take up an interrupted run, or keep a finished one.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (train, attack, data):
        app.command()(command)


def train(
    out: Annotated[Path, typer.Option("--out", help="Directory of the run.")],
    data: Data = "digits",
    model: Model = None,
    objective: Annotated[
        str,
        typer.Option("--objective", help="clean, gaussian, smoothadv, adre, adreadv, stability, macer or consistency."),
    ] = "gaussian",
    train_sigma: Annotated[
        float | None, typer.Option("--train-sigma", help="Training noise α, in input units; 0 for clean.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Parameter of the objective, name=value (repeatable); a wrong name lists them."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", help="Passes over the training set; 10 for grey images, 30 for colour, 100 for digits."
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Images a step; 64 to 256 by default.")] = None,
    optimiser: Optimiser = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Its largest value; by optimiser and data by default.")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="Of the weights; 5e-4 by default.")
    ] = None,
    momentum: Annotated[float | None, typer.Option("--momentum", help="Of sgd; 0.9 by default.")] = None,
    schedule: Schedule = None,
    step_epochs: StepEpochs = None,
    step_factor: StepFactor = None,
    clip: Annotated[float | None, typer.Option("--clip", help="Largest norm of the gradient; 0 for no limit.")] = None,
    ema: Annotated[float | None, typer.Option("--ema", help="Decay of a moving average of the weights.")] = None,
    crop: Annotated[int | None, typer.Option("--crop", help="Pixels of random shifts; 0 for none.")] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Random mirroring.")] = None,
    precision: Annotated[str | None, typer.Option("--precision", help="float32, bfloat16 or float16.")] = None,
    compiled: Annotated[bool | None, typer.Option("--compile", help="Run through torch.compile.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, order, augmentation and noise.")] = 0,
    validation: Annotated[int, typer.Option("--validation", help="Hold out the last images of the training set.")] = 0,
    init_from: Annotated[
        Path | None, typer.Option("--init-from", help="Start from this run or checkpoint (pre-training).")
    ] = None,
    fresh_head: Annotated[
        bool, typer.Option("--fresh-head", help="With --init-from: replace the last layer in any case.")
    ] = False,
    labelled: Annotated[
        int | None,
        typer.Option("--labelled", help="So many images keep their labels; without --teacher: train on them alone."),
    ] = None,
    unlabelled: Annotated[str | None, typer.Option("--unlabelled", help="More images, as --data; no labels.")] = None,
    teacher: Annotated[Path | None, typer.Option("--teacher", help="Run or checkpoint that labels the others.")] = None,
    pseudo_weight: Annotated[float, typer.Option("--pseudo-weight", help="Loss weight of images it labelled.")] = 1.0,
    device: Device = "cpu",
    root: Root = None,
    resume: Resume = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's files too.")] = False,
) -> None:
    """Train a base classifier, with or without noise, into a directory.

    Under torchrun its processes share each batch.
    """
    need_torch()
    from noiseaug.data import load_images
    from noiseaug.vision.models import default_arch
    from noiseaug.vision.objectives import make_objective
    from noiseaug.vision.training import Job, default_recipe, run_job, workers
    from noiseaug.vision.training.allocator import keep_pages

    with workers(device) as team:
        if train_sigma is None:
            if objective != "clean":
                raise InvalidInputError(f"{objective} trains with noise; give its level α as --train-sigma")
            train_sigma = 0.0
        # what needs no data is looked at before it
        need_step_schedule(schedule, step_epochs, step_factor)
        loss = make_objective(objective, train_sigma, **parameters(settings))
        with team.one_first():
            images = load_images(data, "train", root=root)
            others = None if unlabelled is None else load_images(unlabelled, "train", root=root)
        recipe = default_recipe(
            model or default_arch(images.shape),
            images.shape,
            loss,
            epochs=epochs,
            batch=batch,
            optimiser=optimiser,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            momentum=momentum,
            schedule=schedule,
            step_epochs=step_epochs,
            step_factor=step_factor,
            clip=clip,
            ema=ema,
            crop=crop,
            flip=flip,
            precision=precision,
            compiled=compiled,
            seed=seed,
        )
        job = Job(recipe, images, validation, labelled, others, teacher, pseudo_weight, init_from, fresh_head)
        if team.leads:
            _announce(job, team.count)
            warn_of_precision(recipe.precision, team.device)
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
            told = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in results.items()]
            print(f"{out}: " + ", ".join(told))


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


def attack(
    model: Annotated[Path, typer.Argument(help="Directory of a training run, or a checkpoint.")],
    smooth_sigma: Annotated[float, typer.Option("--smooth-sigma", help="Smoothing noise β, in input units.")],
    data: Annotated[str | None, typer.Option("--data", help="As in train; by default what the model learned.")] = None,
    method: Annotated[str, typer.Option("--attack", help="pgd or ddn.")] = "pgd",
    radius: Annotated[list[float] | None, typer.Option("--radius", help="ℓ₂ radius ε (repeatable).")] = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps of the attack.")] = 20,
    samples: Annotated[int, typer.Option("--samples", help="Noise draws that the attack sees.")] = 128,
    restarts: Annotated[int, typer.Option("--restarts", help="Random starts.")] = 1,
    n: Annotated[int, typer.Option("--n", help="Votes for a prediction.")] = 1000,
    failure_prob: Annotated[float, typer.Option("--failure-prob", help="Of a prediction.")] = 1e-3,
    log: Annotated[
        Path | None, typer.Option("--log", help="Log of noiseaug certify: an attack inside its radii is a violation.")
    ] = None,
    every: Annotated[
        int | None, typer.Option("--every", help="Attack every k-th input; by default those of the log, or some 100.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the attack's noise and of the votes.")] = 0,
    batch: Annotated[int | None, typer.Option("--batch", help="Noisy copies at a time.")] = None,
    device: Device = "cpu",
    precision: Annotated[
        str, typer.Option("--precision", help="Of the voting: float32, bfloat16 or float16.")
    ] = "float32",
    normalisation: Normalisation = None,
    root: Root = None,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file with a row an input and radius.")] = None,
) -> None:
    """Attack a smoothed classifier: accuracy under attack beside certified accuracy."""
    need_torch()
    from noiseaug.records import refuse_table
    from noiseaug.runs import write_atomically
    from noiseaug.subjects import attack_model

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
    )
    if out is not None:
        write_atomically(out, frame.to_csv(index=False))
    print(summary.to_string(index=False, float_format="{:.4g}".format))


def data(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets to fetch and check; none: list them.")] = None,
    root: Root = None,
) -> None:
    """List the data sets, or fetch some and check every file."""
    from noiseaug import data as sets

    if not names:
        for name in sets.DATASETS:
            print(_stock(sets.describe(name, root)))
        return
    for name in names:
        files = sets.fetch(name, root=root)
        print(f"{name}: {len(files)} files checked" + (f" in {files[0].parent}" if files else ""))


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
