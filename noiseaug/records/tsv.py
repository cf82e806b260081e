"""The tab-separated logs of Cohen et al. 2019 (their certify.py) and of those who built on it, as Salman et al. 2019.

A header ``idx label predict radius correct time``, then a line for each input: abstentions predict −1, the time is a
``datetime.timedelta`` as Python prints it, or seconds in early logs.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseaug.errors import InvalidInputError
from noiseaug.records.outcome import ABSTAIN
from noiseaug.runs import read_file, write_atomically
from noiseaug.tables import exact_decimal, floor_radius

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HEADER", "read_rows", "read_tsv", "write_tsv"]

HEADER = ("idx", "label", "predict", "radius", "correct", "time")
_COLUMNS = ("index", "label", "prediction", "radius", "correct", "seconds")
_NAMES = dict(zip(HEADER, _COLUMNS, strict=True))
_TYPES = {"radius": "float64", "correct": "bool", "seconds": "float64"}
_CLOCK = re.compile(r"(?:(\d{1,6}) days?, )?(\d{1,6}):([0-5]\d):([0-5]\d(?:\.\d+)?)")
_SECONDS = re.compile(r"\d{1,10}(?:\.\d*)?(?:e-\d{1,3})?")
_UNKNOWN = frozenset(("", "-", "?", "nan", "na", "n/a", "none", "unknown"))


def read_tsv(path: Path | str) -> pd.DataFrame:
    """Reads a published log.

    Blank lines, Windows line ends, further columns, a missing column of times and a missing line end after the last
    line are tolerated. A last line that is cut off is left out with a warning. Published radii are often rounded *to
    nearest*, three digits.

    Args:
        path: the file.

    Returns:
        A frame sorted by index with columns index, label, prediction (−1: abstained), radius (input units), correct
        and seconds (NaN: unknown).

    Raises:
        InvalidInputError: for anything else, with the number of the line.
    """
    return read_rows(Path(path), HEADER)


def read_rows(path: Path, header: Sequence[str]) -> pd.DataFrame:
    """Reads the columns ``header``, a part of ``HEADER``, as :func:`read_tsv` does; ``time`` may be missing."""
    import pandas as pd

    expected = " ".join(header)
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path} is not text; expected a log with columns {expected}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise InvalidInputError(f"{path} holds no input; expected a log with columns {expected}")
    places = _places(path, *lines[0], header)
    rows: dict[int, dict[str, Any]] = {}
    clock: bool | None = None  # whether the log's times are hours:minutes:seconds
    for number, line in lines[1:]:
        cells = [cell.strip() for cell in line.split("\t")]
        if number == lines[-1][0] and not text.endswith(("\n", "\r")) and _cut_off(cells, places, clock):
            warnings.warn(f"{path}, line {number} is cut off and was left out", stacklevel=3)
            break
        try:
            row = _row(cells, places)
            if row["idx"] in rows:
                raise ValueError(f"input {row['idx']} stands in an earlier line already")
        except ValueError as error:
            raise InvalidInputError(f"{path}, line {number}: {error}") from None
        rows[row["idx"]] = row
        if clock is None and "time" in places:
            clock = ":" in cells[places["time"]]
    if not rows:
        raise InvalidInputError(f"{path}: the run has no inputs")
    _warn_of_gaps(path, sorted(rows))
    frame = pd.DataFrame({_NAMES[name]: [rows[index].get(name, math.nan) for index in sorted(rows)] for name in header})
    return frame.astype({name: kind for name, kind in _TYPES.items() if name in frame})


def _warn_of_gaps(path: Path, indices: list[int]) -> None:
    """Says where some of the inputs first, first + step, … are missing; a log that is no such sequence has no gaps."""
    steps = {after - before for before, after in pairwise(indices)}
    step = min(steps, default=1)
    expected = (indices[-1] - indices[0]) // step + 1
    if any(each % step for each in steps) or not len(indices) < expected < 2 * len(indices):
        return
    first = next(before + step for before, after in pairwise(indices) if after - before > step)
    warnings.warn(
        f"{path}: inputs are missing, {expected - len(indices)} of {expected} ({indices[0]} to {indices[-1]} in steps "
        f"of {step}), input {first} for one",
        stacklevel=4,
    )


def _places(path: Path, number: int, line: str, header: Sequence[str]) -> dict[str, int]:
    cells = [cell.strip() for cell in line.split("\t")]
    missing = [name for name in header if name not in cells and name != "time"]
    if missing:
        raise InvalidInputError(
            f"{path}, line {number}: no column {', '.join(missing)}; expected tab-separated {' '.join(header)}"
        )
    return {name: cells.index(name) for name in header if name in cells}


def _cut_off(cells: list[str], places: Mapping[str, int], clock: bool | None) -> bool:
    """Whether a last line without its end lacks columns, or half of its time."""
    if len(cells) <= max(places.values()):
        return True
    if "time" not in places:
        return False
    time = cells[places["time"]]
    return not _is_time(time) or (bool(clock) and _CLOCK.fullmatch(time) is None)


def _row(cells: list[str], places: Mapping[str, int]) -> dict[str, Any]:
    """One input.

    Raises:
        ValueError: with what is wrong.
    """
    if len(cells) <= max(places.values()):
        raise ValueError(f"{len(cells)} columns; expected {' '.join(places)}")
    row = {name: _PARSERS[name](cells[place]) for name, place in places.items()}
    index, label, prediction = (row[name] for name in HEADER[:3])
    if index < 0 or label < 0 or prediction < ABSTAIN:
        raise ValueError(f"idx {index}, label {label}, predict {prediction}; expected numbers ≥ 0, or predict −1")
    if prediction == ABSTAIN and row.get("radius", 0.0) > 0:
        raise ValueError(f"radius is {cells[places['radius']]} although the prediction abstains; expected 0")
    if row["correct"] not in {"0", "1"} or (row["correct"] == "1") != (prediction == label):
        raise ValueError(f"correct is {row['correct']!r}, but label is {label} and predict {prediction}")
    return row | {"correct": row["correct"] == "1"}


def _integer(name: str) -> Callable[[str], int]:
    def parsed(cell: str) -> int:
        try:
            value = int(cell)
        except ValueError:
            raise ValueError(f"{name} is {cell!r}; expected an integer") from None
        if abs(value) >= 2**63:
            raise ValueError(f"{name} is {cell}; expected an integer below 2⁶³")
        return value

    return parsed


def _radius(cell: str) -> float:
    try:
        radius = float(cell)
    except ValueError:
        raise ValueError(f"radius is {cell!r}; expected a number") from None
    if not (math.isfinite(radius) and radius >= 0):
        raise ValueError(f"radius is {cell}; expected a finite number of at least 0")
    return radius


def _is_time(cell: str) -> bool:
    return bool(_CLOCK.fullmatch(cell) or _SECONDS.fullmatch(cell)) or cell.lower() in _UNKNOWN


def _seconds(cell: str) -> float:
    if match := _CLOCK.fullmatch(cell):
        days, hours, minutes, seconds = match.groups(default="0")
        return 3600.0 * (24 * int(days) + int(hours)) + 60 * int(minutes) + float(seconds)
    if _SECONDS.fullmatch(cell):
        return float(cell)
    if cell.lower() in _UNKNOWN:
        return math.nan
    raise ValueError(f"time is {cell!r}; expected hours:minutes:seconds or seconds")


_PARSERS: dict[str, Callable[[str], Any]] = {
    **{name: _integer(name) for name in HEADER[:3]},
    "radius": _radius,
    "correct": str,
    "time": _seconds,
}
"""What a cell of each column says."""


def write_tsv(frame: pd.DataFrame, path: Path | str, *, digits: int | None = None) -> None:
    """Writes the format of Cohen et al. 2019; the file appears whole or not at all.

    Args:
        frame: columns index, label, prediction, radius, correct, seconds (NaN: unknown).
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
        time = "nan" if math.isnan(seconds) else timedelta(seconds=seconds)
        lines.append(f"{index}\t{label}\t{prediction}\t{printed}\t{int(correct)}\t{time}")
    write_atomically(Path(path), "\n".join(lines) + "\n")
