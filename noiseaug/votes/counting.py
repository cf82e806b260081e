"""Votes of a base classifier under noise: what randomized smoothing measures (Cohen et al. 2019, SampleUnderNoise).

    counter = VoteCounter(classifier, noise=GaussianNoise(0.5), seed=0)
    counts = counter.stream(x, index=0, purpose="estimation").take(1000)

The noise of vote v for an input depends on (seed, index, law of noise, smooth_sigma, purpose) alone, and on the number
of coordinates and the precision of the input. Votes are cut into blocks of about 65 536 coordinates; each block has a
generator of its own, seeded by a hash of that key and by its number, and is consumed in order. So neither the size of
batches, nor that of calls, nor threads, processes, or what ran before matter to what the classifier sees.
"""

from __future__ import annotations

import hashlib
import operator
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.votes.adapters import answers, as_predictor, checked_labels
from noiseaug.votes.noise import Noise

__all__ = [
    "Counter",
    "NoisyRows",
    "Stream",
    "VoteCounter",
    "VoteStream",
    "bound_uniform",
    "make_counter",
    "noisy_rows",
    "round_votes",
    "take_together",
]

Purpose = Literal["selection", "estimation"]
_PURPOSES = ("selection", "estimation")
_VERSION = 1  # of the meaning of a seed
_BLOCK_VALUES = 1 << 16
_WORTH_A_THREAD = 1 << 15  # coordinates, some 0.1 ms
_MOST_THREADS = 4
MOST_BATCH = 10**7


class Stream(Protocol):
    """The votes for one input, in order; see ``VoteStream``."""

    drawn: int

    def take(self, votes: int) -> np.ndarray: ...


class Counter(Protocol):
    """A vote engine as certification sees it; see ``VoteCounter``.

    One that counts the votes of many inputs at once has ``take_together`` and ``round_votes`` besides, as
    ``noiseaug.vision.engine.TorchCounter`` does.
    """

    num_classes: int

    def stream(self, x: Any, index: int, purpose: Purpose) -> Stream: ...

    def description(self, x: Any = None) -> dict[str, Any]: ...


def take_together(counter: Counter, requests: Sequence[tuple[Stream, int]]) -> list[np.ndarray]:
    """Counts of the next votes of several streams of a counter, in turn, or all at once where it can do that.

    Args:
        counter: with a method of this name, which gets the requests, or without.
        requests: streams and numbers of votes; a stream may come up repeatedly.
    """
    own = getattr(counter, "take_together", None)
    if own is None:
        return [stream.take(votes) for stream, votes in requests]
    counts: list[np.ndarray] = own(requests)
    return counts


def round_votes(counter: Counter) -> int:
    """Votes that are best asked for at a time; 0 where it makes no difference."""
    return int(getattr(counter, "round_votes", 0))


def make_counter(
    base: Any, *, noise: Noise, num_classes: int | None = None, seed: int = 0, batch: int | None = None
) -> Counter:
    """The vote engine of a base: what its ``vote_counter`` makes of these arguments, else a ``VoteCounter``.

    Args:
        base: anything that ``as_predictor`` takes, or an object with ``vote_counter``.
        noise: the law of noise.
        num_classes: number of classes, where ``base`` does not say.
        seed: non-negative integer of any size.
        batch: largest number of noisy inputs classified at once; by default what suits the engine.
    """
    own = None if isinstance(base, type) else getattr(base, "vote_counter", None)
    if callable(own):
        made: Counter = own(noise=noise, num_classes=num_classes, seed=seed, batch=batch)
        return made
    size = {} if batch is None else {"batch": batch}
    return VoteCounter(base, noise=noise, num_classes=num_classes, seed=seed, **size)


class VoteCounter:
    """Draws noise and counts the votes of a base classifier.

    Args:
        base: anything that ``as_predictor`` takes.
        noise: the law of noise.
        num_classes: number of classes, where ``base`` does not say.
        seed: non-negative integer of any size.
        batch: largest number of noisy inputs that the classifier gets at once; memory holds two batches.

    Attributes:
        num_classes: number of classes.

    Raises:
        InvalidInputError: for arguments that cannot be used.
    """

    def __init__(
        self, base: Any, *, noise: Noise, num_classes: int | None = None, seed: int = 0, batch: int = 1000
    ) -> None:
        self.predictor = as_predictor(base, num_classes)
        self.num_classes = self.predictor.num_classes
        self.noise = noise
        self.seed = _whole("seed", seed)
        self.batch = validation.integer("batch", batch, at_most=MOST_BATCH)
        self._idle: list[np.ndarray] = []  # flat buffers between two calls

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_idle": []}

    def stream(self, x: Any, index: int, purpose: Purpose) -> VoteStream:
        """The votes for one input, in order, from the first.

        Args:
            x: one input of any shape; see the law of noise for how types are taken.
            index: its number in its data set.
            purpose: ``selection`` or ``estimation``; the two get independent noise.

        Raises:
            InvalidInputError: for NaN or an input that the law of noise does not take.
        """
        return VoteStream(self, noisy_rows(self.noise, self.seed, x, index, purpose), np.shape(x))

    def description(self, x: Any = None) -> dict[str, Any]:
        """What the votes depend on besides noise, seed and base: nothing here. ``x``: an input."""
        return {}

    def _count(self, rows: np.ndarray) -> np.ndarray:
        labels = checked_labels(answers(self.predictor.predict, rows), len(rows), self.num_classes)
        return np.bincount(labels, minlength=self.num_classes)

    def _borrow(self, values: int, dtype: np.dtype[Any]) -> np.ndarray:
        """A flat buffer of at least that size; a call owns it until it puts it back, so calls never share one."""
        try:
            buffer = self._idle.pop()
        except IndexError:
            return np.empty(values, dtype)
        return buffer if buffer.size >= values and buffer.dtype == dtype else np.empty(values, dtype)


class VoteStream:
    """The votes for one input; made by ``VoteCounter.stream``. For one thread at a time.

    Attributes:
        drawn: number of votes taken so far. A call that fails or is interrupted takes none.
    """

    def __init__(self, counter: VoteCounter, rows: NoisyRows, shape: tuple[int, ...]) -> None:
        self._counter, self._rows, self._shape = counter, rows, shape
        self.drawn = 0

    def take(self, votes: int) -> np.ndarray:
        """Counts of the next votes, shape (num_classes,), int64. The next batch is drawn while one is classified.

        Args:
            votes: number of votes, at least 0.

        Raises:
            InvalidInputError: where the classifier does not return one integer in 0 … num_classes−1 for each input.
        """
        counter, rows = self._counter, self._rows
        end = self.drawn + validation.integer("votes", votes, at_least=0)
        size = min(counter.batch, end - self.drawn)
        counts = np.zeros(counter.num_classes, dtype=np.int64)
        if not size:
            return counts
        alone = size == end - self.drawn
        held = [counter._borrow(size * rows.dim, rows.dtype) for _ in range(1 if alone else 2)]

        def draw(start: int) -> _Drawing:
            batch = held[0][: min(size, end - start) * rows.dim].reshape(-1, rows.dim)
            held.reverse()
            return _Drawing(rows, start, batch, overlap=not alone)

        drawing = draw(self.drawn)
        try:
            for start in range(self.drawn, end, size):
                batch = drawing.finish()
                if start + size < end:
                    drawing = draw(start + size)
                counts += counter._count(batch.reshape(-1, *self._shape))
        finally:
            drawing.abandon()
        self.drawn = end
        counter._idle.extend(held)  # after a failure a thread may still write there
        del counter._idle[:-2]
        return counts


def noisy_rows(noise: Noise, seed: int, x: Any, index: int, purpose: Purpose) -> NoisyRows:
    """The noisy copies of an input that its votes are of; arguments and errors as for ``VoteCounter.stream``."""
    validation.choice("purpose", purpose, _PURPOSES)
    key = _key(noise.name, noise.smooth_sigma, seed, index, purpose)
    return NoisyRows(noise, noise.centre(x), np.frombuffer(key, dtype="<u4"))


