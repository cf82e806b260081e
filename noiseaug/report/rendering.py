"""Printing the tables of a report: text, CSV, Markdown, LaTeX; every number rounded towards the weaker claim.

Table printers round to the nearest: a certified accuracy of 0.6299 would come out as 63.0%. So the numbers become text
here, column by column, and with that what is left of Markdown and LaTeX is a line each.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from noiseaug import validation
from noiseaug.escaping import for_csv, for_latex, for_markdown, for_terminal
from noiseaug.tables import QUANTITIES, ceil_decimal, ceil_significant, floor_decimal, floor_radius

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "render"]

_UNKNOWN = "?"
_WIDTH = 120  # characters


@dataclass(frozen=True)
class _Column:
    """How a column is printed.

    Attributes:
        heading: for people; {0} is what follows the prefix of a name, other fields are facts of the table. By default
            the name.
        digits: for people and in CSV; None: as it is, in full.
        rounded: one way of rounding; by default an end of an interval outwards, any other number towards 0.
        share: whether it is a share of the images, which people read in %.
        of: the column that says of how many images.
        numeric: whether it is flush right.
        plain_heading: in CSV; by default the name.
        plain_only: whether people read it in a note below the table instead.
        bare_heading: heading and plain heading of a table that does not tell n; by default as one that does.
    """

    heading: str = ""
    digits: tuple[int, int] | None = None
    rounded: Callable[[float, int], str] | None = None
    share: bool = False
    of: str = "images"
    numeric: bool = True
    plain_heading: str = ""
    plain_only: bool = False
    bare_heading: tuple[str, str] = ("", "")


_COLUMNS = {
    "run": _Column(numeric=False),
    "inputs": _Column(plain_only=True),
    "certificate": _Column(numeric=False),
    "train_sigma": _Column("α"),
    "smooth_sigma": _Column("β"),
    "n0": _Column("n₀"),
    "failure_prob": _Column("failure prob."),
    "votes": _Column("votes/input", (0, 0), ceil_decimal),
    "radius": _Column("r"),
    "clean_accuracy": _Column("CA(0) %", (1, 6), share=True),
    "value": _Column("CA %", (1, 6), share=True),
    "ca_first": _Column("CA first %", (1, 6), share=True),
    "ca_second": _Column("CA second %", (1, 6), share=True),
    "ca_difference": _Column("CA difference %", (1, 6), share=True),
    "p_value": _Column("McNemar p", (3, 3), ceil_significant),
    "first_only": _Column("first only"),
    "second_only": _Column("second only"),
    "acr": _Column(
        "ACR (n={n}, n₀={n0}, failure prob. {failure_prob}, {images} images)",
        (3, 6),
        floor_radius,
        plain_heading="acr (n={n}, n0={n0}, failure_prob={failure_prob}, images={images})",
        bare_heading=("ACR", "acr"),
    ),
    "acr_difference": _Column("ACR difference ({images} images; depends on n)", (3, 6)),
    "attack": _Column(numeric=False),
    "attack_radius": _Column("ε"),
    "accuracy": _Column("accuracy %", (1, 6), share=True),
    "accuracy_under_attack": _Column("accuracy under attack %", (1, 6), share=True),
    "certified_accuracy": _Column("CA(ε) %", (1, 6), share=True),
    "gap": _Column("gap", (3, 6)),
    "field_images": _Column("their images"),
    "best": _Column("best", (1, 6), share=True, of="field_images"),
    "best_run": _Column("best run", numeric=False),
    "quantity": _Column(numeric=False),
    "data": _Column(numeric=False),
    "training": _Column(numeric=False),
    "paper": _Column(numeric=False),
    "log": _Column(numeric=False),
}
_FAMILIES = {
    "ca_": _Column("CA({0}) %", (1, 6), share=True),
    "acr_": _Column("ACR {0} ({images} images; depends on n)", (3, 6), floor_radius),
    "p_lower_": _Column("p_A {0}%", (4, 6), floor_decimal),
}
"""Columns by the prefix of their names."""
_LENGTH = _Column("", (3, 6))
"""A value or the best of its kind where the row's quantity is a length."""


def _declared(name: str) -> tuple[_Column, str]:
    """How a column is printed, and what follows the prefix of its name."""
    if name in _COLUMNS:
        return _COLUMNS[name], ""
    prefix = next((prefix for prefix in _FAMILIES if name.startswith(prefix)), "")
    return _FAMILIES.get(prefix, _Column()), name.removeprefix(prefix)


def _end(name: str) -> tuple[str, str]:
    """The column whose interval a column is an end of, and which end; or the column itself."""
    found = re.fullmatch(r"(?:(.+)_)?(lower|upper)", name)
    return (found[1] or "value", found[2]) if found else (name, "")


