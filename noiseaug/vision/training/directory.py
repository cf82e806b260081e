"""The directory of a training run: the state to go on from, the record of the epochs, the model at the end."""

from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path
from typing import Any

import torch

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import RunDirectory, naming, read_file, read_record, write_atomically
from noiseaug.runs.directory import State
from noiseaug.vision.models import FILE_NAME, save_checkpoint
from noiseaug.vision.training.trainer import Trainer

__all__ = ["TrainingDirectory"]

_STATE_FILE = "state.pt"
_METRICS_FILE = "metrics.csv"


class TrainingDirectory(RunDirectory):
    """The directory of a training run."""

    def __init__(self, path: Path, description: dict[str, Any]) -> None:
        super().__init__(path, description, results=(FILE_NAME, _STATE_FILE, _METRICS_FILE))
        self._begun = False

    def check(self, resume: bool) -> State:
        """As of any run; but a finished training is not done again for being asked for again.

        Raises:
            InvalidInputError: as there, and where it holds the finished run and ``resume`` was not asked for.
        """
        state = super().check(resume)
        if state == "new" and read_record(self.path) is not None:
            raise InvalidInputError(
                f"{self.path} holds the finished run; add --resume to keep it, or choose another --out"
            )
        return state

    def save(self, trainer: Trainer) -> None:
        """Keeps all that is needed to go on from here."""
        if not self._begun:
            self.write_record("unfinished")
            self._begun = True
        content = io.BytesIO()
        torch.save(trainer.state(), content)
        write_atomically(self.path / _STATE_FILE, content.getvalue())

    def take_up(self, trainer: Trainer) -> None:
        """Puts an interrupted run where it was; one that was stopped before its first save begins anew.

        Of several processes the first reads the state, for all of them.
        """
        file = self.path / _STATE_FILE
        self._begun = True

        def kept() -> Any:
            if not file.exists():
                return None
            return torch.load(io.BytesIO(read_file(file)), map_location="cpu", weights_only=True)

        try:
            state = trainer.workers.lead(kept)
            if state is not None:
                trainer.restore(state)
        except (RuntimeError, LookupError, ValueError, TypeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise InvalidInputError(
                f"{file} is damaged ({first_line(error)}); remove {self.path} and train again"
            ) from None

    def write_metrics(self, rows: list[dict[str, float]]) -> None:
        """The record of the epochs so far."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_atomically(self.path / _METRICS_FILE, text.getvalue())

    def finish(self, trainer: Trainer, metadata: dict[str, Any], results: dict[str, Any]) -> None:
        """Writes the model and marks the run complete."""
        self.write_metrics(trainer.rows)
        with naming(self.path / FILE_NAME):
            save_checkpoint(self.path / FILE_NAME, trainer.result, metadata)
        # where batch norm sees a share of the batch alone, how many shared it is part of the result
        processes = {"processes": trainer.workers.count} if trainer.workers.count > 1 else {}
        self.write_record("complete", results=results, seconds=round(trainer.seconds, 3), **processes)
        (self.path / _STATE_FILE).unlink(missing_ok=True)
