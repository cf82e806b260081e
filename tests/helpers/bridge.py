"""The reference rule, and rows of the bridge's tables."""

from __future__ import annotations

import numpy as np

from noiseaug.tables import to_frame
from noiseaug.tasks import KernelRule

LEVELS = (0.0, 0.05, 0.2, 0.5, 1.0)


def rule_of(family, train_sigma):
    """The reference: one level at a time, in float64."""
    return KernelRule(family.points.astype(float), family.labels, family.num_classes, train_sigma)


def value(table, quantity, radius=None, level=0):
    rows = table[(table["quantity"] == quantity) & (table["train_sigma"] == level)]
    return float((rows if radius is None else rows[rows["radius"] == radius])["value"].iloc[0])


def tidy(values, *, predictor="kernel", smooth_sigma=0.5, quantity="risk", radius=np.nan, width=0.02, **more):
    common = {"task": "t", "predictor": predictor, "smooth_sigma": smooth_sigma, "quantity": quantity, "radius": radius}
    return to_frame(
        {**common, "train_sigma": i / 10, "value": v, "lower": v - width, "upper": v + width, "method": "sampled"}
        | {"n": 100, "failure_prob": 0.05, "seed": 0, **more}
        for i, v in enumerate(values)
    )
