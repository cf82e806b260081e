"""Regions of R^d: a binary classifier is the indicator of the region where it predicts 1."""

from noiseaug.regions._base import ProfileRegion, Region
from noiseaug.regions._simple import Ball, HalfSpace
from noiseaug.regions.intervals import IntervalUnion
from noiseaug.regions.lattice import Grid, LatticeSet

__all__ = ["Ball", "Grid", "HalfSpace", "IntervalUnion", "LatticeSet", "ProfileRegion", "Region"]
