"""Stage "fast": votes a second of four networks in four precisions, in a row each; what matters most comes first.

Beside each network stands the loop of Cohen et al. (2019) in the same run, as torch runs it by default (TF32 in
convolutions) and in every precision; the bare forward pass at its best batch; and the device's large matrix product.
Shares of noise, packing and counting are those of the engine as it is used (a CUDA graph, noise compiled).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._networks import COLOUR, SHAPES, SIGMA, finished, obvious, rate, without_noise
from benchmarks.cuda.stages import Context, Table, caught
from benchmarks.speed import FULL, operations
from benchmarks.where import without_network
from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase
from noiseaug.vision.engine.inference import full_precision
from noiseaug.vision.models import Classifier, build_model
from noiseaug.votes import GaussianNoise

NETWORKS = ("cnn", "resnet110", "resnet20", "resnet-narrow")
PRECISIONS = ("bfloat16", "float32", "tf32", "float16")
_BATCHES = (256, 512, 1024, 2048, 4096, 8192)
_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# seconds that a compilation of a network may need; none is begun with less left
_COMPILING = {"cnn": 10.0, "resnet-narrow": 20.0, "resnet20": 25.0, "resnet110": 75.0}


@dataclass(frozen=True)
class Case:
    """A network in a precision, and how long to measure it for."""

    name: str
    precision: str
    device: torch.device
    seconds: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an input."""
        return SHAPES.get(self.name, COLOUR)

    def model(self) -> Classifier:
        """With random weights."""
        torch.manual_seed(0)
        return build_model(self.name, self.shape, 10).eval()

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        return _DTYPES.get(self.precision, torch.float32)


def run(context: Context) -> str:
    """Every measurement in a row of its own, by importance; what there was no time for."""
    table, device = context.table("fast"), as_device(context.device)
    seconds = 0.02 if context.small else 0.4
    if device.type == "cpu" and context.small:
        torch.set_num_threads(1)
    ceilings: dict[str, float] = {}
    missing = 0
    for measure, case in plan(context, device, seconds):
        known = {"network": case.name, "precision": case.precision, "way": measure.__name__.replace("_", " ")}
        needed = _COMPILING.get(case.name, 0.0) if measure is compiled else 6 * seconds
        if table.has(**known):
            continue
        if context.left < needed:
            missing += 1
            continue
        with caught(table, **known):
            if device.type == "cuda":
                gc.collect()  # graphs hold their memory
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
            found = measure(case)
            if case.precision not in ceilings and measure is graph:
                ceilings[case.precision] = ceiling(case, 512 if context.small else 8192)
            table.add(**known, **found, **compared(table, case, found, ceilings.get(case.precision)), **memory(device))
    return f"no time for {missing} measurements" if missing else ""


def plan(
    context: Context, device: torch.device, seconds: float
) -> Iterator[tuple[Callable[[Case], dict[str, Any]], Case]]:
    """What to measure, in this order: a cut leaves the most important half."""
    networks = ("lenet",) if context.small else NETWORKS
    precisions = [each for each in PRECISIONS if each != "tf32" or device.type == "cuda"][
        : 2 if context.small else None
    ]
    first, *others = precisions

    def cases(chosen: list[str]) -> list[Case]:
        return [Case(name, precision, device, seconds) for precision in chosen for name in networks]

    for case in cases([first]):
        yield from ((measure, case) for measure in (loop_by_default, loop, forward, graph, shares))
    for case in cases(others):
        yield from ((measure, case) for measure in (loop, forward, graph))
    if device.type == "cuda":
        yield from ((compiled, case) for case in cases([first]))
    yield from ((eager, case) for case in cases(precisions))
    if device.type == "cuda":
        yield from ((compiled, case) for case in cases(others))


# --- the measurements, each by the name of its rows


def loop_by_default(case: Case) -> dict[str, Any]:
    """The loop in float32 as torch comes: on CUDA with TF32 in convolutions; the same for every precision."""
    model, x = case.model().to(case.device), torch.rand(case.shape, device=case.device)
    votes, counted = rate(lambda n: obvious(model, x, n, 10), _first(case), case.seconds, case.device)
    return {"votes_per_second": votes, "votes_measured": counted}


def loop(case: Case) -> dict[str, Any]:
    """The loop in the same precision: noise in float32, the network in its own, plain layout, batches of 1 000."""
    model, x = _Cast(case.model(), case.dtype).to(case.device), torch.rand(case.shape, device=case.device)
    with full_precision(case.device, tf32=case.precision == "tf32"):
        votes, counted = rate(lambda n: obvious(model, x, n, 10), _first(case), case.seconds, case.device)
    return {"votes_per_second": votes, "votes_measured": counted}


