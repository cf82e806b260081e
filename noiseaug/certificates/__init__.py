"""From counts of votes to certified radii: one rule a class, and the registry of all rules.

Imports only ``confidence``, ``validation`` and ``errors``: a rule sees counts, never a classifier.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
