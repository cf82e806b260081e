"""A router and its experts as options, and ``noiseaug route-labels``; they parse, call and print."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Annotated

import typer

from noiseaug.certificates import CERTIFICATES
from noiseaug.cli.files import check_files
from noiseaug.cli.options import MODEL, OUTPUT, VOTES, Data, Root, choice, data_options
from noiseaug.cli.printing import warnings_in_lines
from noiseaug.errors import InvalidInputError

__all__ = ["Expert", "Router", "RouterRule", "RouterVotes", "experts_of", "register"]

Router = Annotated[
    str | None,
    typer.Option(
        "--router",
        help="What names the smoothing level of each input, as --classifier; --smooth-sigma is then the level of its "
        "own votes. Its classes are the levels of --expert in increasing order.",
        rich_help_panel=MODEL,
    ),
]
Expert = Annotated[
    list[str] | None,
    typer.Option(
        "--expert",
        metavar="β=CLASSIFIER",
        help="What votes with noise β where --router names that level, as --classifier; twice or more.",
        rich_help_panel=MODEL,
    ),
]
RouterRule = Annotated[
    str | None,
    choice("--router-certificate", "The router's rule, if not that of --certificate", CERTIFICATES, VOTES),
]
RouterVotes = Annotated[
    int | None,
    typer.Option("--router-n", help="The router's votes at most.", show_default="as --n", rich_help_panel=VOTES),
]


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("route-labels")(route_labels)


def experts_of(
    texts: list[str] | None, router: str | None, alone: bool, rule: str | None, votes: int | None
) -> dict[float, str]:
    """``["0.5=run", …]`` as classifiers by level; none where there is no router.

    Args:
        texts: of ``--expert``.
        router: of ``--router``.
        alone: whether ``--classifier`` was left at its default.
        rule: of ``--router-certificate``.
        votes: of ``--router-n``.

    Raises:
        InvalidInputError: for a level that is none, or options that do not go together.
    """
    if router is None:
        asked = {"--expert": texts, "--router-certificate": rule, "--router-n": votes}
        if given := [option for option, value in asked.items() if value]:
            raise InvalidInputError(f"{given[0]} is given without --router, which chooses between experts")
        return {}
    if not alone:
        raise InvalidInputError("with --router give each classifier as --expert, not as --classifier")
    found: dict[float, str] = {}
    for text in texts or ():
        level, equals, name = text.partition("=")
        try:
            sigma = float(level)
        except ValueError:
            sigma = math.nan
        if not (equals and name and 0 < sigma < math.inf):
            raise InvalidInputError(f"--expert is {text!r}; expected β=CLASSIFIER, as in --expert 0.5=runs/mnist")
        if sigma in found:
            raise InvalidInputError(f"--expert gives the level {sigma:g} twice")
        found[sigma] = name
    if len(found) < 2:
        raise InvalidInputError(f"--router chooses between experts; give at least two as --expert, not {len(found)}")
    return found


_TESTED = 5  # of so many inputs, one is kept to test the router


@data_options
def route_labels(
    logs: Annotated[list[Path], typer.Argument(help="Logs of the experts on the same inputs, one for each level.")],
    out: Annotated[
        Path,
        typer.Option("--out", help="The .npz file that noiseaug train --data takes.", rich_help_panel=OUTPUT),
    ],
    data: Data,
    radius: Annotated[
        float | None,
        typer.Option(
            "--radius",
            help="A target: the label is the smallest level that certifies it, where one does.",
            show_default="the largest radius of each input",
            rich_help_panel=VOTES,
        ),
    ] = None,
    root: Root = None,
) -> None:
    """Label inputs with the smoothing level whose expert certifies them best: what a router is trained on.

    The label of an input is the level at which its true class is certified with the largest radius; of equal ones, and
    where no level certifies it, the smallest. Every fifth input is kept to test the router; the inputs should be none
    that the experts were trained on, nor those to certify.
    """
    import numpy as np

    from noiseaug.data import load_data
    from noiseaug.records import read_log
    from noiseaug.report import best_levels
    from noiseaug.runs import make_folder, write_atomically

    check_files({"--out": out}, {"route-labels": logs, "--data": data})
    if out.suffix != ".npz":
        raise InvalidInputError(f"--out is {out}; expected a name that ends in .npz")
    with warnings_in_lines():
        runs = [read_log(path) for path in logs]
    source = load_data(data, root).test
    for path, (description, _) in zip(logs, runs, strict=True):
        if description.get("data_digest") not in (None, source.digest):
            raise InvalidInputError(f"{path} is a run on {description.get('data')}, not on {source.name} as it is now")
    labels = best_levels(dict(zip(map(str, logs), runs, strict=True)), radius)
    chosen, places = labels["index"].to_numpy(), labels["place"].to_numpy()
    if chosen.max() >= len(source):
        raise InvalidInputError(f"the logs hold input {chosen.max()}; {source.name} has {len(source)}")
    if missing := sorted(set(range(len(runs))) - set(places.tolist())):
        level = sorted(description["smooth_sigma"] for description, _ in runs)[missing[0]]
        raise InvalidInputError(f"the level {level:g} is the best of no input; leave out its log and its expert")
    test = np.arange(len(labels)) % _TESTED == 0
    arrays = {"x": source.inputs[chosen[test]], "y": places[test]}
    arrays |= {"train_x": source.inputs[chosen[~test]], "train_y": places[~test]}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    make_folder(out.parent)
    write_atomically(out, content.getvalue())
    counts = labels.groupby("level", sort=True).size()
    shares = ", ".join(f"β = {level:g}: {count}" for level, count in counts.items())
    print(f"{len(labels)} inputs ({shares}): {out}")
