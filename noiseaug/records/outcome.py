"""What certifying one input leaves behind, as a value, as a line of a log, and as a row of a frame."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from operator import index as as_integer
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from noiseaug.errors import InvalidInputError
from noiseaug.records.tally import MANY, Tally, cumulative, tallies, tallies_of
from noiseaug.runs.decoding import Int64, decode
from noiseaug.tables import exact_decimal

if TYPE_CHECKING:
    import pandas as pd

    Counts = Sequence[int]
else:
    Counts = tuple[Int64, ...]  # as a line has them

__all__ = ["ABSTAIN", "Outcome", "outcomes_frame"]

ABSTAIN = -1
"""The prediction where nothing was certified; as a label: unknown."""


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The votes on one input and what they certify; a line of a log.

    Integers and arrays of NumPy are taken and turned into plain ones, so that equal outcomes compare and store equal.

    Attributes:
        index: position of the input in its data set.
        label: true label; −1 where it is unknown.
        prediction: certified class, or ``ABSTAIN``.
        radius: certified ℓ₂ radius in input units, rounded down; 0 when abstaining.
        selection: counts of every class among the n₀ selection votes, shape (num_classes,).
        looks: numbers of estimation votes at which the counts were kept, increasing; the last is the votes used.
        counts: cumulative counts of every class at each look, shape (looks, num_classes).
        seconds: time that the input took.
        uniform: U of the input in [0, 1), where the run's bounds are randomised; else None, and not in the log.

    Counts are tuples, of more than 64 classes :class:`~noiseaug.records.tally.Tally`.

    Raises:
        InvalidInputError: where the parts contradict one another.
    """

    index: Int64
    label: Int64
    prediction: Int64
    radius: float
    selection: Counts
    looks: tuple[Int64, ...]
    counts: tuple[Counts, ...]
    seconds: float
    uniform: float | None = None

    def __post_init__(self) -> None:
        plain: dict[str, Any] = {name: as_integer(getattr(self, name)) for name in ("index", "label", "prediction")}
        plain |= {name: float(getattr(self, name)) for name in ("radius", "seconds")}
        plain["looks"] = tuple(map(as_integer, self.looks))
        plain["uniform"] = None if self.uniform is None else float(self.uniform)
        rows: Sequence[Counts] = (self.selection, *self.counts)
        if len(self.selection) > MANY and {len(row) for row in rows} == {len(self.selection)}:
            rows = tallies_of(rows)
        else:
            rows = [tuple(map(as_integer, row)) for row in rows]
        plain["selection"], *counts = rows
        plain["counts"] = tuple(counts)
        for name, value in plain.items():
            msgspec.structs.force_setattr(self, name, value)
        fault = self._fault()
        if fault is not None:
            raise InvalidInputError(f"input {self.index}: {fault}")

    def _fault(self) -> str | None:
        if self.index < 0 or self.label < ABSTAIN or self.prediction < ABSTAIN:
            return f"label {self.label}, prediction {self.prediction}; expected an index ≥ 0 and classes ≥ −1"
        if self.uniform is not None and not 0 <= self.uniform < 1:
            return f"uniform is {self.uniform}; expected at least 0 and below 1"
        for name, value in (("radius", self.radius), ("seconds", self.seconds)):
            if not (math.isfinite(value) and value >= 0):
                return f"{name} is {value}; expected a finite number of at least 0"
        if self.prediction == ABSTAIN and self.radius != 0:
            return f"radius is {self.radius} although the prediction abstains; expected 0"
        if self.prediction >= len(self.selection):
            return f"prediction {self.prediction} is none of the {len(self.selection)} classes"
        return self._votes_fault()

    def _votes_fault(self) -> str | None:
        if len(self.looks) != len(self.counts):
            return f"{len(self.looks)} looks but {len(self.counts)} rows of counts"
        rows: list[Sequence[int]] = [self.selection, *self.counts]
        if isinstance(self.selection, Tally):
            tables = [row for row in rows if isinstance(row, Tally)]
            if cumulative(tables, self.looks):
                return None
            rows = [row.votes.tolist() for row in tables]
        selection, *counts = rows
        if min(selection, default=0) < 0:
            return "a selection count is negative"
        classes = len(self.selection)
        votes = 0
        before: Sequence[int] = (0,) * len(selection)
        for look, row in zip(self.looks, counts, strict=True):
            if look <= votes:
                return f"look {look} comes after {votes}; expected increasing numbers of votes"
            if len(row) != len(before) or sum(row) != look or any(k < b for k, b in zip(row, before, strict=False)):
                return f"the counts at {look} votes are no cumulative counts of {look} votes in {classes} classes"
            votes, before = look, row
        return None

    @property
    def correct(self) -> bool:
        """Whether the certified class is the true one; an abstention is not."""
        return self.prediction == self.label and self.prediction != ABSTAIN

    @property
    def n(self) -> int:
        """Estimation votes used."""
        return self.looks[-1] if self.looks else 0

    def line(self) -> str:
        """One line of a log, without its end; the radius as a decimal that is at most the float and reads as it."""
        fields = {**msgspec.structs.asdict(self), "radius": "@"}
        if self.uniform is None:
            del fields["uniform"]
        if isinstance(self.selection, Tally):
            fields |= _sparse(self.selection, self.counts)
        text = json.dumps(fields, separators=(",", ":"), allow_nan=False)
        return text.replace('"@"', exact_decimal(self.radius), 1)

    @classmethod
    def from_line(cls, line: str | bytes, where: str) -> Outcome:
        """The outcome of a line.

        Args:
            line: of a log.
            where: the file and the number of the line, for the message.

        Raises:
            InvalidInputError: where the line is damaged.
        """
        if b'"order"' not in (line.encode() if isinstance(line, str) else line):
            return decode(line, cls, where)
        found = decode(line, _SparseLine, where)
        try:
            selection, *counts = tallies(found.num_classes, found.order, [found.selection, *found.counts])
        except ValueError as error:
            raise InvalidInputError(f"{where}: {error}") from None
        return cls(
            found.index,
            found.label,
            found.prediction,
            found.radius,
            selection,
            found.looks,
            tuple(counts),
            found.seconds,
        )


