from .objective import Objective
from .penalties import Adre, Consistency, Macer, Penalty, Stability, cross_entropy
from .registry import OBJECTIVES, describe, make_objective

__all__ = [
    "OBJECTIVES",
    "Adre",
    "Consistency",
    "Macer",
    "Objective",
    "Penalty",
    "Stability",
    "cross_entropy",
    "describe",
    "make_objective",
]
