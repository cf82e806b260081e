from .attacked import confront, is_prediction, summarise_predictions
from .comparison import Comparison, certified, check_labelled, compare, earned_radii
from .levels import best_levels, oracle
from .rendering import FORMATS, render
from .summary import average_certified_radius, certified_accuracy, p_lower, summarise
from .verification import verify

__all__ = [
    "FORMATS",
    "Comparison",
    "average_certified_radius",
    "best_levels",
    "certified",
    "certified_accuracy",
    "check_labelled",
    "compare",
    "confront",
    "earned_radii",
    "is_prediction",
    "oracle",
    "p_lower",
    "render",
    "summarise",
    "summarise_predictions",
    "verify",
]
