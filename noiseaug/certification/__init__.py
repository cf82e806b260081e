"""Certification and prediction with a smoothed classifier, and the scikit-learn estimator that does both.

Joins ``votes``, ``certificates`` and ``records``; imports no tasks, no risks and no networks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
