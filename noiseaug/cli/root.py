"""The ``noiseaug`` command: one group for each part of the package."""

from __future__ import annotations

from typing import Annotated

import typer

import noiseaug
from noiseaug.cli import advise, bridge, certify, figures, grid, published, recertify, report, routing, train
from noiseaug.cli.running import NamingOptions, run_app
from noiseaug.cli.synthetic import app as synthetic_app
from noiseaug.errors import InvalidInputError
from noiseaug.runs import torchrun

__all__ = ["app", "main"]

app = typer.Typer(
    cls=NamingOptions,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(synthetic_app, name="synthetic")
train.register(app)
grid.register(app)
certify.register(app)
recertify.register(app)
routing.register(app)
report.register(app)
published.register(app)
bridge.register(app)
advise.register(app)
figures.register(app)


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    """Should the base classifier of a smoothed classifier be trained with noise, and how much?"""
    if version:
        print(f"noiseaug {noiseaug.__version__}")
        raise typer.Exit
    _refuse_many(context.invoked_subcommand)
    if context.invoked_subcommand is None:
        print(context.get_help())


_TOGETHER = ("train", "certify")  # commands whose processes share the work


def _refuse_many(command: str | None) -> None:
    """Refuses what every process of torchrun would do for itself.

    Raises:
        InvalidInputError: in the first of them.
        typer.Exit: in the others.
    """
    place = torchrun.place()
    if place is None or command is None or command in _TOGETHER:
        return
    if place.rank:
        torchrun.wait_for_the_end()
        raise typer.Exit(2)
    raise InvalidInputError(
        f"noiseaug {command} would run {place.count} times over; start it without torchrun, which is for "
        f"{' and '.join(_TOGETHER)}"
    )


def main() -> None:
    """Entry point of the console script."""
    run_app(app)
