"""What torchrun tells a process of its place among the others, read without torch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["GRACE_SECONDS", "Alone", "Place", "Team", "place", "wait_for_the_end"]

Result = TypeVar("Result")

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


class Team(Protocol):
    """The processes that work together on one run, as one of them sees it."""

    @property
    def rank(self) -> int: ...

    @property
    def count(self) -> int: ...

    @property
    def leads(self) -> bool: ...

    def lead(self, action: Callable[[], Result]) -> Result:
        """What the leader's call returns, in every process; what it raises, the leader raises and the others end."""
        ...

    def wait(self) -> None:
        """Returns when every process has come here."""


class Alone:
    """A team of one process."""

    rank, count, leads = 0, 1, True

    def lead(self, action: Callable[[], Result]) -> Result:
        return action()

    def wait(self) -> None:
        pass


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
