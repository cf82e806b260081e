"""Locks on files and directories, held against other processes for as long as this one lives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from noiseaug.errors import InvalidInputError

__all__ = ["lock_file", "locked_directory", "open_locked"]


def open_locked(path: Path) -> int:
    """The file, created where it does not exist, held against other writers until it is closed."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            lock_file(handle, path, shared=False)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        # another writer removed its empty log between our opening and our locking
        os.close(handle)


def lock_file(handle: int, path: Path, *, shared: bool) -> None:
    """Locks an open file, where the system has advisory locks."""
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system
        return
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidInputError(f"another process is writing {path}; wait for it, or choose another file") from None
    except OSError:  # nor on this file system
        pass


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Holds a directory against other processes, for as long as this one lives at most; leaves no trace in it."""
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInputError(f"another process is running into {path}; choose another --out") from None
        except OSError:  # nor on this file system
            pass
        yield
    finally:
        os.close(handle)
