"""Networks by name, and trained networks as files.

Imports nothing else of ``vision``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
