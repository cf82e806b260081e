"""Votes of a torch network: what to certify, how to run it, and the engine that does so behind ``certify``.

    base = TorchBase(model, precision="bfloat16")
    certify(base, images, smooth_sigma=0.5)

On a CPU the noise is that of ``noiseaug.votes.VoteCounter``, so at float32 both engines count the same votes, up to
inputs whose two largest logits differ by no more than rounding. Each core draws noise and classifies it on its own: no
core waits for another within a layer. On another device the noise comes from counters there (``philox``), votes of
many inputs fill one batch, and nothing is waited for until counts are wanted (``packed``).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.vision.device import PRECISIONS, as_device
from noiseaug.vision.engine.inference import Network, prepare
from noiseaug.vision.engine.packed import PackedVotes, Segment, packed_input
from noiseaug.votes import GaussianNoise, Noise, NoisyRows, as_predictor, noisy_rows
from noiseaug.votes.counting import MOST_BATCH, Purpose

__all__ = ["DeviceStream", "TorchBase", "TorchCounter", "TorchStream"]

_TF32 = "tf32"
_MOST_VOTES = 1 << 32  # that the counter of their noise can tell apart
_FIRST_BATCH = 128  # of noise from the CPU, then twice as many each time
_AHEAD = 4  # tasks a thread that are handed out before the first is done


@dataclass(frozen=True, eq=False)
class TorchBase:
    """A network to certify, and how to run it.

    Attributes:
        model: from inputs in [0, 1] (with noise), shape ``(m, *shape)``, to logits, shape (m, num_classes). It
            is copied: mode, weights and layout of the original stay; later training does not reach a counter that was
            made before.
        shape: of one input, to which inputs of any shape are reshaped; by default the model's own ``shape``, else that
            of the input.
        device: as torch names it: ``cpu``, ``cuda``, ``cuda:1``.
        precision: ``float32``, ``bfloat16``, ``float16`` or, on a CUDA device, ``tf32``: float32 whose products have
            factors of 10 bits. Another precision is another base classifier: it is recorded, and a certificate is of
            that classifier.
        batch: largest number of noisy inputs classified at once; by default what suits device and network.
        num_classes: number of logits; by default the model's own ``num_classes``.
        compiled: whether the network goes through torch.compile, for a device that is no CPU: the first votes take
            longer, by up to minutes, all others less.

    Raises:
        InvalidInputError: for a device that is not there, an unknown precision, or bad numbers.
    """

    model: nn.Module
    shape: tuple[int, ...] | None = None
    device: str = "cpu"
    precision: str = "float32"
    batch: int | None = None
    num_classes: int | None = None
    compiled: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise InvalidInputError(f"model is {type(self.model).__name__}; expected a torch module")
        validation.choice("precision", self.precision, (*PRECISIONS, _TF32))
        device = as_device(self.device)
        if self.precision == _TF32 and device.type != "cuda":
            raise InvalidInputError(f"tf32 is a precision of CUDA devices, not of {device.type}; use float32")
        if device.type == "cpu" and self.compiled:
            raise InvalidInputError("compiled is for another device; on a CPU layers are fused without it")
        own = getattr(self.model, "shape", None)
        shape = self.shape or (own if isinstance(own, tuple) else None)
        if shape is not None:
            if not isinstance(shape, tuple | list):
                raise InvalidInputError(
                    f"shape is {shape!r}; expected the lengths of an input's axes, such as (1, 28, 28)"
                )
            object.__setattr__(self, "shape", tuple(validation.integer("shape", side) for side in shape))
        if self.batch is not None:
            object.__setattr__(self, "batch", validation.integer("batch", self.batch, at_most=MOST_BATCH))

    def vote_counter(
        self, *, noise: Noise, num_classes: int | None = None, seed: int = 0, batch: int | None = None
    ) -> TorchCounter:
        """The engine that counts this network's votes; arguments as for ``noiseaug.votes.make_counter``."""
        return TorchCounter(self, noise=noise, num_classes=num_classes, seed=seed, batch=batch)


