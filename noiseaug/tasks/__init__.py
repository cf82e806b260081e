"""Tasks: laws of a labelled point (X, Y), each a frozen description with a sampler and, where known, exact risks."""

from noiseaug.tasks.base import BinaryTask, CoordinateTask, ProfileTask, Task
from noiseaug.tasks.covariances import LowRank
from noiseaug.tasks.densities import DensityRule, DensityTask
from noiseaug.tasks.discs import DiscLattice, PublishedDiscs
from noiseaug.tasks.gaussian import GaussianPair
from noiseaug.tasks.gaussian_limit import GaussianLimit
from noiseaug.tasks.given_densities import FromDensities
from noiseaug.tasks.isolation import isolation_bound, stray_mass
from noiseaug.tasks.lattice import Lattice, LatticeTask, disagreement_curves
from noiseaug.tasks.limits import ConcentricLimit
from noiseaug.tasks.line import Intervals
from noiseaug.tasks.mixture import MixtureOnLine
from noiseaug.tasks.mixtures import GaussianMixtures, Mixture
from noiseaug.tasks.plug_in import nearest_mean_accuracy, plug_in_accuracy
from noiseaug.tasks.points import KernelRule, PointMasses
from noiseaug.tasks.radial import ConcentricGaussians, ConcentricSpheres, IsolatedBall, RadialTask

__all__ = [
    "BinaryTask",
    "ConcentricGaussians",
    "ConcentricLimit",
    "ConcentricSpheres",
    "CoordinateTask",
    "DensityRule",
    "DensityTask",
    "DiscLattice",
    "FromDensities",
    "GaussianLimit",
    "GaussianMixtures",
    "GaussianPair",
    "Intervals",
    "IsolatedBall",
    "KernelRule",
    "Lattice",
    "LatticeTask",
    "LowRank",
    "Mixture",
    "MixtureOnLine",
    "PointMasses",
    "ProfileTask",
    "PublishedDiscs",
    "RadialTask",
    "Task",
    "disagreement_curves",
    "isolation_bound",
    "nearest_mean_accuracy",
    "plug_in_accuracy",
    "stray_mass",
]
