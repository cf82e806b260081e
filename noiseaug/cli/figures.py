"""``noiseaug figures`` and ``python -m paper_figs``; it parses, calls and prints."""

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
        list[str] | None, typer.Argument(metavar="[list | NAME ...]", help="Figures to make; list prints their names.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Make every figure.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Make small versions, all of them in a few minutes.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Directory for PDF, PNG and CSV of each figure.")] = _OUT,
) -> None:
    """Rebuild the papers' figures and our own, with published numbers in the same axes.

    Each comes with the table behind it. Measured values are read from tables that come with the package; the list names
    them.
    """
    from paper_figs import FIGURES, find
    from paper_figs.writing import listing, write_all

    asked = list(names or [])
    if asked == ["list"]:
        if everything:
            raise InvalidInputError("list already names every figure; leave out --all")
        print(listing(), end="")
        return
    if everything and asked:
        raise InvalidInputError(f"--all makes every figure; leave out {', '.join(asked)}")
    if not everything and not asked:
        raise InvalidInputError("no figure named; give names or --all (list prints the names)")
    chosen = [find(name) for name in (FIGURES if everything else dict.fromkeys(asked))]
    failed = write_all(chosen, out, fast)
    if failed:
        typer.echo(f"error: {len(failed)} of {len(chosen)} figures failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)