class TorchCounter:
    """Draws noise and counts the votes of a torch network; for certification the same as ``votes.VoteCounter``.

    On a CPU every vote of a stream has its place in a batch of a fixed size, whatever the calls; on another device all
    batches have one size. So votes are exactly the same however they are asked for, at every precision, as long as the
    device's kernels treat all places of a batch alike. Another ``batch`` or number of threads gives the same noise, and
    the same votes up to inputs whose two largest logits differ by no more than the rounding of the network.

    Args:
        base: the network.
        noise: the law of noise.
        num_classes: number of classes, where neither ``base`` nor its network says.
        seed: non-negative integer of any size.
        batch: instead of that of ``base``.
        noise_on_device: whether the noise comes from counters on the device, and inputs share batches; by default
            wherever that is no CPU. A law that is not Gaussian is always drawn on the CPU.

    Attributes:
        num_classes: number of classes.
        round_votes: votes that are best asked for in one call of :meth:`take_together`; 0 where it gains nothing.

    Raises:
        InvalidInputError: for arguments that cannot be used.
    """

    def __init__(
        self,
        base: TorchBase,
        *,
        noise: Noise,
        num_classes: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        noise_on_device: bool | None = None,
    ) -> None:
        given = base.num_classes if num_classes is None else num_classes
        self.base, self.noise, self.seed = base, noise, seed
        self.num_classes = as_predictor(base.model, given).num_classes
        self.batch = base.batch if batch is None else validation.integer("batch", batch, at_most=MOST_BATCH)
        self.device = as_device(base.device)
        elsewhere = self.device.type != "cpu" if noise_on_device is None else noise_on_device
        self.noise_on_device = elsewhere and type(noise) is GaussianNoise
        self._networks: dict[tuple[int, ...], Network] = {}
        self._packed: dict[tuple[int, ...], PackedVotes] = {}
        self._preparing = threading.Lock()

    def stream(self, x: Any, index: int, purpose: Purpose) -> TorchStream | DeviceStream:
        """The votes for one input, in order, from the first; arguments as for ``VoteCounter.stream``.

        Raises:
            InvalidInputError: as there, and for an input that does not fit the network.
        """
        rows = noisy_rows(self.noise, self.seed, x, index, purpose)
        shape = self._shape(x)
        with self._preparing:
            network = self._network(shape)
            if self.noise_on_device:
                return DeviceStream(self._votes(shape, network), rows, shape)
        return TorchStream(_HostLabels(network, rows, shape, self.batch or network.batch), self.num_classes)

    @property
    def round_votes(self) -> int:
        with self._preparing:
            return max((votes.round_votes for votes in self._packed.values()), default=int(self.noise_on_device))

    def take_together(self, requests: Sequence[tuple[TorchStream | DeviceStream, int]]) -> list[np.ndarray]:
        """Counts of the next votes of several streams; one may come up repeatedly.

        Args:
            requests: streams of this counter, and numbers of votes, at least 0.

        Returns:
            As :meth:`TorchStream.take` for each request in turn, but that all or none are taken.

        Raises:
            InvalidInputError: as there.
        """
        if not self.noise_on_device:
            return [stream.take(votes) for stream, votes in requests]
        return _taken_together(requests)  # type: ignore[arg-type]

    def description(self, x: Any = None) -> dict[str, Any]:
        """What the votes depend on besides noise, seed and network.

        Args:
            x: an input. With it the description says how the network runs here, and why it does not run faster.
        """
        facts: dict[str, Any] = {
            "precision": self.base.precision,
            "noise_source": "philox" if self.noise_on_device else "host",
        }
        if x is None:
            return facts
        shape = self._shape(x)
        with self._preparing:
            network = self._network(shape)
            ran = self._votes(shape, network) if self.noise_on_device else network
        return {**facts, "execution": {"way": ran.way, "obstacles": ran.obstacles}}

    def _shape(self, x: Any) -> tuple[int, ...]:
        """The shape in which the network takes an input."""
        shape = self.base.shape or np.shape(x)
        if np.size(x) != int(np.prod(shape)):
            raise InvalidInputError(f"x has shape {np.shape(x)}; expected {int(np.prod(shape))} values, {shape}")
        return shape

    def _network(self, shape: tuple[int, ...]) -> Network:
        if shape not in self._networks:
            network = prepare(
                self.base.model,
                shape=shape,
                num_classes=self.num_classes,
                device=self.device,
                dtype=torch.float32 if self.base.precision == _TF32 else getattr(torch, self.base.precision),
                batch=self.batch,
            )
            self._networks[shape] = replace(network, tf32=self.base.precision == _TF32)
        return self._networks[shape]

    def _votes(self, shape: tuple[int, ...], network: Network) -> PackedVotes:
        if shape not in self._packed:
            sigma = self.noise.smooth_sigma
            self._packed[shape] = PackedVotes(network, shape, sigma, compile_network=self.base.compiled)
        return self._packed[shape]


