"""What errors say, and a disk that brings them about."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from noiseaug.errors import InvalidInputError


def complaint(call, *arguments, **options):
    """The one line of the error with which a call is refused."""
    with pytest.raises(InvalidInputError) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@contextmanager
def full_disk() -> Iterator[None]:
    """Files cannot be brought to the disk."""

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield
