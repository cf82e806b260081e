"""Networks with and without training noise: models, objectives, attacks, training, the vote engine, grids.

The only part of the package that uses torch. Imports ``certification``, ``report``, ``data`` and what is below them,
never tasks, regions or risks.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
