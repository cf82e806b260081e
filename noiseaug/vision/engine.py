"""Votes of a torch network: what to certify, how to run it, and the engine that does so behind ``certify``.

    base = TorchBase(model, precision="bfloat16")
    certify(base, images, smooth_sigma=0.5)

On a CPU the noise is that of ``noiseaug.votes.VoteCounter``, so at float32 both engines count the same votes, up to
inputs whose two largest logits differ by no more than rounding. Each core draws noise and classifies it on its own: no
core waits for another within a layer. On another device the noise is drawn there, and nothing is waited for until the
counts are wanted.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from noiseaug import _validate
from noiseaug._noise import GaussianNoise, Noise
from noiseaug.errors import InvalidInputError
from noiseaug.vision._device import as_device
from noiseaug.vision._inference import PRECISIONS, Network, prepare
from noiseaug.votes import NoisyRows, Purpose, as_predictor, noisy_rows

__all__ = ["DeviceRows", "TorchBase", "TorchCounter", "TorchStream"]

_BLOCK_VALUES = 1 << 20  # of noise drawn on a device; part of what a seed means there
_FIRST_BATCH = 128  # of a stream on a device; then twice as many each time, so that few votes cost few
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
        precision: ``float32``, ``bfloat16`` or ``float16``. Another precision is another base classifier: it is
            recorded, and a certificate is of that classifier.
        batch: largest number of noisy inputs classified at once; by default what suits device and network.
        num_classes: number of logits; by default the model's own ``num_classes``.

    Raises:
        InvalidInputError: for a device that is not there, an unknown precision, or bad numbers.
    """

    model: nn.Module
    shape: tuple[int, ...] | None = None
    device: str = "cpu"
    precision: str = "float32"
    batch: int | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise InvalidInputError(f"model is {type(self.model).__name__}; expected a torch module")
        _validate.choice("precision", self.precision, tuple(PRECISIONS))
        as_device(self.device)
        own = getattr(self.model, "shape", None)
        shape = self.shape or (own if isinstance(own, tuple) else None)
        if shape is not None:
            if not isinstance(shape, tuple | list):
                raise InvalidInputError(
                    f"shape is {shape!r}; expected the lengths of an input's axes, such as (1, 28, 28)"
                )
            object.__setattr__(self, "shape", tuple(_validate.integer("shape", side) for side in shape))
        if self.batch is not None:
            object.__setattr__(self, "batch", _validate.integer("batch", self.batch))

    def vote_counter(
        self, *, noise: Noise, num_classes: int | None = None, seed: int = 0, batch: int | None = None
    ) -> TorchCounter:
        """The engine that counts this network's votes; arguments as for ``noiseaug.votes.make_counter``."""
        return TorchCounter(self, noise=noise, num_classes=num_classes, seed=seed, batch=batch)


class TorchCounter:
    """Draws noise and counts the votes of a torch network; for certification the same as ``votes.VoteCounter``.

    Every vote of a stream has its place in a batch of a fixed size, whatever the calls. So votes are exactly the same
    however they are asked for, at every precision. Another ``batch`` or number of threads gives the same noise, and the
    same votes up to inputs whose two largest logits differ by no more than the rounding of the network.

    Args:
        base: the network.
        noise: the law of noise.
        num_classes: number of classes, where neither ``base`` nor its network says.
        seed: non-negative integer of any size.
        batch: instead of that of ``base``.
        noise_on_device: whether the noise is drawn by torch on the device; by default wherever that is no CPU. A law
            that is not Gaussian is always drawn on the CPU.

    Attributes:
        num_classes: number of classes.

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
        self.batch = base.batch if batch is None else _validate.integer("batch", batch)
        self.device = as_device(base.device)
        elsewhere = self.device.type != "cpu" if noise_on_device is None else noise_on_device
        self.noise_on_device = elsewhere and type(noise) is GaussianNoise
        self._networks: dict[tuple[int, ...], Network] = {}
        self._preparing = threading.Lock()

    def stream(self, x: Any, index: int, purpose: Purpose) -> TorchStream:
        """The votes for one input, in order, from the first; arguments as for ``VoteCounter.stream``.

        Raises:
            InvalidInputError: as there, and for an input that does not fit the network.
        """
        rows = noisy_rows(self.noise, self.seed, x, index, purpose)
        shape = self.base.shape or np.shape(x)
        if rows.dim != int(np.prod(shape)):
            raise InvalidInputError(f"x has shape {np.shape(x)}; expected {int(np.prod(shape))} values, {shape}")
        network = self._network(shape)
        if self.noise_on_device:
            source: _Labels = _DeviceLabels(network, DeviceRows(rows, self.device), shape, self.batch or network.batch)
        else:
            source = _HostLabels(network, rows, shape, self.batch or network.batch)
        return TorchStream(source, self.num_classes, self.device)

    def description(self) -> dict[str, Any]:
        """What the votes depend on besides noise, seed and network."""
        drawn = self.device.type if self.noise_on_device else "host"
        return {"precision": self.base.precision, "noise_source": drawn}

    def _network(self, shape: tuple[int, ...]) -> Network:
        with self._preparing:
            if shape not in self._networks:
                self._networks[shape] = prepare(
                    self.base.model,
                    shape=shape,
                    num_classes=self.num_classes,
                    device=self.device,
                    dtype=PRECISIONS[self.base.precision],
                    batch=self.batch,
                )
            return self._networks[shape]


class TorchStream:
    """The votes for one input; made by ``TorchCounter.stream``. For one thread at a time.

    Attributes:
        drawn: number of votes taken so far. A call that fails or is interrupted takes none.
    """

    def __init__(self, source: _Labels, num_classes: int, device: torch.device) -> None:
        self._source, self._num_classes = source, num_classes
        self._spare = torch.empty(0, dtype=torch.int64, device=device)  # of the last batch, beyond the last vote taken
        self.drawn = 0

    def take(self, votes: int) -> np.ndarray:
        """Counts of the next votes, shape (num_classes,), int64.

        Args:
            votes: number of votes, at least 0.

        Raises:
            InvalidInputError: where the network returns something else than finite logits, or memory runs out.
        """
        votes = _validate.integer("votes", votes, at_least=0)
        spare, taken = self._spare, 0
        classes = torch.arange(self._num_classes + 1, device=spare.device)  # the last stands for NaN
        counts = torch.zeros_like(classes)
        begun = self.drawn + len(spare)
        with closing(self._source.batches(begun, max(begun, self.drawn + votes))) as batches:
            for labels in chain([spare], batches):
                used = labels[: votes - taken]
                counts += (used[:, None] == classes).sum(0)
                taken, spare = taken + len(used), labels[len(used) :]
        found: np.ndarray = counts.cpu().numpy()
        if found[-1]:
            raise InvalidInputError("the network returned NaN; expected finite logits")
        self.drawn, self._spare = self.drawn + votes, spare
        return found[:-1]


class _Labels(Protocol):
    """The labels of a stream's votes, batch by batch."""

    def batches(self, start: int, stop: int) -> Generator[torch.Tensor]:
        """Labels of votes ``start`` …, where a batch must begin, in order, up to the batch in which ``stop`` lies."""
        ...


