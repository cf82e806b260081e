from .penalties import Adre, Consistency, Macer, Penalty, Stability, cross_entropy
from .registry import OBJECTIVES, Objective, ObjectiveKind, Parameter, describe, make_objective

__all__ = [
    "OBJECTIVES",
    "Adre",
    "Consistency",
    "Macer",
    "Objective",
    "ObjectiveKind",
    "Parameter",
    "Penalty",
    "Stability",
    "cross_entropy",
    "describe",
    "make_objective",
]
