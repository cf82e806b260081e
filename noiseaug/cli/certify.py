"""``noiseaug certify`` and ``predict``; they parse, call and print."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from noiseaug.cli.files import check_files
from noiseaug.cli.options import (
    DATA,
    EXECUTION,
    MODEL,
    OUTPUT,
    TRAINING,
    VOTES,
    Compiled,
    Consensus,
    Device,
    FailureProb,
    Normalisation,
    Randomised,
    Resume,
    Root,
    SmoothSigma,
    TrustArch,
    Weights,
    choice,
    data_options,
)
from noiseaug.cli.parsing import say_scaling, warn_of_precision
from noiseaug.cli.routing import Expert, Router, RouterRule, RouterVotes, experts_of
from noiseaug.cli.rules import Radius, Rule, Settings, make_router_rule, make_rule
from noiseaug.data import DATASETS
from noiseaug.subjects import BASES
from noiseaug.tables import levels as level_lists
from noiseaug.vision.device import PRECISIONS

__all__ = ["register"]

Classifier = Annotated[
    str,
    choice(
        "--classifier",
        "What votes: a training run's directory; a .safetensors or published .pth.tar checkpoint; module:attribute of "
        "your own (a function, an estimator, a torch module, or what makes one; importing it runs the module's code); "
        "timm:NAME or huggingface:NAME; an .onnx file; a .joblib file (loading it runs whatever code is in it: open "
        "your own only); several networks, a,b,c, whose logits are averaged; or, trained here",
        BASES,
        MODEL,
    ),
]
_DEFAULT = "logistic"
Data = Annotated[
    str | None,
    choice(
        "--data",
        "Data set",
        DATASETS,
        DATA,
        "mnist:3,8 for some of the classes, or a file (.npz, .csv, .parquet) or folder of images; by default what a "
        "training run learned from, else digits",
    ),
]
TrainSigma = Annotated[
    float,
    typer.Option(
        "--train-sigma", help="Training noise α of a classifier that is trained here.", rich_help_panel=TRAINING
    ),
]
Copies = Annotated[int, typer.Option("--copies", help="Noisy copies of each training input.", rich_help_panel=TRAINING)]
Noise = Annotated[str, typer.Option("--noise", help="gaussian, or discrete for 8-bit inputs.", rich_help_panel=VOTES)]
Seed = Annotated[int, typer.Option("--seed", help="Seed of training noise and votes.", rich_help_panel=VOTES)]
Batch = Annotated[int | None, typer.Option("--batch", help="Noisy copies per forward pass.", rich_help_panel=EXECUTION)]
Every = Annotated[
    int | None,
    typer.Option(
        "--every",
        help="Take every k-th input only.",
        show_default="all of up to 1000 inputs, else about 100",
        rich_help_panel=DATA,
    ),
]
Precision = Annotated[
    str,
    choice(
        "--precision",
        "Precision in which a network votes; each is a classifier of its own",
        PRECISIONS,
        VOTES,
        "on CUDA, tf32",
    ),
]
Classes = Annotated[
    int | None,
    typer.Option(
        "--classes",
        help="Number of classes, if the classifier cannot tell.",
        show_default="that of the data",
        rich_help_panel=MODEL,
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (certify, predict):
        app.command()(command)


_ALL_OF = 1000  # inputs; of larger sets some _SOME are taken
_SOME = 100


def _selection(data: Any, every: int | None, shard: str | None, *, announce: bool = True) -> tuple[Any, int]:
    """Indices of the inputs to certify, and every how many; ``announce``: say so where it was not asked for."""
    import numpy as np

    from noiseaug import validation

    count = len(data)
    if every is None:
        every = 1 if count <= _ALL_OF else count // _SOME
        if every > 1 and announce:
            print(f"every {every}th of {count} inputs; --every 1 takes all", file=sys.stderr)
    indices = np.arange(count)[:: validation.integer("every", every)]
    if shard is None:
        return indices, every
    number, total = level_lists.shard(shard)
    return indices[number::total], every


@data_options
def certify(
    smooth_sigma: SmoothSigma,
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Log of the run; a line is appended for each finished input.", rich_help_panel=OUTPUT
        ),
    ],
    classifier: Classifier = _DEFAULT,
    consensus: Consensus = None,
    router: Router = None,
    expert: Expert = None,
    data: Data = None,
    train_sigma: TrainSigma = 0.0,
    copies: Copies = 10,
    n: Annotated[
        int, typer.Option("--n", help="Largest number of votes for an input.", rich_help_panel=VOTES)
    ] = 100_000,
    n0: Annotated[
        int, typer.Option("--n0", help="Extra votes, used only to select the class.", rich_help_panel=VOTES)
    ] = 100,
    failure_prob: FailureProb = 1e-3,
    certificate: Rule = "cohen",
    radius: Radius = None,
    set_: Settings = None,
    randomised: Randomised = False,
    router_certificate: RouterRule = None,
    router_n: RouterVotes = None,
    noise: Noise = "gaussian",
    seed: Seed = 0,
    batch: Batch = None,
    every: Every = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            help="i/k: only the i-th of k parts of the inputs, from 0; noiseaug merge joins them.",
            rich_help_panel=EXECUTION,
        ),
    ] = None,
    classes: Classes = None,
    device: Device = "cpu",
    precision: Precision = "float32",
    compiled: Compiled = False,
    root: Root = None,
    normalisation: Normalisation = None,
    trust_arch: TrustArch = None,
    weights: Weights = None,
    resume: Resume = False,
    tsv: Annotated[
        Path | None,
        typer.Option("--tsv", help="Also write the log in Cohen et al.'s format.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Certify a classifier input by input, and record every vote count in a log.

    With --router and --expert the smoothing level is chosen for each input, and the smaller of the router's and the
    expert's radius is certified.

    Processes started by torchrun share the inputs; all hosts need access to the folder of --out.
    """
    from noiseaug.certificates import CertificationSetting, VoteBudget
    from noiseaug.certification import certify_run, make_certifier
    from noiseaug.certification.run import check_run
    from noiseaug.subjects import load_routed, load_subject
    from noiseaug.vision.training import workers

    with workers(device) as team:
        experts = experts_of(expert, router, classifier == _DEFAULT, router_certificate, router_n)
        named: dict[str, Any] = {
            "--classifier": classifier.split(","),
            "--router": router,
            "--expert": [part for name in experts.values() for part in name.split(",")],
        }
        read = {"--data": data, **named, "--weights": weights}
        team.lead(lambda: check_files({"--out": out, "--tsv": tsv}, read))
        rule, router_rule = make_rule(certificate, radius, set_), make_router_rule(router_certificate, radius)
        # what needs no training is looked at before it
        for level in experts or (smooth_sigma,):
            rule.check(CertificationSetting(level, VoteBudget(n, failure_prob)))
        check_run(out, shard=shard, resume=resume, tsv=tsv, team=team)
        options: dict[str, Any] = {
            "train_sigma": train_sigma,
            "copies": copies,
            "seed": seed,
            "device": team.device,
            "precision": precision,
            "root": root,
            "normalisation": normalisation,
            "compiled": compiled,
            "trusted": trust_arch or (),
            "weights": weights,
            "num_classes": classes,
            "consensus": consensus,
        }
        with team.one_first():
            if router is None:
                subject = load_subject(classifier, data, **options)
            else:
                subject = load_routed(router, experts, data, certificate=router_rule, n=router_n, **options)
        source = subject.data
        if team.leads:
            say_scaling(source)
            warn_of_precision(precision, team.device)
        indices, step = _selection(source, every, shard, announce=team.leads)

        x = source.inputs[indices]
        certifier = make_certifier(
            subject.base,
            dim=math.prod(x.shape[1:]),
            smooth_sigma=smooth_sigma,
            n=n,
            n0=n0,
            failure_prob=failure_prob,
            certificate=rule,
            randomised=randomised,
            noise=noise,
            num_classes=classes,
            seed=seed,
            batch=batch,
        )
        frame = certify_run(
            certifier,
            x,
            out,
            labels=source.labels[indices],
            indices=indices,
            shard=shard,
            description={**subject.description, "every": step},
            resume=resume,
            tsv=tsv,
            team=team,
            progress=team.leads,
        )
        if team.leads:
            right = int(frame["correct"].sum())
            print(f"{len(frame)} inputs, {right} right, {int((frame['prediction'] < 0).sum())} abstained: {out}")


