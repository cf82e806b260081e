"""A small Sphinx extension: pages that are made from the repository instead of being written twice.

A comment such as ``<!-- commands -->`` on a line of its own in a page is replaced before the page is read:

* ``include FILE``: a Markdown file of the repository's root, with its links and pictures made to work from here;
* ``commands``: the reference of the command line, from the application itself;
* ``modules NAME …``: the reference of these modules, and of the public modules within them;
* ``gallery``: the figures that ``paper_figs`` offers, and the presets, each with its picture where there is one:
  docs/images/figures/NAME.png, docs/images/presets/NAME.png;
* ``pages``: the pages of the same folder that this one links to, in that order, for the navigation alone;
* ``notebooks``: the tutorials in notebooks/, where there are any.

Importing this module needs nothing but the standard library.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "ROOT", "expand", "markers", "public_modules", "relocate", "setup"]

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PACKAGE = "noiseaug"
NOTEBOOKS, TUTORIALS = ROOT / "notebooks", DOCS / "tutorials"

PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the repository's root that are pages of the site."""

_MARKER = re.compile(r"^<!-- (\w+)((?: \S+)*) -->$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def markers(text: str) -> list[tuple[str, list[str]]]:
    """The kinds and arguments of a page's comments that this extension replaces."""
    return [(kind, rest.split()) for kind, rest in _MARKER.findall(text)]


def expand(text: str, page: Path) -> str:
    """The page with its comments replaced.

    Args:
        text: of the page.
        page: its file, in docs/.

    Raises:
        ValueError: for a comment of an unknown kind.
    """

    def replacement(found: re.Match[str]) -> str:
        if found[1] not in _KINDS:
            raise ValueError(f"{page.name}: no generated part {found[1]!r}; expected one of {', '.join(_KINDS)}")
        return _KINDS[found[1]](page, found[2].split())

    return _MARKER.sub(replacement, text)


def relocate(text: str, source: Path, page: Path) -> str:
    """A Markdown text with relative links that work from another file; code blocks stay as they are.

    Args:
        text: the text.
        source: the file that it comes from.
        page: the file, in docs/, that it goes into.
    """

    def moved(found: re.Match[str]) -> str:
        path, hash_sign, anchor = found[2].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return found[0]
        target = (source.parent / path).resolve()
        if target == NOTEBOOKS:
            target = TUTORIALS / "index.md"
        elif target.is_relative_to(NOTEBOOKS):
            target = TUTORIALS / target.relative_to(NOTEBOOKS)
        elif target.parent == ROOT and target.name in PAGES:
            target = DOCS / PAGES[target.name]
        return f"{found[1]}{os.path.relpath(target, page.parent)}{hash_sign}{anchor}{found[3]}"

    pieces, at = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(moved, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*pieces, _LINK.sub(moved, text[at:])])


def _include(page: Path, arguments: list[str]) -> str:
    source = ROOT / arguments[0]
    return relocate(source.read_text(encoding="utf-8"), source, page)


def _commands(page: Path, arguments: list[str]) -> str:
    """Typer's own reference of the application, without the page's title."""
    import typer
    from typer.cli import get_docs_for_click

    from noiseaug.cli import app

    command = typer.main.get_command(app)
    with command.make_context(PACKAGE, [], resilient_parsing=True) as context:
        text = get_docs_for_click(obj=command, ctx=context, name=PACKAGE)
    # short help is cut off by default; the sections below say it all, so the lists link nowhere and may go
    text = re.sub(r"\*\*Commands\*\*:\n\n(?:\* .*\n)+\n", "", text)
    # the type of an option that Typer leaves as Python's
    text = text.replace("list[str]", "str …").replace("list[float]", "float …")
    return text.partition("\n")[2]


def public_modules(name: str) -> Iterator[str]:
    """A module and the public modules within it, by name; nothing is imported.

    The package of commands (``cli``) is left out: the reference of the command line is what they offer.
    """
    path = ROOT / Path(*name.split("."))
    yield name
    if path.is_dir():
        for child in sorted(path.iterdir()):
            inner = child.stem if child.suffix == ".py" else child.name if (child / "__init__.py").exists() else "_"
            if not inner.startswith("_") and inner != "cli":
                yield from public_modules(f"{name}.{inner}")


