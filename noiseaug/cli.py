"""The ``noiseaug`` command: one group for each part of the package."""

from __future__ import annotations

from typing import Annotated

import typer

import noiseaug
from noiseaug._command import run_app
from noiseaug.synthetic.cli import app as synthetic_app

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(synthetic_app, name="synthetic")


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    """Should the base classifier of a smoothed classifier be trained with noise, and how much?"""
    if version:
        print(f"noiseaug {noiseaug.__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the console script."""
    run_app(app)
