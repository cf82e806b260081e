"""What is certified or attacked: a classifier by name, brought together with its data.

Imports ``certification``, ``data`` and, only when a network is asked for, ``vision``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
