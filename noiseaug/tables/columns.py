"""The columns of the tidy table: rows as a frame, and the frame from its file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.estimates import METHOD_NAMES, Estimate, Estimates
from noiseaug.runs import read_file
from noiseaug.tables.quantities import Measure

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CLASS_COLUMN",
    "COLUMNS",
    "DTYPES",
    "VOTE_COLUMNS",
    "distinct",
    "estimate_columns",
    "frame_of",
    "read_table",
    "row",
    "to_frame",
    "words",
]

COLUMNS = (
    "task",
    "rule",
    "train_sigma",
    "smooth_sigma",
    "quantity",
    "radius",
    "value",
    "lower",
    "upper",
    "method",
    "n",
    "failure_prob",
    "seed",
)
"""Columns of every table (docs/glossary.md)."""

_MAKERS = ("rule", "predictor", "model")  # what made the base classifier: theory, training inputs, training

CLASS_COLUMN = "class"
"""Further column of a table with values of single classes: the class, empty for all classes together."""

VOTE_COLUMNS = ("votes", "vote_failure_prob")
"""Further columns of a table with ``finite_sample_certified_accuracy``: the run that is predicted."""

DTYPES: dict[str, Any] = {CLASS_COLUMN: "Int64", "seed": "Int64", "votes": "Int64", "vote_failure_prob": float}


def distinct(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """The values, if no two of them are equal."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise InvalidInputError(f"{name} holds {value!r} more than once; expected different entries")
        seen.add(value)
    return values


def row(measure: Measure, estimate: Estimate, **facts: Any) -> dict[str, Any]:
    """A row of the tidy table: what the number is about, the measure, and its estimate.

    Args:
        measure: the quantity and its radius.
        estimate: its value.
        **facts: task, what made the classifier, train_sigma, smooth_sigma and further columns.
    """
    asked = {"quantity": measure.quantity, "radius": measure.at}
    if measure.label is not None:
        asked[CLASS_COLUMN] = measure.label
    return {**facts, **asked, **vars(estimate)}


def to_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a tidy frame; classes, ``seed`` and ``votes`` are nullable integers, further columns come last."""
    import pandas as pd

    return _tidy(pd.DataFrame(list(rows)))


def frame_of(columns: Mapping[str, Any]) -> pd.DataFrame:
    """The same frame from its columns."""
    import pandas as pd

    return _tidy(pd.DataFrame(dict(columns), copy=False))


def _tidy(frame: pd.DataFrame) -> pd.DataFrame:
    order = ("task", *_MAKERS, *COLUMNS[2:6], CLASS_COLUMN, *COLUMNS[6:], *VOTE_COLUMNS)
    first = [column for column in order if column in frame]
    frame = frame[[*first, *(column for column in frame if column not in first)]]
    return frame.astype({column: kind for column, kind in DTYPES.items() if column in frame})


def words(names: Sequence[str], places: np.ndarray) -> Any:
    """A column of names, of which it holds each once.

    Args:
        names: the different names.
        places: of the name of each row.
    """
    import pandas as pd

    return pd.Series(list(names)).array.take(places)


def estimate_columns(parts: Sequence[Estimates]) -> dict[str, Any]:
    """The columns of :class:`~noiseaug.estimates.Estimate`, for all estimates of all parts in order."""
    import pandas as pd

    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name).ravel() for part in parts])
        for name in ("value", "lower", "upper", "method", "n", "failure_prob", "seed")
    }
    columns["method"] = words(METHOD_NAMES, columns["method"])
    columns["seed"] = pd.arrays.IntegerArray(columns["seed"], columns["seed"] < 0)
    return columns


def read_table(path: Path, content: bytes | None = None) -> pd.DataFrame:
    """The frame that was written to a CSV file, number for number.

    Args:
        path: the file.
        content: what it holds, where that has been read already.

    Raises:
        InvalidInputError: for a file that is not such a table.
    """
    import pandas as pd

    # newer versions of pandas read every digit unasked, and warn when asked
    new = tuple(int(part) for part in pd.__version__.split(".")[:2]) >= (3, 1)
    try:
        return pd.read_csv(
            io.BytesIO(read_file(path) if content is None else content),
            float_precision=None if new else "round_trip",
            dtype=DTYPES,
        )
    except (ValueError, TypeError, OverflowError) as error:  # pandas' own, of bytes that are no text, of 0.5 as a whole
        raise InvalidInputError(f"{path} is not readable as a table: {first_line(error)}") from None
