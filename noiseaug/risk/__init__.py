"""Risks of smoothed classifiers, in closed form or by sampling, as :class:`~noiseaug.estimates.Estimate` values.

One function a quantity, and :func:`evaluate` for many at once. All take a task and a smoothed classifier from
``noiseaug.predictors.smoothed``; quantities with a radius take it in input units.
"""

from noiseaug.confidence import VoteBudget
from noiseaug.risk.evaluate import (
    acr,
    adversarial_accuracy,
    certified_accuracy,
    confusion,
    disagreement,
    evaluate,
    excess_risk,
    finite_sample_certified_accuracy,
    risk,
)
from noiseaug.risk.exact import finite_sample_curve
from noiseaug.risk.voted import VotedPredictor
from noiseaug.tables import QUANTITIES, Measure

__all__ = [
    "QUANTITIES",
    "Measure",
    "VoteBudget",
    "VotedPredictor",
    "acr",
    "adversarial_accuracy",
    "certified_accuracy",
    "confusion",
    "disagreement",
    "evaluate",
    "excess_risk",
    "finite_sample_certified_accuracy",
    "finite_sample_curve",
    "risk",
]