def _modules(page: Path, arguments: list[str]) -> str:
    return "\n\n".join(_module(name, 2) for name in arguments)


def _module(name: str, level: int) -> str:
    """One module with its members; what a package hands out stands with the package alone."""
    module = importlib.import_module(name)
    given = _given_by_packages_above(name)
    own = [member for member in _described_with(module) if member not in given]
    parent, _, last = name.rpartition(".")
    lines = [f"{'#' * level} `{name}`", "", "```{eval-rst}", f".. automodule:: {name}"]
    if own:
        lines.append(f"   :members: {', '.join(own)}")
    if not inspect.ismodule(getattr(importlib.import_module(parent), last)):
        lines.append("   :no-index:")  # the name is that of a function, whose place in the index it would take
    lines += ["```", ""]
    if not own and given:
        lines += [f"Import its contents from `{parent}`, where they are described.", ""]
    inner = [child for child in public_modules(name) if child.rpartition(".")[0] == name]
    return "\n".join(lines + [_module(child, level + 1) for child in inner])


def _described_with(module: Any) -> list[str]:
    """What a module holds itself; for a package what its own modules hold, but for constants.

    A constant is described where its line is: what is written below it is not found from elsewhere.
    """
    found = []
    source = inspect.getsource(module)
    for member in getattr(module, "__all__", ()):
        home = getattr(getattr(module, member), "__module__", None)
        if not isinstance(home, str) or not home.startswith(f"{PACKAGE}."):
            described = re.search(rf"^(?:\w+, )*{member}\b.*=", source, re.MULTILINE) is not None
        else:
            described = module.__name__ in {home, home.rpartition(".")[0] if hasattr(module, "__path__") else home}
        if described:
            found.append(member)
    return found


def _given_by_packages_above(name: str) -> set[str]:
    """Names of a module that a package around it hands out as its own."""
    given: set[str] = set()
    parent = name.rpartition(".")[0]
    while parent and parent != PACKAGE:
        given |= set(_described_with(importlib.import_module(parent)))
        parent = parent.rpartition(".")[0]
    return given & set(getattr(importlib.import_module(name), "__all__", ()))


def _picture(page: Path, folder: str, name: str) -> str:
    path = DOCS / "images" / folder / f"{name}.png"
    return f"![{name}]({os.path.relpath(path, page.parent)})\n\n" if path.exists() else ""


def _gallery(page: Path, arguments: list[str]) -> str:
    parts = ["## Figures of the papers, and ours\n\n"]
    if importlib.util.find_spec("paper_figs") is None:
        parts = []
    else:
        paper_figs = importlib.import_module("paper_figs")
        for name in paper_figs.FIGURES:
            figure = paper_figs.find(name)
            parts.append(f"### {name}\n\n{figure.title} ({figure.source}).\n\n{_picture(page, 'figures', name)}")
            parts.append(f"```console\n$ noiseaug figures {name}\n```\n\n")
    from noiseaug.synthetic.presets import PRESETS

    parts.append("## Presets\n\nEach draws its pictures beside its table.\n\n")
    for name, preset in PRESETS.items():
        title = preset.title[0].upper() + preset.title[1:]
        parts.append(f"### `{name}`\n\n{title}.\n\n{_picture(page, 'presets', name)}")
        parts.append(f"```console\n$ python -m noiseaug.synthetic run {name}\n```\n\n")
    return "".join(parts)


def _notebooks(page: Path, arguments: list[str]) -> str:
    names = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))
    if not names:
        return "There are no notebooks yet."
    return "\n".join(["```{toctree}", ":maxdepth: 1", "", *names, "```"])


def _pages(page: Path, arguments: list[str]) -> str:
    names = re.findall(r"\]\((\w+)\.md\)", page.read_text(encoding="utf-8"))
    return "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])


_KINDS: dict[str, Callable[[Path, list[str]], str]] = {
    "include": _include,
    "commands": _commands,
    "modules": _modules,
    "gallery": _gallery,
    "notebooks": _notebooks,
    "pages": _pages,
}


