from .certifier import Certifier
from .certifying import certify, predict
from .estimator import SmoothedClassifier, augment, certified_accuracy_scorer
from .recertifying import recertify, recertify_log
from .routing import RoutedBase, RoutedCertifier, make_certifier
from .run import certify_run

__all__ = [
    "Certifier",
    "RoutedBase",
    "RoutedCertifier",
    "SmoothedClassifier",
    "augment",
    "certified_accuracy_scorer",
    "certify",
    "certify_run",
    "make_certifier",
    "predict",
    "recertify",
    "recertify_log",
]
