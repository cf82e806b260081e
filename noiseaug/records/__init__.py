"""What certification runs leave behind: outcomes, logs, shards of logs, and the field's TSV files.

Imports ``runs``, ``tables`` and ``certificates``, from which the claims of a log are computed again when it is read.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
