"""Regions of R^d: a binary classifier is the indicator of the region where it predicts 1."""

from noiseaug.numerics import Grid
from noiseaug.regions.base import ProfileRegion, Region
from noiseaug.regions.batches import RegionBatch, batch_of
from noiseaug.regions.intervals import IntervalUnion
from noiseaug.regions.lattice import LatticeSet
from noiseaug.regions.simple import Ball, HalfSpace

__all__ = [
    "Ball",
    "Grid",
    "HalfSpace",
    "IntervalUnion",
    "LatticeSet",
    "ProfileRegion",
    "Region",
    "RegionBatch",
    "batch_of",
]
