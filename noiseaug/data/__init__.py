"""Data sets by name: images that are published, ``.npz`` files, and inputs to certify with inputs to train on.

Imports only ``runs``, ``validation`` and ``errors``; no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
