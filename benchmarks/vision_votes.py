"""Votes of torch networks beside their own forward pass and the loop of Cohen et al. (2019), on every core there is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks import Row, benchmark
from noiseaug.runs import threads_each

CASES = (("cnn", (1, 28, 28)), ("resnet20", (3, 32, 32)), ("resnet110", (3, 32, 32)))
PRECISIONS = ("float32", "bfloat16")
_BATCHES = (128, 256, 512, 1024)  # of the bare forward pass, which is timed at the best of them
_SHARE = 0.92  # of its rate, that votes should come to: noise, copies and counting are what the engine can mend
_SECONDS = 0.8  # of each measurement, about

Work = Callable[[int], Any]  # so many votes, or images


def in_turns(ways: dict[str, Work], repeats: int) -> dict[str, float]:
    """Median rate of each way; they take turns, so that a busy machine slows all alike."""
    sizes = {}
    for name, work in ways.items():
        work(_BATCHES[-1])  # threads, buffers and weights in the layout of the kernels, once
        begun = time.perf_counter()
        work(_BATCHES[-1])
        taken = time.perf_counter() - begun
        sizes[name] = _BATCHES[-1] * max(1, round(_SECONDS / taken))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            begun = time.perf_counter()
            work(sizes[name])
            rates[name].append(sizes[name] / (time.perf_counter() - begun))
    return {name: statistics.median(found) for name, found in rates.items()}


def forward_passes(network: Any, shape: tuple[int, ...], dtype: Any) -> Work:
    """The network alone, prepared as the engine has it, at its best batch."""
    import torch

    def passes(inputs: Any, count: int) -> None:
        with torch.inference_mode():
            for _ in range(-(-count // len(inputs))):
                network.module(inputs)

    def seconds(inputs: Any) -> float:
        passes(inputs, 1)
        begun = time.perf_counter()
        passes(inputs, _BATCHES[-1])
        return time.perf_counter() - begun

    layout = torch.channels_last
    several = [torch.rand((batch, *shape), dtype=dtype).contiguous(memory_format=layout) for batch in _BATCHES]
    best = min(several, key=seconds)
    return lambda count: passes(best, count)


def compare(name: str, shape: tuple[int, ...], repeats: int) -> Iterator[Row]:
    """A row for each precision that this processor has instructions for."""
    import torch

    from benchmarks._networks import SIGMA, obvious
    from noiseaug.vision.device import emulated
    from noiseaug.vision.engine import TorchBase
    from noiseaug.vision.models import build_model
    from noiseaug.votes import GaussianNoise

    torch.manual_seed(0)
    model = build_model(name, shape, 10).eval()
    x = torch.rand(shape)
    able = [precision for precision in PRECISIONS if emulated(precision, "cpu") is None]
    ways: dict[str, Work] = {"obvious": lambda n: obvious(model, x, n, 10)}
    for precision in able:
        counter = TorchBase(model, shape, precision=precision).vote_counter(noise=GaussianNoise(SIGMA))
        ways[precision] = lambda n, counter=counter: counter.stream(x.numpy(), 0, "estimation").take(n)
        ways[f"{precision} forward"] = forward_passes(counter._network(shape), shape, getattr(torch, precision))
    # bfloat16 is another classifier: its counts are near the others, not theirs
    n = 2000
    if np.abs(np.subtract(ways["float32"](n), ways["obvious"](n))).max() > 10 * n**0.5:
        raise AssertionError(f"{name}: the engine and the obvious loop differ")
    rates = in_turns(ways, repeats)
    for precision in PRECISIONS:
        if precision not in able:
            yield Row(f"{name}: skipped, {precision} is emulated here", None)
            continue
        share = rates[precision] / rates[f"{precision} forward"]
        label = f"{name}, {precision}: {rates[precision]:.0f}/s, {share:.0%} of its forward pass"
        micros = [1e6 / rates[way] for way in (precision, "obvious")]
        yield Row(label, *micros, f"{_SHARE:.0%} of the forward pass", share >= _SHARE, "µs")


@benchmark("vision-votes")
def run(repeats: int) -> list[Row]:
    """Microseconds a vote; both sides use every core, whatever the environment says of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads_each(-1, 1))
    try:
        return [row for name, shape in CASES for row in compare(name, shape, repeats)]
    finally:
        torch.set_num_threads(before)
