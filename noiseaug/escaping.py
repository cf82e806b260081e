"""Text from files and options, made plain for where it goes: one function for each target, and no other place for it.

Names of runs, data sets, classes and studies come from files that somebody else may have written. In a terminal they
must not move the cursor, in Markdown and LaTeX not be markup, in a spreadsheet not be formulas, in a picture not be
mathematics. Ordinary names come out as they are.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["for_csv", "for_latex", "for_markdown", "for_picture", "for_terminal", "is_plain"]

_LATEX: Final = {
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
    "ε": r"$\varepsilon$",
    "λ": r"$\lambda$",
    "σ": r"$\sigma$",
    "–": "--",
    "−": "$-$",
}
# as entities, which stand for themselves in every kind of Markdown; the bar would end a cell even so
_MARKDOWN: Final = {**{character: f"&#{ord(character)};" for character in "\\`*[]$~"}, "|": r"\|"} | {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
}
_EMPHASIS: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is only an underscore
_FORMULA: Final = ("=", "+", "-", "@")


def is_plain(text: str) -> bool:
    """Whether a text is one line without characters that control a terminal or the direction of writing."""
    return text.isprintable()


def for_terminal(text: str) -> str:
    r"""Text in one line; control characters are spelt out, as in ``\x1b``.

    Args:
        text: line ends and tabs in it become spaces.
    """
    return _visible(" ".join(text.split()))


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def for_markdown(text: str) -> str:
    """Text in a cell or a line of Markdown."""
    plain = "".join(_MARKDOWN.get(c, c) for c in for_terminal(text))
    return _EMPHASIS.sub("&#95;", plain)


def for_latex(text: str) -> str:
    """Text in a cell of a LaTeX table."""
    return "".join(_LATEX.get(c, c) for c in for_terminal(text))


def for_csv(text: str) -> str:
    """Text in a cell of a CSV file; what a spreadsheet would compute gets an apostrophe in front.

    Quotation marks and separators are the CSV writer's business. Numbers must not go through here.
    """
    plain = _visible(text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


def for_picture(text: str) -> str:
    """Text in a picture by matplotlib: dollar signs are no mathematics, and no name is hidden from the legend."""
    plain = "\n".join(for_terminal(line) for line in text.split("\n")).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") or not plain else plain
