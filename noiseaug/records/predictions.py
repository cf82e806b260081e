"""Logs of predictions without radii: Cohen et al.'s (2019) PREDICT, and Salman et al.'s (2019) attacks on it.

A header ``idx label predict correct time``, with further columns in Salman et al.'s, then a line for each input. How
many votes were cast and how strong the attack was stand in the file's path alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseaug.records.tsv import HEADER, read_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PREDICTIONS_HEADER", "path_description", "read_predictions"]

PREDICTIONS_HEADER = tuple(name for name in HEADER if name != "radius")

_VOTES = re.compile(r"N_?(\d{1,18})")
_ATTACK = re.compile(r"(PGD|DDN)_(\d{1,9}(?:\.\d{1,9})?)(_.+)?", re.IGNORECASE)
_LEVELS = 256  # of a pixel, by which Salman et al.'s predict.py divides ε


def read_predictions(path: Path | str) -> pd.DataFrame:
    """Reads a log of predictions, with the tolerance of :func:`~noiseaug.records.read_tsv`.

    Args:
        path: the file.

    Returns:
        A frame sorted by index with columns index, label, prediction (−1: abstained), correct and seconds (NaN:
        unknown).

    Raises:
        InvalidInputError: for anything else, with the number of the line.
    """
    return read_rows(Path(path), PREDICTIONS_HEADER)


def path_description(path: Path | str) -> dict[str, Any]:
    """What the path of a log of predictions says of its run, in the layouts of Cohen et al. and Salman et al.

    Args:
        path: as ``…/N_1000``, ``…/N100/PGD_0.250/num_8/predictions`` (ε in input units), or
            ``…/PGD_64.0_noise_0.25_mtest_8/predictions`` (ε in 1/256, as Salman et al.'s script names its folders).

    Returns:
        n (votes for an input), attack (``pgd`` or ``ddn``) and attack_radius (input units), those that it says.
    """
    found: dict[str, Any] = {}
    for part in Path(path).parts:
        if votes := _VOTES.fullmatch(part):
            found["n"] = int(votes[1])
        elif attack := _ATTACK.fullmatch(part):
            found["attack"] = attack[1].lower()
            found["attack_radius"] = float(attack[2]) / (_LEVELS if attack[3] else 1)
    return found
