"""The tab-separated logs of Cohen et al. 2019 (their certify.py) and of those who built on it, as Salman et al. 2019.

A header ``idx label predict radius correct time``, then a line for each input: abstentions predict −1, the time is a
``datetime.timedelta`` as Python prints it.
"""

from __future__ import annotations

import math
import re
import warnings
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseaug.errors import InvalidInputError
from noiseaug.records.outcome import ABSTAIN
from noiseaug.runs import write_atomically
from noiseaug.tables import exact_decimal, floor_radius

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HEADER", "read_tsv", "write_tsv"]

HEADER = ("idx", "label", "predict", "radius", "correct", "time")
_COLUMNS = ("index", "label", "prediction", "radius", "correct", "seconds")
_TIME = re.compile(r"(?:(\d+) days?, )?(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)")


def read_tsv(path: Path | str) -> pd.DataFrame:
    """Reads a published log.

    Blank lines, Windows line ends, further columns and a missing line end after the last line are tolerated. A last
    line that is cut off is left out with a warning. Published radii are often rounded *to nearest*, three digits.

    Args:
        path: the file.

    Returns:
        A frame sorted by index with columns index, label, prediction (−1: abstained), radius (input units), correct
        and seconds.

    Raises:
        InvalidInputError: for anything else, with the number of the line.
    """
    import pandas as pd

    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path} is not text; expected a log with columns {' '.join(HEADER)}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    places = _places(path, *lines[0]) if lines else []
    rows: dict[int, tuple[Any, ...]] = {}
    for number, line in lines[1:]:
        cells = [cell.strip() for cell in line.split("\t")]
        if number == lines[-1][0] and not text.endswith(("\n", "\r")) and _cut_off(cells, places):
            warnings.warn(f"{path}, line {number} is cut off and was left out", stacklevel=2)
            break
        try:
            row = _row(cells, places)
            if row[0] in rows:
                raise ValueError(f"input {row[0]} stands in an earlier line already")
        except ValueError as error:
            raise InvalidInputError(f"{path}, line {number}: {error}") from None
        rows[row[0]] = row
    if not rows:
        raise InvalidInputError(f"{path} holds no input; expected a log with columns {' '.join(HEADER)}")
    frame = pd.DataFrame([rows[index] for index in sorted(rows)], columns=list(_COLUMNS))
    return frame.astype({"radius": "float64", "correct": "bool", "seconds": "float64"})


def _places(path: Path, number: int, line: str) -> list[int]:
    cells = [cell.strip() for cell in line.split("\t")]
    missing = [name for name in HEADER if name not in cells]
    if missing:
        raise InvalidInputError(
            f"{path}, line {number}: no column {', '.join(missing)}; expected tab-separated {' '.join(HEADER)}"
        )
    return [cells.index(name) for name in HEADER]


def _cut_off(cells: list[str], places: list[int]) -> bool:
    return len(cells) <= max(places) or _TIME.fullmatch(cells[places[-1]]) is None


def _row(fields: list[str], places: list[int]) -> tuple[Any, ...]:
    """One input.

    Raises:
        ValueError: with what is wrong.
    """
    if len(fields) <= max(places):
        raise ValueError(f"{len(fields)} columns; expected {' '.join(HEADER)}")
    cells = [fields[place] for place in places]
    index, label, prediction = (_integer(name, cell) for name, cell in zip(HEADER, cells[:3], strict=False))
    try:
        radius = float(cells[3])
    except ValueError:
        raise ValueError(f"radius is {cells[3]!r}; expected a number") from None
    if not (math.isfinite(radius) and radius >= 0):
        raise ValueError(f"radius is {cells[3]}; expected a finite number of at least 0")
    if index < 0 or label < 0 or prediction < ABSTAIN:
        raise ValueError(f"idx {index}, label {label}, predict {prediction}; expected numbers ≥ 0, or predict −1")
    if prediction == ABSTAIN and radius > 0:
        raise ValueError(f"radius is {cells[3]} although the prediction abstains; expected 0")
    if cells[4] not in {"0", "1"} or (cells[4] == "1") != (prediction == label):
        raise ValueError(f"correct is {cells[4]!r}, but label is {label} and predict {prediction}")
    return index, label, prediction, radius, cells[4] == "1", _seconds(cells[5])


def _integer(name: str, cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise ValueError(f"{name} is {cell!r}; expected an integer") from None


def _seconds(cell: str) -> float:
    match = _TIME.fullmatch(cell)
    if match is None:
        raise ValueError(f"time is {cell!r}; expected hours:minutes:seconds")
    days, hours, minutes, seconds = match.groups(default="0")
    return 3600.0 * (24 * int(days) + int(hours)) + 60 * int(minutes) + float(seconds)


def write_tsv(frame: pd.DataFrame, path: Path | str, *, digits: int | None = None) -> None:
    """Writes the format of Cohen et al. 2019; the file appears whole or not at all.

    Args:
        frame: columns index, label, prediction, radius, correct, seconds.
        path: the file; replaced where it exists.
        digits: places of the radius, rounded down; None for as many as it takes to read back the same number.

    Raises:
        InvalidInputError: for a frame without these columns or without labels.
    """
    missing = [name for name in _COLUMNS if name not in frame]
    if missing:
        raise InvalidInputError(f"the frame lacks {', '.join(missing)}; expected {', '.join(_COLUMNS)}")
    if (frame["label"] < 0).any():
        raise InvalidInputError("the run has no labels; the format of Cohen et al. needs them")
    lines = ["\t".join(HEADER)]
    for index, label, prediction, radius, correct, seconds in zip(
        *(frame[name].tolist() for name in _COLUMNS), strict=True
    ):
        printed = exact_decimal(radius) if digits is None else floor_radius(radius, digits)
        time = timedelta(seconds=seconds)
        lines.append(f"{index}\t{label}\t{prediction}\t{printed}\t{int(correct)}\t{time}")
    write_atomically(Path(path), "\n".join(lines) + "\n")
