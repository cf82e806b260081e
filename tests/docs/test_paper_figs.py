"""The registry of figures, their helpers, and the command that writes a figure whole."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import paper_figs
from noiseaug import InvalidInputError
from paper_figs import FIGURES, MISSING, find, look, tables, writing
from paper_figs.__main__ import app
from tests.helpers.figures import canvas  # noqa: F401  (a fixture that all tests here use)
from tests.helpers.paper_figs import OPTIONAL
from tests.helpers.running import ROOT, call_root, content, python

# ---- the registry


def test_every_module_is_registered_and_says_what_it_is():
    helpers = {"__init__", "__main__", "look", "objective_curves", "risks", "savings", "tables", "writing"}
    assert {path.stem for path in (ROOT / "paper_figs").glob("*.py")} - helpers == set(FIGURES)
    assert len(set(FIGURES)) == len(FIGURES)
    papers = re.compile(r"^(ours$|(Pal & Sulam 2023|Feng et al\. 2020|Cohen et al\. 2019|Salman et al\. 2019), )")
    for name in FIGURES:
        figure = find(name)
        assert "\n" not in figure.title
        assert 10 < len(figure.title) < 100
        assert papers.match(figure.source), figure.source
        document = sys.modules[f"paper_figs.{name}"].__doc__
        for path in figure.committed:
            assert (ROOT / path).is_file() or path in OPTIONAL
            # how a committed table is made again
            told = path in document or path.startswith("paper_figs/data/")
            assert told, f"{name} does not say that it draws {path}"
        assert "--fast" in document or "both versions" in document


def test_published_numbers_have_their_source_written_down():
    told = (ROOT / "paper_figs/data/README.md").read_text(encoding="utf-8")
    for path in (ROOT / "paper_figs/data").glob("*.csv"):
        assert f"`{path.name}`" in told
        assert path.stat().st_size < 50_000


def test_importing_is_light():
    code = "import paper_figs, sys; [paper_figs.find(n) for n in paper_figs.FIGURES]; print(*sys.modules)"
    outcome = python("-c", code)
    assert (outcome.status, outcome.err) == (0, "")
    assert not {"torch", "matplotlib", "sklearn"} & set(outcome.out.split())


# ---- helpers


def test_cells_and_runs_undo_each_other():
    mask = np.random.default_rng(0).random((9, 9)) < 0.4
    runs = pd.DataFrame(tables.runs_of(mask), columns=["row", "first", "last"])
    assert (tables.cells_of(runs, 9) == mask).all()
    assert tables.runs_of(np.zeros((3, 3), dtype=bool)) == []


def test_a_few_levels_keep_the_ends():
    assert tables.few([0.3, 0.1, 0.2], 5) == [0.1, 0.2, 0.3]
    assert tables.few(range(11), 3) == [0, 5, 10]


def test_a_missing_table_is_named():
    with pytest.raises(InvalidInputError, match=r"no file docs/results/nothing\.csv"):
        tables.committed("docs/results/nothing.csv")


def test_long_labels_are_made_to_fit():
    figure, axes = plt.subplots(figsize=(2, 1.5))
    axes.set_ylabel("an axis label that is long (cells)")
    look.fit_labels(figure)
    figure.draw_without_rendering()
    assert axes.get_ylabel() == "an axis label that is long\n(cells)"
    assert axes.yaxis.label.get_fontsize() == 7


# ---- the command


def call(*arguments):
    """``python -m paper_figs ARGUMENTS`` in this process."""
    from tests.helpers.running import _inside

    return _inside(app, arguments)


@pytest.mark.parametrize("command", [lambda *a: call_root("figures", *a), call], ids=["noiseaug", "module"])
def test_list(command):
    outcome = command("list")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines[: len(FIGURES)]] == list(FIGURES)
    for line, name in zip(lines, FIGURES, strict=False):
        assert find(name).title in line
        assert find(name).source in line
    assert lines[len(FIGURES) : len(FIGURES) + 2] == ["", "not drawn:"]
    assert len(lines) == len(FIGURES) + 2 + len(MISSING)


def test_a_figure_is_three_files(tmp_path):
    outcome = call_root("figures", "smoothadv_table", "cohen_sigma", "--fast", "--out", tmp_path / "new" / "out")
    assert outcome.status == 0, outcome.err
    out = tmp_path / "new" / "out"
    names = [f"{name}.{kind}" for name in ("smoothadv_table", "cohen_sigma") for kind in ("csv", "pdf", "png")]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    assert [line for line in outcome.out.splitlines() if line.startswith("written: ")] == [
        f"written: {out / name}" for name in names
    ]
    assert "cohen_sigma: draws committed numbers of docs/results/mnist_grid.csv" in outcome.out
    absent = not (ROOT / "docs/results/cifar10_grid.csv").is_file()
    assert ("cohen_sigma: drawn without docs/results/cifar10_grid.csv" in outcome.out) == absent
    assert "[2/2] cohen_sigma" in outcome.err
    assert (out / "cohen_sigma.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "cohen_sigma.png").read_bytes().startswith(b"\x89PNG")
    written = pd.read_csv(out / "smoothadv_table.csv")
    assert written["value"].tolist() == find("smoothadv_table").compute(True)["value"].tolist()
    # unchanged figures are unchanged files
    before = content(out)
    assert call("smoothadv_table", "cohen_sigma", "--fast", "--out", out).status == 0
    assert content(out) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["phases"], ["no figure 'phases'", "did you mean phase?"]),
        (["figure"], ["no figure 'figure'", "figure4", "figure4_published"]),
        (["xyzzy"], ["no figure 'xyzzy'", "expected one of", *FIGURES]),
        (["discs", "TCERTIFY"], ["no figure 'TCERTIFY'", "did you mean tcertify?"]),
        ([], ["no figure named", "--all", "list"]),
        (["--all", "discs"], ["--all makes every figure", "discs"]),
        (["list", "--all"], ["leave out --all"]),
        (["list", "discs"], ["no figure 'list'"]),
        (["--slow"], ["--slow"]),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path):
    outcome = call_root("figures", *arguments, "--out", tmp_path / "out")
    assert outcome.status == 2
    for word in words:
        assert word in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    outcome = call("discs", "--out", tmp_path / "file" / "out")
    assert outcome.status == 2
    assert str(tmp_path / "file") in outcome.complaint


def broken(table):
    raise RuntimeError("no such colour")


def refusing(fast):
    raise InvalidInputError("no file docs/results/x.csv in this checkout")


def test_a_figure_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    real = find

    def some_fail(name):
        figure = real(name)
        changes = {"discs": {"draw": broken}, "adre": {"compute": refusing}}
        return replace(figure, **changes.get(name, {}))

    monkeypatch.setattr(paper_figs, "find", some_fail)
    outcome = call("discs", "adre", "smoothadv_table", "--fast", "--out", tmp_path / "out")
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1] == "error: 2 of 3 figures failed: discs, adre"
    assert "RuntimeError: no such colour" in outcome.err
    assert "adre failed: no file docs/results/x.csv" in outcome.err
    # all of a figure or nothing
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"smoothadv_table"}


@pytest.mark.slow
def test_extras_are_written_beside(tmp_path, table):
    figure = replace(find("melting"), compute=lambda fast: table("melting"))
    paths = writing.write(figure, tmp_path, True)
    assert [path.name for path in paths] == ["melting.csv", "melting.pdf", "melting.png", "melting.gif"]
    assert all(path.stat().st_size > 1000 for path in paths)


@pytest.mark.slow
def test_all_of_them_fast(tmp_path):
    outcome = call_root("figures", "--all", "--fast", "--out", tmp_path)
    assert outcome.status == 0, outcome.err
    kinds = {name: {path.suffix for path in tmp_path.glob(f"{name}.*")} for name in FIGURES}
    assert all({".csv", ".pdf", ".png"} <= found for found in kinds.values())
    assert (tmp_path / "melting.gif").is_file()
