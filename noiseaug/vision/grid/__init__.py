"""Grids over training and smoothing noise: plan, training, votes, tables and pictures, in one directory.

The top of ``vision``: imports all of it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
