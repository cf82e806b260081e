"""Locks on files and directories, held against other processes for as long as this one lives.

The package filelock would lock a second file beside the first, and that file would stay. A lock on the open file itself
leaves nothing behind, ends with its process however that dies, and may be shared by readers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from noiseaug.errors import InvalidInputError
from noiseaug.runs.files import check_regular

try:
    import fcntl
except ImportError:  # no advisory locks on this system
    fcntl = None  # type: ignore[assignment]

__all__ = ["lock_file", "locked_directory", "open_locked"]


def open_locked(path: Path) -> int:
    """The file, created where it does not exist, locked against other writers until it is closed.

    Raises:
        InvalidInputError: where it is a device or a pipe, or another process has locked it.
    """
    while True:
        # a pipe that nobody reads would make us wait
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0), 0o666)
        try:
            check_regular(handle, path)
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
    """Locks an open file or directory, where the system has advisory locks.

    Raises:
        InvalidInputError: where another process has locked it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        if path.is_dir():
            raise InvalidInputError(f"another process is running into {path}; choose another --out") from None
        raise InvalidInputError(f"another process is writing {path}; wait for it, or choose another file") from None
    except OSError:  # nor on this file system
        pass


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Locks a directory against other processes; leaves no trace in it."""
    if fcntl is None:  # such systems cannot open a directory either
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        lock_file(handle, path, shared=False)
        yield
    finally:
        os.close(handle)