def bound_uniform(noise: str, smooth_sigma: float, seed: int, index: int) -> float:
    """U of an input for randomised bounds, in [0, 1): from a key like those of its votes, with a purpose of its own.

    So it is fixed before any vote, independent of all of them, and the same whenever it is asked for.

    Args:
        noise: name of the law of noise.
        smooth_sigma: β > 0.
        seed: of the votes.
        index: number of the input in its data set.
    """
    words = _key(noise, float(smooth_sigma), seed, index, "bound")
    return float((int.from_bytes(words[:8], "little") >> 11) * 2.0**-53)


def _key(noise: str, smooth_sigma: float, seed: int, index: int, purpose: str) -> bytes:
    parts = (_VERSION, _whole("seed", seed), _whole("index", index), noise, smooth_sigma.hex(), purpose)
    return hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=32).digest()


class NoisyRows:
    """The noisy inputs of a stream by number. A block that was left half way is resumed, or else drawn again.

    Attributes:
        centre: the input, shape (dim,), in the precision of its noise.
        key: what the random numbers are seeded by, 8 words of 32 bits.
        block: rows that share a source of random numbers.
    """

    def __init__(self, noise: Noise, centre: np.ndarray, key: np.ndarray) -> None:
        self.noise, self.centre, self.key = noise, centre, key
        self.dim, self.dtype = len(centre), centre.dtype
        self.block = max(1, _BLOCK_VALUES // self.dim)
        self.left: tuple[int, Any] | None = None  # next row and the source of its block

    def fill(self, start: int, out: np.ndarray, left: tuple[int, Any] | None) -> tuple[int, Any] | None:
        """Writes rows ``start`` … into ``out``, shape (rows, dim), and returns where and with what to go on."""
        row, stop = start, start + len(out)
        while row < stop:
            block, within = divmod(row, self.block)
            if within and left is not None and left[0] == row:
                source = left[1]
            else:
                source = self.noise.source(np.random.SeedSequence(self.key, spawn_key=(block,)))
                if within:
                    self.noise.fill(source, self.centre, np.empty((within, self.dim), self.dtype))
            upto = min(stop, row - within + self.block)
            self.noise.fill(source, self.centre, out[row - start : upto - start])
            row, left = upto, (upto, source)
        return left


class _Drawing:
    """A batch that is being drawn: by threads, cut at the ends of blocks, or where that does not pay, by who asks."""

    def __init__(self, rows: NoisyRows, start: int, out: np.ndarray, *, overlap: bool) -> None:
        self.rows, self.start, self.out = rows, start, out
        self.parts: list[Future[Any]] = []
        first, last = start // rows.block, (start + len(out) - 1) // rows.block
        threads = _threads()
        if threads < 2 or out.size < _WORTH_A_THREAD or not (overlap or last > first):
            return
        count = min(threads, last - first + 1)
        inner = [(first + (last - first + 1) * i // count) * rows.block - start for i in range(1, count)]
        left, rows.left = rows.left, None
        pool = _pool(os.getpid())
        for low, high in zip([0, *inner], [*inner, len(out)], strict=True):
            self.parts.append(pool.submit(rows.fill, start + low, out[low:high], left if low == 0 else None))

    def finish(self) -> np.ndarray:
        """The batch, once it is complete."""
        if self.parts:
            self.rows.left = [part.result() for part in self.parts][-1]
            self.parts = []
        else:
            left, self.rows.left = self.rows.left, None
            self.rows.left = self.rows.fill(self.start, self.out, left)
        return self.out

    def abandon(self) -> None:
        """Returns when no thread writes into the batch any more."""
        wait([part for part in self.parts if not part.cancel()])


@cache
def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(_MOST_THREADS, cores or 1)


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process; a forked one does not inherit its parent's and makes its own."""
    return ThreadPoolExecutor(_threads(), thread_name_prefix=f"noiseaug-{process}")


def _whole(name: str, value: Any) -> int:
    """A non-negative integer of any size."""
    try:
        result = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        result = -1
    if result < 0:
        raise InvalidInputError(f"{name} is {value!r}; expected a non-negative integer")
    return result
