"""Small logs."""

from __future__ import annotations

import msgspec

from noiseaug.records import Outcome, RunLog

RUN = {
    "data": "digits",
    "classifier": {"name": "linear", "depth": 1},
    "smooth_sigma": 0.5,
    "noise": "gaussian",
    "seed": 1,
    "n": 100,
    "n0": 10,
    "failure_prob": 0.001,
    "certificate": {"name": "cohen"},
    "num_classes": 3,
    "shard": None,
}


def outcome(index: int, **changes) -> Outcome:
    """Some outcome; a function of the index."""
    wins = 60 + index % 40
    made = Outcome(
        index=index,
        label=index % 3,
        prediction=1,
        radius=(0.1 + 0.2) / (1 + index),
        selection=(1, 8, 1),
        looks=(10, 100),
        counts=((1, 8, 1), (0 + 1, wins, 99 - wins)),
        seconds=0.25,
    )
    return msgspec.structs.replace(made, **changes)


def write(path, indices, **changes):
    with RunLog.open(path, {**RUN, **changes}) as log:
        for index in indices:
            log.append(outcome(index))
    return path