@data_options
def predict(
    smooth_sigma: SmoothSigma,
    classifier: Classifier = "logistic",
    consensus: Consensus = None,
    data: Data = None,
    train_sigma: TrainSigma = 0.0,
    copies: Copies = 10,
    n: Annotated[int, typer.Option("--n", help="Votes for an input.", rich_help_panel=VOTES)] = 1000,
    failure_prob: FailureProb = 1e-3,
    noise: Noise = "gaussian",
    seed: Seed = 0,
    batch: Batch = None,
    every: Every = None,
    classes: Classes = None,
    device: Device = "cpu",
    precision: Precision = "float32",
    root: Root = None,
    normalisation: Normalisation = None,
    trust_arch: TrustArch = None,
    weights: Weights = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="CSV file.", show_default="the screen", rich_help_panel=OUTPUT)
    ] = None,
) -> None:
    """Predict the smoothed classifier's class of each input; −1 where it abstains."""
    from noiseaug import certification
    from noiseaug.records import refuse_table
    from noiseaug.runs import write_atomically
    from noiseaug.subjects import load_subject

    check_files({"--out": out}, {"--data": data, "--classifier": classifier.split(","), "--weights": weights})
    refuse_table(out)
    subject = load_subject(
        classifier,
        data,
        train_sigma=train_sigma,
        copies=copies,
        seed=seed,
        device=device,
        precision=precision,
        root=root,
        normalisation=normalisation,
        trusted=trust_arch or (),
        weights=weights,
        num_classes=classes,
        consensus=consensus,
    )
    source = subject.data
    say_scaling(source)
    warn_of_precision(precision, device)
    indices, _ = _selection(source, every, None)
    frame = certification.predict(
        subject.base,
        source.inputs[indices],
        smooth_sigma=smooth_sigma,
        n=n,
        failure_prob=failure_prob,
        noise=noise,
        num_classes=classes,
        seed=seed,
        batch=batch,
        indices=indices.tolist(),
    ).assign(label=source.labels[indices])
    text = frame[["index", "label", "prediction", "p_value"]].to_csv(index=False)
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text)
