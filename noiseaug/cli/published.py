"""``noiseaug published``, and what ``noiseaug report`` says of published runs and logs; they parse, call and print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseaug.cli.files import check_files
from noiseaug.cli.options import DATA, OUTPUT, TRAINING
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal
from noiseaug.runs import make_folder
from noiseaug.tables import levels as level_lists

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["field_picture", "print_predictions", "print_standing", "register"]

_VOTES = 100_000  # of released runs
_WHERE = ("data", "train_sigma", "smooth_sigma")
_ULP = 1e-12  # released numbers are decimals; the float of one may lie below it, and is rounded down
_STANDING = ("quantity", "radius", "value", "lower", "upper", "images", "rank", "rank_lower", "rank_upper", "best")


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(published)


def published(
    data: Annotated[
        str | None, typer.Option("--data", help="cifar10, cifar100, mnist, fmnist or imagenet.", rich_help_panel=DATA)
    ] = None,
    smooth_sigma: Annotated[
        float | None, typer.Option("--smooth-sigma", help="Smoothing noise β.", rich_help_panel=DATA)
    ] = None,
    train_sigma: Annotated[
        float | None, typer.Option("--train-sigma", help="Training noise α.", rich_help_panel=TRAINING)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="Training method, as gaussian or smoothadv.", rich_help_panel=TRAINING),
    ] = None,
    pre_training: Annotated[
        bool | None,
        typer.Option(
            "--pre-training/--no-pre-training", help="With or without pre-training.", rich_help_panel=TRAINING
        ),
    ] = None,
    self_training: Annotated[
        bool | None,
        typer.Option(
            "--self-training/--no-self-training", help="With or without self-training.", rich_help_panel=TRAINING
        ),
    ] = None,
    architecture: Annotated[
        str | None, typer.Option("--architecture", help="Network, as resnet110.", rich_help_panel=TRAINING)
    ] = None,
    paper: Annotated[
        str | None, typer.Option("--paper", help="A part of the paper's name, as Salman.", rich_help_panel=DATA)
    ] = None,
    images: Annotated[
        int | None,
        typer.Option("--images", help="Number of images.", show_default="the most there are", rich_help_panel=DATA),
    ] = None,
    best: Annotated[
        str, typer.Option("--best", help="What to sort by: acr, or ca@r, certified accuracy at r.")
    ] = "acr",
    top: Annotated[int, typer.Option("--top", help="Number of runs to show.")] = 10,
    radii: Annotated[str, typer.Option("--radii", help=f"Radii of the table: {level_lists.LEVELS}.")] = "0,0.5,1",
    style: Annotated[
        str,
        typer.Option("--format", help="Format of the table: text, csv, markdown or latex.", rich_help_panel=OUTPUT),
    ] = "text",
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Picture of ACR against clean accuracy of all these runs.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """List certification runs that papers have released, the best first.

    1 819 runs of Cohen et al. 2019, Salman et al. 2019, Jeong & Shin 2020, Jeong et al. 2021 and 2023, and Sun et al.
    2025. Compare runs on the same number of images only.
    """
    from noiseaug import literature, validation
    from noiseaug.report import render

    check_files({"--plot": plot}, {})
    measure = literature.parse_measure(best)
    columns = _measures(radii)
    found = literature.published(
        data=data,
        smooth_sigma=smooth_sigma,
        train_sigma=train_sigma,
        method=method,
        paper=paper,
        architecture=architecture,
        images=images,
        split="test",
        pre_training=pre_training,
        self_training=self_training,
    )
    if found.empty:
        raise InvalidInputError("no released run meets all of these conditions; leave some out")
    sizes = found["images"].value_counts().sort_index()
    found = found[found["images"] == sizes.index.max()]
    name = literature.column(measure)
    table = literature.with_interval(found.sort_values(name, ascending=False, kind="stable"), measure)
    varied = [each for each in _WHERE if found[each].nunique() > 1]
    shown = _shown(table.head(validation.integer("top", top)), name, columns, varied, style)
    print(render(shown, style), end="")
    if style == "text":
        print(f"\n{len(shown)} of {len(found)} released runs; --format csv names the log of each.")
        others = [f"{size} ({count})" for size, count in sizes.items() if size != sizes.index.max()]
        if others:
            print(f"Runs on other numbers of images, with --images: {', '.join(others)}.")
    if plot is not None:
        _draw(found, plot)
        print(f"written: {plot}", file=sys.stderr)


def _measures(radii: str) -> list[str]:
    """Columns of certified accuracy at the radii."""
    from noiseaug.literature import column
    from noiseaug.tables import Measure

    return [column(Measure("certified_accuracy", radius)) for radius in level_lists.levels("--radii", radii)]


def _shown(table: pd.DataFrame, first: str, columns: Sequence[str], varied: Sequence[str], style: str) -> pd.DataFrame:
    """What is printed of released runs: a column for each number, how they were trained, and where they are.

    What the runs have in common is left out for a terminal.
    """
    from noiseaug.literature import recipe

    ends = [name for name in (f"{first}_lower", f"{first}_upper") if name in table]
    numbers = [first, *ends, *(name for name in ["acr", *columns] if name != first)]
    shown = table[[*(["gap"] if "gap" in table else []), *dict.fromkeys(numbers), "images"]].copy()
    shown["acr"] += _ULP
    for name in varied if style == "text" else _WHERE:
        shown[name] = table[name]
    shown["training"] = [recipe(row) for row in table.to_dict("records")]
    shown["paper"] = table["paper"]
    if style == "text":
        shown = _narrow(shown, "training", "paper")
    else:
        shown["log"] = table["repository"] + "/" + table["log"]
    return shown


def print_standing(
    runs: Mapping[str, tuple[Mapping[str, Any], pd.DataFrame]],
    field: str,
    radii: Sequence[float],
    style: str,
    plots: Path | None = None,
) -> None:
    """Lays runs into the field of released ones: rank, the best of the field, nearest neighbours.

    Args:
        runs: description and frame of certified runs by name.
        field: the data set and the smoothing noise, as ``cifar10, .5``; the noise may be left out where a run tells it.
        radii: where certified accuracy is compared; those that the table of released runs does not have are left out.
        style: format of the tables.
        plots: folder of a picture of each run in its field.
    """
    from noiseaug import literature
    from noiseaug.report import render
    from noiseaug.tables import measures

    within = [radius for radius in (0.0, *radii) if radius in literature.RADII]
    asked = measures(["acr", "certified_accuracy"], dict.fromkeys(within))
    for name, (description, frame) in runs.items():
        data, smooth_sigma = _field(field, description, name)
        released = literature.published(data=data, smooth_sigma=smooth_sigma, split="test")
        print(f"\n{for_terminal(name)} among released runs on {data}, σ = {smooth_sigma:g}:")
        ranks = literature.standing(frame, released, asked)
        _print_ranks(ranks, style)
        print("\nnearest released runs by certified accuracy:\n")
        near = literature.neighbours(frame, released)
        columns = [literature.column(each) for each in asked[1:]]
        print(render(_shown(near, "acr", columns, (), style), style), end="")
        if plots is not None:
            path = field_picture(plots, name)
            make_folder(plots)
            images = near["images"].iloc[0]
            own = _point(ranks[ranks["field_images"] == images])
            _draw(released[released["images"] == images], path, {name: own})
            print(f"written: {path}")
        votes = description.get("n")
        if votes is not None and votes < _VOTES:
            told = f"{for_terminal(name)} has n = {votes}, released runs {_VOTES}"
            print(f"warning: {told}: its radii are smaller for that alone", file=sys.stderr)


def print_predictions(
    certified: dict[str, Any], predictions: dict[str, Any], attack_radii: str | None, style: str
) -> dict[str, Any]:
    """Logs of predictions side by side, and beside the certified log, where there is one.

    Returns:
        What to lay over the curve of that log, by name.
    """
    from noiseaug.report import confront, render, summarise_predictions

    if attack_radii is not None:
        radii = level_lists.levels("--attack-radii", attack_radii)
        if len(radii) != len(predictions):
            raise InvalidInputError(f"--attack-radii has {len(radii)} numbers; {len(predictions)} logs of predictions")
        predictions = {
            name: ({**description, "attack_radius": radius}, frame)
            for radius, (name, (description, frame)) in zip(radii, predictions.items(), strict=True)
        }
    if certified:
        print()
    print(render(summarise_predictions(predictions), style), end="")
    if len(certified) != 1:
        return {}
    known = {name: run for name, run in predictions.items() if run[0].get("attack_radius") is not None}
    for name in [name for name in predictions if name not in known]:
        print(
            f"warning: the radius of the attack in {for_terminal(name)} is not known; give --attack-radii",
            file=sys.stderr,
        )
    if not known:
        return {}
    ((_, run),) = certified.values()
    table = confront(run, known)
    print()
    print(render(table, style), end="")
    return {"under attack": table.rename(columns={"attack_radius": "radius", "accuracy_under_attack": "value"})}


def _print_ranks(table: pd.DataFrame, style: str) -> None:
    """Ranks and the best of the field, for people by the number of images that the field used."""
    from noiseaug.report import render

    table = table.assign(best=table["best"] + _ULP)
    if style == "csv":
        print("\n" + render(table[[*_STANDING, "best_run", "field_images", "runs", "same_images"]], style), end="")
        return
    for images, group in table.groupby("field_images", sort=False):
        first = group.iloc[0]
        yours = "the same" if first["same_images"] else f"your {first['images']} images are other ones"
        print(f"\n{first['runs']} runs on {images} images ({yours}):\n")
        # the images are needed for rounding
        shown = group[[*_STANDING, "best_run", "field_images"]]
        print(render(_narrow(shown, "best_run") if style == "text" else shown, style), end="")


def _narrow(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Texts cut to the width of a terminal."""
    short = {name: table[name].str.replace(r"-training| et al\.| \(.*", "", regex=True) for name in columns}
    return table.assign(**short)


