"""A log's file: what its lines must be, and how two descriptions differ."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

import noiseaug
from noiseaug.errors import InvalidInputError
from noiseaug.records.checking import claim_check
from noiseaug.records.outcome import Outcome
from noiseaug.records.tally import MANY
from noiseaug.runs import difference, open_file, shown, write_atomically
from noiseaug.runs.decoding import convert, decode
from noiseaug.runs.journal import whole_lines
from noiseaug.runs.locks import lock_file

__all__ = [
    "START",
    "Content",
    "header_line",
    "parse",
    "plain",
    "read_closed",
    "read_idle",
    "refuse_difference",
    "refuse_other_run",
    "refuse_strangers",
    "shortfall",
    "write_log",
]

_FORMATS = ("noiseaug certification log 1", "noiseaug certification log 2")
"""The second is that of logs of many classes, whose lines hold no zeros; those of earlier versions are of the first."""
START = b'{"format": "noiseaug certification log '
"""How every log begins."""


Probability = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Size = Annotated[float, msgspec.Meta(ge=0)]
Votes = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Named(msgspec.Struct):
    name: str


class Description(msgspec.Struct):
    """What noiseaug itself writes into a description, none of which must be there.

    Users record what else they like, so a description stays a dictionary; this is what its entries must be where a
    later step relies on them. :func:`noiseaug.certification.certify` says what they mean.
    """

    smooth_sigma: Size | None = None
    train_sigma: Size | None = None
    noise: str | None = None
    noise_error: Size | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    n: Votes | None = None
    n0: Votes | None = None
    failure_prob: Probability | None = None
    num_classes: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    certificate: _Named | str | None = None
    randomised: bool | None = None
    shard: str | None = None
    inputs: Votes | None = None
    precision: str | None = None

    routing: _Routing | None = None


class _Routing(msgspec.Struct):
    """What a run with a level for each input is made of: every part is described as a run by itself."""

    router: Description
    experts: Annotated[list[Description], msgspec.Meta(min_length=2)]


class _Format(msgspec.Struct):
    format: str


class Header(msgspec.Struct):
    """The first line of a log: the version that began it, and the run's description."""

    noiseaug: str
    description: dict[str, Any]


@dataclass(frozen=True)
class Content:
    """What a log's file holds; ``size`` and ``lines`` are those of the whole lines."""

    header: Header | None
    outcomes: dict[int, Outcome]
    size: int
    lines: int
    torn: bool


def parse(path: Path, content: bytes) -> Content:
    """Reads a log; a last line without its end counts as cut off, even where it could be read.

    Raises:
        InvalidInputError: for any other damage, for outcomes that do not follow from their votes, and for files that
            are no log; with the number of the line.
    """
    lines, size = whole_lines(content)
    if not (content.startswith(START) or (not lines and START.startswith(content))):
        raise InvalidInputError(f"{path} is no log of a certification by noiseaug; choose another file")
    header = _parse_header(path, lines[0]) if lines else None
    fault = claim_check(header.description, f"{path}, line 1") if header else None
    outcomes: dict[int, Outcome] = {}
    for number, line in enumerate(lines[1:], start=2):
        if line.startswith(START):
            raise InvalidInputError(f"{path}, line {number}: a second log begins; merge logs, do not join them")
        outcome = Outcome.from_line(line, f"{path}, line {number}")
        if outcome.index in outcomes:
            raise InvalidInputError(f"{path}, line {number}: input {outcome.index} stands in an earlier line already")
        if fault is not None and (found := fault(outcome)) is not None:
            raise InvalidInputError(
                f"{path}, line {number}: input {outcome.index}: {found}; remove the line and resume the run"
            )
        outcomes[outcome.index] = outcome
    whole = header.description.get("inputs") if header else None
    if whole is not None and len(outcomes) > whole:
        raise InvalidInputError(f"{path} holds {len(outcomes)} outcomes; its run has {whole} inputs")
    return Content(header, outcomes, size, len(lines), size < len(content))


def _parse_header(path: Path, line: bytes) -> Header:
    where = f"{path}, line 1"
    if decode(line, _Format, where).format not in _FORMATS:
        raise InvalidInputError(f"{path} is of another format; this version of noiseaug reads {' and '.join(_FORMATS)}")
    header = decode(line, Header, where)
    convert(header.description, Description, f"{where}: description")
    return header


