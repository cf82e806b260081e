"""Keeping the memory that a training step has used for the next one."""

from __future__ import annotations

import sys

__all__ = ["keep_pages"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def keep_pages() -> bool:
    """Has glibc keep large buffers that are freed, where it would give them back and fault them in again.

    That is a quarter to a half of the time of a training step of a small network on the CPU. A setting of the whole
    process, which then keeps the most memory that it ever used: for commands, not for a library's functions.

    Returns:
        Whether there is a glibc to be told.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    told = [mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, 2**31 - 1), mallopt(_M_TOP_PAD, 1 << 26)]
    return all(told)