class DeviceStream:
    """The votes for one input, counted on a device; made by ``TorchCounter.stream``.

    Attributes:
        drawn: number of votes taken so far. A call that fails or is interrupted takes none.
    """

    def __init__(self, votes: PackedVotes, rows: NoisyRows, shape: tuple[int, ...]) -> None:
        self.votes, self.drawn = votes, 0
        self.centre = packed_input(rows.centre, shape)
        self.key = rows.key[:4].astype(np.int64)

    def take(self, votes: int) -> np.ndarray:
        """Counts of the next votes; as :meth:`TorchStream.take`."""
        return _taken_together([(self, votes)])[0]


def _taken_together(requests: Sequence[tuple[DeviceStream, int]]) -> list[np.ndarray]:
    begun: dict[DeviceStream, int] = {}
    segments = []
    for stream, votes in requests:
        start = begun.get(stream, stream.drawn)
        segments.append(Segment(stream.centre, stream.key, start, validation.integer("votes", votes, at_least=0)))
        begun[stream] = start + votes
        if begun[stream] > _MOST_VOTES:
            raise InvalidInputError(f"{begun[stream]} votes; an input has at most {_MOST_VOTES} on a device")
    counts: dict[int, np.ndarray] = {}
    # inputs of one shape share batches
    for engine in {stream.votes for stream in begun}:
        places = [place for place, (stream, _) in enumerate(requests) if stream.votes is engine]
        counts |= dict(zip(places, engine.count([segments[place] for place in places]), strict=True))
    found = [_checked(counts[place]) for place in range(len(requests))]
    for stream, drawn in begun.items():
        stream.drawn = drawn
    return found


def _checked(counts: np.ndarray) -> np.ndarray:
    """Counts without those of NaN, which there must not be."""
    if counts[-1]:
        raise InvalidInputError("the network returned NaN; expected finite logits")
    return counts[:-1]


class TorchStream:
    """The votes for one input, with noise drawn on the CPU; made by ``TorchCounter.stream``. For one thread at a time.

    Attributes:
        drawn: number of votes taken so far. A call that fails or is interrupted takes none.
    """

    def __init__(self, source: _HostLabels, num_classes: int) -> None:
        self._source, self._num_classes = source, num_classes
        device = source.network.device
        self._spare = torch.empty(0, dtype=torch.int64, device=device)  # of the last batch, beyond the last vote taken
        self.drawn = 0

    def take(self, votes: int) -> np.ndarray:
        """Counts of the next votes, shape (num_classes,), int64.

        Args:
            votes: number of votes, at least 0.

        Raises:
            InvalidInputError: where the network returns something else than finite logits, or memory runs out.
        """
        votes = validation.integer("votes", votes, at_least=0)
        spare, taken = self._spare, 0
        classes = torch.arange(self._num_classes + 1, device=spare.device)  # the last stands for NaN
        counts = torch.zeros_like(classes)
        begun = self.drawn + len(spare)
        with closing(self._source.batches(begun, max(begun, self.drawn + votes))) as batches:
            for labels in chain([spare], batches):
                used = labels[: votes - taken]
                counts += (used[:, None] == classes).sum(0)
                taken, spare = taken + len(used), labels[len(used) :]
        found = _checked(counts.cpu().numpy())
        self.drawn, self._spare = self.drawn + votes, spare
        return found