class _Cast(nn.Module):
    """A network in another precision, for inputs in float32."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model.to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x.to(self.dtype))
        return logits


def forward(case: Case) -> dict[str, Any]:
    """The network alone, prepared as the engine has it, at its best batch."""
    network = _base(case).vote_counter(noise=GaussianNoise(SIGMA))._network(case.shape)
    best, at = 0.0, 0
    for batch in _BATCHES[:2] if case.device.type == "cpu" else _BATCHES:
        inputs = torch.rand((batch, *case.shape), device=case.device, dtype=case.dtype)
        inputs = inputs.contiguous(memory_format=torch.channels_last)

        def passes(count: int, inputs: Tensor = inputs) -> None:
            for _ in range(count):
                network.module(inputs)

        with torch.inference_mode(), full_precision(case.device, tf32=network.tf32):
            found = rate(passes, 1, case.seconds / 3, case.device)[0] * batch
        best, at = max((best, at), (found, batch))
    return {"votes_per_second": best, "batch": at}


def graph(case: Case) -> dict[str, Any]:
    """The engine as it is used."""
    return _votes(case)


def eager(case: Case) -> dict[str, Any]:
    """The engine with neither graph nor compiler."""
    with patch("noiseaug.vision.engine.packed.PackedVotes._capture", lambda self: None), _noise_as_it_is():
        return _votes(case)


def compiled(case: Case) -> dict[str, Any]:
    """The engine with the network through torch.compile besides."""
    return _votes(case, compiled=True)


def shares(case: Case) -> dict[str, Any]:
    """The engine's time by parts: without noise, without noise and network, without even the packing's transfers."""
    whole = 1 / _votes(case)["votes_per_second"]
    with without_noise(), _noise_as_it_is():
        quiet = 1 / _votes(case)["votes_per_second"]
        with without_network():
            rest = 1 / _votes(case)["votes_per_second"]
            with _without_counting():
                packing = 1 / _votes(case)["votes_per_second"]
    parts = {"noise": whole - quiet, "network": quiet - rest, "counting": rest - packing, "packing": packing}
    return {"votes_per_second": 1 / whole} | {f"share_{part}": part_of / whole for part, part_of in parts.items()}


@contextmanager
def _noise_as_it_is() -> Iterator[None]:
    with patch("noiseaug.vision.engine.packed.PackedVotes._compile_noise", lambda self: False):
        yield


@contextmanager
def _without_counting() -> Iterator[None]:
    """Votes are planned and sent, and nothing is done with them; the counts are made up on the way back."""
    from noiseaug.vision.engine.packed import PackedVotes

    def count_round(self: Any, pieces: Any) -> Tensor:
        found = original(self, pieces)
        found.zero_()
        found[:, 0] = self._sent(np.array([piece.votes for piece in pieces]))
        return found

    original = PackedVotes._count_round
    with (
        patch.object(PackedVotes, "_plain_step", lambda self: None),
        patch.object(PackedVotes, "_count_round", count_round),
        patch("noiseaug.vision.engine.packed.PackedVotes._capture", lambda self: None),
    ):
        yield


# --- what they share


def _first(case: Case) -> int:
    return 100 if case.device.type == "cpu" else 1000


def _base(case: Case, compiled: bool = False) -> TorchBase:
    return TorchBase(case.model(), case.shape, str(case.device), case.precision, num_classes=10, compiled=compiled)


def _votes(case: Case, compiled: bool = False) -> dict[str, Any]:
    """Votes a second of the engine, and how it ran."""
    from noiseaug.vision.engine import TorchCounter

    counter = TorchCounter(_base(case, compiled), noise=GaussianNoise(SIGMA), noise_on_device=True)
    stream: Any = counter.stream(np.random.default_rng(0).random(case.shape, dtype=np.float32), 0, "estimation")
    size = 8 * stream.votes.network.batch if case.device.type == "cuda" else _first(case)
    votes, counted = rate(stream.take, size, case.seconds, case.device)
    return {
        "votes_per_second": votes,
        "votes_measured": counted,
        "batch": stream.votes.network.batch,
        "note": stream.votes.way,
    }


def ceiling(case: Case, size: int) -> float:
    """Floating-point operations a second of a large matrix product in the precision of a case."""
    a, b, product = (torch.randn(size, size, device=case.device).to(case.dtype) for _ in range(3))

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.mm(a, b, out=product)

    with full_precision(case.device, tf32=case.precision == "tf32"):
        return rate(multiply, 1, case.seconds, case.device)[0] * 2 * size**3


def compared(table: Table, case: Case, found: dict[str, Any], top: float | None) -> dict[str, Any]:
    """Ratios to the other rows of the same network."""

    def of(way: str, precision: str) -> float:
        rows = [each for each in table.rows if each["network"] == case.name and each["precision"] == precision]
        return next((float(each["votes_per_second"] or "nan") for each in rows if each["way"] == way), float("nan"))

    votes = found["votes_per_second"]
    flops = operations(case.model(), case.shape)
    ratios = {
        "ratio": votes / of("loop by default", PRECISIONS[0]),
        "ratio_same_precision": votes / of("loop", case.precision),
        "share_of_forward_pass": votes / of("forward", case.precision),
        "share_of_matrix_product": votes * flops / (top or float("nan")),
        "matrix_product_teraflops": (top or float("nan")) / 1e12,
        "seconds_per_image": FULL / votes,
    }
    return {key: None if value != value else value for key, value in ratios.items()}


def memory(device: torch.device) -> dict[str, Any]:
    """The most that was in use during the measurement."""
    if device.type != "cuda":
        return {}
    finished(device)
    return {"megabytes": round(torch.cuda.max_memory_allocated(device) / 1e6)}
