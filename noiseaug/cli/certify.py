"""``noiseaug certify``, ``predict``, ``recertify``, ``merge`` and ``report``; they parse, call and print."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseaug.certificates import CERTIFICATES
from noiseaug.cli.files import check_files
from noiseaug.cli.options import (
    DATA,
    EXECUTION,
    MODEL,
    OUTPUT,
    TRAINING,
    VOTES,
    Compiled,
    Device,
    FailureProb,
    Normalisation,
    Resume,
    Root,
    SmoothSigma,
    TrustArch,
    Weights,
    choice,
    data_options,
    settings,
)
from noiseaug.cli.parsing import parameters, say_scaling, warn_of_precision
from noiseaug.cli.printing import warnings_in_lines
from noiseaug.data import DATASETS
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal
from noiseaug.subjects import BASES
from noiseaug.tables import levels as level_lists
from noiseaug.vision.device import PRECISIONS

if TYPE_CHECKING:
    from noiseaug.certificates import Certificate

__all__ = ["register"]

_RADII = "0.25,0.5,0.75,1.0"
_PICTURES = ("certified_accuracy.png", "p_lower.png")

Classifier = Annotated[
    str,
    choice(
        "--classifier",
        "What votes: a training run's directory; a .safetensors or published .pth.tar checkpoint; module:attribute of "
        "your own (a function, an estimator, a torch module, or what makes one; importing it runs the module's code); "
        "timm:NAME or huggingface:NAME; an .onnx file; a .joblib file (loading it runs whatever code is in it: open "
        "your own only); or, trained here",
        BASES,
        MODEL,
    ),
]
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
Rule = Annotated[str, choice("--certificate", "Certification rule", CERTIFICATES, VOTES)]
Radius = Annotated[
    list[float] | None,
    typer.Option(
        "--radius",
        help="Target radius of multi-look (repeatable) and confidence-sequence.",
        rich_help_panel=VOTES,
    ),
]
Settings = Annotated[list[str] | None, settings(CERTIFICATES, VOTES)]
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
    for command in (certify, predict, recertify, merge, report):
        app.command()(command)


def _certificate(name: str, radii: list[float] | None, settings_text: list[str] | None) -> Certificate:
    """A rule of the registry; ``--radius`` is its parameter ``radii`` or ``radius``, whichever it has."""
    from noiseaug.certificates import make_certificate

    given, known = parameters(settings_text), CERTIFICATES.entry(name).parameters
    if radii and "radii" in known:
        given["radii"] = tuple(radii)
    elif radii and "radius" in known:
        if len(radii) > 1:
            raise InvalidInputError(f"{name} tests one radius; give one --radius")
        given["radius"] = radii[0]
    elif radii:
        raise InvalidInputError(f"{name} has no target radius; leave out --radius")
    return make_certificate(name, **given)


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
    classifier: Classifier = "logistic",
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

    Processes started by torchrun share the inputs; all hosts need access to the folder of --out.
    """
    from noiseaug.certificates import CertificationSetting, VoteBudget
    from noiseaug.certification import Certifier, certify_run
    from noiseaug.certification.run import check_run
    from noiseaug.subjects import load_subject
    from noiseaug.vision.training import workers

    with workers(device) as team:
        read = {"--data": data, "--classifier": classifier, "--weights": weights}
        team.lead(lambda: check_files({"--out": out, "--tsv": tsv}, read))
        rule = _certificate(certificate, radius, set_)
        # what needs no training is looked at before it
        rule.check(CertificationSetting(smooth_sigma, VoteBudget(n, failure_prob)))
        check_run(out, shard=shard, resume=resume, tsv=tsv, team=team)
        with team.one_first():
            subject = load_subject(
                classifier,
                data,
                train_sigma=train_sigma,
                copies=copies,
                seed=seed,
                device=team.device,
                precision=precision,
                root=root,
                normalisation=normalisation,
                compiled=compiled,
                trusted=trust_arch or (),
                weights=weights,
                num_classes=classes,
            )
        source = subject.data
        if team.leads:
            say_scaling(source)
            warn_of_precision(precision, team.device)
        indices, step = _selection(source, every, shard, announce=team.leads)

        x = source.inputs[indices]
        certifier = Certifier.make(
            subject.base,
            dim=math.prod(x.shape[1:]),
            smooth_sigma=smooth_sigma,
            n=n,
            n0=n0,
            failure_prob=failure_prob,
            certificate=rule,
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

    check_files({"--out": out}, {"--data": data, "--classifier": classifier, "--weights": weights})
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


def recertify(
    log: Annotated[Path, typer.Argument(help="A log of noiseaug certify.")],
    out: Annotated[Path, typer.Option("--out", help="The new log.", rich_help_panel=OUTPUT)],
    failure_prob: Annotated[
        float | None,
        typer.Option(
            "--failure-prob", help="New failure probability.", show_default="that of the log", rich_help_panel=VOTES
        ),
    ] = None,
    certificate: Rule = "cohen",
    radius: Radius = None,
    set_: Settings = None,
) -> None:
    """Certify again from the votes in a log: another failure probability, rule or radius, no forward pass."""
    from noiseaug.certification import recertify_log

    check_files({"--out": out}, {"recertify": log})
    with warnings_in_lines():
        frame = recertify_log(log, out, _certificate(certificate, radius, set_), failure_prob)
    print(f"{len(frame)} inputs: {out}")


def merge(
    logs: Annotated[list[Path], typer.Argument(help="Logs of all shards of one run.")],
    out: Annotated[Path, typer.Option("--out", help="Log of the whole run.", rich_help_panel=OUTPUT)],
    partial: Annotated[
        bool, typer.Option("--partial", help="Join them although shards or inputs are missing.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Join the logs of the shards of one run."""
    from noiseaug.records import merge_logs

    check_files({"--out": out}, {"merge": logs})
    with warnings_in_lines():
        merge_logs(logs, out, partial=partial)
    print(f"{len(logs)} shards: {out}")


def report(
    logs: Annotated[list[Path], typer.Argument(help="Logs of noiseaug certify, or of Cohen et al. and Salman et al.")],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of a run; once for each log.", show_default="what tells the paths apart"),
    ] = None,
    radii: Annotated[str, typer.Option("--radii", help=f"Radii of the table: {level_lists.LEVELS}.")] = _RADII,
    style: Annotated[str, typer.Option("--format", help="Format of the table: text, csv, markdown or latex.")] = "text",
    plots: Annotated[Path | None, typer.Option("--plots", help="Directory for pictures.")] = None,
    compare_at: Annotated[
        float | None, typer.Option("--compare", help="Compare two runs on the same images at this radius.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Refuse logs whose lines cannot be true. Those of noiseaug are computed again from their votes in any "
            "case; of others, radii are checked against what --smooth-sigma, --n and --failure-prob allow.",
        ),
    ] = False,
    smooth_sigma: Annotated[
        float | None, typer.Option("--smooth-sigma", help="With --verify: β of logs that do not say it.")
    ] = None,
    n: Annotated[int, typer.Option("--n", help="With --verify: votes of logs that do not say it.")] = 100_000,
    failure_prob: Annotated[
        float, typer.Option("--failure-prob", help="With --verify: failure probability of logs that do not say it.")
    ] = 1e-3,
    attack_radii: Annotated[
        str | None,
        typer.Option(
            "--attack-radii",
            help="Radius of the attack of each log of predictions, in their order: 0,.25,.5.",
            show_default="read off their paths",
        ),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option("--published", help="Lay the runs into the field of released ones, as 'cifar10, .5'."),
    ] = None,
) -> None:
    """Tabulate certified accuracy by radius, ACR and abstentions, for one run or several side by side.

    Logs of predictions (Cohen et al.'s predict, Salman et al.'s attacks) get a table of their own. Beside one certified
    log of the same images, accuracy under attack stands beside certified accuracy.
    """
    from noiseaug.cli.published import field_picture, print_predictions, print_standing
    from noiseaug.records import read_any
    from noiseaug.report import compare, is_prediction, render, summarise

    levels = level_lists.levels("--radii", radii)
    names = _names(logs, name)
    if plots is not None:
        fields = [field_picture(plots, each) for each in names] if published is not None else []
        check_files({"--plots": [*(plots / each for each in _PICTURES), *fields]}, {"report": logs})
    with warnings_in_lines():
        runs = {each: read_any(path) for each, path in zip(names, logs, strict=True)}
    predictions = {each: run for each, run in runs.items() if is_prediction(run[1])}
    runs = {each: run for each, run in runs.items() if each not in predictions}
    if verify:
        _verify(runs, smooth_sigma, n, failure_prob)
    if runs:
        print(render(summarise(runs, levels), style), end="")
    attacked = print_predictions(runs, predictions, attack_radii, style) if predictions else {}
    if published is not None:
        print_standing(runs, published, levels, style, plots)
    if compare_at is not None:
        if len(runs) != 2:
            raise InvalidInputError(f"--compare needs two certified logs; {len(runs)} given")
        (_, one), (_, other) = runs.values()
        print()
        print(render(compare(one, other, compare_at).frame(), style), end="")
    if plots is not None and runs:
        for path in _draw(runs, plots, attacked):
            print(f"written: {path}")


def _verify(runs: dict[str, Any], smooth_sigma: float | None, n: int, failure_prob: float) -> None:
    """Refuses runs that contradict themselves; says on standard error what was looked at."""
    from noiseaug.certificates import CertificationSetting, VoteBudget
    from noiseaug.report import verify

    given = None if smooth_sigma is None else CertificationSetting(smooth_sigma, VoteBudget(n, failure_prob))
    for name, (description, frame) in runs.items():
        # a log that describes itself has been checked against its votes
        faults = verify(frame, None if description else given)
        if faults:
            more = f" ({len(faults)} kinds of faults)" if len(faults) > 1 else ""
            raise InvalidInputError(f"{name}: {faults[0]}{more}")
        seen = (
            "votes" if description else "radii" if given is not None else "all but the radii, which need --smooth-sigma"
        )
        print(f"{for_terminal(name)}: {len(frame)} inputs; checked: {seen}", file=sys.stderr)


def _names(logs: list[Path], given: list[str] | None) -> list[str]:
    """The names that were given; else file names, with as many folders as it takes to tell them apart."""
    if len({path.resolve() for path in logs}) < len(logs):
        raise InvalidInputError("the same log is given twice")
    if given:
        if len(given) != len(logs) or len(set(given)) < len(given):
            raise InvalidInputError(
                f"--name is given {len(given)} times for {len(logs)} logs; give each its own, or none"
            )
        return given
    places = [path.absolute().parts for path in logs]
    depths = [1] * len(logs)
    while True:
        names = [str(Path(*parts[-depth:])) for parts, depth in zip(places, depths, strict=True)]
        shared = [names.count(name) > 1 for name in names]
        if not any(shared):
            return names
        depths = [depth + same for depth, same in zip(depths, shared, strict=True)]


def _draw(runs: dict[str, Any], folder: Path, reference: dict[str, Any]) -> list[Path]:
    import numpy as np

    from noiseaug.plotting import finish, new_figure, plot_certified_accuracy, plot_p_lower
    from noiseaug.report import certified_accuracy, p_lower
    from noiseaug.runs import make_folder

    make_folder(folder)
    top = max(float(frame["radius"].max()) for _, frame in runs.values())
    radii = np.linspace(0, max(top, 0.1), 101)
    figure, axes = new_figure()
    curves = {f"{name} ({len(frame)} images)": certified_accuracy(frame, radii) for name, (_, frame) in runs.items()}
    plot_certified_accuracy(axes[0][0], curves, reference=reference)
    written = [_save(finish(figure, "Certified accuracy (band: 95% over images)"), folder / _PICTURES[0])]
    bounds = {}
    for name, (description, frame) in runs.items():
        if "counts" in frame and description.get("failure_prob"):
            bounds[name] = p_lower(description, frame)
    if bounds:
        figure, axes = new_figure()
        plot_p_lower(axes[0][0], bounds)
        written.append(_save(finish(figure, "Lower bound of the top class's probability"), folder / _PICTURES[1]))
    return written


def _save(figure: Any, path: Path) -> Path:
    from noiseaug.runs import save_figure

    save_figure(figure, path)
    return path
