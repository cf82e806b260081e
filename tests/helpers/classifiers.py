"""Classifiers that notice any change of noise, and the rows and counts that they see."""

from __future__ import annotations

import numpy as np

from noiseaug.votes import DiscreteNoise, GaussianNoise, VoteCounter

LAWS = [GaussianNoise(0.5), DiscreteNoise(0.5)]
X = (np.arange(37) / 255).astype(np.float32)


def scrambled(rows):
    """A classifier of 7 classes that any change of a first or last coordinate shows in."""
    flat = rows.reshape(len(rows), -1)
    return (np.abs(flat[:, 0] + flat[:, -1]) * 1e4).astype(int) % 7


def halves(rows):
    return rows.reshape(len(rows), -1)[:, 0] > 0


class Camera:
    """A classifier that says 0 and keeps what it saw."""

    def __init__(self):
        self.batches = []

    def __call__(self, rows):
        self.batches.append(rows.copy())
        return np.zeros(len(rows), dtype=int)

    @property
    def seen(self):
        return np.concatenate(self.batches)


def rows_seen(x, noise, n, *, seed=0, index=0, purpose="estimation", batch=1000, takes=None):
    camera = Camera()
    stream = VoteCounter(camera, noise=noise, num_classes=1, seed=seed, batch=batch).stream(x, index, purpose)
    for take in takes or [n]:
        stream.take(take)
    assert stream.drawn == n
    return camera.seen


def counts_of(noise, n=3000, *, x=X, base=scrambled, num_classes=7, index=3, batch=1000, seed=5):
    counter = VoteCounter(base, noise=noise, num_classes=num_classes, seed=seed, batch=batch)
    return counter.stream(x, index, "estimation").take(n)
