"""The ``noiseaug`` command, one module a group of commands; they parse, call and print.

May import everything, but loads nothing heavy before a command runs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
