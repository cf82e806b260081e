"""The command line as a user meets it: what it prints, what it writes, and what it does not load."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tomllib
from importlib.metadata import entry_points

import pandas as pd
import pytest

import noiseaug
from noiseaug.synthetic.benefit import SUMMARY_COLUMNS
from noiseaug.synthetic.presets import DEFAULT, PRESETS
from tests.helpers.running import HEAVY, PATIENCE, ROOT, call, call_root, content, python, start

MODULE = ("-m", "noiseaug.synthetic")
LOADED = f"""
import atexit, sys
atexit.register(lambda: print("loaded", *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr))
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The default study, small, run as a user does whose output goes to files."""
    folder = tmp_path_factory.mktemp("study")
    outcome = python(*MODULE, "--fast", "--out", folder / "out", "--jobs", 2, cwd=folder)
    assert outcome.status == 0, outcome.err
    return folder / "out", outcome


def test_list_has_a_line_for_each_preset():
    outcome = call("list")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)
    for line, preset in zip(lines, PRESETS.values(), strict=True):
        assert preset.title in line
        assert preset.default != line.endswith("[not in the default study]")
        assert len(line) <= 160


def test_the_presets_that_were_promised():
    assert {"phase", "optimal", "minority", "spheres", "circle", "discs"} <= set(DEFAULT)
    for name, preset in PRESETS.items():
        assert name == preset.name == preset.build(True).name == preset.build(False).name
        assert preset.title == preset.build(False).title


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["list", "run", "--out", "--jobs", "--seed", "--fast", "--resume", "--dask", "two cores"]),
        (("run",), ["NAME|FILE.toml", "--out", "--set", "KEY=V1,V2", "start:stop:num", "--jobs", "--seed", "--fast"]),
        (("list",), ["a line each"]),
    ],
)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_at_every_level(arguments, words, flag):
    outcome = call(*arguments, flag)
    assert (outcome.status, outcome.err) == (0, "")
    for word in words:
        assert word in outcome.out
    assert call_root("synthetic", *arguments, flag).status == 0
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_help_of_the_root():
    for arguments in ((), ("--help",), ("-h",)):
        outcome = call_root(*arguments)
        assert outcome.status == 0
        assert "synthetic" in outcome.out
        assert "--version" in outcome.out


@pytest.mark.parametrize(
    "arguments", [("--help",), ("run", "--help"), ("list", "--help"), ("run",), ("run", "--colour")]
)
def test_help_and_usage_errors_load_nothing_heavy(arguments):
    code = f"{LOADED}\nfrom noiseaug.cli.synthetic import main\nmain()"
    outcome = python("-c", code, *arguments)
    assert outcome.status == (0 if "--help" in arguments else 2)
    assert outcome.err.splitlines()[-1] == "loaded"


def test_list_draws_nothing():
    outcome = python("-c", f"{LOADED}\nfrom noiseaug.cli.synthetic import main\nmain()", "list")
    assert outcome.status == 0
    assert not {"torch", "matplotlib", "pandas", "joblib"} & set(outcome.err.split())


def test_version():
    outcome = call_root("--version")
    assert (outcome.status, outcome.out, outcome.err) == (0, f"noiseaug {noiseaug.__version__}\n", "")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", noiseaug.__version__)


def test_console_script_and_module_are_one_command(tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"noiseaug": "noiseaug.cli:main"}
    for script in entry_points(group="console_scripts", name="noiseaug"):
        assert script.value == "noiseaug.cli:main"
    assert call_root("synthetic", "list").out == call("list").out
    tables = set()
    for name, command in (("script", call_root), ("module", call)):
        group = ["synthetic"] if command is call_root else []
        out = tmp_path / name
        outcome = command(*group, "run", "minority", "--fast", "--out", out, "--jobs", 1, "--set", "prior=0.1")
        assert outcome.status == 0, outcome.err
        tables.add((out / "table.csv").read_bytes())
    assert len(tables) == 1
    # both as processes
    script = python("-c", "from noiseaug.cli import main; main()", "synthetic", "list")
    module = python(*MODULE, "list")
    assert script == module
    assert module.out == call("list").out


def test_unknown_commands_of_the_root():
    assert "No such command 'vission'" in call_root("vission").complaint
    assert "No such option: --colour" in call_root("--colour").complaint
    assert call_root("vission").status == call_root("--colour").status == 2


# ---- the default study


def test_the_default_study_writes_all_it_promises(study):
    out, outcome = study
    folders = sorted(path.name for path in out.iterdir() if path.is_dir())
    assert folders == sorted(DEFAULT)
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == ["summary.csv"]
    for name in DEFAULT:
        found = {path.name for path in (out / name).iterdir()}
        assert {"table.csv", "summary.csv", "run.json"} < found
        pictures = found - {"table.csv", "summary.csv", "run.json"}
        assert pictures
        assert all(picture.endswith(".png") for picture in pictures)
        assert json.loads((out / name / "run.json").read_text(encoding="utf-8"))["status"] == "complete"
    # the last lines name every file
    named = outcome.out.split("written:\n")[1].splitlines()
    assert sorted(line.strip() for line in named) == sorted(str(path) for path in out.rglob("*") if path.is_file())


def test_the_default_study_ends_with_a_readable_table(study):
    out, outcome = study
    head, _, body = outcome.out.partition("\n")
    assert head.strip() == "Does training with noise help the smoothed classifier?"
    summary = pd.read_csv(out / "summary.csv")
    parts = [pd.read_csv(out / name / "summary.csv") for name in DEFAULT]
    pd.testing.assert_frame_equal(summary, pd.concat(parts, ignore_index=True))
    assert list(summary.columns) == list(SUMMARY_COLUMNS)
    table, words, _ = body.partition("noise: helps")
    assert words, "what the words of the last column mean"
    table = table.splitlines()
    assert {len(line) for line in table} == {len(table[0])}
    assert len(table[0]) <= 140
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table if line.startswith("│")]
    rows = [row for row in rows if row[1]]  # a long setting goes on in the next line
    assert len(rows) == len(summary)
    for row, (_, line) in zip(rows, summary.iterrows(), strict=True):
        assert line["setting"].startswith(row[0])
        assert row[1] == line["quantity"].replace("_", " ")
        assert float(row[2]) == pytest.approx(line["smooth_sigma"], rel=1e-5)
        assert (row[3] == "") == pd.isna(line["radius"])
        assert float(row[4]) == pytest.approx(line["without_noise"], abs=5.1e-5)
        assert float(row[5]) == pytest.approx(line["best_train_sigma"], rel=1e-3)
        assert float(row[6]) == pytest.approx(line["with_best_noise"], abs=5.1e-5)
        assert float(row[7]) == pytest.approx(line["gain"], abs=5.1e-5)
        assert line["noise"].startswith(row[8])


def test_piped_output_is_plain(study):
    _, outcome = study
    for text in (outcome.out, outcome.err):
        assert "\x1b" not in text
    assert "\r" not in outcome.out
    # of the progress bar, the start and the end of each preset and what ten seconds bring
    assert len(re.findall(r"\r", outcome.err)) <= 4 * len(DEFAULT)
    for name in DEFAULT:
        assert re.search(rf"{name}: 100%", outcome.err)
    assert "Warning" not in outcome.err


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_that_moves(tmp_path):
    import pty
    import termios

    main, side = pty.openpty()
    termios.tcsetwinsize(side, (24, 100))
    settings = ["--jobs", 1, "--set", "train_sigma=0:4:1500", "--set", "quantities=risk"]
    seen = b""
    with start(*MODULE, "run", "minority", *settings, "--out", tmp_path / "out", stderr=side) as process:
        os.close(side)
        # a terminal whose other side has closed is at its end, or an error
        with contextlib.suppress(OSError):
            while piece := os.read(main, 4096):
                seen += piece
        os.close(main)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    shares = [int(share) for share in re.findall(r"minority:\s+(\d+)%", seen.decode())]
    assert len(set(shares)) >= 3
    assert shares == sorted(shares)
    assert shares[-1] == 100
    # bar, rate, time left
    assert re.search(rb"<\d\d:\d\d, +[\d.]+cell/s", seen)


def test_a_second_default_study_repeats_the_first(study):
    out, _ = study
    before = content(out)
    outcome = call("--fast", "--out", out, "--jobs", 1, "--resume")
    assert outcome.status == 0, outcome.err
    assert content(out) == before


# ---- one run


def test_a_run_goes_to_its_own_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call("run", "minority", "--fast", "--jobs", 1, "--set", "prior=0.1")
    assert outcome.status == 0, outcome.err
    folder = tmp_path / "noiseaug-results" / "minority"
    assert sorted(path.name for path in folder.iterdir()) == ["minority.png", "run.json", "summary.csv", "table.csv"]
    assert outcome.out.splitlines()[-1] == f"  {os.path.join('noiseaug-results', 'minority', 'minority.png')}"
    assert outcome.out.startswith("isotropic Gaussians with a rare class")


def test_settings_and_seed_reach_the_table(tmp_path):
    settings = ["--set", "train_sigma=0,0.5", "--set", "prior=0.1:0.5:2", "--set", "n=50", "--set", "method=sampled"]
    outcome = call("run", "minority", "--fast", "--jobs", 1, "--out", tmp_path / "out", *settings, "--seed", 9)
    assert outcome.status == 0, outcome.err
    table = noiseaug.tables.read_table(tmp_path / "out" / "table.csv")
    assert sorted(table["train_sigma"].unique()) == [0.0, 0.5]
    assert sorted(table["task_prior"].unique()) == [0.1, 0.5]
    assert set(table["method"]) == {"sampled"}
    assert set(table["n"]) == {50}
    assert set(table["seed"]) == {9}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3", [3]),
        ("0.5,1e-3,2", [0.5, 1e-3, 2]),
        ("0:1:3", [0.0, 0.5, 1.0]),
        ("true,False", [True, False]),
        ("augmented,convolved", ["augmented", "convolved"]),
        ("a=b", ["a=b"]),
    ],
)
def test_values_of_a_setting(text, values):
    from noiseaug.cli.synthetic import _parse_setting

    key, found = _parse_setting(f"task.prior={text}")
    assert key == "task.prior"
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_a_run_without_a_value_to_compare_with_says_so(tmp_path):
    settings = ["--set", "train_sigma=0.5,1", "--set", "prior=0.1"]
    outcome = call("run", "minority", "--fast", "--jobs", 1, "--out", tmp_path / "out", *settings)
    assert outcome.status == 0, outcome.err
    assert "no curve holds α = 0 to compare with; the values are in table.csv" in outcome.out
    assert "helps" not in outcome.out
    assert (tmp_path / "out" / "summary.csv").read_text(encoding="utf-8").strip() == ",".join(SUMMARY_COLUMNS)


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe")
@pytest.mark.parametrize("arguments", [("list",), ("--help",), ("run", "minority", "--fast", "--jobs", "1")])
def test_a_reader_that_goes_away_is_no_error(arguments, tmp_path):
    # as `| head -1` does, at its worst: the reader is gone before the first line
    command = [*MODULE, *arguments, *(("--out", tmp_path / "out") if arguments[0] == "run" else ())]
    with start(*command) as process:
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=PATIENCE)
    assert [line for line in err.splitlines() if line and "cell" not in line] == []
    assert process.returncode in (0, 1)
    if arguments[0] == "run":
        # nothing is lost by it
        assert (tmp_path / "out" / "table.csv").exists()


def test_a_reader_of_the_first_line(tmp_path):
    with start(*MODULE, "list") as process:
        first = process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=PATIENCE)
    assert first.startswith("phase ")
    assert err == ""


def test_output_where_greek_letters_cannot_be_shown():
    code = (
        "import sys\nsys.stdout.reconfigure(encoding='ascii')\nsys.stderr.reconfigure(encoding='ascii')\n"
        "from noiseaug.cli.synthetic import main\nmain()"
    )
    outcome = python("-c", code, "list")
    assert (outcome.status, outcome.err) == (0, "")
    assert "over (?, ?)" in outcome.out


def test_programming_errors_keep_their_traceback(monkeypatch):
    def broken(*_):
        raise AssertionError("a bug")

    monkeypatch.setattr("noiseaug.synthetic.presets.find", broken)
    with pytest.raises(AssertionError, match="a bug"):
        call("run", "phase")