def _field(text: str, description: Mapping[str, Any], name: str) -> tuple[str, float]:
    """The data set and the level of ``--published``."""
    data, comma, level = (part.strip() for part in text.partition(","))
    own = description.get("smooth_sigma")
    try:
        smooth_sigma = float(level if comma else own)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InvalidInputError(f"--published is {text!r}; expected a data set and σ, as in 'cifar10, .5'") from None
    if own is not None and abs(own - smooth_sigma) > 1e-9:
        raise InvalidInputError(f"{name} is smoothed with {own:g}; --published asks for {smooth_sigma:g}")
    return data, smooth_sigma


def field_picture(folder: Path, name: str) -> Path:
    """The picture of a run in its field."""
    return folder / f"field_{name.strip('/').replace('/', '_')}.png"


def _point(ranks: pd.DataFrame) -> dict[str, float]:
    """A run's ACR and clean accuracy with their intervals, which are the first two rows of its ranks."""
    return {
        f"{name}{end}": row[key]
        for name, row in zip(("acr", "ca_0"), ranks.to_dict("records"), strict=False)
        for end, key in (("", "value"), ("_lower", "lower"), ("_upper", "upper"))
    }


def _draw(table: pd.DataFrame, path: Path, own: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    from noiseaug.literature import frontier
    from noiseaug.plotting import finish, new_figure, plot_field
    from noiseaug.runs import save_figure

    figure, axes = new_figure(width=5.4, height=4.2)
    plot_field(axes[0][0], table, frontier(table), own)
    images = int(table["images"].iloc[0])
    notes = [f"{images:,} images each; line: runs that no other one beats in both"]
    title = f"{len(table)} released runs"
    if table["data"].nunique() == 1:
        title += f", {table['data'].iloc[0]}"
    if table["smooth_sigma"].nunique() == 1:
        title += f", σ = {table['smooth_sigma'].iloc[0]:g}"
    save_figure(finish(figure, title, notes), path)
