"""The vocabulary of every table: its columns, decimals rounded one way, and levels written as text.

Imports only ``validation`` and ``errors``, so that theory, certification and the command line can share it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
