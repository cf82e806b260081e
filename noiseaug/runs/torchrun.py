"""What torchrun tells a process of its place among the others, read without torch."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

__all__ = ["GRACE_SECONDS", "Place", "place", "wait_for_the_end"]

GRACE_SECONDS = 10.0
"""How long a process that is to end without a word waits; torchrun ends it as soon as another one has spoken."""


@dataclass(frozen=True)
class Place:
    """The place of a process that torchrun started.

    Attributes:
        rank: its number among all processes, from 0.
        count: number of all processes, at least 2.
        local_rank: its number among those of its host.
        local_count: number of those.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int


def place() -> Place | None:
    """The place of this process; None where torchrun did not start it, or it alone.

    Schedulers set WORLD_SIZE and RANK for purposes of their own; only torchrun sets TORCHELASTIC_RUN_ID.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    rank, count, local_rank, local_count = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    )
    return Place(rank, count, local_rank, local_count) if count > 1 else None


def wait_for_the_end() -> None:
    """Leaves another process the time to say what is wrong: torchrun ends all when the first of them ends."""
    time.sleep(GRACE_SECONDS)
