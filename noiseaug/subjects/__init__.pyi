from .attack import attack_model
from .classifiers import BASES, SOURCES, Subject, load_classifier, load_subject

__all__ = ["BASES", "SOURCES", "Subject", "attack_model", "load_classifier", "load_subject"]
