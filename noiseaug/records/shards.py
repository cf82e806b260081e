"""The logs of processes that certify together: one for each, beside the log that they become.

The log of process i of k is ``OUT.i-of-k``, with the shard ``"i/k"`` in its description. An interrupted run may be
taken up by another number of processes, or by one: what is finished is dealt out anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from noiseaug.errors import InvalidInputError
from noiseaug.records.log import write_merged
from noiseaug.records.logfile import parse, plain, read_closed, read_idle, refuse_other_run, refuse_strangers, write_log
from noiseaug.records.outcome import Outcome
from noiseaug.runs import read_file

__all__ = ["gather", "redistribute", "refuse_existing", "shard_file", "shard_files"]

_SIGHT_SECONDS = 30.0  # in which a file that another host has written shows in a shared folder


def shard_file(out: Path, number: int, count: int) -> Path:
    """The log of one process of several."""
    return out.with_name(f"{out.name}.{number}-of-{count}")


def shard_files(out: Path) -> list[Path]:
    """Those that are there, whatever the number of processes was."""
    if not out.parent.is_dir():
        return []
    name = re.compile(re.escape(out.name) + r"\.\d+-of-\d+")
    return sorted(path for path in out.parent.iterdir() if name.fullmatch(path.name))


def refuse_existing(out: Path, count: int) -> None:
    """Refuses to begin where something is there; for one process, the log itself is looked at when it is opened.

    Raises:
        InvalidInputError: for a directory, a log, or shards of an unfinished one.
    """
    if out.is_dir():
        raise InvalidInputError(f"{out} is a directory; expected the file of a log")
    if count > 1 and out.exists():
        raise InvalidInputError(f"{out} exists; resume the run that it holds, or choose another file")
    if found := shard_files(out):
        raise InvalidInputError(f"{found[0]} is of an unfinished run into {out}; add --resume, or choose another --out")


def redistribute(out: Path, indices: Sequence[int], count: int, expected: Callable[[], dict[str, Any]]) -> bool:
    """Deals out what an interrupted run has finished; does nothing where the number of processes is the same.

    The new files are complete before an old one goes, so that nothing is lost whenever this is stopped.

    Args:
        out: the log of the whole run.
        indices: all inputs of the run; process i of k takes every k-th of them from the i-th on.
        count: number of processes; 1 for a run without shards.
        expected: what the logs must say of their run, all but the shard and its number of inputs.

    Returns:
        Whether the log of the whole run is finished.

    Raises:
        InvalidInputError: for logs of another run or of a live one, or damaged ones; they stay as they are.
    """
    if out.is_dir():
        raise InvalidInputError(f"{out} is a directory; expected the file of a log")
    shards = shard_files(out)
    if not shards and (count == 1 or not out.exists()):
        return False
    if out.exists() and set(indices) <= parse(out, read_file(out)).outcomes.keys():
        return True
    targets = [out] if count == 1 else [shard_file(out, number, count) for number in range(count)]
    sources = [path for path in [*shards, out] if path.exists()]
    if set(sources) <= set(targets):
        return False
    outcomes: dict[int, Outcome] = {}
    for path in sources:
        found = read_idle(path)
        if found.header is None or not found.outcomes:
            continue
        shard = None if path == out else found.header.description.get("shard")
        refuse_other_run(path, found.header, plain({**expected(), "shard": shard, "inputs": None}))
        refuse_strangers(path, found.outcomes, indices)
        outcomes |= found.outcomes
    for number, target in enumerate(targets):
        share = indices[number::count]
        mine = sorted(outcomes.keys() & set(share))
        if mine:
            shard = None if count == 1 else f"{number}/{count}"
            description = plain({**expected(), "shard": shard, "inputs": len(share)})
            write_log(target, description, [outcomes[index] for index in mine])
    for path in set(sources) - set(targets):
        path.unlink()
    return False


def gather(out: Path, indices: Sequence[int], count: int) -> list[Outcome]:
    """Joins the finished logs of the processes, sorted by index, and removes them; all outcomes.

    Raises:
        InvalidInputError: where one of them is not to be seen from here, or lacks inputs.
    """
    parts = [shard_file(out, number, count) for number in range(count) if indices[number::count]]
    limit = time.monotonic() + _SIGHT_SECONDS
    for part in parts:
        while not part.exists():
            if time.monotonic() > limit:
                raise InvalidInputError(
                    f"{part} is not to be seen from the host of rank 0; --out must lie in a folder that all hosts "
                    "share (bring the files together and add --resume)"
                )
            time.sleep(0.5)
    found = [(part, *read_closed(part)) for part in parts]
    finished = sum(len(held) for _, _, held in found)
    if finished != len(indices):
        raise InvalidInputError(
            f"the shards of {out} hold {finished} of {len(indices)} inputs; run again with --resume"
        )
    if out.exists():
        raise InvalidInputError(f"{out} exists; choose another file")
    # a process without an input has no log
    outcomes = write_merged(found, out, partial=True, inputs=len(indices))
    for path in shard_files(out):
        path.unlink()
    return outcomes