@dataclass(frozen=True)
class _Printed:
    heading: str
    cells: list[str]
    words: list[bool]  # which cells are words
    numeric: bool

    def lines(self, escaped: Callable[[str], str]) -> list[str]:
        """Heading and cells for a format; numbers stay as they are."""
        cells = zip(self.cells, self.words, strict=True)
        return [escaped(self.heading), *(escaped(cell) if word else cell for cell, word in cells)]


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
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    facts = {key: _distinct(table, key) for key in ("n", "n0", "failure_prob", "images")}
    columns = []
    for name in map(str, table.columns):
        base, end = _end(name)
        if human and (name == "interval_failure_prob" or (end and base in table)):
            continue  # in another column, or below the table
        if human and "quantity" in table and name in {"images", "field_images"}:
            continue  # above the table
        column, rest = _declared(base)
        if human and column.plain_only:
            continue
        heading = (column.heading if human else column.plain_heading).format(rest, **facts)
        if "n" not in table:
            heading = column.bare_heading[0 if human else 1] or heading
        if end and not human:
            heading = name
        if human and name == "value" and "quantity" in table:
            heading = "value (CA in %)"
        cells = [_cell(name, row, human) for row in rows]
        words = [isinstance(row[name], str) for row in rows]
        columns.append(_Printed(heading or name, cells, words, column.numeric))
    return draw(columns, _notes(table))


def _distinct(table: pd.DataFrame, name: str) -> str:
    if name not in table:
        return _UNKNOWN
    values = list(dict.fromkeys(_plain(value) or _UNKNOWN for value in table[name]))
    return "/".join(values) if len(values) <= 3 else "various"


def _cell(name: str, row: dict[str, Any], human: bool) -> str:
    base, end = _end(name)
    column, _ = _declared(base)
    if base in {"value", "best"} and "quantity" in row and QUANTITIES[row["quantity"]].is_length:
        column = _LENGTH

    def text(key: str, end: str) -> str:
        return _number(column, row[key], end, row.get(column.of), human)

    if name == "radius" and "quantity" in row and _is_missing(row[name]):
        return ""  # a quantity without one
    if _is_missing(row[name]):
        return _UNKNOWN if human else ""
    low, high = ("lower", "upper") if name == "value" else (f"{name}_lower", f"{name}_upper")
    if human and low in row and high in row:
        return f"{text(name, end)} [{text(low, 'lower')}, {text(high, 'upper')}]"
    return text(name, end)


def _number(column: _Column, value: Any, end: str, images: Any, human: bool) -> str:
    if column.digits is None:
        return _plain(value)
    if math.isinf(value):
        return "inf"  # an end of which nothing is known, as of the average radius of a single image
    digits = column.digits[0 if human else 1]
    if column.rounded is not None and end != "upper":
        return column.rounded(value, digits)
    # a share of the images is a fraction; the float that stands for it may lie below it
    exact = Fraction(round(value * images), int(images)) if column.share and not end else Fraction(value)
    return _rounded(exact * (100 if column.share and human else 1), end, digits)


def _rounded(value: Fraction, end: str, digits: int) -> str:
    """A lower end down, an upper end up, any other number towards 0."""
    up = end == "upper" or (not end and value < 0)
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
    if {"run", "images", "inputs"} <= set(table.columns):
        short = table[(table["inputs"] > table["images"]).fillna(False)]
        for run, images, inputs in zip(short["run"], short["images"], short["inputs"], strict=True):
            notes.append(f"{run}: {images} of {inputs} inputs; the run is not finished.")
    for name in ("interval_failure_prob", *(["failure_prob"] if "value" in table else [])):
        if name in table:
            level = _level(table, name)
            what = "CA(r)" if "radius" in table or "clean_accuracy" in table else "Accuracies"
            notes.append(f"{what}: % of the images, rounded down, with a {level} Clopper–Pearson interval over images.")
    if "accuracy" in table or "accuracy_under_attack" in table:
        notes.append("An abstention counts as wrong.")
    if any(str(name).startswith("p_lower_") for name in table):
        notes.append("p_A q%: quantiles over the inputs of the lower bound on the top class's probability.")
    if "rank" in table:
        notes.append("rank [at the upper, at the lower end of the interval]: 1 is above every released run.")
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


def _as_text(columns: Sequence[_Printed], notes: Sequence[str]) -> str:
    rows = _rows(columns, for_terminal)
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
    return "\n".join([*lines, *([""] if notes else []), *map(for_terminal, notes)]) + "\n"


def _as_csv(columns: Sequence[_Printed], notes: Sequence[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(_rows(columns, for_csv))
    return stream.getvalue()


def _as_markdown(columns: Sequence[_Printed], notes: Sequence[str]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in _rows(columns, for_markdown)]
    lines.insert(1, "|" + "|".join("--:" if column.numeric else ":--" for column in columns) + "|")
    return "\n".join([*lines, *([""] if notes else []), *map(for_markdown, notes)]) + "\n"


def _as_latex(columns: Sequence[_Printed], notes: Sequence[str]) -> str:
    heading, *rows = (" & ".join(row) + r" \\" for row in _rows(columns, for_latex))
    places = "".join("r" if column.numeric else "l" for column in columns)
    lines = [
        *(f"% {for_terminal(note)}" for note in notes),
        rf"\begin{{tabular}}{{{places}}}",
        r"\toprule",
        heading,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _rows(columns: Sequence[_Printed], escaped: Callable[[str], str]) -> list[list[str]]:
    """The headings, then a row a line of the table."""
    return [list(row) for row in zip(*(column.lines(escaped) for column in columns), strict=True)]


FORMATS = {"text": _as_text, "csv": _as_csv, "markdown": _as_markdown, "latex": _as_latex}
"""How a table is drawn, by name; a new format is one function and one entry."""
