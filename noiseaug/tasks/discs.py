"""Random discs on a lattice: Pal & Sulam's Figure 4, drawn fairly and as published."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.numerics import Grid
from noiseaug.tasks.lattice import LatticeTask
from noiseaug.validation import FloatArray

__all__ = ["DiscLattice", "PublishedDiscs"]


@dataclass(frozen=True)
class DiscLattice(LatticeTask):
    """Discs of class 1 at random places on a square lattice, with a flat marginal: one draw.

    Centres are drawn uniformly and taken in order; one that lies too close to an earlier one is dropped, namely if it
    is at most 2·disc_radius + separation away along both axes. So at least ``separation`` empty cells lie between two
    discs. A disc covers the cells within disc_radius of its centre. On the torus discs wrap round; otherwise they are
    cut off at the edge. This is Pal & Sulam's rule without its asymmetries, for which see ``PublishedDiscs``.

    Attributes:
        separation: ζ, in cells.
        size: cells along each side.
        disc_radius: radius of the discs, in cells.
        tries: number of centres drawn.
        seed: seed of the study.
        draw: number of the draw; each has a random stream of its own, seeded with (seed, draw).
        periodic: whether the lattice is a torus.
        truncate: as in ``Grid``.
    """

    separation: float
    size: int = 100
    disc_radius: float = 10
    tries: int = 10_000
    seed: int = 0
    draw: int = 0
    periodic: bool = True
    truncate: float | None = None
    dim: int = field(default=2, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "separation", validation.nonnegative("separation", self.separation))
        object.__setattr__(self, "disc_radius", validation.positive("disc_radius", self.disc_radius))
        for name, least, most in (("size", 2, 10**4), ("tries", 1, 10**7), ("seed", 0, None), ("draw", 0, None)):
            whole = validation.integer(name, getattr(self, name), at_least=least, at_most=most)
            object.__setattr__(self, name, whole)
        if 2 * self.disc_radius + 1 > self.size:
            raise InvalidInputError(
                f"disc_radius is {self.disc_radius:g} on a lattice of {self.size} cells a side; expected discs that fit"
            )
        object.__setattr__(self, "truncate", self.grid.truncate)

    @cached_property
    def grid(self) -> Grid:  # type: ignore[override]
        """The geometry."""
        return Grid((self.size, self.size), 1.0, self.periodic, self.truncate)

    @cached_property
    def centres(self) -> np.ndarray:
        """The centres of the discs in the order in which they were taken, integers of shape (k, 2)."""
        rng = np.random.default_rng((self.seed, self.draw))
        candidates = rng.integers(0, self.size, (self.tries, 2))
        reach = int(np.floor(2 * self.disc_radius + self.separation))
        return _pick(candidates, self.size, reach, reach, self.periodic)

    @cached_property
    def cell_regression(self) -> FloatArray:  # type: ignore[override]
        """h at each cell, 0 or 1, shape (size, size)."""
        return _paint(self.centres, _disc(self.disc_radius), self.size, wrap=self.periodic)


@dataclass(frozen=True)
class PublishedDiscs(LatticeTask):
    """A draw of Pal & Sulam's Figure 4 (2023), cell for cell as their released code makes it.

    Zero padding, noise cut off at four standard deviations, and three asymmetries: a centre x is dropped when an
    earlier one lies in the half-open window [x − w, x + w) along both axes, with w = 20 + separation; a disc covers the
    offsets −10 ≤ dx, dy < 10 with dx² + dy² ≤ 100; cells past the far edge are dropped, but negative indices wrap round
    to the far side. Draws come from NumPy's legacy generator, one call randint(0, 100, (10000, 2)) each.

    Attributes:
        separation: ζ, in cells.
        draw: number of the call in the legacy stream; ``figure4`` counts as the paper's loops do.
        seed: seed of the legacy stream.
    """

    separation: int
    draw: int
    seed: int = 246
    dim: int = field(default=2, init=False, repr=False)
    grid: ClassVar[Grid] = Grid((100, 100), 1.0, False, 4.0)  # type: ignore[misc]

    smooth_sigmas: ClassVar[tuple[float, ...]] = (8.0, 11.0, 14.0)
    separations: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    draws: ClassVar[int] = 10

    def __post_init__(self) -> None:
        for name in ("separation", "draw", "seed"):
            object.__setattr__(self, name, validation.integer(name, getattr(self, name), at_least=0))
        if self.seed >= 2**32:
            raise InvalidInputError(f"seed is {self.seed}; NumPy's legacy generator takes seeds below 2**32")

    @classmethod
    def figure4(cls, smooth_sigma: float, separation: int, seed: int = 246) -> list[PublishedDiscs]:
        """The ten draws behind one curve of Figure 4; the loops run over β, ζ and draws in that order.

        Raises:
            InvalidInputError: for a β or ζ that is not in the figure.
        """
        if smooth_sigma not in cls.smooth_sigmas:
            raise InvalidInputError(f"smooth_sigma is {smooth_sigma!r}; Figure 4 has {cls.smooth_sigmas}")
        if separation not in cls.separations:
            raise InvalidInputError(f"separation is {separation!r}; Figure 4 has {cls.separations}")
        curve = cls.smooth_sigmas.index(smooth_sigma) * len(cls.separations) + cls.separations.index(separation)
        return [cls(separation, curve * cls.draws + k, seed) for k in range(cls.draws)]

    @cached_property
    def centres(self) -> np.ndarray:
        """The centres of the discs in the order in which they were taken, integers of shape (k, 2)."""
        reach = 20 + self.separation
        # x − w ≤ earlier < x + w is −w < x − earlier ≤ w
        return _pick(_legacy_stream(self.seed)(self.draw), 100, reach - 1, reach, False)

    @cached_property
    def cell_regression(self) -> FloatArray:  # type: ignore[override]
        """h at each cell, 0 or 1, shape (100, 100)."""
        offsets = _disc(10)
        return _paint(self.centres, offsets[(offsets < 10).all(axis=1)], 100, wrap=None)


@lru_cache(maxsize=16)
def _disc(radius: float) -> np.ndarray:
    """The cells within a radius of the origin, shape (k, 2)."""
    whole = int(np.floor(radius))
    offsets = np.mgrid[-whole : whole + 1, -whole : whole + 1].reshape(2, -1).T
    return offsets[np.sum(offsets**2, axis=1) <= radius**2]


def _pick(candidates: np.ndarray, size: int, below: int, above: int, periodic: bool) -> np.ndarray:
    """Goes through the candidates in order and takes each that no earlier one blocks.

    One at c blocks all x with −below ≤ x − c ≤ above along both axes.
    """
    never = len(candidates)
    # the first try that hits each cell: later ones at a cell never matter, since a centre blocks itself
    first = np.full(size * size, never, dtype=np.int32)
    first[(candidates[:, 0] * size + candidates[:, 1])[::-1]] = np.arange(never - 1, -1, -1, dtype=np.int32)
    blocked = first.reshape(size, size)
    taken: list[tuple[int, int]] = []
    while True:
        row, column = divmod(int(blocked.argmin()), size)
        if blocked[row, column] == never:
            return np.array(taken)
        taken.append((row, column))
        if periodic:
            span = np.arange(-min(below, size), min(above, size) + 1)
            blocked[np.ix_((row + span) % size, (column + span) % size)] = never
        else:
            blocked[max(row - below, 0) : row + above + 1, max(column - below, 0) : column + above + 1] = never


def _paint(centres: np.ndarray, offsets: np.ndarray, size: int, wrap: bool | None) -> FloatArray:
    """1 on the discs, else 0; ``wrap`` None wraps negative indices only."""
    rows, columns = ((centres[:, axis, None] + offsets[:, axis]).ravel() for axis in (0, 1))
    if wrap:
        rows, columns = rows % size, columns % size
    else:
        kept = (rows < size) & (columns < size)
        if wrap is False:
            kept &= (rows >= 0) & (columns >= 0)
        rows, columns = rows[kept], columns[kept]
    result = np.zeros((size, size))
    # numpy counts negative indices from the far side, as the published code does
    result[rows, columns] = 1.0
    return result


@lru_cache(maxsize=4)
def _legacy_stream(seed: int) -> _LegacyStream:
    return _LegacyStream(seed)


class _LegacyStream:
    """The calls randint(0, 100, (10000, 2)) of one legacy generator by number; remembers where each begins."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.RandomState(seed)
        self._states: list[Any] = [self._generator.get_state(legacy=False)]
        self._place = 0
        self._lock = Lock()

    def __call__(self, draw: int) -> np.ndarray:
        """The candidates of the call with this number, shape (10000, 2)."""
        with self._lock:
            start = min(draw, len(self._states) - 1)
            if self._place != start:
                self._generator.set_state(self._states[start])
            for self._place in range(start + 1, draw + 2):
                result = self._generator.randint(0, 100, (10_000, 2))
                if self._place == len(self._states):
                    self._states.append(self._generator.get_state(legacy=False))
            return result
