"""The documentation: links lead somewhere, snippets run and say what they do, the reference is complete."""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.running import ROOT

DOCS = ROOT / "docs"
ROOT_PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = [*ROOT_PAGES, *(path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts)]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])

_spec = importlib.util.spec_from_file_location("noiseaug_site", DOCS / "_site.py")
site = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site)

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.*)$", FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        names = [slug, *(f"{slug}-{number}" for number in range(1, 50))]
        found.add(next(name for name in names if name not in found))
    return found


def broken_links(text: str, page: Path) -> list[str]:
    """The relative links of a page to files or headings that do not exist."""
    broken = []
    for link in LINK.findall(prose(text)):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = page if not path else (page.parent / path)
        if target.parent.resolve() == site.TUTORIALS and target.suffix == ".ipynb":
            target = site.NOTEBOOKS / target.name  # which the build copies
        found = target.exists() and target.resolve().is_relative_to(ROOT)
        if found and anchor:
            found = target.suffix == ".md" and anchor in anchors(target.read_text(encoding="utf-8"))
        if not found:
            broken.append(link)
    return broken


@EVERY_PAGE
def test_relative_links_lead_somewhere(page):
    assert broken_links(page.read_text(encoding="utf-8"), page) == []


@EVERY_PAGE
def test_pages_that_are_made_have_known_parts_and_working_links(page):
    """Of the pages that take in a file of the repository's root, after the move."""
    text = page.read_text(encoding="utf-8")
    kinds = [kind for kind, _ in site.markers(text)]
    assert set(kinds) <= {"include", "commands", "modules", "gallery", "notebooks", "pages"}
    if kinds == ["include"]:
        moved = site.expand(text, page)
        assert len(moved) > len(text) + 500
        # the pages of the root are pages of the site, and were moved to it
        assert not any(f"]({prefix}{name}" in moved for name in site.PAGES for prefix in ("", "../"))
        assert broken_links(moved, page) == []
        assert "](tutorials)" not in moved  # a folder is no page of the site


def test_the_site_has_the_pages_of_the_root():
    included = [arguments for page in PAGES for kind, arguments in site.markers(page.read_text(encoding="utf-8"))]
    assert [[name] for name in sorted(site.PAGES)] == sorted(a for a in included if a and a[0].endswith(".md"))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](math.md#22-two-gaussians-with-a-common-covariance) [b](images/digits.png) [c](https://x.org/a)", []),
        ("[a](math.md#22-two-gaussians)", ["math.md#22-two-gaussians"]),
        ("[a](maths.md) and ![b](images/none.png)", ["maths.md", "images/none.png"]),
        ("# Here\n\n[a](#here) [b](#there)", ["#there"]),
        ("[out](../../elsewhere.md)", ["../../elsewhere.md"]),
        ("`[a](code.md)`\n\n```\n[a](code.md)\n```\n", []),
    ],
)
def test_the_check_of_links_fires(text, broken):
    page = DOCS / "glossary.md"
    here = [link for link in broken_links(text, page) if link != "#here"]  # `#here` is of the text, not of the page
    assert here == broken


def test_anchors_are_those_of_github():
    text = "## 2.3 Concentric *Gaussians*\n\n## A `b_c`, d & e\n\n## Same\n\n## Same\n\n```\n## not one\n```\n"
    assert anchors(text) == {"23-concentric-gaussians", "a-b_c-d--e", "same", "same-1"}


def test_links_move_with_the_text(tmp_path):
    text = "[a](docs/math.md#1-definitions) ![p](docs/images/digits.png) [c](CONTRIBUTING.md) [x](https://a.b/c)"
    moved = site.relocate(
        text + "\n\n```\n[code](docs/x.md)\n```\n", ROOT / "README.md", DOCS / "tutorials" / "index.md"
    )
    assert "[a](../math.md#1-definitions) ![p](../images/digits.png) [c](../contributing.md)" in moved
    assert "[x](https://a.b/c)" in moved
    assert "[code](docs/x.md)" in moved
    back = site.relocate("[n](notebooks/one.ipynb) [l](LICENSE)", ROOT / "README.md", DOCS / "index.md")
    assert back == "[n](tutorials/one.ipynb) [l](../LICENSE)"
    with pytest.raises(ValueError, match="no generated part 'pictures'"):
        site.expand("<!-- pictures -->", DOCS / "index.md")


# --- the reference


def in_the_reference() -> list[str]:
    return [
        module
        for page in sorted((DOCS / "api").glob("*.md"))
        for kind, names in site.markers(page.read_text(encoding="utf-8"))
        if kind == "modules"
        for name in names
        for module in site.public_modules(name)
    ]


def test_every_public_module_is_in_the_reference():
    listed = in_the_reference()
    assert len(listed) == len(set(listed))
    commands = {f"noiseaug.cli.{name}" for name in ("root", "certify", "bridge", "figures")}
    assert set(site.public_modules("noiseaug")) - {"noiseaug"} == set(listed)
    # what is left out: private modules, and those of commands
    everything = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "noiseaug").rglob("*.py")}
    left_out = {name for name in everything if not re.search(r"\._|\.__", name)} - set(listed)
    assert {name for name in left_out if not name.startswith("noiseaug.cli.")} == set()
    assert left_out & commands


def test_the_command_reference_is_made_from_the_application():
    text = site.expand("<!-- commands -->", DOCS / "commands.md")
    for command in ("train", "certify", "grid", "advise", "synthetic run"):
        assert f"`noiseaug {command}`" in text
    assert "* `--train-sigma <float>`: Training noise α" in text
    assert "**Commands**" not in text  # Typer cuts their help off


