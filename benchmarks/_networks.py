"""What the benchmarks of networks share: the loop of Cohen et al. (2019), timing, options, the table they leave.

Loads torch; benchmarks import it when they run.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from benchmarks import processor
from noiseaug.runs import write_atomically
from noiseaug.votes import NoisyRows

SIGMA, BATCH = 0.5, 1000
SHAPES = {"cnn": (1, 28, 28), "lenet": (1, 28, 28)}
COLOUR = (3, 32, 32)


def obvious(model: Any, x: Any, n: int, num_classes: int) -> np.ndarray:
    """Their ``_sample_noise`` and ``_count_arr``."""
    counts = np.zeros(num_classes, dtype=int)
    with torch.no_grad():
        for _ in range(-(-n // BATCH)):
            size = min(BATCH, n)
            n -= size
            batch = x.repeat((size, 1, 1, 1))
            noise = torch.randn_like(batch) * SIGMA
            predictions = model(batch + noise).argmax(1)
            for label in predictions.cpu().numpy():
                counts[label] += 1
    return counts


@contextmanager
def without_noise() -> Iterator[None]:
    """Inputs are copied and get no noise."""

    def rows(self: NoisyRows, start: int, out: np.ndarray, left: Any) -> Any:
        out[:] = self.centre
        return left

    def inputs(centres: Any, keys: Any, slots: Any, votes: Any, groups: Any, sigma: Any, dtype: torch.dtype) -> Any:
        return centres[slots].to(dtype)

    with patch.object(NoisyRows, "fill", rows), patch("noiseaug.vision.engine.packed.noisy_inputs", inputs):
        yield


def hardware(device: torch.device) -> str:
    """What was measured on, and with what."""
    threads = f"{torch.get_num_threads()} threads of {processor()}"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else threads
    cuda = f", CUDA {torch.version.cuda}" if device.type == "cuda" else f", {platform.machine()}"
    return f"{name}{cuda}, torch {torch.__version__}, Python {platform.python_version()}"


def finished(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(work: Callable[[int], Any], start: int, seconds: float, device: torch.device) -> tuple[float, int]:
    """Units a second, and how many were done: as many as take about so long, after a first go."""
    work(start)
    finished(device)
    size = start
    while True:
        begun = time.perf_counter()
        work(size)
        finished(device)
        taken = time.perf_counter() - begun
        if taken >= seconds / 2:
            return size / taken, size
        size = int(size * min(10.0, max(1.5, seconds / max(taken, 1e-6))))


def add_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Those that every command here has."""
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--precisions", default="float32,bfloat16", help="default float32,bfloat16")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"of each measurement, about (default {seconds:g})"
    )
    parser.add_argument("--out", type=Path, help="CSV file; its first line names hardware and versions")


class ResultTable:
    """Rows as they come, so that a long run that is cut off leaves something."""

    def __init__(self, device: torch.device, out: Path | None) -> None:
        self.head, self.out = "# " + hardware(device), out
        self.rows: list[dict[str, Any]] = []
        print(self.head, flush=True)

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Adds rows, and writes the table where it was asked for."""
        self.rows += rows
        if self.out is not None:
            table = pd.DataFrame(self.rows).to_csv(index=False, float_format="%.6g")
            write_atomically(self.out, self.head + "\n" + table)
