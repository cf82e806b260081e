"""Small studies."""

from __future__ import annotations

from noiseaug.sweeps import Grid
from noiseaug.synthetic.study import Part, Study


def tiny(**changes):
    """A study of one cell for each training noise."""
    options = {"train_sigma": (0.0, 0.2), "smooth_sigma": (0.25,)}
    part = Part("ConcentricGaussians", {"std_1": 0.3, "std_0": 0.4}, {"dim": (2,)}, Grid(**{**options, **changes}))
    return Study("tiny", "a tiny study", (part,))
