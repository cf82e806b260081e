from .directory import Difference, Record, RunDirectory, difference, read_record, shown
from .files import naming, refuse_clashes, save_figure, write_atomically
from .workers import check_jobs, check_wanted, run_all, threads_each

__all__ = [
    "Difference",
    "Record",
    "RunDirectory",
    "check_jobs",
    "check_wanted",
    "difference",
    "naming",
    "read_record",
    "refuse_clashes",
    "run_all",
    "save_figure",
    "shown",
    "threads_each",
    "write_atomically",
]
