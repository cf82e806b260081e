"""Small logs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from noiseaug.certificates import Cohen
from noiseaug.records import ABSTAIN, Outcome, RunLog
from noiseaug.records.checking import setting_of

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


def certified(index: int) -> Outcome:
    """The outcome that follows from the same votes."""
    votes = outcome(index)
    top = int(np.argmax(votes.selection))
    decision = Cohen().decide(setting_of(RUN), top, np.array(votes.selection), np.array(votes.counts[-1:]))
    return outcome(index, prediction=top if decision.certified else ABSTAIN, radius=decision.radius)


def write(path, indices, make: Callable[[int], Outcome] = outcome, **changes):
    with RunLog.open(path, {**RUN, **changes}) as log:
        for index in indices:
            log.append(make(index))
    return path
