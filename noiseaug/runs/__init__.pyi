from .directory import Difference, Record, RunDirectory, difference, read_record, shown
from .files import naming, save_figure, write_atomically
from .workers import Abandoned, abandonable, count_workers, run_all

__all__ = [
    "Abandoned",
    "Difference",
    "Record",
    "RunDirectory",
    "abandonable",
    "count_workers",
    "difference",
    "naming",
    "read_record",
    "run_all",
    "save_figure",
    "shown",
    "write_atomically",
]
