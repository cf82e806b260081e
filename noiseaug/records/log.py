"""Logs of certification runs: append-only, taken up again after a kill, merged from shards; and the field's format.

A log is a text file. Its first line says what run it belongs to, each further line is the :class:`Outcome` of one
input as JSON. A line is written whole or, by a killed process, cut off; a cut-off last line is no outcome.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence, Set
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from noiseaug.errors import InvalidInputError
from noiseaug.records.logfile import (
    START,
    Header,
    header_line,
    parse,
    plain,
    read_closed,
    refuse_difference,
    refuse_other_run,
    shortfall,
    write_log,
)
from noiseaug.records.outcome import Outcome, outcomes_frame
from noiseaug.records.predictions import path_description, read_predictions
from noiseaug.records.tsv import HEADER, read_tsv
from noiseaug.runs import make_folder, open_file, read_file
from noiseaug.runs.journal import Journal
from noiseaug.tables import floor_radius

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunLog", "floor_radius", "merge_logs", "read_any", "read_log", "refuse_table"]

_FIRST_BYTES = 1100  # of a file that hold its first line, or enough of it


class RunLog:
    """The log of one run, open for more outcomes and locked against other writers; a context manager.

    Every outcome is in the file when :meth:`append` returns. A log to which nothing was appended is removed when it is
    closed, if it was new.
    """

    def __init__(self, journal: Journal, description: dict[str, Any]) -> None:
        self.path = journal.path
        self.description = description
        self._journal = journal
        self._outcomes: dict[int, Outcome] = {}
        self._new = False

    @classmethod
    def open(cls, path: Path | str, description: dict[str, Any], *, resume: bool = False) -> RunLog:
        """Begins a log, or takes one up again.

        Args:
            path: the file; folders above it are created.
            description: what the run is, as plain values that JSON can hold: data set, classifier, smooth_sigma, noise,
                seed, n, n0, failure_prob, certificate, num_classes; shard is None or ``"i/k"`` with i from 0 to k−1;
                inputs is the number of inputs that the log will hold when it is finished.
            resume: take up the log of an interrupted run. A last line that was cut off is removed.

        Raises:
            InvalidInputError: where the file exists and ``resume`` was not asked for, holds another run or no run, is
                damaged, or is being written by another process. The file is then as it was.
        """
        path, stored = Path(path), plain(description)
        if path.is_dir():
            raise InvalidInputError(f"{path} is a directory; expected the file of a log")
        make_folder(path.parent)
        log = cls(Journal(path), stored)
        try:
            log._begin(resume)
        except BaseException:
            log._journal.close()
            raise
        return log

    def _begin(self, resume: bool) -> None:
        content = self._journal.read()
        if content and not resume:
            raise InvalidInputError(f"{self.path} exists; resume the run that it holds, or choose another file")
        found = parse(self.path, content)
        if found.header is None:
            self._new = not content
            self._journal.keep(0)
            self._journal.append(header_line(self.description))
            return
        refuse_other_run(self.path, found.header, self.description)
        self._journal.keep(found.size)
        self._outcomes = found.outcomes

    @property
    def finished(self) -> Set[int]:
        """Indices of the inputs whose outcomes the log holds."""
        return self._outcomes.keys()

    @property
    def outcomes(self) -> list[Outcome]:
        """Everything in the log, the outcomes of earlier processes too."""
        return list(self._outcomes.values())

    def append(self, outcome: Outcome) -> None:
        """Adds the outcome of one input.

        Raises:
            InvalidInputError: where the log has the input already, or its counts are of another number of classes.
            OSError: where it could not be written; the log is then as before.
        """
        classes = self.description.get("num_classes")
        if outcome.index in self._outcomes:
            raise InvalidInputError(f"{self.path} has an outcome of input {outcome.index} already")
        if classes is not None and len(outcome.selection) != classes:
            raise InvalidInputError(
                f"input {outcome.index} has counts of {len(outcome.selection)} classes; the run has {classes}"
            )
        self._journal.append(outcome.line() + "\n")
        self._outcomes[outcome.index] = outcome

    def frame(self) -> pd.DataFrame:
        """:attr:`outcomes` as :func:`outcomes_frame`."""
        return outcomes_frame(self.outcomes)

    def close(self) -> None:
        """Closes the file; closing it again does nothing."""
        self._journal.close(remove=self._new and not self._outcomes)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_log(path: Path | str) -> tuple[dict[str, Any], pd.DataFrame]:
    """The run's description and its outcomes so far, as :func:`outcomes_frame`; a live log may be read.

    A last line that is cut off is left out with a warning, and a run that is not finished gets one; the file stays as
    it is.

    Raises:
        InvalidInputError: where the file is no log, damaged, or claims what does not follow from its votes; with the
            number of the line.
    """
    description, outcomes = read_outcomes(Path(path))
    return description, outcomes_frame(outcomes)


def read_outcomes(path: Path) -> tuple[dict[str, Any], list[Outcome]]:
    """As :func:`read_log`, without a frame."""
    found = parse(path, read_file(path))
    if found.header is None:
        raise InvalidInputError(f"{path} holds no run: it ends in its first line")
    if found.torn:
        warnings.warn(f"{path}, line {found.lines + 1} is cut off and was left out", stacklevel=3)
    if short := shortfall(found.header.description, len(found.outcomes)):
        warnings.warn(f"{path} holds {short}; the run is not finished", stacklevel=3)
    return found.header.description, list(found.outcomes.values())


def read_any(path: Path | str) -> tuple[dict[str, Any], pd.DataFrame]:
    """A log of noiseaug, one in the format of Cohen et al. 2019, or one of predictions, whichever the file holds.

    Returns:
        The description and the frame as :func:`read_log`, :func:`read_tsv` and :func:`read_predictions` give it. The
        description is empty for a log of Cohen et al., and :func:`path_description` for predictions, whose frame has
        no radius.

    Raises:
        InvalidInputError: as they do, and where the file holds none of these.
    """
    path = Path(path)
    with open_file(path) as stream:
        content = stream.read(_FIRST_BYTES)
    if content.startswith(START):
        return read_log(path)
    first = content.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n")[0].split(b"\t")
    columns = [cell.strip().decode("utf-8", "replace") for cell in first]
    if HEADER[0] in columns and "radius" not in columns and "predict" in columns:
        return path_description(path), read_predictions(path)
    if HEADER[0] in columns:
        return {}, read_tsv(path)
    if _is_curve(columns):
        log = f", perhaps {path.with_name(path.name.removesuffix('_acc'))}" if path.name.endswith("_acc") else ""
        raise InvalidInputError(f"{path} holds accuracies by radius; give the log that they were computed from{log}")
    raise InvalidInputError(
        f"{path} is no log of a certification; expected one of noiseaug, or tab-separated {' '.join(HEADER)}"
    )


def _is_curve(columns: list[str]) -> bool:
    """Whether a first line is a radius and an accuracy, as in the files ``…_acc`` of Jeong & Shin 2020."""
    try:
        radius, accuracy = map(float, columns)
    except ValueError:
        return False
    return radius >= 0 and 0 <= accuracy <= 1


def merge_logs(paths: Sequence[Path | str], out: Path | str, *, partial: bool = False) -> None:
    """Joins the shards of one run in a new log, sorted by index, which appears whole or not at all.

    Args:
        paths: logs whose descriptions differ in ``shard`` alone.
        out: the new log; its shard is None.
        partial: merge although shards are missing, or inputs of a shard.

    Raises:
        InvalidInputError: for logs of different runs or versions, an input that two of them hold, a missing shard, one
            that is not finished, a log that is still being written, or where ``out`` exists.
    """
    out, sources = Path(out), [Path(path) for path in paths]
    if not sources:
        raise InvalidInputError("no logs to merge")
    if out.exists():
        raise InvalidInputError(f"{out} exists; choose another file")
    write_merged([(path, *read_closed(path)) for path in sources], out, partial=partial)


def write_merged(
    found: Sequence[tuple[Path, Header, dict[int, Outcome]]], out: Path, *, partial: bool, inputs: int | None = None
) -> list[Outcome]:
    """:func:`merge_logs`, after its first checks; what the new log holds.

    Args:
        found: each shard's path, and what :func:`read_closed` gives of it.
        out: as there.
        partial: as there.
        inputs: how many inputs the whole run has; by default as many as its shards have, if all of them are there.
    """
    first, reference, _ = found[0]
    for path, header, _ in found:
        refuse_difference(path, _unsharded(header), _unsharded(reference), first)
    missing = _missing_shards([header.description.get("shard") for _, header, _ in found])
    if missing and not partial:
        raise InvalidInputError(f"shard {', '.join(missing)} of the run is missing; give all, or add --partial")
    for path, header, outcomes in found:
        short = shortfall(header.description, len(outcomes))
        if short and not partial:
            raise InvalidInputError(f"{path} holds {short}; finish it with certify --resume, or add --partial")
    merged: dict[int, tuple[Path, Outcome]] = {}
    for path, _, outcomes in found:
        for index, outcome in outcomes.items():
            if index in merged:
                _refuse_overlap(path, outcome, *merged[index])
            merged[index] = path, outcome
    ordered = [merged[index][1] for index in sorted(merged)]
    sizes = [size for _, header, _ in found if (size := header.description.get("inputs")) is not None]
    if inputs is None and not missing and len(sizes) == len(found):
        inputs = sum(sizes)
    description = {**reference.description, "shard": None, "inputs": inputs}
    if inputs is None:
        del description["inputs"]
    write_log(out, description, ordered)
    return ordered


def _unsharded(header: Header) -> dict[str, Any]:
    """What the shards of a run have in common."""
    return {**header.description, "shard": None, "inputs": None, "noiseaug": header.noiseaug}


def _missing_shards(shards: list[Any]) -> list[str]:
    """The shards ``"i/k"``, 0 ≤ i < k, that are not there; those that contradict one another are refused."""
    if all(shard is None for shard in shards):
        return []
    numbers, totals = set(), set()
    for shard in shards:
        number, _, total = str(shard).partition("/")
        if not (number.isdecimal() and total.isdecimal() and int(number) < int(total)):
            given = ", ".join("none" if entry is None else str(entry) for entry in shards)
            raise InvalidInputError(f"the logs' shards are {given}; expected i/k with 0 ≤ i < k of one run")
        numbers.add(int(number))
        totals.add(int(total))
    if len(totals) > 1:
        raise InvalidInputError(f"the logs are of {' and '.join(map(str, sorted(totals)))} shards; expected one number")
    count = totals.pop()
    return [f"{number}/{count}" for number in range(count) if number not in numbers]


def _refuse_overlap(path: Path, outcome: Outcome, other: Path, earlier: Outcome) -> None:
    same = msgspec.structs.replace(outcome, seconds=earlier.seconds) == earlier
    verdict = "with equal outcomes; leave one of the two logs out" if same else "with different outcomes"
    raise InvalidInputError(f"{other} and {path} both hold input {outcome.index}, {verdict}")


def refuse_table(path: Path | None) -> None:
    """Refuses a table's file before the work: in a folder that is not there, or that holds the log of a run."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise InvalidInputError(f"no folder {path.parent} for {path.name}")
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; expected a file")
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(len(START)) == START:
                raise InvalidInputError(f"{path} holds the log of a certification; choose another file")
