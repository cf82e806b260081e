"""Data sets by name, published ones or files of one's own, as one kind of labelled set for every command.

Imports only ``runs``, ``registry``, ``validation`` and ``errors``; no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
