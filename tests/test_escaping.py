"""Names from files are only names, wherever they are shown."""

from __future__ import annotations

import csv
import io
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from noiseaug import escaping, plotting
from noiseaug.report import render, summarise
from tests.helpers.running import call, call_root

NASTY = st.one_of(
    st.sampled_from(
        [
            *(
                r"$\frac{$",
                "$x$",
                "[/bold]",
                "[red]x",
                "<script>alert(1)</script>",
                "=1+1",
                "@SUM(A1)",
                "-2+3",
                "+1",
                "_x",
            ),
            *("\x1b[31mred", "a\x07b", "\x9b2J", "a\u202eb", "a\nb", "| x |", r"\input{x}", "`x`", "**x**", "![x](y)"),
            *("&lt;", "%x", "#x", "~x^", "a\tb", "\udcff", "$", r"\$", "x" * 300),
        ]
    ),
    st.text(min_size=1, max_size=12),
    st.text("$\\_^{}[]<>=+-@|`*&\x1b\n\u202e a", min_size=1, max_size=12),
)
PUBLISHED = pd.DataFrame({"index": [0, 1], "label": [0, 1], "prediction": [0, -1], "radius": [0.5, 0.0]})


def table_of(name):
    return summarise({name: ({"certificate": name, "inputs": 3}, PUBLISHED), "other": ({}, PUBLISHED)}, [0.25])


def visible(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@settings(max_examples=100, deadline=None)
@given(NASTY)
def test_ordinary_characters_stay_and_others_are_visible(name):
    for escaped in (escaping.for_terminal, escaping.for_markdown, escaping.for_latex, escaping.for_csv):
        assert escaped(name).isprintable()
    assert visible(escaping.for_picture(name))
    if re.fullmatch(r"\w+( \w+)*", name) and name.isascii() and "_" not in name:
        for escaped in (escaping.for_terminal, escaping.for_markdown, escaping.for_csv, escaping.for_picture):
            assert escaped(name) == name


@settings(max_examples=30, deadline=None)
@given(NASTY)
def test_tables_hold_a_name_as_a_name(name):
    table = table_of(name)
    text, markdown, latex = (render(table, style) for style in ("text", "markdown", "latex"))
    for shown in (text, markdown, latex, render(table, "csv")):
        assert visible(shown)
    # in Markdown neither tags, code, emphasis, links nor another column
    lines = markdown.splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[:4]}) == 1
    first = lines[2].split(" | ")[0].removeprefix("| ")
    assert not re.search(r"[<>`*\[\]$~]", first.replace(r"\|", ""))
    # in LaTeX no command but those that stand for a character, and no more columns
    row = latex[latex.index(r"\midrule") :].splitlines()[1]
    known = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}|\\[&%$#_{}]"
    known += r"|\$_0\$|\$\\(alpha|beta|sigma)\$|\$-\$"
    rest = re.sub(known, "", row.removesuffix(r" \\"))
    assert not re.search(r"[\\$#%_~^]", rest)
    assert rest.count("&") == lines[1].count("|") - 2
    # in CSV one cell, and no formula
    cell = next(csv.DictReader(io.StringIO(render(table, "csv"))))["run"]
    assert not cell.startswith(("=", "+", "-", "@", "\t"))


@settings(max_examples=10, deadline=None)
@given(NASTY)
@example(r"$\frac{$")
@example("_hidden$x$")
def test_pictures_draw_a_name_as_a_name(name):
    figure, axes = plotting.new_figure()
    curve = pd.DataFrame({"radius": [0.0, 1.0], "value": [1.0, 0.5], "lower": [0.9, 0.4], "upper": [1.0, 0.6]})
    plotting.plot_certified_accuracy(axes[0][0], {name: curve}, reference={name: curve})
    plotting.finish(figure, f"{name}: distances", [name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks
        figure.canvas.draw()
    legend = axes[0][0].get_legend().get_texts()
    assert len(legend) == 2
    assert all(text._preprocess_math(text.get_text())[1] is False for text in legend)


STUDY = """title = {title}
[[part]]
task = "ConcentricGaussians"
fixed = {{dim = 2, std_1 = 0.3, std_0 = 0.4}}
grid = {{train_sigma = [0, 0.2], smooth_sigma = [0.5]}}
"""


@pytest.mark.parametrize("title", ["[/bold]", "[red]x[/red]", r"$\frac{$", "<script>"])
def test_a_study_with_a_title_like_markup_is_finished(title, tmp_path):
    (tmp_path / "x.toml").write_text(STUDY.format(title=f"'{title}'"))
    done = call("run", tmp_path / "x.toml", "--jobs", 1, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert title in done.out
    assert "no effect, if no α" in done.out
    assert (tmp_path / "out" / "run.json").exists()


def test_a_title_that_controls_the_terminal_is_refused_before_the_work(tmp_path):
    (tmp_path / "x.toml").write_text(STUDY.format(title=r'"\u001b[31mred"'))
    done = call("run", tmp_path / "x.toml", "--jobs", 1, "--out", tmp_path / "out")
    assert done.status == 2
    assert r"title is '\x1b[31mred'; expected one line" in done.complaint
    assert not (tmp_path / "out").exists()


def test_reports_and_their_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [r"$\frac{$.tsv", "=cmd.tsv", "_x.tsv", "\x1b[31mred.tsv"]
    for number, name in enumerate(names):
        (tmp_path / name).write_text(
            f"idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.{number + 1}\t1\t0:00:14.1\n"
        )
    done = call_root("report", *names, "--plots", "pictures", "--format", "csv")
    assert done.status == 0, done.err
    assert visible(done.out)
    assert visible(done.err)
    assert "'=cmd.tsv" in done.out
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["certified_accuracy.png"]


def test_errors_do_not_control_the_terminal(tmp_path):
    done = call_root("report", tmp_path / "\x1b[31mnone.tsv")
    assert r"\x1b[31mnone.tsv" in done.complaint


def test_a_data_set_whose_name_looks_like_mathematics(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(0).random((12, 3)), np.arange(12) % 2
    np.savez(r"$\frac{$.npz", x=x, y=y, train_x=x, train_y=y)
    done = call_root("interference", "--data", r"$\frac{$.npz", "--out", "out")
    assert done.status == 0, done.err
    assert (tmp_path / "out" / "interference.png").exists()


def test_keys_of_a_file_do_not_control_the_terminal(tmp_path):
    np.savez(tmp_path / "d.npz", **{"\x1b[31mx": np.zeros(3)})
    done = call_root("predict", "--smooth-sigma", 0.5, "--data", tmp_path / "d.npz")
    assert r"it holds \x1b[31mx" in done.complaint
