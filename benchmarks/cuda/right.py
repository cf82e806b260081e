"""Stage "right": what a device computes beside what this machine's CPU computes. A row a check.

``largest_difference`` is in the check's own unit: words, standard deviations, votes, radius, or relative. A vote may
differ where the two largest logits are closer than rounding; how many of those there are is in the note.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._networks import COLOUR, SHAPES, SIGMA
from benchmarks.cuda import right_training
from benchmarks.cuda.stages import Context, kind_and_line
from noiseaug.certificates import CertificationSetting, Cohen, VoteBudget
from noiseaug.certification import Certifier
from noiseaug.vision.device import as_device
from noiseaug.vision.engine import TorchBase, TorchCounter
from noiseaug.vision.engine.inference import Network, full_precision, prepare
from noiseaug.vision.engine.packed import PackedVotes, Segment, packed_input
from noiseaug.vision.engine.philox import noisy_inputs, normals, philox
from noiseaug.vision.models import Classifier, build_model
from noiseaug.votes import GaussianNoise, noisy_rows

CPU = torch.device("cpu")
CLASSES = 10
_TIE = 1e-3  # of the largest logit: far above the rounding of float32, far below the logits of a trained network
# how votes are run, and the word by which the engine says that it is so on a CUDA device
WAYS = {"as given": "as given", "folded": "folded", "captured": "CUDA graph", "compiled": "network compiled"}

Found = tuple[bool | None, float | None, str]
"""Whether a check passed (None: it has nothing to say here), the largest difference, and a note."""


def run(context: Context) -> str:
    """All checks, in the order of what depends on them."""
    table, device = context.table("right"), as_device(context.device)
    alone = right_training.begin_alone(context)
    checks = {
        **philox_checks(device),
        **vote_checks(context, device),
        **right_training.checks(context, device),
        "torchrun, one process": partial(right_training.end_alone, alone),
    }
    try:
        for name, check in checks.items():
            if table.has(check=name):
                continue
            begun = time.perf_counter()
            try:
                passed, difference, note = check()
            except Exception as error:  # of any kind that a device thinks of
                passed, difference, note = False, None, kind_and_line(error)
            told = "" if passed is None else {True: "yes", False: "NO"}[bool(passed)]
            seconds = round(time.perf_counter() - begun, 2)
            table.add(check=name, passed=told, largest_difference=difference, seconds=seconds, note=note)
    finally:
        alone.kill()
    return ""


# --- noise


def philox_checks(device: torch.device) -> dict[str, Callable[[], Found]]:
    """Words, normal values, and both compiled."""
    draw = np.random.default_rng(0)
    keys = torch.from_numpy(draw.integers(0, 1 << 32, (64, 4)))
    votes, groups = torch.from_numpy(draw.integers(0, 1 << 32, 64)), torch.arange(768)

    def words() -> Found:
        found = [
            torch.stack(philox((groups.to(place), votes[:, None].to(place), *k[2:]), (k[0], k[1]))).cpu()
            for place in (device, CPU)
            for k in [[keys[:, word, None].to(place) for word in range(4)]]
        ]
        unequal = int((found[0] != found[1]).sum())
        return unequal == 0, float(unequal), f"{found[0].numel()} words"

    def values(compiled: bool) -> Found:
        if compiled and device.type == "cpu":
            return None, None, "on another device"
        function: Any = torch.compile(normals, dynamic=False) if compiled else normals
        ours = function(keys.to(device), votes.to(device), 3072, groups.to(device)).cpu()
        gap = float((ours - normals(keys, votes, 3072, groups)).abs().max())
        return gap < 1e-4, gap, f"{ours.numel()} values"

    return {
        "Philox words": words,
        "normal values": partial(values, False),
        "normal values, compiled": partial(values, True),
    }


# --- votes


def balanced(name: str, shape: tuple[int, ...], x: np.ndarray) -> Classifier:
    """A network with random weights for which the classes of noisy inputs differ."""
    torch.manual_seed(0)
    model = build_model(name, shape, CLASSES).eval()
    last: Any = [part for part in model.modules() if isinstance(part, nn.Linear)][-1]
    with torch.no_grad():
        last.bias -= model(torch.from_numpy(x) + SIGMA * torch.randn(64, *shape)).mean(0)
    return model


def segments(inputs: np.ndarray, n: int) -> list[Segment]:
    """All votes of some inputs."""
    rows = [noisy_rows(GaussianNoise(SIGMA), 0, x, index, "estimation") for index, x in enumerate(inputs)]
    return [Segment(packed_input(row.centre, inputs[0].shape), row.key[:4].astype(np.int64), 0, n) for row in rows]


def noisy(segment: Segment, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """The inputs that the votes of a segment are of."""
    centre, key = (torch.from_numpy(each)[None].to(device) for each in (segment.centre, segment.key))
    votes = torch.arange(segment.start, segment.start + segment.votes, device=device)
    groups = torch.arange(-(-len(segment.centre) // 4), device=device)
    sigma = torch.tensor(SIGMA, device=device)
    flat = noisy_inputs(centre, key, torch.zeros_like(votes), votes, groups, sigma, torch.float32)
    channels, height, width = shape
    return flat.reshape(-1, height, width, channels).permute(0, 3, 1, 2)


@torch.inference_mode()
def reference(model: nn.Module, some: list[Segment], shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Counts from the CPU, and how many of the votes are ties up to rounding."""
    counts, ties = [], 0
    for segment in some:
        logits = torch.cat([model(part) for part in noisy(segment, shape, CPU).split(500)])
        best, second = logits.topk(2).values.unbind(1)
        ties += int((best - second < _TIE * logits.abs().max()).sum())
        counts.append(torch.bincount(logits.argmax(1), minlength=CLASSES).numpy())
    return np.stack(counts), ties


