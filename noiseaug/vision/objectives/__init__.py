"""Training objectives: a loss over noisy copies, with its attack and its penalty.

Imports ``attacks`` and what is below it in ``vision``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
