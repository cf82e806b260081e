"""Votes of many streams in full batches on a device, without waiting for it before the counts are wanted.

Every batch has the same size and may hold votes of many streams: few votes of each of many inputs cost what they come
to, as do many votes of one. Noise, network and counting read and write tensors of fixed places, so that on a CUDA
device one batch is one CUDA graph, which is launched over and over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noiseaug.errors import first_line
from noiseaug.vision.engine.inference import Network, agrees, full_precision, out_of_memory
from noiseaug.vision.engine.philox import noisy_inputs

__all__ = ["PackedVotes", "Segment", "packed_input"]

_SLOT_VALUES = 1 << 24  # of the inputs that are held at a time
_FEWEST_SLOTS, _MOST_SLOTS = 8, 1024
_ROUND_BATCHES = 64  # between two transfers
_DIFFERS = "its result differs from the plain one"
_WARM_UP = 3  # runs before a graph is captured, as torch asks for


@dataclass(frozen=True, eq=False)
class Segment:
    """Consecutive votes of a stream.

    Attributes:
        centre: the input, as ``packed_input`` lays it out, float32, shape (dim,).
        key: four words of the stream, int64, shape (4,).
        start: number of the first vote.
        votes: how many.
    """

    centre: np.ndarray
    key: np.ndarray
    start: int
    votes: int


def packed_input(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An input as a flat float32 array; images channels last, as the network wants them."""
    given = values.reshape(shape)
    laid_out = given.transpose(1, 2, 0) if len(shape) == 3 else given
    return np.ascontiguousarray(laid_out, dtype=np.float32).reshape(-1)


