"""Counts of many classes, most of which have no vote, without a place for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np

__all__ = ["MANY", "Tally", "cumulative", "tallies", "tallies_of"]

MANY = 64
"""Classes above which counts are kept as tallies; below, a tuple is as short."""


class Tally(Sequence[int]):
    """The count of every class; reads like a tuple of ``num_classes`` integers, and as such an array.

    Rows of one outcome share a table, which has a column for each class with a vote.

    Args:
        num_classes: number of classes.
        order: the class of each column, shape (columns,).
        table: counts, shape (rows, columns).
        row: the row that this is.
    """

    __slots__ = ("num_classes", "order", "row", "table")

    def __init__(self, num_classes: int, order: np.ndarray, table: np.ndarray, row: int) -> None:
        self.num_classes, self.order, self.table, self.row = num_classes, order, table, row

    @property
    def votes(self) -> np.ndarray:
        """The count of each column's class, shape (columns,)."""
        counts: np.ndarray = self.table[self.row]
        return counts

    def __len__(self) -> int:
        return self.num_classes

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[int, ...]: ...
    def __getitem__(self, place: int | slice) -> int | tuple[int, ...]:
        if isinstance(place, slice):
            return tuple(self.__array__()[place].tolist())
        found = np.flatnonzero(self.order == range(self.num_classes)[place])
        return int(self.votes[found[0]]) if found.size else 0

    def __iter__(self) -> Iterator[int]:
        return iter(self.__array__().tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        counts = np.zeros(self.num_classes, dtype=np.int64 if dtype is None else dtype)
        counts[self.order] = self.votes
        return counts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tally):
            return NotImplemented
        if self.num_classes != other.num_classes:
            return False
        if self.order is other.order or np.array_equal(self.order, other.order):
            return bool(np.array_equal(self.votes, other.votes))
        return bool(np.array_equal(self.__array__(), other.__array__()))

    def __hash__(self) -> int:
        # equal tallies may have other columns, but not another sum
        return hash((self.num_classes, int(self.votes.sum()), int(self.votes.max(initial=0))))

    def __repr__(self) -> str:
        held = {int(each): int(votes) for each, votes in zip(self.order, self.votes, strict=True) if votes}
        return f"<{self.num_classes} classes: {held}>"


def tallies(num_classes: int, order: Sequence[int], rows: Sequence[Sequence[int]]) -> tuple[Tally, ...]:
    """Tallies that share a table.

    Args:
        num_classes: number of classes.
        order: the class of each column.
        rows: counts of the classes in this order; zeros at the end may be left out.

    Raises:
        ValueError: for classes that repeat or are not there, or a row of more columns.
    """
    if len(set(order)) < len(order) or (order and not 0 <= min(order) <= max(order) < num_classes):
        raise ValueError(f"the order names no different classes of {num_classes}")
    table = np.zeros((len(rows), len(order)), dtype=np.int64)
    for place, row in enumerate(rows):
        if len(row) > len(order):
            raise ValueError(f"{len(row)} counts of {len(order)} classes")
        table[place, : len(row)] = row
    return _sharing(num_classes, np.array(order, dtype=np.int32), table)


def tallies_of(rows: Sequence[Sequence[int]]) -> tuple[Tally, ...]:
    """Counts of all classes, one row each, as tallies; classes in the order in which they got their first vote."""
    if all(isinstance(row, Tally) and row.table is rows[0].table for row in rows):  # type: ignore[attr-defined]
        return tuple(rows)  # type: ignore[arg-type]
    dense = np.array([np.asarray(row) for row in rows])
    if dense.dtype.kind not in "iu":
        raise TypeError(f"counts are of type {dense.dtype}; expected integers")
    seen = dense != 0
    classes = np.flatnonzero(seen.any(axis=0))
    order = classes[np.argsort(seen[:, classes].argmax(axis=0), kind="stable")]
    return _sharing(dense.shape[1], order.astype(np.int32), dense[:, order].astype(np.int64))


def cumulative(rows: Sequence[Tally], looks: Sequence[int]) -> bool:
    """Whether counts of a selection and, below it, cumulative counts at each look are what they should be.

    Args:
        rows: tallies that share a table.
        looks: numbers of votes of all rows but the first.
    """
    table = np.array([row.votes for row in rows], dtype=np.int64)
    grown = np.diff(table[1:], axis=0, prepend=0)
    votes = table[1:].sum(axis=1).tolist()
    return votes == list(looks) and bool((table >= 0).all() and (grown >= 0).all() and grown.any(axis=1).all())


def _sharing(num_classes: int, order: np.ndarray, table: np.ndarray) -> tuple[Tally, ...]:
    if table.size and table.min() >= -(2**31) and table.max() < 2**31:
        table = table.astype(np.int32)
    return tuple(Tally(num_classes, order, table, row) for row in range(len(table)))
