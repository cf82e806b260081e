"""The vote engine for networks: noise by counters, packed batches, networks made ready for inference.

Imports ``models`` and ``device`` of ``vision``; knows nothing of training.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
