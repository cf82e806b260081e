"""Long work that survives an interruption: whole files, run directories, locks, worker processes, torchrun.

Knows nothing of what is computed; imports only ``errors``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
