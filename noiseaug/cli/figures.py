"""``noiseaug figures`` and ``python -m paper_figs``; it parses, calls and prints.

The figures themselves live in ``paper_figs``, which is part of a checkout and not of the installed package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseaug.errors import InvalidInputError

__all__ = ["figures", "register"]

_OUT = Path("noiseaug-results/figures")


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(figures)


def figures(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[list | NAME ...]", help="Figures to make; list names them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every figure.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Small versions: all together in a few minutes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Directory for PDF, PNG and CSV of each figure.")] = _OUT,
) -> None:
    """Rebuild figures of the papers and our own, each with the table behind it, published numbers in the same axes.

    Measured values come from committed tables (docs/results, paper_figs/data); list says how each is had.
    """
    try:
        from paper_figs import FIGURES, find
        from paper_figs.writing import listing, write_all
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "paper_figs":
            raise
        raise InvalidInputError(
            "the figures come with a checkout of noiseaug, not with the installed package; run python -m paper_figs "
            "in its root directory"
        ) from None
    asked = list(names or [])
    if asked == ["list"]:
        if everything:
            raise InvalidInputError("list takes no --all; it names every figure")
        print(listing(), end="")
        return
    if everything and asked:
        raise InvalidInputError(f"--all makes every figure; leave out {', '.join(asked)}")
    if not everything and not asked:
        raise InvalidInputError("no figure is named; give names, --all, or list to see them")
    chosen = [find(name) for name in (FIGURES if everything else dict.fromkeys(asked))]
    failed = write_all(chosen, out, fast)
    if failed:
        typer.echo(f"error: {len(failed)} of {len(chosen)} figures failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
