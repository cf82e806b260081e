"""Numbers that keep their digits: normal and noncentral tails, level sets, measures on the line, lattices.

Knows nothing of tasks, votes or files; imports only ``validation`` and ``errors``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
