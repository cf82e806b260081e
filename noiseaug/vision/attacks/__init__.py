"""Attacks on a smoothed classifier, and how far inputs must move before it errs.

Imports ``models`` and ``device`` of ``vision``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
