from .directory import Difference, Record, RunDirectory, difference, read_record, shown
from .files import (
    expanded,
    make_folder,
    naming,
    open_file,
    read_file,
    refuse_clashes,
    save_figure,
    write_atomically,
)
from .workers import check_jobs, check_wanted, run_all, threads_each

__all__ = [
    "Difference",
    "Record",
    "RunDirectory",
    "check_jobs",
    "check_wanted",
    "difference",
    "expanded",
    "make_folder",
    "naming",
    "open_file",
    "read_file",
    "read_record",
    "refuse_clashes",
    "run_all",
    "save_figure",
    "shown",
    "threads_each",
    "write_atomically",
]
