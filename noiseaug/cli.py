"""The ``noiseaug`` command: one group for each part of the package."""

from __future__ import annotations

from typing import Annotated

import typer

import noiseaug
from noiseaug import bridge_cli, certification_cli, figures_cli
from noiseaug._command import run_app
from noiseaug.synthetic.cli import app as synthetic_app
from noiseaug.vision import cli as vision_cli
from noiseaug.vision import grid_cli

__all__ = ["app", "main"]

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(synthetic_app, name="synthetic")
vision_cli.register(app)
grid_cli.register(app)
certification_cli.register(app)
bridge_cli.register(app)
figures_cli.register(app)


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    """Should the base classifier of a smoothed classifier be trained with noise, and how much?"""
    if version:
        print(f"noiseaug {noiseaug.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Entry point of the console script."""
    run_app(app)
