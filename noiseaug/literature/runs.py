"""The certification runs that six papers released: 1 819 different logs, a row each.

The rows were computed from the logs in the papers' repositories (:data:`PAPERS`), of which exact copies were left out.
All runs use n = 100 000, n₀ = 100 and failure probability .001 unless the paper says otherwise. How a network was
trained was read off the log's path and is missing where that does not say. ``attack_radius`` is nominal: 0.251 stands
for 64/255 or 64/256, likewise 0.498, 1, 2, 4 and 8. Logs of 500 images take every 20th image of a test set of 10 000.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.tables import Measure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PAPERS", "RADII", "column", "frontier", "parse_measure", "published", "recipe"]

PAPERS = {
    "Cohen et al. 2019": "https://arxiv.org/abs/1902.02918, https://github.com/locuslab/smoothing",
    "Salman et al. 2019": "https://arxiv.org/abs/1906.04584, https://github.com/Hadisalman/smoothing-adversarial",
    "Jeong & Shin 2020": "https://arxiv.org/abs/2006.04062, https://github.com/jh-jeong/smoothing-consistency",
    "Jeong et al. 2021": "https://arxiv.org/abs/2111.09277, https://github.com/jh-jeong/smoothmix",
    "Jeong et al. 2023": "https://arxiv.org/abs/2212.09000, https://github.com/alinlab/smoothing-catrs",
    "Sun et al. 2025": "https://arxiv.org/abs/2410.06895, https://github.com/eth-sri/acr-weakness",
}
"""Where each paper and its logs are."""

RADII = tuple(0.25 * step for step in range(17))
"""Radii at which the table has the certified accuracy."""

_FILE = Path(__file__).with_name("published_runs.csv.gz")
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("train_sigma", "smooth_sigma", "attack_radius", "weight"), "float64"),
    **dict.fromkeys(("attack_steps", "copies"), "Int64"),
    **dict.fromkeys(("pre_training", "self_training"), "bool"),
}


@cache
def _table() -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(_FILE, dtype=_TYPES)


def published(
    *,
    data: str | None = None,
    smooth_sigma: float | None = None,
    train_sigma: float | None = None,
    method: str | None = None,
    paper: str | None = None,
    architecture: str | None = None,
    images: int | None = None,
    split: str | None = None,
    pre_training: bool | None = None,
    self_training: bool | None = None,
) -> pd.DataFrame:
    """The released certification runs, those that meet every condition given.

    Args:
        data: cifar10, cifar100, mnist, fmnist or imagenet.
        smooth_sigma: β, in input units.
        train_sigma: α, in input units.
        method: as in the table; ``smoothadv`` takes ``smoothadv-pgd`` and ``smoothadv-ddn``.
        paper: a part of its name, as ``Salman``.
        architecture: as in the table.
        images: number of images.
        split: test or train.
        pre_training: whether training started from a network of ImageNet.
        self_training: whether unlabelled images were used.

    Returns:
        A row for each run: paper, repository, log (its path there), data, architecture, train_sigma, smooth_sigma,
        split, method, attack_radius, attack_steps, copies, weight, pre_training, self_training, images, abstain (share
        of the images), acr, largest_radius, seconds (median an image), and certified accuracy ``ca_0``, ``ca_0.25``, …,
        ``ca_4``.

    Raises:
        InvalidInputError: for a name or level that no run has.
    """
    found = _table()
    for name, value in (("data", data), ("architecture", architecture), ("split", split)):
        if value is not None:
            found = found[found[name] == validation.choice(name, value, tuple(_table()[name].unique()))]
    if method is not None:
        kinds = sorted(_table()["method"].unique())
        names = [each for each in kinds if _is_of(each, method)]
        if not names:
            raise InvalidInputError(f"method is {method!r}; expected one of {', '.join(kinds)}")
        found = found[found["method"].isin(names)]
    if paper is not None:
        names = [each for each in PAPERS if paper.lower() in each.lower()]
        if not names:
            raise InvalidInputError(f"paper is {paper!r}; expected a part of one of {', '.join(PAPERS)}")
        found = found[found["paper"].isin(names)]
    for name, number in (("smooth_sigma", smooth_sigma), ("train_sigma", train_sigma), ("images", images)):
        if number is not None:
            found = found[np.isclose(found[name], _known(name, number), rtol=0, atol=1e-9)]
    for name, flag in (("pre_training", pre_training), ("self_training", self_training)):
        if flag is not None:
            found = found[found[name] == flag]
    return found.reset_index(drop=True)


def _is_of(method: str, asked: str) -> bool:
    """Whether a run's method is the one asked for, or a kind of it."""
    return method == asked or (method.startswith(f"{asked}-") and "+" not in method)


def _known(name: str, value: float) -> float:
    levels = sorted(_table()[name].unique())
    wanted = validation.number(name, value)
    if not np.isclose(levels, wanted, rtol=0, atol=1e-9).any():
        raise InvalidInputError(f"{name} is {value:g}; released runs have {', '.join(f'{each:g}' for each in levels)}")
    return wanted


def parse_measure(text: str) -> Measure:
    """``acr`` or ``ca@r``, certified accuracy at a radius.

    Raises:
        InvalidInputError: for anything else.
    """
    name, _, radius = text.strip().lower().partition("@")
    try:
        if name == "acr" and not radius:
            return Measure("acr")
        if name in {"ca", "certified_accuracy"}:
            return Measure("certified_accuracy", float(radius))
    except ValueError:
        pass
    raise InvalidInputError(f"the measure is {text!r}; expected acr or ca@r, as in ca@1.0")


def column(measure: Measure) -> str:
    """The column of :func:`published` that holds a measure.

    Raises:
        InvalidInputError: for a quantity or a radius that the table does not have.
    """
    if measure.quantity == "acr":
        return "acr"
    if measure.quantity != "certified_accuracy":
        raise InvalidInputError(f"released runs have no {measure.quantity}; expected acr or certified_accuracy")
    if measure.at not in RADII:
        raise InvalidInputError(f"r is {measure.at:g}; released runs have 0, 0.25, …, {RADII[-1]:g}")
    return f"ca_{measure.at:g}"


def frontier(table: pd.DataFrame, x: str = "ca_0", y: str = "acr") -> pd.DataFrame:
    """The runs that no other run beats in both columns, sorted by ``x``; of equal ones the first."""
    ordered = table.sort_values([x, y], ascending=False, kind="stable")
    best = ordered[y].cummax().shift(fill_value=-math.inf)
    return ordered[ordered[y] > best].iloc[::-1].reset_index(drop=True)


def recipe(row: Any) -> str:
    """How a run was trained in a few words, as ``smoothadv-pgd ε=1 T=2 λ=0.5 + self-training``.

    Args:
        row: of :func:`published`, as a mapping.
    """
    import pandas as pd

    symbols = {"attack_radius": "ε", "attack_steps": "T", "copies": "m", "weight": "λ"}
    parts = [f"{symbol}={float(row[name]):g}" for name, symbol in symbols.items() if not pd.isna(row[name])]
    extras = [name.replace("_", "-") for name in ("pre_training", "self_training") if row[name]]
    return " + ".join([" ".join([str(row["method"]), *parts]), *extras])
