"""Figures of the papers and our own, each with the table behind it: ``noiseaug figures``.

A figure is a module of this package with

* ``TITLE``, one line, and ``SOURCE``, the paper and its figure, or ``"ours"``;
* ``compute(fast)``, which returns a tidy table; the column ``origin`` says whose number a row is;
* ``draw(table)``, which returns a figure and looks at nothing but that table;
* if it needs them, ``COMMITTED``, the files of this repository that it reads, and ``extras(table)``, further files by
  name.

A new figure is one module and one name below. Modules load when they are asked for.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noiseaug import plotting
from noiseaug.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "MISSING", "PaperFigure", "find"]

FIGURES = (
    # ours
    "phase",
    "boundary",
    "optimal_alpha",
    "bridge",
    "looseness",
    "votes_saved",
    "melting",
    "routing",
    # Pal & Sulam 2023
    "discs",
    "figure4_published",
    "figure4",
    "mnist_risk",
    "cifar10_risk",
    # Feng et al. 2020
    "tcertify",
    "adre",
    # Cohen et al. 2019
    "cohen_bounds",
    "cohen_sigma",
    "train_test_noise",
    # Salman et al. 2019
    "smoothadv",
    "smoothadv_parameters",
    "smoothadv_table",
    "published_grid",
    "published_images",
    "published_frontier",
)
"""Every figure by the name of its module, in the order of the list."""

MISSING = {
    "SmoothAdv with pre-training or semi-supervision, ours": "no such runs; published: smoothadv_table",
    "ADRE and T-CERTIFY as Feng et al. print them": "their tables were not to be had",
}
"""What a reader of the papers may look for in vain, and why nothing is drawn."""


@dataclass(frozen=True)
class PaperFigure:
    """A figure that can be made.

    Attributes:
        name: of the module and the files.
        title: one line.
        source: paper and figure, or "ours".
        compute: the table; True asks for a small version.
        draw: the figure of a table.
        committed: files of the repository that it reads, relative to its root.
        extras: further files by name, made from the table.
    """

    name: str
    title: str
    source: str
    compute: Callable[[bool], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]
    committed: tuple[str, ...] = ()
    extras: Callable[[pd.DataFrame], Mapping[str, bytes]] | None = None


def find(name: str) -> PaperFigure:
    """The figure of this name.

    Raises:
        InvalidInputError: where there is none; names those that are spelt alike.
    """
    if name not in FIGURES:
        near = difflib.get_close_matches(name.lower(), FIGURES, n=3, cutoff=0.6)
        near += [known for known in FIGURES if name and name.lower() in known and known not in near]
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(FIGURES)}"
        raise InvalidInputError(f"no figure {name!r}; {hint}")
    module = importlib.import_module(f"{__name__}.{name}")
    return PaperFigure(
        name,
        module.TITLE,
        module.SOURCE,
        module.compute,
        plotting.style()(module.draw),
        getattr(module, "COMMITTED", ()),
        getattr(module, "extras", None),
    )
