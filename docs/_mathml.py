"""A small Sphinx extension: formulas as MathML, which browsers draw by themselves, with neither a script nor a network.

latex2mathml translates them when the site is built. It leaves out what TeX knows about the space between symbols, which
:func:`spaced` adds.

Importing this module needs nothing but the standard library.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.etree import ElementTree as ET

__all__ = ["setup", "spaced", "to_mathml"]

_THIN = {"width": "0.1667em"}
_ORDINARY = set("|/")
_SIGNS = set("−+±")
_CLOSING = set(")]}⌋|")


def to_mathml(formula: str, *, block: bool) -> str:
    """A formula as MathML.

    Args:
        formula: in LaTeX, without dollars.
        block: whether it stands on a line of its own.

    Raises:
        ValueError: for a formula that cannot be read, or a command that the converter does not know.
    """
    from latex2mathml.converter import convert_to_element

    try:
        drawn = convert_to_element(formula, display="block" if block else "inline")
    except Exception as error:  # its errors have no common base
        raise ValueError(f"cannot draw {formula!r}: {type(error).__name__} {error}") from error
    text = ET.tostring(spaced(drawn), encoding="unicode")
    if unknown := re.search(r"\\\w+", text):
        raise ValueError(f"cannot draw {formula!r}: unknown command {unknown[0]}")
    return text


def spaced(formula: Any) -> Any:
    """The same MathML element with the spaces and upright letters of TeX, changed in place."""
    for node in formula.iter():
        node.text = text = unescape(node.text or "")  # the converter writes &#x003A6; for Φ
        if text == "*":
            node.text = "∗"
        if node.tag == "mo" and (text == "∞" or text.isalpha()):
            node.tag = "mi"
        if node.tag == "mo" and text in _ORDINARY and "form" not in node.attrib:
            node.attrib.update(lspace="0", rspace="0")
        if node.tag == "mi" and len(text) == 1 and "Α" <= text <= "Ω":
            node.set("mathvariant", "normal")
    for row in list(formula.iter("mrow")):
        children: list[Any] = []
        for child in list(row):
            before = children[-1] if children else None
            if child.tag == "mo" and child.text in _SIGNS and _no_operand(before):
                child.set("form", "prefix")
            if before is not None and (
                (_is_name(child) and (before.tag not in {"mo", "mspace", "mtext"} or before.text in _CLOSING))
                or (_is_name(before) and child.tag != "mspace" and not _opens(child))
            ):
                children.append(ET.Element("mspace", _THIN))
            children.append(child)
        row[:] = children
    return formula


def _is_name(node: Any) -> bool:
    """Whether this is the name of a function, such as ln, perhaps with a superscript or subscript."""
    base = node[0] if node.tag in {"msub", "msup", "munder"} else node
    return base.tag == "mi" and len(base.text or "") > 1


def _opens(node: Any) -> bool:
    """Whether no space stands between the name of a function and this."""
    first = next((inner for inner in node.iter() if inner.tag not in {"mrow", "msup"}), node)
    return first.tag == "mo"


def _no_operand(before: Any) -> bool:
    """Whether a sign after this has nothing on its left to be added to."""
    return before is None or before.tag == "mspace" or (before.tag == "mo" and before.text not in _CLOSING)


def _draw(translator: Any, node: Any) -> None:
    """Writes one formula into a page; what cannot be drawn is a warning, and so an error of `make docs`."""
    from docutils import nodes
    from sphinx.util import logging

    block = isinstance(node, nodes.math_block)
    try:
        drawn = to_mathml(node.astext(), block=block)
    except ValueError as error:
        logging.getLogger(__name__).warning(str(error), location=node)
        drawn = translator.encode(node.astext())
    translator.body.append(f'<div class="math">{drawn}</div>\n' if block else drawn)
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(_draw, None), block_renderers=(_draw, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