class _HostLabels:
    """Noise from the blocks of ``votes.NoisyRows``; on a CPU every thread draws and classifies blocks of its own.

    A batch is an equal part of a block, or some whole blocks where those are small.
    """

    def __init__(self, network: Network, rows: NoisyRows, shape: tuple[int, ...], batch: int) -> None:
        self.network, self.rows, self.shape = network, rows, shape
        self.unit = rows.block * max(1, batch // rows.block)
        parts = -(-self.unit // batch)
        self.bounds = [self.unit * part // parts for part in range(parts + 1)]
        self.left: tuple[int, Any] | None = None  # next row and the source of its block

    def batches(self, start: int, stop: int) -> Generator[torch.Tensor]:
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
            edges = [unit * self.unit + bound for bound in self.bounds]
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


class DeviceRows:
    """The noisy inputs of a stream by number, drawn on a device in single precision.

    Noise is cut into blocks of about a million values. A block is one call of torch's generator, seeded by a 64-bit
    hash of the stream's key and of the block's number (two of a million blocks share it with probability 3e-8; not so
    on a CPU, where torch keeps 32 bits of a seed and this class serves tests alone). So a row depends on seed, index,
    law, smooth_sigma and purpose alone, on one kind of device; torch does not promise the same numbers on another.

    Attributes:
        dim: number of coordinates of a row.
    """

    def __init__(self, rows: NoisyRows, device: torch.device) -> None:
        self.dim, self._block = rows.dim, max(1, _BLOCK_VALUES // rows.dim)
        self._key, self._sigma = rows.key.tobytes(), rows.noise.smooth_sigma
        self._centre = torch.from_numpy(rows.centre).to(device=device, dtype=torch.float32)
        self._generator = torch.Generator(device)
        self._noise = torch.empty((self._block, self.dim), device=device)
        self._held = -1  # number of the block in the buffer

    def fill(self, start: int, out: torch.Tensor) -> None:
        """Writes rows ``start`` … into ``out``, shape (rows, dim), without waiting for the device."""
        row, stop = start, start + len(out)
        while row < stop:
            block, within = divmod(row, self._block)
            if block != self._held:
                digest = hashlib.blake2b(self._key + block.to_bytes(8, "little"), digest_size=8).digest()
                self._held = -1
                self._noise.normal_(generator=self._generator.manual_seed(int.from_bytes(digest, "little")))
                self._held = block
            upto = min(stop, row - within + self._block)
            noise = self._noise[within : within + upto - row]
            torch.add(self._centre, noise, alpha=self._sigma, out=out[row - start : upto - start])
            row = upto


class _DeviceLabels:
    """Noise from ``DeviceRows``, in batches that begin small, so that few votes cost little."""

    def __init__(self, network: Network, rows: DeviceRows, shape: tuple[int, ...], batch: int) -> None:
        self.network, self.rows, self.shape, self.batch = network, rows, shape, batch

    def batches(self, start: int, stop: int) -> Generator[torch.Tensor]:
        buffer = torch.empty((self._size(stop), self.rows.dim), device=self.network.device)
        while start < stop:
            size = self._size(start)
            self.rows.fill(start, buffer[:size])
            yield self.network.labels(buffer[:size].reshape(-1, *self.shape))
            start += size

    def _size(self, start: int) -> int:
        return min(max(start, _FIRST_BATCH), self.batch)