def packed(
    model: nn.Module,
    shape: tuple[int, ...],
    device: torch.device,
    way: str,
    batch: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> PackedVotes:
    """The engine's votes on a device, run in one of ``WAYS``."""
    if way == "as given":
        module: Any = copy.deepcopy(model).eval().requires_grad_(False).to(device=device, dtype=dtype)
        network = Network(module.to(memory_format=torch.channels_last), CLASSES, device, dtype, batch or 512, way)
    else:
        network = prepare(model, shape=shape, num_classes=CLASSES, device=device, dtype=dtype, batch=batch)
    capture: Any = patch("noiseaug.vision.engine.packed.PackedVotes._capture", lambda self: None)
    compiled = way == "compiled"
    with capture if way in ("as given", "folded") else nullcontext():
        return PackedVotes(network, shape, SIGMA, compile_noise=compiled, compile_network=compiled)


def vote_checks(context: Context, device: torch.device) -> dict[str, Callable[[], Found]]:
    """Counts, packing and radii of the small networks."""
    checks: dict[str, Callable[[], Found]] = {}
    n, inputs = (100, 2) if context.small else (2000, 3)
    for name in ("lenet",) if context.small else ("cnn", "resnet20"):
        shape = SHAPES.get(name, COLOUR)
        given = np.random.default_rng(1).random((inputs, *shape), dtype=np.float32)
        work = _Votes(balanced(name, shape, given[0]), given, n, device)
        checks[f"counts, {name}, eager"] = work.eager
        for way in WAYS:
            checks[f"counts, {name}, {way}"] = partial(work.counts, way)
        checks[f"counts, {name}, packed otherwise"] = work.packing
        checks[f"radii, {name}"] = work.radii
        for precision in ("bfloat16", "float16"):
            checks[f"counts, {name}, {precision}"] = partial(work.half, precision)
    return checks


class _Votes:
    """Checks of one network; what the CPU says is computed once."""

    def __init__(self, model: Classifier, inputs: np.ndarray, n: int, device: torch.device) -> None:
        self.model, self.inputs, self.n, self.device = model, inputs, n, device
        self.shape, self.segments = inputs.shape[1:], segments(inputs, n)
        self._reference: tuple[np.ndarray, int] | None = None

    def _compared(self, counts: np.ndarray, note: str = "") -> Found:
        """Votes that are another's, of which there may be as many as there are ties."""
        if self._reference is None:
            self._reference = reference(self.model, self.segments, self.shape)
        expected, ties = self._reference
        classes = int((expected.sum(0) > 0).sum())
        moved = int(np.abs(counts - expected).sum()) // 2
        said = f"{expected.sum()} votes, {classes} classes, {ties} ties"
        return moved <= ties and classes > 1, float(moved), "; ".join(filter(None, [said, note]))

    def eager(self) -> Found:
        """The network as it is, in plain layout, on the device's own noise."""
        model = copy.deepcopy(self.model).to(self.device)
        with torch.inference_mode(), full_precision(self.device):
            labels = [
                torch.cat(
                    [model(part.contiguous()).argmax(1) for part in noisy(each, self.shape, self.device).split(500)]
                )
                for each in self.segments
            ]
        return self._compared(np.stack([np.bincount(each.cpu().numpy(), minlength=CLASSES) for each in labels]))

    def counts(self, way: str) -> Found:
        """By the engine, in one way."""
        if self.device.type == "cpu" and way in ("captured", "compiled"):
            return None, None, "on a CUDA device"
        votes = packed(self.model, self.shape, self.device, way, 512)
        passed, moved, note = self._compared(votes.count(self.segments)[:, :CLASSES], votes.way)
        fell_back = self.device.type == "cuda" and WAYS[way] not in votes.way
        return passed and not fell_back, moved, note + (f"; it fell back: {votes.obstacles}" if fell_back else "")

    def packing(self) -> Found:
        """Odd pieces in other batches; the pieces of an input come together again."""
        votes = packed(self.model, self.shape, self.device, "captured", 96)
        cuts = [0, self.n // 7, self.n // 3, self.n]
        pieces = [
            Segment(each.centre, each.key, low, high - low)
            for low, high in itertools.pairwise(cuts)
            for each in self.segments
        ]
        counts = votes.count(pieces)[:, :CLASSES].reshape(len(cuts) - 1, len(self.segments), CLASSES)
        return self._compared(counts.sum(0), votes.way)

    def radii(self) -> Found:
        """Of certificates whose counts are the same."""
        frames = []
        for device in (self.device, CPU):
            counter = TorchCounter(
                TorchBase(self.model, device=str(device)), noise=GaussianNoise(SIGMA), noise_on_device=True
            )
            certifier = Certifier(counter, CertificationSetting(SIGMA, VoteBudget(self.n, 1e-3, 50), CLASSES), Cohen())
            given = [(x, index, 0) for index, x in enumerate(self.inputs)]
            frames.append(list(certifier.outcomes(given)))
        pairs = list(zip(*frames, strict=True))
        same = [(a, b) for a, b in pairs if a.counts == b.counts and np.argmax(a.selection) == np.argmax(b.selection)]
        gap = max((abs(a.radius - b.radius) for a, b in same), default=None)
        return gap == 0 if same else None, gap, f"{len(same)} of {len(pairs)} inputs with the same counts"

    def half(self, precision: str) -> Found:
        """Another base classifier: near the first."""
        votes = packed(self.model, self.shape, self.device, "captured", 512, getattr(torch, precision))
        _, moved, note = self._compared(votes.count(self.segments)[:, :CLASSES], votes.way)
        # random weights: many votes are near a tie; a wrong kernel moves most of them
        return moved is not None and moved < 0.1 * self.n * len(self.inputs), moved, note
