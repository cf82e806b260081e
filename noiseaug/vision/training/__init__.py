"""Training a network: recipe, batches, the loop, and runs that can be resumed or shared by several processes.

Imports ``objectives`` and what is below it in ``vision``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
