from .log import RunLog, floor_radius, merge_logs, read_any, read_log, refuse_table
from .outcome import ABSTAIN, Outcome, outcomes_frame
from .predictions import path_description, read_predictions
from .tsv import read_tsv, write_tsv

__all__ = [
    "ABSTAIN",
    "Outcome",
    "RunLog",
    "floor_radius",
    "merge_logs",
    "outcomes_frame",
    "path_description",
    "read_any",
    "read_log",
    "read_predictions",
    "read_tsv",
    "refuse_table",
    "write_tsv",
]