class PackedVotes:
    """Counts votes of one network on inputs of one shape under Gaussian noise.

    Args:
        network: prepared; its ``batch`` is the size of every batch.
        shape: of an input.
        sigma: standard deviation of the noise.
        compile_noise: whether torch.compile makes one kernel of the noise; by default on a CUDA device.
        compile_network: whether the network goes through torch.compile too.

    Attributes:
        way: what became of these wishes, in words; what cannot be compiled, captured, or comes out wrong runs plainly.
        obstacles: why each faster way is not taken, by its name; those of the network too.
    """

    def __init__(
        self,
        network: Network,
        shape: tuple[int, ...],
        sigma: float,
        *,
        compile_noise: bool | None = None,
        compile_network: bool = False,
    ) -> None:
        self.network, self.shape, self.sigma = network, shape, sigma
        device, dim = network.device, int(np.prod(shape))
        self.slots = min(max(_SLOT_VALUES // dim, _FEWEST_SLOTS), _MOST_SLOTS)
        self._lock = threading.Lock()
        with torch.inference_mode(), _current(device):
            # the last slot takes what fills up a batch
            self._centres = torch.zeros(self.slots + 1, dim, device=device)
            self._keys = torch.zeros(self.slots + 1, 4, dtype=torch.int64, device=device)
            self._counts = torch.zeros((self.slots + 1) * (network.num_classes + 1), dtype=torch.int64, device=device)
            size = network.batch
            self._slot = torch.full((size,), self.slots, dtype=torch.int64, device=device)
            self._vote = torch.arange(size, device=device)
            self._ones = torch.ones(size, dtype=torch.int64, device=device)
            self._groups = torch.arange(-(-dim // 4), device=device)
            self._sigma = torch.tensor(sigma, dtype=torch.float32, device=device)
            self._noise: Callable[..., Tensor] = noisy_inputs
            self._labels: Callable[[Tensor], Tensor] = network.labels
            self.obstacles = dict(network.obstacles)
            ways = [network.way]
            on_cuda = device.type == "cuda"
            with out_of_memory(network.batch):
                if compile_network and self._compile_network():
                    ways.append("network compiled")
                if (on_cuda if compile_noise is None else compile_noise) and self._compile_noise():
                    ways.append("noise compiled")
                graph = self._capture() if on_cuda else None
            self._step: Callable[[], Any] = self._plain_step if graph is None else graph.replay
            ways += [] if graph is None else ["CUDA graph"]
            self.way = ", ".join(ways)

    @property
    def round_votes(self) -> int:
        """Votes that are worth a transfer."""
        return _ROUND_BATCHES * self.network.batch

    def count(self, segments: Sequence[Segment]) -> np.ndarray:
        """Counts for each segment, shape (segments, num_classes + 1), int64; the last column stands for NaN.

        Waits for the device once, at the end.
        """
        classes = self.network.num_classes + 1
        result = np.zeros((len(segments), classes), dtype=np.int64)
        device = self.network.device
        with self._lock, _current(device), out_of_memory(self.network.batch), torch.inference_mode():
            counted, owners = [], []
            for pieces in self._rounds(segments):
                owners += [owner for owner, _ in pieces]
                counted.append(self._count_round([piece for _, piece in pieces]))
            if counted:
                np.add.at(result, owners, torch.cat(counted).cpu().numpy())
        if (result.sum(1) != [segment.votes for segment in segments]).any():
            raise RuntimeError("votes were lost, or counted twice")
        return result

    def _rounds(self, segments: Sequence[Segment]) -> Iterator[list[tuple[int, Segment]]]:
        """Segments with their places, cut into what fits the slots and the batches of a round."""
        pieces: list[tuple[int, Segment]] = []
        room = self.round_votes
        for place, segment in enumerate(segments):
            done = 0
            while done < segment.votes:
                votes = min(segment.votes - done, room)
                pieces.append((place, Segment(segment.centre, segment.key, segment.start + done, votes)))
                done, room = done + votes, room - votes
                if not room or len(pieces) == self.slots:
                    yield pieces
                    pieces, room = [], self.round_votes
        if pieces:
            yield pieces

    def _count_round(self, pieces: list[Segment]) -> Tensor:
        batch, held = self.network.batch, len(pieces)
        sizes = [piece.votes for piece in pieces]
        total = sum(sizes)
        plan = np.zeros((2, -(-total // batch) * batch), dtype=np.int64)  # slots and numbers of the votes
        plan[0, :total] = np.repeat(np.arange(held), sizes)
        plan[0, total:] = self.slots
        plan[1, :total] = np.concatenate([np.arange(p.start, p.start + p.votes) for p in pieces])
        there = self._sent(plan)
        self._centres[:held].copy_(self._sent(np.stack([piece.centre for piece in pieces])))
        self._keys[:held].copy_(self._sent(np.stack([piece.key for piece in pieces])))
        self._counts.zero_()
        for first in range(0, there.shape[1], batch):
            self._slot.copy_(there[0, first : first + batch])
            self._vote.copy_(there[1, first : first + batch])
            self._step()
        return self._counts.view(self.slots + 1, -1)[:held].clone()

    def _sent(self, values: np.ndarray) -> Tensor:
        """Numbers on the device, without waiting for it."""
        there = torch.from_numpy(values)
        if self.network.device.type == "cuda":
            there = there.pin_memory()
        return there.to(self.network.device, non_blocking=True)

    def _once(self, step: Callable[[], Any]) -> Tensor:
        """What one batch adds to the counts."""
        self._counts.zero_()
        step()
        return self._counts.clone()

    def _plain_step(self) -> None:
        """One batch: noise, network, counts."""
        labels = self._labels(self._inputs(self._noise))
        places = self._slot * (self.network.num_classes + 1) + labels
        self._counts.scatter_add_(0, places, self._ones)

    def _inputs(self, noise: Callable[..., Tensor]) -> Tensor:
        where = self._centres, self._keys, self._slot, self._vote
        flat = noise(*where, self._groups, self._sigma, self.network.dtype)
        if len(self.shape) != 3:
            return flat.reshape(-1, *self.shape)
        channels, height, width = self.shape
        return flat.reshape(-1, height, width, channels).permute(0, 3, 1, 2)

    @contextmanager
    def _probe(self) -> Iterator[None]:
        """Words of all sizes in the places of keys and votes, and inputs of all kinds."""
        draw = np.random.default_rng(0)
        held: tuple[tuple[Tensor, Any], ...] = (
            (self._centres, draw.random(self._centres.shape, dtype=np.float32)),
            (self._keys, draw.integers(0, 1 << 32, self._keys.shape)),
            (self._slot, draw.integers(0, self.slots, self._slot.shape)),
            (self._vote, draw.integers(0, 1 << 32, self._vote.shape)),
        )
        before = [tensor.clone() for tensor, _ in held]
        try:
            for tensor, values in held:
                tensor.copy_(torch.from_numpy(values))
            yield
        finally:
            for (tensor, _), old in zip(held, before, strict=True):
                tensor.copy_(old)

    def _compile_noise(self) -> bool:
        try:
            compiled = torch.compile(noisy_inputs, dynamic=False)
            with self._probe():
                ours, plain = self._inputs(compiled).float(), self._inputs(noisy_inputs).float()
        except Exception as error:  # a compiler has many ways to fail, and the plain function is there
            self.obstacles["noise compiled"] = first_line(error)
            return False
        if not torch.allclose(ours, plain, rtol=1e-2, atol=1e-4 * self.sigma):
            self.obstacles["noise compiled"] = _DIFFERS
            return False
        self._noise = compiled
        return True

    def _compile_network(self) -> bool:
        with self._probe():
            probe = self._inputs(noisy_inputs)
        try:
            made: Any = torch.compile(self.network.module, dynamic=False)
            network = replace(self.network, module=made)
            with full_precision(probe.device):
                expected = self.network.module(probe).float()
            if not agrees(network, probe, expected, sizes=(len(probe),)):
                self.obstacles["network compiled"] = _DIFFERS
                return False
        except Exception as error:  # as above
            self.obstacles["network compiled"] = first_line(error)
            return False
        self._labels = network.labels
        return True

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """A batch as one graph; None where the network does what a graph cannot, or it counts otherwise."""
        try:
            graph = _captured(self._plain_step)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.obstacles["CUDA graph"] = first_line(error)
            return None
        if not torch.equal(self._once(self._plain_step), self._once(graph.replay)):
            self.obstacles["CUDA graph"] = _DIFFERS
            return None
        return graph


def _current(device: torch.device) -> AbstractContextManager[Any]:
    """Makes a CUDA device the current one, as graphs and streams need it."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _captured(step: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """A step on the current CUDA device as a graph; a RuntimeError where the network does what a graph cannot."""
    current = torch.cuda.current_stream()
    try:
        side = torch.cuda.Stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                step()
            # what waits for the device is found before a capture, which would leave torch in a bad state if it failed
            mode = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("error")
            try:
                step()
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # torch's own stream belongs to whichever device captured first
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            step()
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError:
        torch.cuda.set_stream(current)  # a failed capture leaves its own
        torch.cuda.synchronize()
        raise
    return graph
