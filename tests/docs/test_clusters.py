"""The recipes of docs/how-to/clusters.md: bash reads them, and those that need no cluster run without one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from noiseaug.records import read_log
from tests.helpers.running import PATIENCE, ROOT, call_root, environment

BLOCKS = re.findall(
    r"^```bash\n(.*?)^```$", (ROOT / "docs/how-to/clusters.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
SCRIPTS = {re.search(r"--job-name=(\w+)", block)[1]: block for block in BLOCKS if block.startswith("#!")}
SUBMISSIONS = [block for block in BLOCKS if not block.startswith("#!")]
LINES = [line for block in BLOCKS for line in re.sub(r"\\\n", " ", block).splitlines()]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# What srun does on one node with one task; options have their value after an equals sign.
SRUN = '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'
SCONTROL = '#!/bin/bash\necho "$@" >> "$CALLS"\n'


@pytest.fixture
def cluster(tmp_path):
    """The environment of a job on a machine that has the commands of the recipes."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    noiseaug = f'#!/bin/bash\nexec {sys.executable} -c "from noiseaug.cli import main; main()" "$@"\n'
    dask = f'#!/bin/bash\nexec {sys.executable} -m dask "$@"\n'
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "noiseaug": noiseaug, "dask": dask}.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    out = tmp_path / "out"
    out.mkdir()
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_CPUS_PER_TASK": "1", "SHARDS": "2", "OUT": str(out)}
    path = os.pathsep.join([str(bin_), os.environ["PATH"]])
    return {**environment(), **job, "PATH": path, "CALLS": str(tmp_path / "calls")}


def run(name, environment, *arguments):
    """A script of the page, with arguments as sbatch passes them on; its status and what it said."""
    done = subprocess.run(
        ["bash", "-c", SCRIPTS[name], f"{name}.sh", *map(str, arguments)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout + done.stderr


def test_all_recipes_are_read():
    assert set(SCRIPTS) == {"certify", "merge", "grid", "train", "dask"}
    assert len(SUBMISSIONS) == 4


@pytest.mark.parametrize("block", BLOCKS, ids=[f"block{number}" for number in range(len(BLOCKS))])
def test_bash_reads_the_blocks(block):
    done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_complains_of_what_is_no_script():
    assert subprocess.run(["bash", "-n"], input="if true; then", capture_output=True, text=True).returncode


@pytest.mark.parametrize(
    "line", [line for line in LINES if "noiseaug " in line or re.search(r"\.sh (grid|synth)", line)]
)
def test_the_options_exist(line):
    """Those after the command of noiseaug, as its help has them."""
    import typer

    from noiseaug.cli import app

    found = typer.main.get_command(app)
    words = line[re.search(r"noiseaug |\.sh ", line).end() :].split()
    if words[0] == '"$@"':
        words = ["grid", *words[1:]]  # the script for Dask, whose options all commands with --dask have
    while words and words[0] in getattr(found, "commands", {}):
        found = found.commands[words.pop(0)]
    known = {name for parameter in found.params for name in parameter.opts}
    assert known
    used = {word.partition("=")[0].strip('"') for word in words if word.startswith("--")}
    assert used <= known


def test_an_array_certifies_what_one_run_does(cluster, tmp_path):
    arguments = ["--data", "digits", "--smooth-sigma", ".5", "--n", 100, "--n0", 10, "--copies", 1, "--every", 60]
    out = tmp_path / "out"
    for number in range(2):
        assert run("certify", {**cluster, "SLURM_ARRAY_TASK_ID": str(number)}, *arguments)[0] == 0
        assert (run("merge", cluster)[0] == 0) == (number == 1)
    assert call_root("certify", *arguments, "--out", tmp_path / "whole.jsonl").status == 0
    merged, expected = (
        read_log(path)[1].drop(columns="seconds") for path in (out / "run.jsonl", tmp_path / "whole.jsonl")
    )
    pd.testing.assert_frame_equal(merged, expected)
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize(("status", "calls"), [(130, 1), (2, 0), (0, 0)])
def test_only_what_was_stopped_goes_back_into_the_queue(status, calls, cluster, tmp_path):
    (tmp_path / "bin/noiseaug").write_text(f"#!/bin/bash\nexit {status}\n")
    for name in ("certify", "grid"):
        assert run(name, {**cluster, "SLURM_ARRAY_TASK_ID": "1"})[0] == status
    told = (tmp_path / "calls").read_text().splitlines() if calls else []
    assert told == [f"requeue {os.getpid()}"] * (2 * calls)
    assert (tmp_path / "calls").exists() == bool(calls)


GRID = ["--data", "digits", "--model", "linear", "--train-sigma", "0,.3", "--smooth-sigma", ".4", "--epochs", 1]
GRID += ["--n", 20, "--n0", 5, "--images", 10, "--validation", 10]


@pytest.mark.slow
def test_arrays_and_workers_make_the_same_grid(cluster, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("distributed")
    cluster["OMP_NUM_THREADS"] = "1"
    for number in range(2):
        status, said = run("grid", {**cluster, "SLURM_ARRAY_TASK_ID": str(number)}, *GRID)
        assert status == 0, said
        assert (tmp_path / "out/table.csv").exists() == (number == 1)
    status, said = run("dask", {**cluster, "OUT": str(tmp_path / "spread")}, "grid", *GRID)
    assert status == 0, said
    assert (tmp_path / "out/table.csv").read_bytes() == (tmp_path / "spread/table.csv").read_bytes()
