"""Votes of torch networks beside the loop of Cohen et al. (2019), on every core that the process has."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks import Row, benchmark, timed
from noiseaug.votes import make_counter, make_noise

# network, shape of an input, votes of a run, how many times faster at float32 and with bfloat16
CASES = (
    ("cnn", (1, 28, 28), 4000, 4.0, 8.0),
    ("resnet20", (3, 32, 32), 3000, 3.5, 5.5),
    ("resnet110", (3, 32, 32), 1000, 3.5, 6.0),
)


def compare(name: str, shape: tuple[int, ...], n: int, targets: dict[str, float], repeats: int) -> list[Row]:
    """All ways in turns, so that a busy machine slows all alike; their counts must agree roughly."""
    import torch

    from benchmarks._networks import SIGMA, obvious, without_noise
    from noiseaug.vision.engine import TorchBase
    from noiseaug.vision.models import build_model

    torch.manual_seed(0)
    model = build_model(name, shape, 10).eval()
    x = torch.rand(shape)
    noise = make_noise("gaussian", SIGMA)
    ways: dict[str, Callable[[], Any]] = {"obvious": lambda: obvious(model, x, n, 10)}

    def counts(counter: Any) -> Any:
        return counter.stream(x.numpy(), 0, "estimation").take(n)

    for precision in targets:
        counter = make_counter(TorchBase(model, precision=precision), noise=noise)
        ways[precision] = partial(counts, counter)
        ways[f"{precision} network"] = without_noise()(partial(counts, counter))
    for way in ways.values():
        way()  # threads, buffers and weights in the layout of the kernels, once
    seconds, found = timed(ways, repeats)
    rows = []
    for precision, target in targets.items():
        # bfloat16 is another classifier: its counts are near the others, not theirs
        if precision == "float32" and np.abs(np.subtract(found[precision], found["obvious"])).max() > 10 * n**0.5:
            raise AssertionError(f"{name}: the engine and the obvious loop differ")
        share = seconds[f"{precision} network"] / seconds[precision]
        label = f"{name}, {precision}: {n / seconds[precision]:.0f} votes/s, {share:.0%} network"
        ratio = seconds["obvious"] / seconds[precision]
        micros = [1e6 * seconds[way] / n for way in (precision, "obvious")]
        rows.append(Row(label, *micros, f"{target:g}x", ratio >= target, "µs"))
    return rows


@benchmark("vision-votes")
def run(repeats: int) -> list[Row]:
    """Microseconds a vote; both sides use every core, whatever the environment says of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        return [
            row
            for name, shape, n, single, half in CASES
            for row in compare(name, shape, n, {"float32": single, "bfloat16": half}, repeats)
        ]
    finally:
        torch.set_num_threads(before)
