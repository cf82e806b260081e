"""Votes of a base classifier under noise: the noise, the streams of votes, and adapters of classifiers.

Imports only ``validation`` and ``errors``. The vote engine for networks is :mod:`noiseaug.vision.engine`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
