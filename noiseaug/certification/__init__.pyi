from .certifier import Certifier
from .certifying import certify, predict, recertify, recertify_log
from .estimator import SmoothedClassifier, certified_accuracy_scorer

__all__ = [
    "Certifier",
    "SmoothedClassifier",
    "certified_accuracy_scorer",
    "certify",
    "predict",
    "recertify",
    "recertify_log",
]
