"""What commands print: tables for reading, and the files that were written."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from noiseaug.escaping import for_csv, for_terminal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["csv_of", "print_files", "print_table", "warnings_in_lines"]


def print_table(table: pd.DataFrame, missing: str = "") -> None:
    """A table of some ten columns; numbers to four digits.

    Args:
        table: its rows in the order in which they are to be read.
        missing: what stands for NaN.
    """
    plain = _with_words(table, for_terminal)
    print(plain.to_string(index=False, float_format="{:.4g}".format, na_rep=missing))


def csv_of(table: pd.DataFrame) -> str:
    """A table as CSV for other programs, in which no name is a formula."""
    return _with_words(table, for_csv).to_csv(index=False)


def _with_words(table: pd.DataFrame, escaped: Callable[[str], str]) -> pd.DataFrame:
    """The table with its words escaped."""
    plain = table.copy()
    for name in table.select_dtypes(["object", "string"]):
        plain[name] = table[name].map(lambda value: escaped(value) if isinstance(value, str) else value)
    return plain


def print_files(paths: Iterable[Path]) -> None:
    """The files that a command has written, a line each."""
    print("written:")
    for path in paths:
        print(f"  {path}")


@contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Python's warnings as lines on standard error, such as that a log is cut off."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        print(f"warning: {for_terminal(str(message))}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield
