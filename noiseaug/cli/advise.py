"""``noiseaug advise``; it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseaug.bridge.registry import PREDICTORS
from noiseaug.cli.files import check_files
from noiseaug.cli.options import DATA, LEVEL, MODEL, OUTPUT, VOTES, Data, Images, Root, Seed, choice, data_options
from noiseaug.cli.printing import csv_of
from noiseaug.tables import LEVELS
from noiseaug.tables.levels import levels

__all__ = ["register"]

Points = Annotated[
    int | None,
    typer.Option(
        "--points",
        help="Training inputs of the rules, chosen at random.",
        show_default="what each rule can use",
        rich_help_panel=DATA,
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(advise)


@data_options
def advise(
    smooth_sigma: Annotated[
        float | None,
        typer.Option(
            "--smooth-sigma",
            help="Smoothing noise β, in input units.",
            show_default="recommended too",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    data: Data = "digits",
    images: Images = 500,
    points: Points = None,
    root: Root = None,
    radius: Annotated[
        float,
        typer.Option(
            "--radius", help="ℓ₂ radius at which to maximise certified accuracy; 0 for accuracy.", rich_help_panel=LEVEL
        ),
    ] = 0.0,
    train_sigma: Annotated[
        str | None,
        typer.Option(
            "--train-sigma",
            help=f"Training noise levels α to choose from: {LEVELS}.",
            show_default="0, 0.2β, …, 2β; where β is open, multiples of the radius",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    predictor: Annotated[str, choice("--predictor", "Rule that predicts", PREDICTORS, MODEL)] = "quadratic",
    votes: Annotated[
        int | None,
        typer.Option(
            "--votes", help="Votes for each input.", show_default="what the radius needs", rich_help_panel=VOTES
        ),
    ] = None,
    seed: Seed = 0,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", help="Track record to quote.", show_default="the package's own", rich_help_panel=OUTPUT
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="CSV file for the predicted curves.", rich_help_panel=OUTPUT)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Picture of the predicted curves.", rich_help_panel=OUTPUT)
    ] = None,
) -> None:
    """Recommend a training noise level, or both levels for a radius, before anything is trained."""
    from noiseaug.bridge.advice import advise as make_advice
    from noiseaug.bridge.advice import render_advice
    from noiseaug.bridge.record import band, track_record
    from noiseaug.data import load_data
    from noiseaug.records import refuse_table
    from noiseaug.runs import save_figure, write_atomically

    check_files({"--out": out, "--plot": plot}, {"--data": data, "--record": record})
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
        predictor=predictor,
        seed=seed,
        progress=True,
    )
    print(render_advice(advice, known), end="")
    if out is not None:
        write_atomically(out, csv_of(advice.curves.assign(data=data, radius=radius, predictor=advice.predictor)))
        print(f"written: {out}")
    if plot is not None:
        from noiseaug.bridge.pictures import draw_advice

        save_figure(draw_advice(advice, band(known, advice.data, advice.predictor, advice.value)), plot)
        print(f"written: {plot}")
