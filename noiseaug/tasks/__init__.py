"""Tasks: laws of a labelled point (X, Y), each a frozen description with a sampler and, where known, exact risks."""

from noiseaug.tasks._base import BinaryTask, ProfileTask, Task
from noiseaug.tasks.gaussian import GaussianPair
from noiseaug.tasks.line import Intervals
from noiseaug.tasks.mixture import MixtureOnLine
from noiseaug.tasks.points import KernelRule, PointMasses
from noiseaug.tasks.radial import ConcentricGaussians, ConcentricSpheres, IsolatedBall

__all__ = [
    "BinaryTask",
    "ConcentricGaussians",
    "ConcentricSpheres",
    "GaussianPair",
    "Intervals",
    "IsolatedBall",
    "KernelRule",
    "MixtureOnLine",
    "PointMasses",
    "ProfileTask",
    "Task",
]
