"""Options that come from registries and from the training recipe: choices, defaults, help."""

from __future__ import annotations

import re
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import typer

from noiseaug.certificates import CERTIFICATES, Cohen, make_certificate
from noiseaug.cli import app
from noiseaug.cli.options import recipe_options
from noiseaug.cli.running import _in_options
from noiseaug.data import DATASETS
from noiseaug.errors import InvalidInputError
from noiseaug.registry import REQUIRED, Entry, Parameter, Registry, either
from noiseaug.vision.attacks.registry import ATTACKS
from noiseaug.vision.models.registry import ARCHITECTURES
from noiseaug.vision.objectives.registry import OBJECTIVES
from noiseaug.vision.training.recipe import Recipe
from noiseaug.vision.training.registry import OPTIMISERS, SCHEDULES
from tests.helpers.running import call_root, python

REGISTRIES = {each.kind: each for each in (CERTIFICATES, OBJECTIVES, ARCHITECTURES, ATTACKS, OPTIMISERS, SCHEDULES)}


def options_of(name):
    """The options of a command by flag."""
    command = typer.main.get_command(app).commands[name]
    return {flag: option for option in command.params for flag in option.opts}


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_entry_is_there_and_described(kind):
    if kind != "certificate":
        pytest.importorskip("torch")
    for name, entry in REGISTRIES[kind].items():
        assert callable(entry.load())
        assert re.fullmatch(r"[a-z][a-z0-9-]*", name)
        for line in (entry.line, *(each.line for each in entry.parameters.values())):
            assert line.strip(" .") == line != ""


def test_a_certificate_declares_parameters_that_it_has():
    for name, entry in CERTIFICATES.items():
        rule = entry.load()
        assert rule.name == name
        given = {key: 0.25 for key, each in entry.parameters.items() if each.default is REQUIRED}
        for key, parameter in entry.parameters.items():
            assert parameter.default is REQUIRED or parameter.default == getattr(rule(**given), key)
    assert make_certificate("cohen") == Cohen()


def test_what_a_registry_refuses():
    parameters = {"size": Parameter(3, "in cm"), "age": Parameter(REQUIRED, "in days")}
    shop = Registry("fruit", {"pear": Entry(dict, "green", parameters)})
    assert shop.settings("pear", {"age": 2}) == {"size": 3, "age": 2}
    for name, given, message in (
        ("plum", {}, "fruit is 'plum'; expected one of pear"),
        ("pear", {"age": 1, "colour": 2}, r"pear has no parameter colour; it takes size \(3\), age \(required\)"),
        ("pear", {}, r"pear needs age \(in days\)"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            shop.settings(name, given)
    assert [either(names) for names in ("a", "ab", "abc")] == ["a", "a or b", "a, b or c"]


@pytest.mark.parametrize(
    ("command", "flag", "names"),
    [
        ("train", "--objective", OBJECTIVES),
        ("grid", "--objective", OBJECTIVES),
        ("train", "--model", ARCHITECTURES),
        ("train", "--optimiser", OPTIMISERS),
        ("grid", "--schedule", SCHEDULES),
        ("attack", "--attack", ATTACKS),
        ("certify", "--certificate", CERTIFICATES),
        ("recertify", "--certificate", CERTIFICATES),
        ("train", "--data", DATASETS),
        ("certify", "--data", DATASETS),
    ],
)
def test_help_and_completion_know_every_name(command, flag, names):
    option = options_of(command)[flag]
    for name in names:
        assert name in option.help
        assert name in [item.value for item in option.shell_complete(None, name[:2])]


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("noiseaug cert", ["certify"]),
        ("noiseaug train --objective s", ["smoothadv", "stability", "smoothadv-consistency"]),
    ],
)
def test_a_shell_completes_commands_and_names(words, answers, monkeypatch):
    code = "import sys; sys.argv = ['noiseaug']; from noiseaug.cli import main; main()"
    monkeypatch.setenv("_NOISEAUG_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    outcome = python("-c", code)
    assert (outcome.status, outcome.out.split()) == (0, answers)


def test_help_knows_every_parameter():
    for command, registry in (("train", OBJECTIVES), ("grid", OBJECTIVES), ("certify", CERTIFICATES)):
        text = options_of(command)["--set"].help
        for entry in registry.values():
            assert all(f"{key} (" in text for key in entry.parameters)


def test_train_and_grid_take_every_field_of_a_recipe():
    names = {each.name for each in fields(Recipe)} - {"arch", "objective", "seed"}
    train, grid = options_of("train"), options_of("grid")
    for name in names:
        flag = {"compiled": "--compile"}.get(name, f"--{name.replace('_', '-')}")
        other = "--train-precision" if name == "precision" else flag
        for option in (train[flag], grid[other]):
            assert option.name == name
            assert option.help
            assert option.show_default
            assert option.rich_help_panel == "Training"
    assert "4 for colour images, else 0" in train["--crop"].show_default
    assert "0.002 with adam" in grid["--learning-rate"].show_default


def test_a_field_without_a_line_is_noticed(monkeypatch):
    monkeypatch.setattr(Recipe, "__doc__", re.sub(r"\bclip: ", "cut: ", Recipe.__doc__))
    with pytest.raises(KeyError, match="clip"):

        @recipe_options()
        def command(**recipe: int) -> None:
            """Nothing."""


def test_every_option_has_its_panel():
    for name in ("train", "grid", "certify", "predict", "attack", "bridge", "advise", "interference"):
        options = options_of(name)
        assert [flag for flag, each in options.items() if flag[0] == "-" and each.rich_help_panel is None] == [], name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--smooth-sigma", -1], "--smooth-sigma is -1; expected a number above 0"),
        (["--smooth-sigma", 1, "--failure-prob", 2], "--failure-prob is 2; expected a number strictly between 0 and 1"),
        (["--smooth-sigma", 1, "--data", "none"], "--data is 'none'; expected one of digits"),
        (
            ["--smooth-sigma", 1, "--data", "a.csv"],
            "which column of a.csv is the label? Give it as --label; the columns",
        ),
        (["--smooth-sigma", 1, "--data", "a.npz"], "other keys can be given as --x and --y"),
    ],
)
def test_errors_name_the_options_of_the_command(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("one,two\n1,2\n")
    np.savez("a.npz", f=np.zeros((2, 2)))
    done = call_root("certify", "--out", "o.jsonl", *arguments)
    assert done.status == 2
    assert message in done.complaint


def test_other_words_of_an_error_stay():
    option = SimpleNamespace(name="batch", opts=["--batch", "-b"])
    for message, said in [
        ("batch is 0; expected", "--batch is 0; expected"),
        ("out of memory; try batch=20", "out of memory; try --batch 20"),
        ("give it as batch=...", "give it as --batch"),
        ("the batch is 0, as in my_batch=3", "the batch is 0, as in my_batch=3"),
    ]:
        assert _in_options(message, [option]) == said
