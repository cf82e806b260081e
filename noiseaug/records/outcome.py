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
        expert_radius: where a router chose the level: the radius that the expert's votes certify by themselves, rounded
            down; ``radius`` is the smaller of this and the router's. None otherwise.
        router: the router's outcome, whose classes are the levels; all other votes are then those of the expert at the
            level that it names, and where it abstains there are none. None for a run with one level.

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
    expert_radius: float | None = None
    router: Outcome | None = None

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
        plain["expert_radius"] = None if self.expert_radius is None else float(self.expert_radius)
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
        return self._votes_fault() or self._routing_fault()

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

    def _routing_fault(self) -> str | None:
        router, own = self.router, self.expert_radius
        if router is None or own is None:
            return None if router is None and own is None else "a router's votes and the expert's radius go together"
        if not (math.isfinite(own) and own >= 0):
            return f"expert_radius is {own}; expected a finite number of at least 0"
        if router.router is not None or router.index != self.index:
            return "the router's outcome is of another input, or of a router itself"
        if self.radius != (0.0 if self.prediction == ABSTAIN else min(router.radius, own)):
            return f"radius is {self.radius}, with {router.radius} of the router and {own} of the expert"
        if len(router.selection) > MANY:
            return f"{len(router.selection)} levels; expected at most {MANY}"
        if router.prediction == ABSTAIN and (self.prediction != ABSTAIN or self.looks or self.uniform is not None):
            return "votes of an expert although the router abstains"
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
        """One line of a log, without its end; radii as decimals that are at most the float and read as it."""
        fields = msgspec.structs.asdict(self)
        del fields["expert_radius"], fields["router"]
        if self.uniform is None:
            del fields["uniform"]
        if isinstance(self.selection, Tally):
            fields |= _sparse(self.selection, self.counts)
        text = json.dumps({**fields, "radius": "@"}, separators=(",", ":"), allow_nan=False)
        text = text.replace('"@"', exact_decimal(self.radius), 1)
        if self.router is None or self.expert_radius is None:
            return text
        return f'{text[:-1]},"expert_radius":{exact_decimal(self.expert_radius)},"router":{self.router.line()}}}'

    @classmethod
    def routed(cls, router: Outcome, expert: Outcome | None, label: int, num_classes: int) -> Outcome:
        """What a router and the expert that it names certify together (docs/math.md 4.10).

        Args:
            router: the router's outcome.
            expert: the expert's; None where the router abstains.
            label: true label of the input.
            num_classes: number of the experts' classes.
        """
        if expert is None:
            return cls(router.index, label, ABSTAIN, 0.0, (0,) * num_classes, (), (), router.seconds, None, 0.0, router)
        return msgspec.structs.replace(
            expert,
            radius=min(router.radius, expert.radius),
            seconds=router.seconds + expert.seconds,
            expert_radius=expert.radius,
            router=router,
        )

    @property
    def expert(self) -> Outcome | None:
        """The expert's own outcome, where a router has named one; the seconds are those of both."""
        if self.router is None or self.router.prediction == ABSTAIN:
            return None
        return msgspec.structs.replace(self, radius=self.expert_radius, expert_radius=None, router=None)

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
            found.uniform,
            found.expert_radius,
            found.router,
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
    uniform: float | None = None
    expert_radius: float | None = None
    router: Outcome | None = None


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
        :class:`Outcome` has them, selection, looks and counts; where bounds are randomised, also uniform. Where a
        router chose the levels, also level (its place among the levels; −1 where the router abstained), router_radius,
        expert_radius and router_n (the router's estimation votes).
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
    frame = pd.DataFrame(
        {name: pd.Series([getattr(row, name) for row in rows], dtype=kind) for name, kind in types.items()}
    )
    routers = [row.router for row in rows]
    if not any(routers):
        return frame
    return frame.assign(
        level=[ABSTAIN if router is None else router.prediction for router in routers],
        router_radius=[math.nan if router is None else router.radius for router in routers],
        expert_radius=[math.nan if row.expert_radius is None else row.expert_radius for row in rows],
        router_n=[0 if router is None else router.n for router in routers],
    )
