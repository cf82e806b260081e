"""How far earlier predictions were from what networks then did: the track record, and the band that it gives a new one.

Each row is a choice: a data set, a smoothing level and a radius, the α that a rule chose, what it predicted there, and
what the networks measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from noiseaug import validation
from noiseaug.bridge.compare import choices
from noiseaug.bridge.registry import PREDICTORS
from noiseaug.data import DataName
from noiseaug.errors import InvalidInputError
from noiseaug.runs import write_atomically
from noiseaug.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RECORD_COLUMNS", "Band", "add_to_record", "band", "record_rows", "track_record"]

RECORD_COLUMNS = (
    "data",
    "model",
    "predictor",
    "smooth_sigma",
    "radius",
    "predicted_train_sigma",
    "measured_train_sigma",
    "predicted",
    "measured",
    "regret",
    "source",
)
"""Columns of the record; ``predicted`` and ``measured`` are accuracies at the predicted α, empty where not kept."""


@dataclass(frozen=True)
class Band:
    """Where a measurement is to be expected, from how far others were from their predictions.

    Attributes:
        lower: end of the band, an accuracy.
        upper: the other end.
        share: of the earlier cases whose error lies within.
        cases: number of earlier cases.
        sets: names of their data sets, without the one that is predicted.
    """

    lower: float
    upper: float
    share: float
    cases: int
    sets: tuple[str, ...]


def band(record: pd.DataFrame, data: str, predictor: str, predicted: float, share: float = 0.9) -> Band | None:
    """The band around a prediction, from the cases of the same rule on *other* data sets (leave one data set out).

    Its ends are the prediction plus the order statistics of measured − predicted that leave out at most (1 − share)/2
    of the cases at either end. It says where earlier errors were; it is a guarantee only for cases that are drawn as
    those of the record were, which data sets are not.

    Args:
        record: from :func:`track_record`.
        data: the data set that is predicted.
        predictor: name of the rule.
        predicted: the predicted accuracy.
        share: of earlier cases within the band.

    Returns:
        The band, or None where the record has no such case.
    """
    share = validation.probability("share", share)
    own = DataName.parse(data).base
    others = record["data"].map(lambda name: DataName.parse(str(name)).base) != own
    rows = record[(record["predictor"] == predictor) & others].dropna(subset=["predicted", "measured"])
    if rows.empty:
        return None
    errors = np.sort((rows["measured"] - rows["predicted"]).to_numpy())
    left_out = int(0.5 * (1 - share) * len(errors))
    low, high = errors[left_out], errors[len(errors) - 1 - left_out]
    lower, upper = (float(np.clip(predicted + error, 0, 1)) for error in (low, high))
    return Band(lower, upper, share, len(errors), tuple(sorted(rows["data"].unique())))


def track_record(path: Path | str | None = None) -> pd.DataFrame:
    """How far earlier predictions were from measured optima.

    Args:
        path: a CSV file with :data:`RECORD_COLUMNS`; the one that comes with the package by default.

    Raises:
        InvalidInputError: for a file with other columns.
    """
    if path is None:
        with resources.as_file(resources.files("noiseaug.bridge") / "track_record.csv") as packaged:
            frame = read_table(packaged)
    else:
        frame = read_table(Path(path))
    if tuple(frame.columns) != RECORD_COLUMNS:
        raise InvalidInputError(
            f"the record has columns {', '.join(map(str, frame.columns))}; expected {', '.join(RECORD_COLUMNS)}"
        )
    return frame


def record_rows(gaps: pd.DataFrame, *, data: str, model: str, source: str) -> pd.DataFrame:
    """Rows of a record from the gaps between a prediction and a measurement.

    Args:
        gaps: from :func:`noiseaug.bridge.gap_table`, of which :func:`~noiseaug.bridge.compare.choices` are taken.
        data: name of the data set.
        model: what was trained.
        source: how it was measured: a file or a command.
    """
    rows = choices(gaps[gaps["predictor"].isin(list(PREDICTORS))])
    filled = rows.assign(radius=rows["radius"].fillna(0.0), data=data, model=model, source=source)
    for name in ("predicted", "measured"):
        filled[name] = rows[name].where(rows["quantity"] != "risk", 1 - rows[name])
    return filled[list(RECORD_COLUMNS)].reset_index(drop=True)


def add_to_record(rows: pd.DataFrame, path: Path | str) -> pd.DataFrame:
    """Adds rows to a record on disk; those of the same data, model, predictor, β, r and source are replaced.

    Args:
        rows: from :func:`record_rows`.
        path: the CSV file; begun if it is not there.

    Returns:
        The whole record.

    Raises:
        InvalidInputError: for no rows, or a file with other columns.
    """
    import pandas as pd

    if rows.empty:
        raise InvalidInputError("the comparison has no row for the record; measure risk or certified accuracy at β > 0")
    target = Path(path)
    old = track_record(target) if target.exists() else rows.iloc[:0]
    whole = rows if old.empty else pd.concat([old, rows], ignore_index=True)
    key = ["data", "model", "predictor", "smooth_sigma", "radius", "source"]
    whole = whole.drop_duplicates(key, keep="last").sort_values(key, ignore_index=True)
    write_atomically(target, whole.to_csv(index=False))
    return whole
