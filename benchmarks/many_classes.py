"""Logs of 1 000 classes: what an input takes in the file, and the time to merge, read and certify anew.

The obvious way keeps a count of every class at every look, as logs of a few classes do.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks import Row, benchmark
from noiseaug.certificates import STANDARD_LOOKS, CertificationSetting, Cohen, VoteBudget
from noiseaug.certification import recertify_log
from noiseaug.records import ABSTAIN, Outcome, logfile, merge_logs, outcome, read_log

__all__ = ["outcomes", "steps"]

_CLASSES = 1000
_SETTING = CertificationSetting(0.5, VoteBudget(100_000, 0.001), _CLASSES)
_RUN = {
    "smooth_sigma": 0.5,
    "n": 100_000,
    "n0": 100,
    "failure_prob": 0.001,
    "noise_error": 0.0,
    "num_classes": _CLASSES,
    "certificate": {"name": "cohen"},
}


def outcomes(size: int) -> Iterator[Outcome]:
    """Inputs whose votes go to one class and up to 60 others, each with .8 times the share of the one before it."""
    rng = np.random.default_rng(0)
    for index in range(size):
        top, others = rng.beta(2, 0.6), 0.8 ** np.arange(rng.integers(2, 60))
        shares = np.append(top, (1 - top) * others / others.sum())
        classes = rng.choice(_CLASSES, len(shares), replace=False)
        rows = np.zeros((1 + len(STANDARD_LOOKS), _CLASSES), dtype=int)
        for row, votes in zip(rows, (100, *np.diff(STANDARD_LOOKS, prepend=0)), strict=True):
            row[classes] = rng.multinomial(votes, shares)
        rows[1:] = np.cumsum(rows[1:], axis=0)
        picked = int(rows[0].argmax())
        decision = Cohen().decide(_SETTING, picked, rows[0], rows[1:])
        prediction = picked if decision.certified else ABSTAIN
        yield Outcome(
            index, int(classes[0]), prediction, decision.radius, rows[0], STANDARD_LOOKS, tuple(rows[1:]), 0.0
        )


def steps(size: int, folder: Path) -> dict[str, float]:
    """CPU seconds of each step for two shards of ``size`` inputs in all, and the bytes of an input."""
    seconds: dict[str, float] = {}

    def timed(name: str, step: Callable[[], object]) -> None:
        begun = time.process_time()
        step()
        seconds[name] = time.process_time() - begun

    made = list(outcomes(size))
    shards = [folder / f"{number}.jsonl" for number in range(2)]

    def write() -> None:
        for number, path in enumerate(shards):
            part = made[number::2]
            logfile.write_log(path, {**_RUN, "shard": f"{number}/2", "inputs": len(part)}, part)

    timed("write", write)
    merged, again = folder / "merged.jsonl", folder / "again.jsonl"
    timed("merge two shards", lambda: merge_logs(shards, merged))
    timed("read", lambda: read_log(merged))
    timed("recertify", lambda: recertify_log(merged, again, Cohen(), 0.01))
    return {**seconds, "size": merged.stat().st_size / size}


@contextmanager
def _dense() -> Iterator[None]:
    """All counts are kept."""
    kept = outcome.MANY, logfile.MANY
    outcome.MANY = logfile.MANY = _CLASSES
    try:
        yield
    finally:
        outcome.MANY, logfile.MANY = kept


@benchmark("many-classes")
def run(repeats: int) -> list[Row]:
    """Steps with and without zeros, the same inputs, in one process; the least time of the repeats."""
    size = 500
    found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for _ in range(repeats):
        for dense in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                if dense:
                    with _dense():
                        found[dense].append(steps(size, Path(folder)))
                else:
                    found[dense].append(steps(size, Path(folder)))
    best = {dense: {name: min(each[name] for each in runs) for name in runs[0]} for dense, runs in found.items()}
    rows = []
    for name, value in best[False].items():
        label, unit = (
            (f"{name}, {size} inputs of 1 000 classes", "s") if name != "size" else ("size of an input", "bytes")
        )
        rows.append(Row(label, value, best[True][name], unit=unit))
    return rows
