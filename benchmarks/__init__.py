"""Benchmarks: what noiseaug costs beside the obvious way to the same numbers. ``python -m benchmarks`` runs them.

A benchmark is a function in a module of this package that returns rows; the decorator registers it:

    @benchmark("name")
    def run(repeats: int) -> list[Row]: ...
"""

from __future__ import annotations

import importlib
import pkgutil
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["BENCHMARKS", "Row", "benchmark", "load", "processor", "timed"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        label: what was computed, or why it was not.
        seconds: median time of noiseaug, or what else ``unit`` says; None where nothing was measured.
        baseline: the same of the obvious implementation in the same run, or None where there is none.
        target: what the time or the ratio should meet, in words.
        met: whether it does.
        unit: unit of the two numbers.
    """

    label: str
    seconds: float | None
    baseline: float | None = None
    target: str = ""
    met: bool = True
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        """How many times faster than the obvious implementation."""
        return None if self.baseline is None or self.seconds is None else self.baseline / self.seconds


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:  # not Linux
        names = []
    return names[0] if names else platform.processor() or platform.machine()


BENCHMARKS: dict[str, Callable[[int], list[Row]]] = {}


def benchmark(name: str) -> Callable[[Callable[[int], list[Row]]], Callable[[int], list[Row]]]:
    """Registers a function that takes the number of repeats and returns rows."""

    def register(function: Callable[[int], list[Row]]) -> Callable[[int], list[Row]]:
        if name in BENCHMARKS:
            raise ValueError(f"two benchmarks are called {name}")
        BENCHMARKS[name] = function
        return function

    return register


_COMMANDS = ("speed", "where")  # with a command line of their own; they load torch at once


def load() -> None:
    """Imports every module of this package that may have benchmarks, which registers them."""
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_") and module.name not in _COMMANDS:
            importlib.import_module(f"{__name__}.{module.name}")


def timed(functions: dict[str, Callable[[], object]], repeats: int) -> tuple[dict[str, float], dict[str, object]]:
    """Median seconds and last result of each function; they take turns, so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    results: dict[str, object] = {}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            results[name] = function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}, results