class _SparseLine(msgspec.Struct, forbid_unknown_fields=True):
    """A line with counts of many classes: those of the classes in ``order``, zeros at a row's end left out."""

    index: Int64
    label: Int64
    prediction: Int64
    radius: float
    num_classes: Annotated[int, msgspec.Meta(ge=1, le=10**7)]
    order: list[Int64]
    selection: list[Int64]
    looks: tuple[Int64, ...]
    counts: list[list[Int64]]
    seconds: float


def _sparse(selection: Tally, counts: Iterable[Any]) -> dict[str, Any]:
    """The fields of a :class:`_SparseLine` that hold counts."""
    rows = [row.votes.tolist() for row in (selection, *counts)]
    for row in rows:
        while row and row[-1] == 0:
            row.pop()
    order = selection.order[: max(map(len, rows))].tolist()
    return {"num_classes": len(selection), "order": order, "selection": rows[0], "counts": rows[1:]}


def outcomes_frame(outcomes: Iterable[Outcome]) -> pd.DataFrame:
    """A row for each outcome, sorted by index.

    Returns:
        A frame with columns index, label, prediction, radius, correct, n (estimation votes used), seconds, and, as
        :class:`Outcome` has them, selection, looks and counts; where bounds are randomised, also uniform.
    """
    import pandas as pd

    rows = sorted(outcomes, key=lambda outcome: outcome.index)
    types = {
        "index": "int64",
        "label": "int64",
        "prediction": "int64",
        "radius": "float64",
        "correct": "bool",
        "n": "int64",
        "seconds": "float64",
        "selection": "object",
        "looks": "object",
        "counts": "object",
    }
    if any(row.uniform is not None for row in rows):
        types["uniform"] = "float64"
    return pd.DataFrame(
        {name: pd.Series([getattr(row, name) for row in rows], dtype=kind) for name, kind in types.items()}
    )
