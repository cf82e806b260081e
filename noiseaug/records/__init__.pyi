from .log import RunLog, floor_radius, merge_logs, read_any, read_log, refuse_table
from .outcome import ABSTAIN, Outcome, outcomes_frame
from .tsv import read_tsv, write_tsv

__all__ = [
    "ABSTAIN",
    "Outcome",
    "RunLog",
    "floor_radius",
    "merge_logs",
    "outcomes_frame",
    "read_any",
    "read_log",
    "read_tsv",
    "refuse_table",
    "write_tsv",
]
