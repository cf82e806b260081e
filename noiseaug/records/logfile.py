"""A log's file: what its lines must be, and how two descriptions differ."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import noiseaug
from noiseaug.errors import InvalidInputError
from noiseaug.records.outcome import Outcome
from noiseaug.runs import difference, shown
from noiseaug.runs.locks import lock_file

__all__ = ["START", "Content", "header_line", "parse", "plain", "read_all", "read_closed", "refuse_difference"]

_FORMAT = "noiseaug certification log 1"
START = b'{"format": "noiseaug certification log '
"""How every log begins."""


@dataclass(frozen=True)
class Content:
    """What a log's file holds; ``size`` and ``lines`` are those of the whole lines."""

    header: Any
    outcomes: dict[int, Outcome]
    size: int
    lines: int
    torn: bool


def parse(path: Path, content: bytes) -> Content:
    """Reads a log; a last line without its end counts as cut off, even where it could be read.

    Raises:
        InvalidInputError: for any other damage, and for files that are no log; with the number of the line.
    """
    size = content.rfind(b"\n") + 1
    lines = content[:size].split(b"\n")[:-1]
    if not (content.startswith(START) or (not lines and START.startswith(content))):
        raise InvalidInputError(f"{path} is no log of a certification by noiseaug; choose another file")
    header = _parse_header(path, lines[0]) if lines else None
    outcomes: dict[int, Outcome] = {}
    for number, line in enumerate(lines[1:], start=2):
        if line.startswith(START):
            raise InvalidInputError(f"{path}, line {number}: a second log begins; merge logs, do not join them")
        try:
            outcome = Outcome.from_line(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidInputError(f"{path}, line {number} is damaged: {error}") from None
        if outcome.index in outcomes:
            raise InvalidInputError(f"{path}, line {number}: input {outcome.index} stands in an earlier line already")
        outcomes[outcome.index] = outcome
    return Content(header, outcomes, size, len(lines), size < len(content))


def _parse_header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
        tag, version, description = header["format"], header["noiseaug"], header["description"]
    except (ValueError, TypeError, KeyError):
        raise InvalidInputError(f"{path}, line 1 is damaged; expected the description of a run") from None
    if tag != _FORMAT:
        raise InvalidInputError(f"{path} is a {tag!r}; this version of noiseaug reads {_FORMAT!r}")
    if not isinstance(description, dict) or not isinstance(version, str):
        raise InvalidInputError(f"{path}, line 1 is damaged; expected the description of a run")
    return dict(header)


def header_line(description: dict[str, Any]) -> str:
    """The first line of a log."""
    # the tag comes first: half a header is still known by it
    return json.dumps({"format": _FORMAT, "noiseaug": noiseaug.__version__, "description": description}) + "\n"


def plain(description: dict[str, Any]) -> dict[str, Any]:
    """A description as it will be read back; refuses what JSON cannot hold."""
    try:
        stored = json.loads(json.dumps(description, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the run's description cannot be stored: {error}") from None
    if not isinstance(stored, dict):
        raise InvalidInputError(f"the run's description is {description!r}; expected a dictionary")
    return stored


def refuse_difference(path: Path, stored: Any, wanted: Any, other: Path | None = None) -> None:
    """Refuses a log whose description, or version, is not the wanted one (that of ``other``, where given)."""
    found = difference(_decisive(stored), _decisive(wanted), "" if isinstance(stored, dict) else "noiseaug")
    if found is not None:
        key, old, new = found[0], *map(shown, found[1:])
        end = f"not {new}; choose another file" if other is None else f"{other} has {new}; merge shards of one run only"
        raise InvalidInputError(f"{path} holds a run of another description: its {key} is {old}, {end}")


def _decisive(description: Any) -> Any:
    """What of a description a run cannot change half-way.

    How a network runs changes its logits by rounding: in float32 hardly a vote, in a shorter precision many, so there
    it is part of the base classifier. Why it runs so is a note.
    """
    if not isinstance(description, dict) or "execution" not in description:
        return description
    rest = {key: value for key, value in description.items() if key != "execution"}
    execution = description["execution"]
    if description.get("precision") == "float32" or not isinstance(execution, dict):
        return rest
    return {**rest, "execution": execution.get("way")}


def read_closed(path: Path) -> Content:
    """A log that nobody is writing."""
    handle = os.open(path, os.O_RDONLY)
    try:
        lock_file(handle, path, shared=True)
        content = parse(path, read_all(handle))
    finally:
        os.close(handle)
    if content.header is None:
        raise InvalidInputError(f"{path} holds no run: it ends in its first line")
    if content.torn:
        warnings.warn(f"{path}, line {content.lines + 1} is cut off and was left out", stacklevel=3)
    return content


def read_all(handle: int) -> bytes:
    """The whole of an open file."""
    os.lseek(handle, 0, os.SEEK_SET)
    parts = []
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)
