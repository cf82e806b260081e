"""``noiseaug bridge``, ``advise`` and ``interference``; they parse, call and print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseaug.cli.options import Data, Root
from noiseaug.errors import InvalidInputError
from noiseaug.tables import LEVELS
from noiseaug.tables.levels import levels

if TYPE_CHECKING:
    import pandas as pd

    from noiseaug.bridge.study import BridgeTables

__all__ = ["register"]

_SHOWN = ["rule", "against", "smooth_sigma", "quantity", "radius", "mean_abs_gap", "max_abs_gap", "worst_train_sigma"]
_SHOWN += ["predicted_train_sigma", "measured_train_sigma", "regret"]

Seed = Annotated[int, typer.Option("--seed", help="Seed of random parts and of noise.")]
Points = Annotated[int, typer.Option("--points", help="Training inputs of the kernel rule, a random part.")]
Images = Annotated[int, typer.Option("--images", help="Test inputs, about so many: every k-th one.")]


def _refuse_file(out: Path) -> None:
    """Refuses a directory that is a file, before the work."""
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"{out} is a file; expected a folder")


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for command in (bridge, advise, interference):
        app.command()(command)


def bridge(
    out: Annotated[Path, typer.Option("--out", help="Directory for tables and pictures.")],
    data: Data = "digits:3,8",
    train_sigma: Annotated[str | None, typer.Option("--train-sigma", help=f"Training noise α: {LEVELS}.")] = None,
    smooth_sigma: Annotated[str | None, typer.Option("--smooth-sigma", help=f"Smoothing noise β: {LEVELS}.")] = None,
    radii: Annotated[str | None, typer.Option("--radii", help=f"ℓ₂ radii: {LEVELS}.")] = None,
    grid: Annotated[
        Path | None,
        typer.Option("--grid", help="What noiseaug grid measured: its directory or table.csv; gives levels."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Of the grid: test or validation.")] = "test",
    log: Annotated[
        list[Path] | None,
        typer.Option("--log", help="Logs of noiseaug certify, to be predicted from votes that they did not use."),
    ] = None,
    votes: Annotated[int | None, typer.Option("--votes", help="Votes for each input; the grid's, else 100.")] = None,
    images: Images = 200,
    points: Points = 10_000,
    components: Annotated[
        int | None,
        typer.Option(
            "--components",
            help="Principal components that Gaussians keep; all, but 200 of wide inputs by the quadratic rule.",
        ),
    ] = None,
    linear: Annotated[bool, typer.Option(help="Train logistic regression beside the surrogate.")] = True,
    copies: Annotated[int, typer.Option("--copies", help="Noisy copies of its training inputs.")] = 10,
    record: Annotated[
        Path | None, typer.Option("--record", help="Add what advice would have cost to this record.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="What the grid trained, for the record.")] = None,
    seed: Seed = 0,
    root: Root = None,
) -> None:
    """What the data alone predict, laid over what trained models certify."""
    from dataclasses import replace

    from noiseaug.bridge.advice import add_to_record, record_rows
    from noiseaug.bridge.study import Levels, levels_of_grid, log_overlays, read_grid, run_bridge
    from noiseaug.data import load_data

    _refuse_file(out)
    if record is not None and (grid is None or model is None):
        raise InvalidInputError("a record is of a measurement; give --grid and --model with --record")
    measured = None if grid is None else read_grid(grid)
    standard = Levels(tuple(i / 10 for i in range(11)), (0.25, 0.5), (0.0, 0.25, 0.5))
    where = standard if measured is None else levels_of_grid(measured, split)
    given = {"train_sigma": train_sigma, "smooth_sigma": smooth_sigma, "radii": radii}
    changed: dict[str, Any] = {
        name: levels(f"--{name.replace('_', '-')}", text) for name, text in given.items() if text is not None
    }
    where = replace(where, **changed if votes is None else {**changed, "votes": votes})
    curves = log_overlays(log) if log else {}
    tables = run_bridge(
        load_data(data, root),
        where,
        measured=measured,
        split=split,
        images=images,
        points=points,
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
    for remark in tables.remarks:
        print(remark)
    if tables.gaps is not None:
        _show(tables.gaps.loc[tables.gaps["quantity"] != "acr", _SHOWN])
        _tell_choices(tables.gaps[tables.gaps["against"] == "measured"])
    if tables.best is not None:
        _show(tables.best)
    for name, curve in curves.items():
        first = curve.iloc[0]
        print(
            f"\n{name}: a run of {first['votes']} votes predicted from {first['predicted_from']} others: "
            f"inside the interval at {int(curve['inside'].sum())} of {len(curve)} radii, largest gap "
            f"{curve['gap'].abs().max():.4f}"
        )


def _tell_choices(gaps: pd.DataFrame) -> None:
    """What the level that a rule recommends costs, and what the custom does."""
    from noiseaug.bridge.compare import choices
    from noiseaug.bridge.prediction import RULES

    for rule, part in choices(gaps[gaps["rule"].isin(RULES)]).groupby("rule", sort=False):
        told = [
            f"{part[name].mean():.4f} on average, {part[name].max():.4f} at most"
            for name in ("regret", "regret_of_equal_noise")
        ]
        print(f"\n{rule} rule: its α loses {told[0]}, over {len(part)} pairs (β, r) in reach; α = β loses {told[1]}")


def _show(table: pd.DataFrame) -> None:
    """A table of some ten columns, for reading."""
    print()
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep=""))


def _write(tables: BridgeTables, curves: dict[str, pd.DataFrame], data: str, out: Path) -> list[Path]:
    import pandas as pd

    from noiseaug.bridge.pictures import draw_overlay, draw_pair, draw_predicted, draw_runs
    from noiseaug.bridge.prediction import RULES
    from noiseaug.runs import save_figure, write_atomically

    out.mkdir(parents=True, exist_ok=True)
    named = {"predicted": tables.predicted, "compared": tables.compared, "gap": tables.gaps, "best": tables.best}
    if curves:
        named["runs"] = pd.concat([curve.assign(log=name) for name, curve in curves.items()], ignore_index=True)
    count = len(RULES)
    figures = {}
    for rule, remark in zip(RULES, tables.remarks[:count], strict=True):
        lines = tables.predicted[tables.predicted["rule"] == rule]
        figures[rule] = draw_predicted(lines, f"{data}: the {rule} rule of the training inputs", [remark])
    if tables.compared is not None:
        over = tables.compared[(tables.compared["against"] == "measured") & tables.compared["rule"].isin(RULES)]
        if not over.empty:
            figures["overlay"] = draw_overlay(over, f"{data}: predicted over measured", tables.remarks[:count])
    if tables.best is not None:
        half_spaces = tables.predicted[~tables.predicted["rule"].isin(RULES)]
        figures["pair"] = draw_pair(half_spaces, tables.best, f"{data}: linear rules, any β", tables.remarks[count:])
    if curves:
        figures["runs"] = draw_runs(curves, "Runs and what other votes predict of them")
    written = []
    for name, table in named.items():
        if table is not None:
            write_atomically(out / f"{name}.csv", table.to_csv(index=False))
            written.append(out / f"{name}.csv")
    for name, figure in figures.items():
        save_figure(figure, out / f"{name}.png")
        written.append(out / f"{name}.png")
    return written


def advise(
    smooth_sigma: Annotated[float, typer.Option("--smooth-sigma", help="Smoothing noise β, in input units.")],
    radius: Annotated[float, typer.Option("--radius", help="ℓ₂ radius that counts; 0 for accuracy.")] = 0.0,
    data: Data = "digits",
    train_sigma: Annotated[
        str | None, typer.Option("--train-sigma", help=f"Levels to choose from: {LEVELS}; 0, 0.2β … 2β by default.")
    ] = None,
    images: Images = 500,
    points: Points = 10_000,
    votes: Annotated[int | None, typer.Option("--votes", help="Votes for each input; what the radius needs.")] = None,
    rule: Annotated[
        str, typer.Option("--rule", help="What predicts: quadratic (Gaussian classes) or kernel.")
    ] = "quadratic",
    record: Annotated[
        Path | None, typer.Option("--record", help="Track record to quote; the package's by default.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file for the predicted curve.")] = None,
    seed: Seed = 0,
    root: Root = None,
) -> None:
    """How much training noise to use, before anything is trained."""
    from noiseaug.bridge.advice import advise as make_advice
    from noiseaug.bridge.advice import render_advice, track_record
    from noiseaug.data import load_data
    from noiseaug.records import refuse_table
    from noiseaug.runs import write_atomically

    refuse_table(out)
    known = track_record(record)
    advice = make_advice(
        load_data(data, root),
        smooth_sigma=smooth_sigma,
        radius=radius,
        train_sigma=None if train_sigma is None else levels("--train-sigma", train_sigma),
        images=images,
        points=points,
        votes=votes,
        rule=rule,
        seed=seed,
        progress=True,
    )
    print(render_advice(advice, known), end="")
    if out is not None:
        facts: dict[str, Any] = {
            "data": data,
            "smooth_sigma": smooth_sigma,
            "radius": radius,
            "recommended": advice.train_sigma,
        }
        write_atomically(out, advice.curve.assign(**facts).to_csv(index=False))
        print(f"written: {out}")


def interference(
    out: Annotated[Path, typer.Option("--out", help="Directory for tables and the picture.")],
    data: Data = "digits",
    sigmas: Annotated[str, typer.Option("--sigma", help=f"Noise levels, α or β: {LEVELS}.")] = "0.25,0.5,1",
    pairs: Annotated[bool, typer.Option("--pairs", help="Print every pair of classes too.")] = False,
    points: Annotated[int, typer.Option("--points", help="Training inputs to search, a random part.")] = 10_000,
    images: Annotated[int, typer.Option("--images", help="Of those, how many to ask for.")] = 1000,
    seed: Seed = 0,
    root: Root = None,
) -> None:
    """How far the classes are apart, against the reach of noise."""
    from noiseaug.bridge.interference import draw_interference, noise_table, pair_distances, study
    from noiseaug.data import load_data
    from noiseaug.runs import save_figure, write_atomically

    _refuse_file(out)
    found = study(load_data(data, root), points=points, inputs=images, sigmas=levels("--sigma", sigmas), seed=seed)
    reach, distances = noise_table(found), pair_distances(found)
    size = f"{len(found.labels)} inputs among {found.points} training inputs, d = {found.dim}"
    print(size)
    _show(reach)
    if pairs:
        _show(distances)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "noise.csv", reach.to_csv(index=False))
    write_atomically(out / "pairs.csv", distances.to_csv(index=False))
    note = "D: distance to the nearest point. Two points D apart are confused by noise σ with probability Φ(−D/2σ)."
    save_figure(
        draw_interference(found, distances, f"{data}: distances between classes", [size, note]),
        out / "interference.png",
    )
    for name in ("noise.csv", "pairs.csv", "interference.png"):
        print(f"written: {out / name}")