def copy_notebooks() -> None:
    """Copies notebooks/ to where Sphinx reads them, links mended; old copies go."""
    for old in TUTORIALS.glob("*.ipynb"):
        old.unlink()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        book = json.loads(path.read_text(encoding="utf-8"))
        target = TUTORIALS / path.name
        for cell in book["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = relocate("".join(cell["source"]), path, target)
        target.write_text(json.dumps(book), encoding="utf-8")


def escape_bars(lines: list[str]) -> None:
    """Makes the bars of a docstring, as in |x|, plain text, where reStructuredText would look for a substitution."""
    for number, line in enumerate(lines):
        parts = line.split("``")
        lines[number] = "``".join(part.replace("|", "\\|") if i % 2 == 0 else part for i, part in enumerate(parts))


_RETURNS = re.compile(r"\s*(Returns|Yields):\s*")


def keep_prose(what: str, lines: list[str]) -> None:
    """Keeps Napoleon from reading what stands before a colon as a type: here types stand in the signature alone.

    Args:
        what: the kind of thing that the docstring is of, in Sphinx's words.
        lines: the docstring; changed in place.
    """
    at = [number + 1 for number, line in enumerate(lines[:-1]) if _RETURNS.fullmatch(line)]
    if what in {"attribute", "data", "property"}:
        at.append(0)
    for number in at:
        text = lines[number].lstrip() if number < len(lines) else ""
        if ":" in text:
            # an empty type, and all of the line as its description
            lines[number] = lines[number].removesuffix(text) + ": " + text


def plain_signature(text: str | None) -> str | None:
    """A signature, or what it returns, without Sphinx's stand-ins for aliases and for default factories."""
    if text is None:
        return None
    return re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text).replace("<factory>", "...")


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    sys.path[:0] = [str(ROOT)]
    copy_notebooks()

    def read(app: Any, docname: str, content: list[str]) -> None:
        path = Path(app.env.doc2path(docname))
        if path.suffix == ".md":
            content[0] = expand(content[0], path)

    def before(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
        keep_prose(what, lines)

    def after(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
        escape_bars(lines)

    def signature(*event: Any) -> tuple[str | None, str | None]:
        return plain_signature(event[-2]), plain_signature(event[-1])

    def skip(app: Any, what: str, name: str, found: Any, skipped: bool, options: Any) -> bool | None:
        # scikit-learn adds these to every estimator
        return True if re.fullmatch(r"set_\w+_request", name) else None

    def elsewhere(app: Any, env: Any, node: Any, content: Any) -> Any:
        """Errors, which docstrings name without their module, and what a package hands out, named by its own module."""
        target, kind, here = node.get("reftarget", ""), node.get("reftype"), node.get("py:module")
        known = target.startswith(f"{PACKAGE}.")
        if node.get("refdomain") != "py" or not (known or kind == "exc" or here):
            return None
        places = [f"{PACKAGE}.errors"] if kind == "exc" and "." not in target else []
        module, _, name = target.rpartition(".") if known else (f"{here or PACKAGE}.", "", target)
        if known and module in sys.modules:
            home = getattr(getattr(sys.modules[module], name, None), "__module__", None)
            places += [*public_modules(module), *([home, home.rpartition(".")[0]] if home else [])]
        while "." in module:
            module = module.rpartition(".")[0]
            places.append(module)
        resolve = env.domains.python_domain.resolve_xref
        found = (resolve(env, node["refdoc"], app.builder, kind, f"{at}.{name}", node, content) for at in places)
        return next((link for link in found if link is not None), None)

    def dash(app: Any, tree: Any) -> None:
        """The dash between a parameter and its line, which Sphinx writes as two hyphens."""
        from docutils import nodes

        for text in list(tree.findall(nodes.Text)):
            if text == " -- ":
                text.parent.replace(text, nodes.Text(" – "))

    app.connect("source-read", read)
    app.connect("doctree-read", dash)
    app.connect("autodoc-process-docstring", before, priority=400)  # Napoleon's is 500
    app.connect("autodoc-process-docstring", after, priority=600)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("missing-reference", elsewhere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
