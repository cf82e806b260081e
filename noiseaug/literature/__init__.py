"""What papers have released: a table of their certification runs, and one's own run among them.

Imports ``report`` and what is below it; the table loads when it is asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
