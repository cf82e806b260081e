from .attack import attack_model
from .classifiers import BASES, Subject, load_classifier, load_subject

__all__ = ["BASES", "Subject", "attack_model", "load_classifier", "load_subject"]