class _HostLabels:
    """Noise from the blocks of ``votes.NoisyRows``; on a CPU every thread draws and classifies blocks of its own.

    A batch is an equal part of a block, or some whole blocks where those are small. The first ones are smaller, so that
    few votes cost little.
    """

    def __init__(self, network: Network, rows: NoisyRows, shape: tuple[int, ...], batch: int) -> None:
        self.network, self.rows, self.shape = network, rows, shape
        self.unit = rows.block * max(1, batch // rows.block)
        parts = -(-self.unit // batch)
        self.bounds = [self.unit * part // parts for part in range(parts + 1)]
        small = [_FIRST_BATCH << doubling for doubling in range(32) if _FIRST_BATCH << doubling < self.bounds[1]]
        self.first = [0, *small, *self.bounds[1:]]
        self.left: tuple[int, Any] | None = None  # next row and the source of its block

    def batches(self, start: int, stop: int) -> Generator[torch.Tensor]:
        """Labels of votes ``start`` …, where a batch must begin, in order, up to the batch in which ``stop`` lies."""
        tasks = list(self._tasks(start, stop))
        left, self.left = self.left, None
        # a single task too goes to a thread of its own: within a layer, more threads would round differently
        threads = torch.get_num_threads() if self.network.device.type == "cpu" else 1
        if threads < 2:
            for task in tasks:
                labels, left = self._classify(task, left)
                yield labels
            self.left = left
            return
        pool, pending = _workers(os.getpid(), threads), deque[Future[Any]]()
        try:
            for task in tasks:
                pending.append(pool.submit(self._classify, task, left))
                left = None
                if len(pending) > _AHEAD * threads:
                    yield pending.popleft().result()[0]
            while pending:
                labels, left = pending[0].result()
                pending.popleft()
                yield labels
            self.left = left
        finally:
            # nothing runs on after an error or an interrupt
            wait([future for future in pending if not future.cancel()])

    def _tasks(self, start: int, stop: int) -> Iterator[list[tuple[int, int]]]:
        """Batches as (first row, row after the last), those of one unit together."""
        for unit in range(start // self.unit, -(-stop // self.unit)):
            edges = [unit * self.unit + bound for bound in self.bounds] if unit else self.first
            task = [(low, high) for low, high in pairwise(edges) if start <= low < stop]
            if task:
                yield task

    def _classify(self, task: list[tuple[int, int]], left: Any) -> tuple[torch.Tensor, Any]:
        rows, network = self.rows, self.network
        buffer = np.empty((max(high - low for low, high in task), rows.dim), rows.dtype)
        labels = []
        for low, high in task:
            left = rows.fill(low, buffer[: high - low], left)
            noisy = torch.from_numpy(buffer[: high - low]).reshape(-1, *self.shape)
            labels.append(network.labels(noisy.to(network.device)))
        return torch.cat(labels), left


@cache
def _workers(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process in which torch uses one thread each."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"torch-votes-{process}")
    everyone = threading.Barrier(threads)

    def settle() -> None:
        torch.get_num_threads()  # what a thread begins with is settled here, and would undo an earlier setting
        torch.set_num_threads(1)
        everyone.wait()

    wait([pool.submit(settle) for _ in range(threads)])
    # the setting is a thread's own, but the last one made is also what threads that come later begin with
    torch.set_num_threads(threads)
    return pool
