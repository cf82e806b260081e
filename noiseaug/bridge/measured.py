"""The measured table of a grid, read row by row: half a table would be a wrong measurement."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from noiseaug.errors import InvalidInputError
from noiseaug.runs import read_file, read_record
from noiseaug.runs.decoding import convert
from noiseaug.tables import QUANTITIES, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_grid"]

_REMEDY = " with noiseaug grid --resume"

_Level = Annotated[float, msgspec.Meta(ge=0)]
_Number = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]  # neither NaN nor infinite
_Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_MAY_BE_EMPTY = ("radius", "votes", "vote_failure_prob", "seed", "failure_prob", "n", "split", "task", "model")


class _Row(msgspec.Struct):
    """What the columns of a grid's table must hold, where it has them."""

    train_sigma: _Level = 0.0
    smooth_sigma: _Level = 0.0
    quantity: str = "risk"
    radius: _Level = 0.0
    value: _Number = 0.0
    lower: _Number = 0.0
    upper: _Number = 0.0
    votes: Annotated[float, msgspec.Meta(ge=1)] = 1
    vote_failure_prob: _Share = 0.5
    n: Annotated[float, msgspec.Meta(ge=1)] = 1
    failure_prob: _Share = 0.5
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


def read_grid(path: Path) -> pd.DataFrame:
    """The table of a grid: the file, or the table.csv in its directory.

    Args:
        path: of either. The directory of ``noiseaug grid`` must hold a finished grid, and its table as many rows for
            each model as for the others.

    Raises:
        InvalidInputError: for a file that is not there, is cut off, or holds something else than numbers where they
            belong, with the number of the line; and for a grid that is not finished.
    """
    file = path / "table.csv" if path.is_dir() else path
    if not file.is_file():
        raise InvalidInputError(f"no file {file}; expected the table.csv of noiseaug grid")
    content = read_file(file)
    if b"\n" in content and not content.endswith(b"\n"):
        raise InvalidInputError(f"{file}, line {content.count(10) + 1} is cut off; make the table anew{_REMEDY}")
    table = read_table(file, content)
    _check_rows(file, content.decode())
    record = read_record(path) if path.is_dir() else None
    if record is not None:
        if record.status != "complete":
            raise InvalidInputError(f"the grid in {path} is not finished; go on with noiseaug grid --resume")
        _check_models(file, table, record.description)
    return table


def _check_rows(file: Path, content: str) -> None:
    lines = csv.reader(io.StringIO(content, newline=""))
    header = next(lines)
    for cells in filter(None, lines):
        where = f"{file}, line {lines.line_num}"
        if len(cells) != len(header):
            raise InvalidInputError(f"{where}: {len(cells)} columns; expected the {len(header)} of the first line")
        named = zip(header, cells, strict=True)
        entries = {name: cell for name, cell in named if cell or name not in _MAY_BE_EMPTY}
        row = convert(entries, _Row, where, from_text=True)
        if row.quantity not in QUANTITIES:
            raise InvalidInputError(f"{where}: quantity is {row.quantity!r}; expected one of {', '.join(QUANTITIES)}")
        if {"value", "lower", "upper"} <= entries.keys() and not row.lower <= row.value <= row.upper:
            raise InvalidInputError(f"{where}: value {row.value:g} is not between {row.lower:g} and {row.upper:g}")


def _check_models(file: Path, table: pd.DataFrame, description: Mapping[str, Any]) -> None:
    """Refuses a table that lacks levels of its grid, or rows of a model."""
    for name in ("train_sigma", "smooth_sigma"):
        if lacking := sorted(set(description.get(name, ())) - set(table.get(name, ()))):
            raise InvalidInputError(f"{file} has 0 rows for {name} {lacking[0]:g}; make the table anew{_REMEDY}")
    models = [name for name in ("train_sigma", "seed", "split") if name in table]
    if not models:
        return
    groups: Any = table.groupby(models, dropna=False)
    sizes = groups.size()
    if sizes.nunique() > 1:
        few = ", ".join(f"{name} {value}" for name, value in zip(models, sizes.idxmin(), strict=True))
        raise InvalidInputError(
            f"{file} has {sizes.min()} rows for {few} and {sizes.max()} for others; make the table anew{_REMEDY}"
        )
