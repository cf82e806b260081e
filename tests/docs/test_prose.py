"""How the pages are written: every study has the same parts, and some phrases that readers stumble over stay out."""

from __future__ import annotations

import re

import pytest

from tests.helpers.running import ROOT

DOCS = ROOT / "docs"
STUDIES = [page for page in sorted((DOCS / "results").glob("*.md")) if page.name != "README.md"]
PARTS = ["Question", "Command", "Table", "What it shows", "What it does not show"]
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def ids(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", STUDIES, ids=ids)
def test_a_study_has_its_parts(page):
    text = page.read_text(encoding="utf-8")
    title, conclusion = text.split("\n\n")[:2]
    assert title.startswith("# ")
    assert re.match(r"[A-Z]", conclusion)
    assert conclusion.endswith(".")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == PARTS
    command, table = (text.partition(f"\n## {part}\n")[2].partition("\n## ")[0] for part in ("Command", "Table"))
    assert FENCE.search(command)
    assert "|---|" in table
    assert re.findall(r"(?<![\w.])\.\d+", prose(text)) == []  # 0.5, not .5
    long = [line for line in text.splitlines() if len(line) > 160 and not line.startswith(("|", "!["))]
    assert long == []


def test_the_index_has_a_line_for_each_study():
    index = (DOCS / "results" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[[^\]]+\]\((\w+\.md)\) \| (.+) \|$", index, re.MULTILINE)
    assert sorted(name for name, _ in rows) == [page.name for page in STUDIES]
    assert all(conclusion.endswith(".") for _, conclusion in rows)


BANNED = re.compile(
    r"""\b(?:was|were|is|are|be)\ had\b | \bhad\ by\b | \bto\ be\ (?:seen|had)\b | \bat\ hand\b
    | \btold\ from\ the\ best\b | \btell\ from\ the\ best\b | \bfor\ want\ of\b | \bthe\ custom\b | \bvotes\ besides\b
    | \bno\ CPU\ a\b | \bgoes?\ on\ to\ the\ very\b | \bdoes\ no\ harm\b | \blet\ go\ of\b | \bno\ more\ than\ its\b
    | \bof\ like\ size\b | \btwo\ roads\b | (?:^|(?<=[.:!?]\ )|(?<=\*\*))Of\ (?!these\b|course\b|the\ \d)""",
    re.VERBOSE | re.MULTILINE,
)


def stumbles(text: str) -> list[str]:
    """Banned phrases of a page; a line break counts as a space within a paragraph."""
    paragraphs = (re.sub(r"\s*\n\s*", " ", paragraph) for paragraph in re.split(r"\n\s*\n|\n(?=[|*-])", prose(text)))
    return [found[0].strip() for paragraph in paragraphs for found in BANNED.finditer(paragraph)]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_pages_read_well(page):
    assert stumbles(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "A root which is had\nby bisection.",
        "It is not to be seen here.",
        "The α not told from the best.",
        "Of the weights.",
        "An option.\nOf sgd.",
        "No device was at hand.",
        "What the custom costs.",
    ],
)
def test_the_look_for_phrases_fires(text):
    assert stumbles(text) != []


def test_the_look_for_phrases_lets_plain_english_pass():
    assert stumbles("Of these three only one had it.\n\n`is had by` in code; of the best.") == []
