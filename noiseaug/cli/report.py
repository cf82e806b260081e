"""``noiseaug report``; it parses, calls and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from noiseaug.cli.files import check_files
from noiseaug.cli.printing import warnings_in_lines
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal
from noiseaug.tables import levels as level_lists

__all__ = ["register"]

_RADII = "0.25,0.5,0.75,1.0"
_PICTURES = ("certified_accuracy.png", "p_lower.png")


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(report)


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
    with_oracle: Annotated[
        bool,
        typer.Option(
            "--oracle",
            help="Add what the best level of each image would certify, which takes the label to know; for runs on the "
            "same images at different smoothing levels.",
        ),
    ] = False,
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
    from noiseaug.report import compare, is_prediction, oracle, render, summarise

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
    if with_oracle:
        single = {each: run for each, run in runs.items() if "routing" not in run[0]}
        runs["oracle"] = {}, oracle(single)
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
