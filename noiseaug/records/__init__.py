"""What certification runs leave behind: outcomes, logs, shards of logs, and the field's TSV files.

Imports ``runs`` and ``tables``; a log can be read without the classifier or the certificate that made it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
