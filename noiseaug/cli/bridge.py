"""``noiseaug bridge``, ``advise`` and ``interference``; they parse, call and print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseaug.bridge.registry import PREDICTORS
from noiseaug.cli.files import check_files
from noiseaug.cli.options import DATA, LEVEL, MODEL, OUTPUT, VOTES, Data, Images, Root, Seed, choice, data_options
from noiseaug.cli.printing import csv_of, print_table, warnings_in_lines
from noiseaug.errors import InvalidInputError
from noiseaug.escaping import for_terminal
from noiseaug.tables import LEVELS
from noiseaug.tables.levels import levels

if TYPE_CHECKING:
    import pandas as pd

    from noiseaug.bridge.study import BridgeTables

__all__ = ["register"]

_SHOWN = [
    "predictor",
    "against",
    "smooth_sigma",
    "quantity",
    "radius",
    "mean_abs_gap",
    "max_abs_gap",
    "worst_train_sigma",
]
_SHOWN += ["predicted_train_sigma", "measured_train_sigma", "regret"]
_WRITTEN = [
    *(f"{name}.csv" for name in ("predicted", "compared", "gap", "best", "runs")),
    *(f"{name}.png" for name in (*PREDICTORS, "overlay", "pair", "runs")),
]
_OF_INTERFERENCE = ("noise.csv", "pairs.csv", "interference.png")

MEASURED = "Measurements"
Votes = Annotated[
    int | None,
    typer.Option("--votes", help="Votes for each input.", show_default="as the grid, else 100", rich_help_panel=VOTES),
]


def _refuse_file(out: Path) -> None:
    """Refuses a directory that is a file, before the work."""
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"{out} is a file; expected a folder")


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (bridge, interference):
        app.command()(command)


@data_options
def bridge(
    out: Annotated[Path, typer.Option("--out", help="Directory for tables and pictures.", rich_help_panel=OUTPUT)],
    data: Data = "digits:3,8",
    images: Images = 200,
    points: Annotated[
        int,
        typer.Option("--points", help="Training inputs of the kernel rule, chosen at random.", rich_help_panel=DATA),
    ] = 10_000,
    root: Root = None,
    train_sigma: Annotated[
        str | None,
        typer.Option(
            "--train-sigma",
            help=f"Training noise levels α: {LEVELS}.",
            show_default="those of --grid, else 0:1:11",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    smooth_sigma: Annotated[
        str | None,
        typer.Option(
            "--smooth-sigma",
            help=f"Smoothing noise levels β: {LEVELS}.",
            show_default="those of --grid, else 0.25,0.5",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    radii: Annotated[
        str | None,
        typer.Option(
            "--radii",
            help=f"ℓ₂ radii: {LEVELS}.",
            show_default="those of --grid, else 0,0.25,0.5",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            "--grid",
            help="Measured grid to compare with: the directory of noiseaug grid, or its table.csv.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            "--split", help="Images of the grid to compare with: test or validation.", rich_help_panel=MEASURED
        ),
    ] = "test",
    log: Annotated[
        list[Path] | None,
        typer.Option(
            "--log",
            help="Log of noiseaug certify, predicted from votes that it did not use; repeatable.",
            rich_help_panel=MEASURED,
        ),
    ] = None,
    predictor: Annotated[
        list[str] | None,
        choice("--predictor", "Rule that predicts; repeatable, all that fit the inputs by default", PREDICTORS, MODEL),
    ] = None,
    components: Annotated[
        int | None,
        typer.Option(
            "--components",
            help="Principal components of the quadratic rule.",
            show_default="all of up to 1000, else 200",
            rich_help_panel=MODEL,
        ),
    ] = None,
    linear: Annotated[
        bool,
        typer.Option(
            "--linear/--no-linear",
            help="Train logistic regression, to compare with its prediction.",
            rich_help_panel=MODEL,
        ),
    ] = True,
    copies: Annotated[
        int,
        typer.Option("--copies", help="Noisy copies of each input that it is trained on.", rich_help_panel=MODEL),
    ] = 10,
    votes: Votes = None,
    seed: Seed = 0,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            help="Track record to which to add what following the advice would have cost; needs --grid and --model.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Name of the grid's model in the track record.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Predict from the data alone what trained models certify, and compare with measurements."""
    from dataclasses import replace

    from noiseaug.bridge.measured import read_grid
    from noiseaug.bridge.record import add_to_record, record_rows
    from noiseaug.bridge.study import Levels, levels_of_grid, log_overlays, run_bridge
    from noiseaug.data import load_data

    _refuse_file(out)
    check_files(
        {"--out": [out / name for name in _WRITTEN], "--record": record}, {"--data": data, "--grid": grid, "--log": log}
    )
    if record is not None and (grid is None or model is None):
        raise InvalidInputError("--record needs a measurement; give --grid and --model too")
    measured = None if grid is None else read_grid(grid)
    standard = Levels(tuple(i / 10 for i in range(11)), (0.25, 0.5), (0.0, 0.25, 0.5))
    where = standard if measured is None else levels_of_grid(measured, split)
    given = {"train_sigma": train_sigma, "smooth_sigma": smooth_sigma, "radii": radii}
    changed: dict[str, Any] = {
        name: levels(f"--{name.replace('_', '-')}", text) for name, text in given.items() if text is not None
    }
    if votes is not None:
        changed["budget"] = replace(where.budget, votes=votes)
    where = replace(where, **changed)
    with warnings_in_lines():
        curves = log_overlays(log) if log else {}
    tables = run_bridge(
        load_data(data, root),
        where,
        measured=measured,
        split=split,
        images=images,
        points=points,
        predictors=predictor or None,
        components=components,
        linear=linear,
        copies=copies,
        seed=seed,
        progress=True,
    )
    _tell(tables, curves)
    if record is not None and tables.gaps is not None:
        rows = record_rows(
            tables.gaps[tables.gaps["against"] == "measured"], data=data, model=str(model), source=str(grid)
        )
        print(f"{len(add_to_record(rows, record))} rows: {record}")
    for path in _write(tables, curves, data, out):
        print(f"written: {path}")


