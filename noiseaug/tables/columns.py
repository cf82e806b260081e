"""The columns of the tidy table: rows as a frame, and the frame from its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.estimates import Estimate
from noiseaug.tables.quantities import Measure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "DTYPES", "VOTE_COLUMNS", "distinct", "read_table", "row", "to_frame"]

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

VOTE_COLUMNS = ("votes", "vote_failure_prob")
"""Further columns of a table with ``finite_sample_certified_accuracy``: the run that is predicted."""

DTYPES: dict[str, Any] = {"seed": "Int64", "votes": "Int64", "vote_failure_prob": float}


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
    return {**facts, "quantity": measure.quantity, "radius": measure.at, **vars(estimate)}


def to_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a tidy frame; ``seed`` and ``votes`` are nullable integers, further columns come last."""
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    first = [column for column in ("task", *_MAKERS, *COLUMNS[2:], *VOTE_COLUMNS) if column in frame]
    frame = frame[[*first, *(column for column in frame if column not in first)]]
    return frame.astype({column: kind for column, kind in DTYPES.items() if column in frame})


def read_table(path: Path) -> pd.DataFrame:
    """The frame that was written to a CSV file, number for number.

    Raises:
        InvalidInputError: for a file that is not such a table.
    """
    import pandas as pd

    # newer versions of pandas read every digit unasked, and warn when asked
    new = tuple(int(part) for part in pd.__version__.split(".")[:2]) >= (3, 1)
    try:
        return pd.read_csv(path, float_precision=None if new else "round_trip", dtype=DTYPES)
    except (ValueError, TypeError) as error:  # pandas' own errors, of bytes that are no text, of 0.5 as an integer
        raise InvalidInputError(f"{path} is not readable as a table: {first_line(error)}") from None
