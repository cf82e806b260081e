"""Journals: files to which a run appends a line for each finished piece of work, and which survive its death.

A line is in the file when :meth:`Journal.append` returns. A process that is killed while it writes leaves a last line
without its end, which counts as not written.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from noiseaug.runs.files import naming
from noiseaug.runs.locks import open_locked

__all__ = ["Journal", "whole_lines"]

_SYNC_SECONDS = 1.0  # of work that a power cut may cost; a killed process loses nothing


class Journal:
    """A journal, open for more lines and locked against other writers.

    Args:
        path: the file; created where it does not exist.

    Raises:
        InvalidInputError: where another process is writing it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = open_locked(path)
        self._size = 0
        self._synced = time.monotonic()

    def read(self) -> bytes:
        """All that the file holds."""
        return _read_all(self._handle)

    def keep(self, size: int) -> None:
        """Cuts the file off after its first ``size`` bytes, which end with a line; more lines follow there."""
        os.ftruncate(self._handle, size)
        self._size = size

    def append(self, line: str) -> None:
        """Adds a line, given with its end.

        Raises:
            OSError: where it could not be written; the file is then as before.
        """
        rest = memoryview(line.encode())
        size = self._size + len(rest)
        try:
            with naming(self.path):
                while rest:
                    rest = rest[os.write(self._handle, rest) :]
            self._size = size
        except BaseException:
            # half a line would spoil the next one
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            raise
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._handle)
            self._synced = time.monotonic()

    def close(self, *, remove: bool = False) -> None:
        """Closes the file, or removes it; closing it again does nothing."""
        if self._handle < 0:
            return
        handle, self._handle = self._handle, -1
        try:
            if remove:
                self.path.unlink(missing_ok=True)  # before the lock goes, so that nobody can have begun to use it
            else:
                with naming(self.path):
                    os.fsync(handle)
        finally:
            os.close(handle)


def whole_lines(content: bytes) -> tuple[list[bytes], int]:
    """The lines that were written to their end, without it, and the bytes that they take up."""
    size = content.rfind(b"\n") + 1
    return content[:size].split(b"\n")[:-1], size


def _read_all(handle: int) -> bytes:
    """The whole of an open file."""
    os.lseek(handle, 0, os.SEEK_SET)
    parts = []
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)