def _tell(tables: BridgeTables, curves: dict[str, pd.DataFrame]) -> None:
    for remark in (*tables.rules.values(), *tables.remarks):
        print(remark)
    if tables.gaps is not None:
        print()
        print_table(tables.gaps.loc[tables.gaps["quantity"] != "acr", _SHOWN])
        _tell_choices(tables.gaps[tables.gaps["against"] == "measured"])
    if tables.best is not None:
        print()
        print_table(tables.best)
    for name, curve in curves.items():
        first = curve.iloc[0]
        print(
            f"\n{for_terminal(name)}: a run of {first['votes']} votes predicted from {first['predicted_from']} others: "
            f"inside the interval at {int(curve['inside'].sum())} of {len(curve)} radii, largest gap "
            f"{curve['gap'].abs().max():.4f}"
        )


def _tell_choices(gaps: pd.DataFrame) -> None:
    """What the level that a rule recommends costs, and what the convention α = β costs."""
    from noiseaug.bridge.compare import choices

    for rule, part in choices(gaps[gaps["predictor"].isin(PREDICTORS)]).groupby("predictor", sort=False):
        told = [
            f"{part[name].mean():.4f} on average, {part[name].max():.4f} at most"
            for name in ("regret", "regret_of_equal_noise")
        ]
        print(f"\n{rule} rule: its α loses {told[0]}, over {len(part)} pairs (β, r) in reach; α = β loses {told[1]}")


def _write(tables: BridgeTables, curves: dict[str, pd.DataFrame], data: str, out: Path) -> list[Path]:
    import pandas as pd

    from noiseaug.bridge.pictures import draw_overlay, draw_pair, draw_predicted, draw_runs
    from noiseaug.runs import make_folder, save_figure, write_atomically

    make_folder(out)
    named = {"predicted": tables.predicted, "compared": tables.compared, "gap": tables.gaps, "best": tables.best}
    if curves:
        named["runs"] = pd.concat([curve.assign(log=name) for name, curve in curves.items()], ignore_index=True)
    figures = {}
    for rule, remark in tables.rules.items():
        lines = tables.predicted[tables.predicted["predictor"] == rule]
        figures[rule] = draw_predicted(lines, f"{data}: the {rule} rule of the training inputs", [remark])
    if tables.compared is not None:
        over = tables.compared[
            (tables.compared["against"] == "measured") & tables.compared["predictor"].isin(PREDICTORS)
        ]
        if not over.empty:
            figures["overlay"] = draw_overlay(over, f"{data}: predicted over measured", list(tables.rules.values()))
    if tables.best is not None:
        half_spaces = tables.predicted[~tables.predicted["predictor"].isin(PREDICTORS)]
        figures["pair"] = draw_pair(half_spaces, tables.best, f"{data}: linear rules, any β", tables.remarks)
    if curves:
        figures["runs"] = draw_runs(curves, "Runs and what other votes predict of them")
    written = []
    for name, table in named.items():
        if table is not None:
            write_atomically(out / f"{name}.csv", csv_of(table))
            written.append(out / f"{name}.csv")
    for name, figure in figures.items():
        save_figure(figure, out / f"{name}.png")
        written.append(out / f"{name}.png")
    return written


@data_options
def interference(
    out: Annotated[Path, typer.Option("--out", help="Directory for tables and the picture.", rich_help_panel=OUTPUT)],
    data: Data = "digits",
    images: Annotated[
        int,
        typer.Option("--images", help="Number of inputs whose nearest neighbours are sought.", rich_help_panel=DATA),
    ] = 1000,
    points: Annotated[
        int,
        typer.Option("--points", help="Training inputs to search, chosen at random.", rich_help_panel=DATA),
    ] = 10_000,
    root: Root = None,
    sigmas: Annotated[
        str, typer.Option("--sigma", help=f"Noise levels, α or β: {LEVELS}.", rich_help_panel=LEVEL)
    ] = "0.25,0.5,1",
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Also print the table of all pairs of classes.", rich_help_panel=OUTPUT)
    ] = False,
    seed: Seed = 0,
) -> None:
    """Measure how far apart the classes are, compared with the reach of noise."""
    from noiseaug.bridge.interference import draw_interference, noise_table, pair_distances, study
    from noiseaug.data import load_data
    from noiseaug.runs import make_folder, save_figure, write_atomically

    _refuse_file(out)
    check_files({"--out": [out / name for name in _OF_INTERFERENCE]}, {"--data": data})
    found = study(load_data(data, root), points=points, inputs=images, sigmas=levels("--sigma", sigmas), seed=seed)
    reach, distances = noise_table(found), pair_distances(found)
    size = f"{len(found.labels)} inputs among {found.points} training inputs, d = {found.dim}"
    print(size)
    print()
    print_table(reach)
    if pairs:
        print()
        print_table(distances)
    make_folder(out)
    write_atomically(out / "noise.csv", reach.to_csv(index=False))
    write_atomically(out / "pairs.csv", distances.to_csv(index=False))
    note = "D: distance to the nearest point. Two points D apart are confused by noise σ with probability Φ(−D/2σ)."
    save_figure(
        draw_interference(found, distances, f"{data}: distances between classes", [size, note]),
        out / "interference.png",
    )
    for name in _OF_INTERFERENCE:
        print(f"written: {out / name}")
