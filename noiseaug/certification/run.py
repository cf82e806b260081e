"""A certification run into one log, by one process or by several that share the work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from noiseaug.certification.certifying import Inputs, certify_into
from noiseaug.certification.routing import AnyCertifier
from noiseaug.errors import InvalidInputError
from noiseaug.records import Outcome, outcomes_frame, refuse_table, write_tsv
from noiseaug.records.shards import gather, redistribute, refuse_existing, shard_file, shard_files
from noiseaug.runs import refuse_clashes
from noiseaug.runs.torchrun import Alone, Team

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["certify_run", "check_run"]


def check_run(out: Path, *, shard: str | None, resume: bool, tsv: Path | None, team: Team) -> None:
    """Refuses a run that cannot go into its files, before any work; arguments as for :func:`certify_run`.

    Raises:
        InvalidInputError: as there.
    """
    if team.count > 1 and shard is not None:
        raise InvalidInputError("torchrun shares out the inputs itself; leave out --shard")
    outputs = {"out": [out]} if tsv is None else {"out": [out], "tsv": [tsv]}
    team.lead(lambda: refuse_clashes(outputs, {}))
    team.lead(lambda: refuse_table(tsv))
    if not resume:
        team.lead(lambda: refuse_existing(out, team.count))


def certify_run(
    certifier: AnyCertifier,
    x: ArrayLike,
    out: Path | str,
    *,
    labels: ArrayLike | None = None,
    indices: ArrayLike | None = None,
    shard: str | None = None,
    description: dict[str, Any] | None = None,
    resume: bool = False,
    tsv: Path | None = None,
    team: Team | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Certifies all inputs into one log.

    Each process of a team takes every k-th input into a log of its own; at the end the first process joins them. A run
    that was interrupted may be resumed by another number of processes.

    Args:
        certifier: the base classifier with all that determines its certificates (:func:`make_certifier`).
        x: inputs, shape (m, …); every process gets all of them.
        out: the log, in a folder that all processes share.
        labels: true labels, shape (m,); −1 for all by default.
        indices: indices of the inputs in their data set, shape (m,); 0 … m−1 by default.
        shard: ``"i/k"`` where this run is the i-th of k parts of a whole, for the log; not for a team.
        description: what else to record of the run (data set, classifier).
        resume: take up an interrupted run.
        tsv: also write the outcomes to this file, in the format of Cohen et al. 2019.
        team: the processes that work together (:func:`noiseaug.vision.training.workers`); this one alone by default.
        progress: show a bar on standard error.

    Returns:
        The frame of :func:`certify`; the same in every process.

    Raises:
        InvalidInputError: for bad inputs, files of another run, or an output that cannot be written.
    """
    out, team = Path(out), team or Alone()
    check_run(out, shard=shard, resume=resume, tsv=tsv, team=team)
    inputs = Inputs.make(x, labels, indices, certifier.num_classes)
    frame = outcomes_frame(_outcomes(certifier, inputs, out, shard, description or {}, resume, team, progress))
    if tsv is not None and team.leads:
        write_tsv(frame, tsv)
    return frame


def _outcomes(
    certifier: AnyCertifier,
    inputs: Inputs,
    out: Path,
    shard: str | None,
    description: dict[str, Any],
    resume: bool,
    team: Team,
    progress: bool,
) -> list[Outcome]:
    indices = inputs.indices.tolist()

    def certify_part(log: Path, part: Inputs, name: str | None) -> list[Outcome]:
        stated = {**description, "shard": name, "inputs": len(part.x)}
        return certify_into(log, certifier, part, stated, resume, progress and team.leads)

    def expected() -> dict[str, Any]:
        return {**description, "shard": None, **certifier.description(inputs.x[0])}

    finished = team.lead(lambda: redistribute(out, indices, team.count, expected))
    if team.count == 1 or finished:
        outcomes = team.lead(lambda: certify_part(out, inputs, shard))
        for leftover in shard_files(out) if team.leads else ():
            leftover.unlink()
        return outcomes
    mine = inputs.some(slice(team.rank, None, team.count))
    if len(mine.x):
        certify_part(shard_file(out, team.rank, team.count), mine, f"{team.rank}/{team.count}")
    team.wait()
    return team.lead(lambda: gather(out, indices, team.count))
