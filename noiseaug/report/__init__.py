"""What certification runs say: certified accuracy by radius, average radii, paired comparisons, printed tables.

Imports ``records``, ``certificates`` and what is below them; draws nothing itself (see :mod:`noiseaug.plotting`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
