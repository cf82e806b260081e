"""Printing the tables of a report: text, CSV, Markdown, LaTeX; every number rounded towards the weaker claim."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from noiseaug import validation
from noiseaug.tables import ceil_decimal, ceil_significant, floor_decimal, floor_radius

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "render"]

_UNKNOWN = "?"
_WIDTH = 120  # characters
_HEADINGS = {
    "smooth_sigma": "β",
    "n0": "n₀",
    "failure_prob": "failure prob.",
    "votes": "votes/input",
    "clean_accuracy": "CA(0) %",
    "value": "CA %",
    "ca_first": "CA first %",
    "ca_second": "CA second %",
    "ca_difference": "CA difference %",
    "p_value": "McNemar p",
    "first_only": "first only",
    "second_only": "second only",
    "radius": "r",
}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "[": "{[}",  # after a line end it would be taken for an option
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "₀": "$_0$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "σ": r"$\sigma$",
    "–": "--",
    "−": "$-$",
    "\n": " ",
}


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: list[str]
    numeric: bool


def render(table: pd.DataFrame, format: str = "text") -> str:
    """A table of a report as text.

    Accuracies are percentages (fractions in CSV) and, like radii and bounds on p_A, rounded down; upper ends of
    intervals and p-values are rounded up, differences towards 0. The heading of ACR says what it depends on.

    Args:
        table: from ``summarise``, ``certified_accuracy`` or ``Comparison.frame``.
        format: text, csv, markdown or latex (needs the package booktabs).

    Returns:
        Lines, each with its end.

    Raises:
        InvalidInputError: for another format.
    """
    draw = FORMATS[validation.choice("format", format, tuple(FORMATS))]
    human = format != "csv"
    shown = [name for name in map(str, table.columns) if not (human and _is_folded(name, table))]
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    columns = [
        _Column(
            _heading(name, table, human),
            [_cell(name, row, human) for row in rows],
            name not in {"run", "certificate"},
        )
        for name in shown
    ]
    return draw(columns, _notes(table))


def _is_folded(name: str, table: pd.DataFrame) -> bool:
    """Whether a column is shown inside another one, or below the table."""
    if name == "interval_failure_prob":
        return True
    if name in {"lower", "upper"}:
        return "value" in table
    base, _, end = name.rpartition("_")
    return end in {"lower", "upper"} and base in table


def _heading(name: str, table: pd.DataFrame, human: bool) -> str:
    if name == "acr":
        facts = {key: _distinct(table, key) for key in ("n", "n0", "failure_prob", "images")}
        if human:
            return "ACR (n={n}, n₀={n0}, failure prob. {failure_prob}, {images} images)".format(**facts)
        return "acr ({})".format(", ".join(f"{key}={value}" for key, value in facts.items()))
    if not human:
        return name
    if name.startswith("acr_"):
        return f"ACR {name.removeprefix('acr_')} ({_distinct(table, 'images')} images; depends on n)"
    if name.startswith("p_lower_"):
        return f"p_A {name.removeprefix('p_lower_')}%"
    if name.startswith("ca_") and name not in _HEADINGS:
        return f"CA({name.removeprefix('ca_')}) %"
    return _HEADINGS.get(name, name)


def _distinct(table: pd.DataFrame, name: str) -> str:
    if name not in table:
        return _UNKNOWN
    values = list(dict.fromkeys(_plain(value) or _UNKNOWN for value in table[name]))
    return "/".join(values) if len(values) <= 3 else "various"


def _cell(name: str, row: dict[str, Any], human: bool) -> str:
    value = row[name]
    missing = _UNKNOWN if human else ""
    if _is_missing(value):
        return missing
    text = _number(name, value, row.get("images"), human)
    ends = ("lower", "upper") if name == "value" else (f"{name}_lower", f"{name}_upper")
    if human and all(end in row for end in ends):
        low, high = (_number(end, row[end], row.get("images"), human) for end in ends)
        return f"{text} [{low}, {high}]"
    return text


def _number(name: str, value: Any, images: Any, human: bool) -> str:
    end = name.rpartition("_")[2]
    base = name.removesuffix("_lower").removesuffix("_upper")
    if base in {"value", "clean_accuracy", "lower", "upper"} or base.startswith("ca_"):
        # a share of the images is a fraction; the float that stands for it may lie below it
        share = Fraction(value) if end in {"lower", "upper"} else Fraction(round(value * images), int(images))
        return _rounded(share * (100 if human else 1), 1 if human else 6, end)
    if base.startswith("acr_difference"):
        return _rounded(Fraction(value), 3 if human else 6, end)
    if base.startswith("acr"):
        return floor_radius(value, 3 if human else 6)
    if base.startswith("p_lower"):
        return floor_decimal(value, 4 if human else 6)
    if base == "p_value":
        return ceil_significant(value, 3)
    if base == "votes":
        return ceil_decimal(value, 0)
    return _plain(value)


def _rounded(value: Fraction, digits: int, end: str) -> str:
    """A lower end down, an upper end up, a difference towards 0."""
    up = end == "upper" or (end == "difference" and value < 0)
    return ceil_decimal(value, digits) if up else floor_decimal(value, digits)


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return value is None or bool(pd.isna(value))


def _plain(value: Any) -> str:
    """A word, a count, or a number that was put in; the latter in full."""
    if _is_missing(value):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))
    return str(value)


def _notes(table: pd.DataFrame) -> list[str]:
    notes = []
    for name in ("interval_failure_prob", *(["failure_prob"] if "value" in table else [])):
        if name in table:
            level = _level(table, name)
            notes.append(f"CA(r): % of the images, rounded down, with a {level} Clopper–Pearson interval over images.")
    if any(str(name).startswith("p_lower_") for name in table):
        notes.append("p_A q%: quantiles over the inputs of the lower bound on the top class's probability.")
    if "acr" in table:
        notes.append("ACR grows with n: compare it at equal n, n₀ and failure probability only.")
    if "acr_difference" in table:
        notes.append(
            f"Differences: second − first. ACR difference: {_level(table, 'failure_prob')} bootstrap interval "
            f"({_distinct(table, 'resamples')} resamples, seed {_distinct(table, 'seed')})."
        )
    return notes


def _level(table: pd.DataFrame, name: str) -> str:
    return "/".join(f"{float(100 - 100 * Fraction(repr(float(value)))):g}%" for value in table[name].unique())


def _as_text(columns: Sequence[_Column], notes: Sequence[str]) -> str:
    rows = [[_line(cell) for cell in row] for row in [[column.heading for column in columns], *_rows(columns)]]
    right = [column.numeric for column in columns]
    if sum(max(map(len, cells)) + 2 for cells in zip(*rows, strict=True)) > _WIDTH:
        # too wide for a terminal: a line for each column instead
        rows, right = [list(cells) for cells in zip(*rows, strict=True)], [False] + [True] * (len(rows) - 1)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _as_csv(columns: Sequence[_Column], notes: Sequence[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([[column.heading for column in columns], *_rows(columns)])
    return stream.getvalue()


def _as_markdown(columns: Sequence[_Column], notes: Sequence[str]) -> str:
    rows = [[column.heading for column in columns], *_rows(columns)]
    lines = ["| " + " | ".join(_line(cell).replace("|", r"\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("--:" if column.numeric else ":--" for column in columns) + "|")
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _as_latex(columns: Sequence[_Column], notes: Sequence[str]) -> str:
    rows = [" & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\" for row in _rows(columns)]
    heading = " & ".join("".join(_LATEX.get(c, c) for c in column.heading) for column in columns) + r" \\"
    places = "".join("r" if column.numeric else "l" for column in columns)
    lines = [
        *(f"% {note}" for note in notes),
        rf"\begin{{tabular}}{{{places}}}",
        r"\toprule",
        heading,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _rows(columns: Sequence[_Column]) -> list[list[str]]:
    return [list(row) for row in zip(*(column.cells for column in columns), strict=True)]


def _line(cell: str) -> str:
    return " ".join(cell.split())


FORMATS = {"text": _as_text, "csv": _as_csv, "markdown": _as_markdown, "latex": _as_latex}
"""How a table is drawn, by name; a new format is one function and one entry."""