def header_line(description: dict[str, Any]) -> str:
    """The first line of a log."""
    name = _FORMATS[(description.get("num_classes") or 0) > MANY]
    # the tag comes first: half a header is still known by it
    return json.dumps({"format": name, "noiseaug": noiseaug.__version__, "description": description}) + "\n"


def plain(description: dict[str, Any]) -> dict[str, Any]:
    """A description as it will be read back; refuses what JSON cannot hold."""
    what = "the run's description"
    try:
        stored = json.loads(json.dumps(description, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} cannot be stored: {error}") from None
    convert(stored, Description, what)
    return dict(stored)


def refuse_difference(path: Path, stored: dict[str, Any], wanted: dict[str, Any], other: Path | None = None) -> None:
    """Refuses a log whose description is not the wanted one (that of ``other``, where given)."""
    stored, wanted = _decisive(stored), _decisive(wanted)
    if stored.get("inputs") is None or wanted.get("inputs") is None:  # logs of earlier versions do not say it
        stored, wanted = ({key: value for key, value in each.items() if key != "inputs"} for each in (stored, wanted))
    found = difference(stored, wanted)
    if found is not None:
        key, old, new = found[0], *map(shown, found[1:])
        end = f"not {new}; choose another file" if other is None else f"{other} has {new}; merge shards of one run only"
        raise InvalidInputError(f"{path} holds a run of another description: its {key} is {old}, {end}")


def refuse_other_run(path: Path, header: Header, description: dict[str, Any]) -> None:
    """Refuses to go on with a log of another description or of another version of noiseaug."""
    refuse_difference(path, header.description, description)
    if header.noiseaug != noiseaug.__version__:
        raise InvalidInputError(
            f"{path} was begun by noiseaug {header.noiseaug}, this is {noiseaug.__version__}; choose another file"
        )


def shortfall(description: Mapping[str, Any], held: int) -> str | None:
    """``"8 of 9 inputs"``, where a log holds fewer inputs than its run has and says so; else None."""
    whole = description.get("inputs")
    return f"{held} of {whole} inputs" if whole is not None and held < whole else None


def refuse_strangers(path: Path, held: Iterable[int], inputs: Iterable[int]) -> None:
    """Refuses a log with outcomes of inputs that its run does not have.

    Args:
        path: the log.
        held: indices of its outcomes.
        inputs: indices of the inputs of the run.

    Raises:
        InvalidInputError: with one of them.
    """
    strangers = sorted(set(held) - set(inputs))
    if strangers:
        raise InvalidInputError(
            f"{path} holds input {strangers[0]}, which is none of the inputs of this run; choose another file"
        )


def write_log(path: Path, description: dict[str, Any], outcomes: Iterable[Outcome]) -> None:
    """Writes a whole log, which appears complete or not at all."""
    write_atomically(path, header_line(description) + "".join(outcome.line() + "\n" for outcome in outcomes))


def _decisive(description: dict[str, Any]) -> dict[str, Any]:
    """What of a description a run cannot change half-way.

    How a network runs changes its logits by rounding: in float32 hardly a vote, in a shorter precision many, so there
    it is part of the base classifier. Why it runs so is a note.
    """
    if isinstance(routing := description.get("routing"), dict):
        parts = {"router": _decisive(routing["router"]), "experts": [_decisive(each) for each in routing["experts"]]}
        return {**description, "routing": parts}
    if "execution" not in description:
        return description
    rest = {key: value for key, value in description.items() if key != "execution"}
    execution = description["execution"]
    if description.get("precision") == "float32" or not isinstance(execution, dict):
        return rest
    return {**rest, "execution": execution.get("way")}


def read_closed(path: Path) -> tuple[Header, dict[int, Outcome]]:
    """The header and the outcomes of a log that nobody is writing."""
    content = read_idle(path)
    if content.header is None:
        raise InvalidInputError(f"{path} holds no run: it ends in its first line")
    if content.torn:
        warnings.warn(f"{path}, line {content.lines + 1} is cut off and was left out", stacklevel=4)
    return content.header, content.outcomes


def read_idle(path: Path) -> Content:
    """A log, torn or not, that nobody is writing."""
    with open_file(path) as stream:
        lock_file(stream.fileno(), path, shared=True)
        return parse(path, stream.read())