def test_docstrings_are_prepared_for_sphinx():
    lines = ["X on the sphere |x| = 1, ``a | b`` too."]
    site.escape_bars(lines)
    assert lines == [r"X on the sphere \|x\| = 1, ``a | b`` too."]
    lines = ["A law.", "", "Returns:", "    A row a radius: r, value.", "", "Raises:", "    ValueError: never."]
    site.keep_prose("function", lines)
    assert lines[3:] == ["    : A row a radius: r, value.", "", "Raises:", "    ValueError: never."]
    lines = ["The rules: all of them."]
    site.keep_prose("data", lines)
    assert lines == [": The rules: all of them."]
    assert site.plain_signature("(x: TypeAliasForwardRef('Floats') = <factory>)") == "(x: Floats = ...)"
    assert site.plain_signature(None) is None


# --- snippets


def snippets(page: Path) -> str:
    """The Python blocks of a page in one source, each in the lines where the page has it."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first = text[: block.start(1)].count("\n")
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


def execute(source: str, name: str) -> tuple[dict, int]:
    """Runs a source statement by statement; a comment after an expression is what it must say.

    Numbers are compared in the digits that are printed (``…`` cuts them off), True, False, words and dictionaries as a
    whole; other comments are comments.

    Returns:
        What the source has defined, and how many values were compared.
    """
    lines = source.splitlines()
    names: dict = {"__name__": "snippets"}
    compared = 0
    for statement in ast.parse(source, name).body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), name, "exec", dont_inherit=True), names)
            continue
        value = eval(compile(ast.Expression(statement.value), name, "eval", dont_inherit=True), names)
        _, _, said = lines[statement.end_lineno - 1].partition("  # ")
        number = re.match(r"-?[\d.]+(?=…|$)", said)
        if number:
            shown = f"{value:.12f}" if "…" in said else repr(value)
            compared += 1
            assert shown.startswith(number[0]), f"{name}:{statement.lineno}: {shown}, not {said}"
        elif re.fullmatch(r"True|False|exact|\{.*\}|\[.*\]", said):
            compared += 1
            assert str(value) == said, f"{name}:{statement.lineno}: {value}, not {said}"
    return names, compared


@pytest.fixture
def registries():
    """The registries as they were, after snippets have added to them."""
    from noiseaug.certificates import CERTIFICATES

    kept = [CERTIFICATES]
    if importlib.util.find_spec("torch") is not None:
        from noiseaug.vision.models import ARCHITECTURES
        from noiseaug.vision.objectives import OBJECTIVES

        kept += [ARCHITECTURES, OBJECTIVES]
    copies = [dict(registry) for registry in kept]
    yield
    for registry, copy in zip(kept, copies, strict=True):
        registry.clear()
        registry.update(copy)


SNIPPETS = {
    "README.md": 5,
    "docs/getting-started.md": 8,
    "docs/how-to/certify-your-own.md": 1,
    "docs/how-to/distribution.md": 4,
    "docs/how-to/level-for-each-input.md": 3,
    "docs/how-to/mixtures.md": 8,
    "docs/how-to/training-noise.md": 0,
    "docs/how-to/objective.md": 3,
    "docs/how-to/network.md": 1,
    "docs/how-to/certificate.md": 3,
    "docs/how-to/published-runs.md": 1,
}


@pytest.mark.parametrize(("page", "values"), SNIPPETS.items())
@pytest.mark.usefixtures("registries")
def test_snippets_run_and_say_what_they_do(page, values, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    if "objective" in page or "network" in page:
        pytest.importorskip("torch")
    names, compared = execute(snippets(ROOT / page), page)
    assert compared == values
    if page.endswith("distribution.md"):
        under_the_laws(names["case"])
    if page.endswith("certificate.md"):
        proven(names["CohenOrQuit"]())


def test_every_page_with_python_is_run():
    with_python = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
    assert sorted(str(page.relative_to(ROOT)) for page in with_python) == sorted(SNIPPETS)


def under_the_laws(case) -> None:
    """Some of the laws of tests/tasks/test_task_laws.py, which the page says apply."""
    from tests.tasks import test_task_laws as laws

    laws.test_exact_equals_sampled(replace(case, sampled_points=10_000), "augmented")
    laws.test_augmented_is_the_bayes_rule_of_the_noised_law(case)
    laws.test_bayes_is_optimal_and_noise_free(case)
    laws.test_sampler_follows_the_prior_and_the_law(case)
    laws.test_certified_accuracy_falls_and_stays_below_adversarial(case, "augmented")


def proven(rule) -> None:
    """The proof by computation of tests/certificates/test_soundness.py, which the page says applies."""
    from tests.certificates import test_soundness

    test_soundness.test_rules_with_bounds_are_sound(rule, 400, 0.05)


@pytest.mark.parametrize(
    ("source", "compared"),
    [("1 / 3  # 0.333…", 1), ("2 + 2  # 4", 1), ("1 < 2  # True", 1), ("1 / 3  # a third", 0), ("x = 1 / 3  # 0.5", 0)],
)
def test_the_reader_of_snippets(source, compared):
    assert execute(source, "here")[1] == compared


@pytest.mark.parametrize("source", ["1 / 3  # 0.334…", "2 + 2  # 5", "1 < 2  # False", "{'a': 1}  # {'a': 2}"])
def test_the_reader_of_snippets_fires(source):
    with pytest.raises(AssertionError, match="here:1"):
        execute(source, "here")
