"""Votes of the torch engine, and how certified tables are compared."""

from __future__ import annotations

from noiseaug.vision.engine import TorchCounter
from tests.helpers.classifiers import LAWS
from tests.helpers.networks import X


def counts_of(base, n=1000, *, x=X, noise=LAWS[0], takes=None, index=3, seed=5, purpose="estimation", **options):
    counter = TorchCounter(base, noise=noise, seed=seed, **options)
    stream = counter.stream(x, index, purpose)
    total = sum(stream.take(take) for take in takes or [n])
    assert stream.drawn == n
    assert total.sum() == n
    return total


def frames_agree(one, other):
    columns = ["index", "label", "prediction", "radius", "counts", "selection"]
    assert one[columns].equals(other[columns])
