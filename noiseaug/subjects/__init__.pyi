from .attack import attack_model
from .classifiers import BASES, SOURCES, Subject, load_classifier, load_subject
from .routed import load_routed

__all__ = ["BASES", "SOURCES", "Subject", "attack_model", "load_classifier", "load_routed", "load_subject"]
