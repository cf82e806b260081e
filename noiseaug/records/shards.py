"""The logs of processes that certify together: one for each, beside the log that they become.

The log of process i of k is ``OUT.i-of-k``, with the shard ``"i/k"`` in its description. An interrupted run may be
taken up by another number of processes, or by one: what is finished is dealt out anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from noiseaug.errors import InvalidInputError
from noiseaug.records.log import merge_logs
from noiseaug.records.logfile import Header, header_line, parse, read_closed
from noiseaug.records.outcome import Outcome
from noiseaug.runs import write_atomically

__all__ = ["TakeUp", "gather", "prepare", "refuse_existing", "shard_file", "shard_files"]

TakeUp = Callable[[Path, list[int], str | None], object]
"""Opens the log of a shard, refuses that of another run, and certifies those of the inputs that it lacks."""

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


def prepare(out: Path, indices: Sequence[int], count: int, take_up: TakeUp) -> bool:
    """Deals out what an interrupted run has finished; nothing to do where the number of processes is the same.

    The new files are complete before an old one goes, so that nothing is lost whenever this is stopped.

    Args:
        out: the log of the whole run.
        indices: all inputs of the run; process i of k takes every k-th of them from the i-th on.
        count: number of processes; 1 for a run without shards.
        take_up: looks whether a log is of this run.

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
    whole = _read(out) if out.exists() else None
    if whole is not None and set(indices) <= whole[1].keys():
        return True
    targets = [out] if count == 1 else [shard_file(out, number, count) for number in range(count)]
    sources = [path for path in [*shards, out] if path.exists()]
    if set(sources) <= set(targets):
        return False
    found = {path: content for path in sources if (content := _read(path)) is not None and content[1]}
    for path, (header, kept) in found.items():
        take_up(path, [next(iter(kept))], None if path == out else header.description["shard"])
    outcomes = {index: outcome for _, kept in found.values() for index, outcome in kept.items()}
    for number, target in enumerate(targets):
        mine = sorted(outcomes.keys() & set(indices[number::count]))
        if mine:
            told = next(iter(found.values()))[0].description
            head = header_line({**told, "shard": None if count == 1 else f"{number}/{count}"})
            write_atomically(target, head + "".join(outcomes[index].line() + "\n" for index in mine))
    for path in set(sources) - set(targets):
        path.unlink()
    return False


def _read(path: Path) -> tuple[Header, dict[int, Outcome]] | None:
    """The header and the outcomes of a log; None where it ends in its first line."""
    content = parse(path, path.read_bytes())
    return None if content.header is None else (content.header, content.outcomes)


def gather(out: Path, indices: Sequence[int], count: int) -> None:
    """Joins the finished logs of the processes, sorted by index, and removes them.

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
    finished = sum(len(read_closed(part)[1]) for part in parts)
    if finished != len(indices):
        raise InvalidInputError(
            f"the shards of {out} hold {finished} of {len(indices)} inputs; run again with --resume"
        )
    # a process without an input has no log
    merge_logs(parts, out, partial=True)
    for path in shard_files(out):
        path.unlink()
