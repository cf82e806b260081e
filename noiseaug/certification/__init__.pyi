from .certifier import Certifier
from .certifying import certify, predict, recertify, recertify_log
from .estimator import SmoothedClassifier, augment, certified_accuracy_scorer
from .run import certify_run

__all__ = [
    "Certifier",
    "SmoothedClassifier",
    "augment",
    "certified_accuracy_scorer",
    "certify",
    "certify_run",
    "predict",
    "recertify",
    "recertify_log",
]
