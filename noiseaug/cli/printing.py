"""What commands print: tables for reading, and the files that were written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["print_files", "print_table"]


def print_table(table: pd.DataFrame, missing: str = "") -> None:
    """A table of some ten columns; numbers to four digits.

    Args:
        table: its rows in the order in which they are to be read.
        missing: what stands for NaN.
    """
    print(table.to_string(index=False, float_format="{:.4g}".format, na_rep=missing))


def print_files(paths: Iterable[Path]) -> None:
    """The files that a command has written, a line each."""
    print("written:")
    for path in paths:
        print(f"  {path}")
