"""Runs keep what they have finished, whatever ends them, and touch no directory that is not theirs."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from pandas.testing import assert_frame_equal

import noiseaug
from noiseaug import InvalidInputError
from noiseaug.runs import save_figure, write_atomically
from noiseaug.synthetic import runs
from noiseaug.synthetic.runs import RunDirectory, run_study
from tests.helpers.running import PATIENCE, Outcome, call, content, python, start, wait_until
from tests.helpers.studies import tiny

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
FILE = """
name = "small"
[[part]]
task = "ConcentricGaussians"
fixed = { std_1 = 0.3, std_0 = 0.4 }
vary = { dim = [2, 3] }
[part.grid]
train_sigma = { start = 0, stop = 0.5, num = 6 }
smooth_sigma = [0.25]
quantities = ["risk", "acr"]
method = ["exact", "sampled"]
n = 100
"""
CELLS = 12

# The command in a process of its own. Each cell that it computes goes into a log first; before cell STOP it says so
# and waits for its end.
COUNTED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job does not have
from noiseaug.synthetic import runs
from noiseaug.cli.synthetic import main

log, stop = sys.argv.pop(1), int(sys.argv.pop(1))
honest, count = runs.run_cell, 0

def run_cell(cell):
    global count
    if count == stop:
        print("waiting", flush=True)
        time.sleep(600)
    count += 1
    with open(log, "a") as stream:
        stream.write(cell.key + "\\n")
    return honest(cell)

runs.run_cell = run_cell
main()
"""


@pytest.fixture
def study():
    return tiny(train_sigma=LEVELS)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    """The directory of a run that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert call("run", file, "--out", out, "--jobs", 1).status == 0
    return out


def run(study, path, **options):
    return run_study(study, path, jobs=1, progress=False, **options)


def counted(log, stop, *arguments, **options):
    return start("-c", COUNTED, log, stop, *arguments, **options)


def failing_after(cells, error):
    """``run_cell`` that raises once it has computed so many cells."""
    left = [cells]

    def run_cell(cell):
        if not left[0]:
            raise error
        left[0] -= 1
        return noiseaug.sweeps.run_cell(cell)

    return run_cell


@pytest.fixture
def half(study, tmp_path, monkeypatch):
    """The directory of a run that was interrupted after two cells of six."""
    with monkeypatch.context() as patch:
        patch.setattr(runs, "run_cell", failing_after(2, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "half")
    return tmp_path / "half"


def files(path):
    return sorted(entry.name for entry in path.iterdir())


# ---- what a run leaves


def test_files_of_a_run(whole):
    assert files(whole) == ["acr.png", "risk.png", "run.json", "summary.csv", "table.csv"]
    for name in ("acr.png", "risk.png"):
        assert (whole / name).read_bytes().startswith(b"\x89PNG\r\n")
    summary = pd.read_csv(whole / "summary.csv")
    assert len(summary) == 4


def test_the_record_of_a_run(study, tmp_path):
    run(study, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "complete"
    assert record["description"] == json.loads(json.dumps(study.describe()))
    assert record["description"]["seed"] == 0
    assert record["versions"]["noiseaug"] == noiseaug.__version__
    assert {"python", "numpy", "scipy", "pandas", "matplotlib"} <= set(record["versions"])
    assert record["seconds"] >= 0
    assert record["written"].endswith("+00:00")
    assert record["platform"]


def test_the_table_is_read_back_number_for_number(tmp_path):
    study = tiny(
        train_sigma=(0.0, 0.1, 1 / 3),
        radii=(0.1,),
        quantities=("risk", "acr", "finite_sample_certified_accuracy"),
        method=("exact", "sampled"),
        n=300,
        votes=50,
    )
    table = run(study, tmp_path / "run")
    assert_frame_equal(noiseaug.tables.read_table(tmp_path / "run" / "table.csv"), table, check_exact=True)
    # which is what a complete run is taken for
    assert_frame_equal(run(study, tmp_path / "run", resume=True), table, check_exact=True)


def test_a_seed_is_part_of_the_run(file, whole, tmp_path):
    assert call("run", file, "--out", tmp_path / "run", "--jobs", 1, "--seed", 5).status == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["description"]["seed"] == 5
    one, two = (noiseaug.tables.read_table(path / "table.csv") for path in (tmp_path / "run", whole))
    assert set(one["seed"].dropna()) == {5}
    exact = one["method"] != "sampled"
    assert_frame_equal(one[exact], two[exact], check_exact=True)
    assert not one["value"].equals(two["value"])


# ---- interruptions


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_run_is_resumed(file, whole, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    with counted(log, 5, "run", file, "--out", out, "--jobs", 1) as process:
        assert process.stdout.readline() == "waiting\n"
        process.kill()
    assert files(out) == ["cells.jsonl", "run.json"]
    kept = (out / "cells.jsonl").read_bytes()
    assert kept.count(b"\n") == 5
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["status"] == "unfinished"
    # a write that the kill has torn
    (out / "cells.jsonl").write_bytes(kept + b'{"key": "5|Conc')
    with counted(log, 3, "run", file, "--out", out, "--jobs", 1, "--resume") as process:
        assert process.stdout.readline() == "waiting\n"
        process.kill()
    lines = (out / "cells.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["key"].split("|")[0] for line in lines] == [str(index) for index in range(8)]
    with counted(log, CELLS, "run", file, "--out", out, "--jobs", 1, "--resume") as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "4/4" in err
    # no cell twice, none forgotten
    assert set(Counter(log.read_text(encoding="utf-8").splitlines()).values()) == {1}
    assert len(log.read_text(encoding="utf-8").splitlines()) == CELLS
    assert files(out) == files(whole)
    for name in ("table.csv", "summary.csv", "acr.png"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("torn", [b"{", b'{"key": "2|Conc', b'{"key": "2|x", "rows": []}', b"\xff", b" "])
def test_a_torn_last_line_is_dropped(torn, study, half, tmp_path, monkeypatch):
    cells = half / "cells.jsonl"
    kept = cells.read_bytes()
    cells.write_bytes(kept + torn)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "run_cell", failing_after(1, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(study, half, resume=True)
    # the next cell begins a line of its own
    assert cells.read_bytes().startswith(kept)
    assert [json.loads(line)["key"][0] for line in cells.read_bytes().splitlines()] == ["0", "1", "2"]
    assert_frame_equal(run(study, half, resume=True), run(study, tmp_path / "whole"), check_exact=True)


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_run_with_workers_is_resumed(tmp_path):
    # slow enough that the kill comes in the middle
    settings = ["--set", "train_sigma=0:0.6:12", "--set", "method=sampled", "--set", "n=20000", "--set", "dim=20"]
    command = ["run", "phase", "--set", "smooth_sigma=0.25", *settings, "--jobs", 2]
    out, cells = tmp_path / "run", tmp_path / "run" / "cells.jsonl"
    with start("-m", "noiseaug.synthetic", *command, "--out", out) as process:
        wait_until(lambda: cells.exists() and cells.read_bytes().count(b"\n") >= 2)
        process.kill()
    kept = cells.read_bytes().count(b"\n")
    assert 2 <= kept < 12
    assert not (out / "table.csv").exists()
    outcome = call(*command, "--out", out, "--resume")
    assert outcome.status == 0, outcome.err
    assert f"{12 - kept}/{12 - kept}" in outcome.err
    assert call(*command, "--out", tmp_path / "whole").status == 0
    assert (out / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_with_one_line(file, tmp_path):
    out = tmp_path / "run"
    with counted(tmp_path / "log", 2, "run", file, "--out", out, "--jobs", 1) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert rest == ""
    said = [line for line in err.splitlines() if line and "|" not in line]  # all but the progress bar
    assert said == ["interrupted; a command with --resume keeps what is finished and then does the rest"]
    assert (out / "cells.jsonl").read_bytes().count(b"\n") == 2


def test_an_interruption_before_the_first_cell_leaves_nothing(study, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "run_cell", failing_after(0, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "run")
    assert files(tmp_path) == []
    # a directory that was there stays there
    (tmp_path / "mine").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "mine")
    assert files(tmp_path) == ["mine"]
    assert files(tmp_path / "mine") == []


def test_resuming_a_complete_run_computes_nothing(file, whole, monkeypatch):
    before = content(whole)
    monkeypatch.setattr(runs, "run_cell", failing_after(0, AssertionError("computed")))
    outcome = call("run", file, "--out", whole, "--jobs", 1, "--resume")
    assert outcome.status == 0, outcome.err
    assert content(whole) == before


def test_resuming_nothing_is_a_new_run(study, tmp_path):
    one = run(study, tmp_path / "one", resume=True)
    assert_frame_equal(one, run(study, tmp_path / "two"), check_exact=True)


def test_a_complete_run_can_be_repeated(study, tmp_path, monkeypatch):
    table = run(study, tmp_path / "run")
    before = (tmp_path / "run" / "table.csv").read_bytes()
    # while the repetition is under way the old table stays
    with monkeypatch.context() as patch:
        patch.setattr(runs, "run_cell", failing_after(3, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "run")
    assert files(tmp_path / "run") == ["cells.jsonl", "run.json", "table.csv"]
    assert (tmp_path / "run" / "table.csv").read_bytes() == before
    assert_frame_equal(run(study, tmp_path / "run", resume=True), table, check_exact=True)
    assert (tmp_path / "run" / "table.csv").read_bytes() == before


def test_a_repetition_that_cannot_begin_changes_nothing(study, tmp_path, monkeypatch):
    run(study, tmp_path / "run")
    before = content(tmp_path / "run")
    monkeypatch.setattr(runs, "run_cell", failing_after(0, InvalidInputError("no")))
    with pytest.raises(InvalidInputError):
        run(study, tmp_path / "run")
    assert content(tmp_path / "run") == before


def test_a_run_killed_between_table_and_record_is_finished_by_resume(study, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "write_record", failing_record := FailingRecord(RunDirectory.write_record))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path / "run")
    assert failing_record.statuses == ["unfinished", "complete"]
    table = (tmp_path / "run" / "table.csv").read_bytes()
    monkeypatch.setattr(runs, "run_cell", failing_after(0, AssertionError("computed")))
    run(study, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "table.csv").read_bytes() == table
    assert files(tmp_path / "run") == ["run.json", "table.csv"]


class FailingRecord:
    """Stands for ``write_record`` and is interrupted at the second call."""

    def __init__(self, honest):
        self.honest, self.statuses = honest, []

    def __get__(self, directory, _):
        def write(status):
            self.statuses.append(status)
            if len(self.statuses) > 1:
                raise KeyboardInterrupt
            self.honest(directory, status)

        return write


def test_what_a_kill_leaves_of_a_write_is_swept_up(study, half):
    for name in (".run.json.1.part", ".table.csv.1.part"):
        (half / name).write_text("torn", encoding="utf-8")
    run(study, half, resume=True)
    assert files(half) == ["run.json", "table.csv"]
    # and does not make a directory a foreign one
    new = half.parent / "new"
    new.mkdir()
    (new / ".run.json.1.part").write_text("torn", encoding="utf-8")
    run(study, new)
    assert files(new) == ["run.json", "table.csv"]


# ---- directories that are not this run's


def change_record(path, **changes):
    record = json.loads((path / "run.json").read_text(encoding="utf-8"))
    (path / "run.json").write_text(json.dumps({**record, **changes}), encoding="utf-8")


def record(text):
    return lambda path: (path / "run.json").write_text(text, encoding="utf-8")


FOREIGN = {
    "foreign files": (lambda path: (path / "thesis.tex").write_text("x"), "exists and holds no run"),
    "a folder": (lambda path: (path / "photos").mkdir(), "exists and holds no run"),
    "a table alone": (lambda path: (path / "table.csv").write_text("x"), "exists and holds no run"),
    "torn record": (record('{"a"'), "run.json: not readable as JSON; choose another --out"),
    "bytes": (lambda path: (path / "run.json").write_bytes(b"\xff\xfe"), "run.json: not readable as JSON"),
    "a list": (record("[]"), "run.json: Expected object, got array"),
    "empty record": (record("{}"), "run.json: status: missing; choose another --out"),
    "another status": (record('{"status": "done"}'), "run.json: status: invalid enum value 'done'"),
    "a number": (record('{"status": "complete", "description": 3}'), "run.json: description: expected object, got int"),
    "a deep record": (record("[" * 100_000), "run.json: nested too deeply"),
    "a folder as record": (lambda path: (path / "run.json").mkdir(), "run.json"),
}


@pytest.mark.parametrize("resume", [[], ["--resume"]])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_directory_of_something_else(name, resume, file, tmp_path):
    fill, message = FOREIGN[name]
    fill(tmp_path)
    before = content(tmp_path)
    outcome = call("run", file, "--out", tmp_path, "--jobs", 1, *resume)
    assert outcome.status == 2
    assert message in outcome.complaint
    assert content(tmp_path) == before


@pytest.mark.parametrize("resume", [[], ["--resume"]])
@pytest.mark.parametrize("change", [["--seed", 1], ["--set", "n=101"], ["--set", "dim=2"]])
def test_a_directory_of_another_description(change, resume, file, whole):
    before = content(whole)
    outcome = call("run", file, "--out", whole, "--jobs", 1, *change, *resume)
    assert outcome.status == 2
    assert "holds a run of another description; choose another --out" in outcome.complaint
    assert content(whole) == before


def test_an_unfinished_run_is_not_begun_again(study, half):
    before = content(half)
    with pytest.raises(InvalidInputError, match="holds an unfinished run; add --resume, or choose another --out"):
        run(study, half)
    assert content(half) == before


OTHER_VERSION = "was begun by another version of noiseaug"


@pytest.mark.parametrize(
    ("versions", "fault"),
    [
        ({"noiseaug": "0.0.0"}, OTHER_VERSION),
        ({}, OTHER_VERSION),
        (None, "versions: expected object, got null"),
        ("0.1.0", "versions: expected object, got str"),
    ],
)
def test_an_unfinished_run_of_another_version(study, half, versions, fault):
    change_record(half, versions=versions)
    before = content(half)
    with pytest.raises(InvalidInputError, match=f"{fault}; choose another --out"):
        run(study, half, resume=True)
    assert content(half) == before


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (b"{\n", "not readable as JSON"),
        (b"[]\n", "Expected object, got array"),
        (b'{"key": 3}\n', "key: expected str, got int"),
        (b'{"key": "3"}\n', "rows: missing"),
        (b'{"key": "3", "rows": [3]}\n', r"rows\[0\]: expected object, got int"),
        (b"\x00\x00\n", "not readable as JSON"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b'{"key": "3", "rows": 1' + b"0" * 100_000 + b"}\n", "not readable as JSON"),
    ],
)
def test_a_damaged_cell_in_the_middle(study, half, damage, fault):
    cells = half / "cells.jsonl"
    first, second = cells.read_bytes().splitlines(keepends=True)
    cells.write_bytes(first + damage + second)
    before = content(half)
    with pytest.raises(InvalidInputError, match=rf"cells\.jsonl, line 2: {fault}; choose another --out"):
        run(study, half, resume=True)
    assert content(half) == before


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_in_the_way(inside, file, tmp_path):
    # a directory below a file cannot be made, whoever asks
    (tmp_path / "file").write_text("x", encoding="utf-8")
    out = tmp_path / "file" / "run" if inside else tmp_path / "file"
    outcome = call("run", file, "--out", out, "--jobs", 1)
    assert outcome.status == 2
    assert str(tmp_path / "file") in outcome.complaint
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"
    assert files(tmp_path) == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="needs advisory locks")
@pytest.mark.parametrize("done", [0, 2])
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_two_processes_do_not_share_a_directory(done, resume, file, tmp_path):
    out = tmp_path / "run"
    with counted(tmp_path / "log", done, "run", file, "--out", out, "--jobs", 1) as process:
        assert process.stdout.readline() == "waiting\n"
        before = content(out)
        outcome = call("run", file, "--out", out, "--jobs", 1, *resume)
        assert outcome.status == 2
        assert outcome.complaint == f"another process is running into {out}; choose another --out"
        assert content(out) == before
        process.kill()
    # its end gives the directory free
    assert call("run", file, "--out", out, "--jobs", 1, "--resume").status == 0


def test_a_default_study_looks_at_all_its_directories_first(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "run_cell", failing_after(0, AssertionError("computed")))
    (tmp_path / "agreement").mkdir()
    (tmp_path / "agreement" / "thesis.tex").touch()
    before = content(tmp_path)
    outcome = call("--fast", "--jobs", 1, "--out", tmp_path)
    assert outcome.status == 2
    assert "agreement exists and holds no run" in outcome.complaint
    assert content(tmp_path) == before


def test_a_default_study_does_not_write_over_a_foreign_summary(tmp_path):
    (tmp_path / "summary.csv").write_text("mine", encoding="utf-8")
    outcome = call("--fast", "--jobs", 1, "--out", tmp_path)
    assert outcome.status == 2
    assert "holds a summary.csv that is no study's; choose another --out" in outcome.complaint
    assert files(tmp_path) == ["summary.csv"]


# ---- full disks and torn files

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
del sys.argv[1]
from noiseaug.cli.synthetic import main
main()
"""


def limited(size, *arguments) -> Outcome:
    """The command where no file may grow beyond a size, as on a disk that is nearly full."""
    pytest.importorskip("resource")
    return python("-c", LIMITED, size, *arguments)


def test_a_disk_that_fills_up_among_the_cells(file, whole, tmp_path):
    out = tmp_path / "run"
    outcome = limited(5000, "run", file, "--out", out, "--jobs", 1)
    assert outcome.status == 2
    told = f"File too large: {out / 'cells.jsonl'}; make room: what is finished is kept, --resume does the rest"
    assert outcome.complaint == told
    assert files(out) == ["cells.jsonl", "run.json"]
    kept = (out / "cells.jsonl").read_bytes().count(b"\n")
    assert 1 <= kept < CELLS
    outcome = call("run", file, "--out", out, "--jobs", 1, "--resume")
    assert f"{CELLS - kept}/{CELLS - kept}" in outcome.err
    assert (out / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()


def test_a_disk_that_fills_up_among_the_pictures(file, whole, tmp_path):
    out = tmp_path / "run"
    size = (whole / "acr.png").stat().st_size
    assert size > 2 * max((whole / name).stat().st_size for name in ("table.csv", "run.json", "summary.csv"))
    outcome = limited(size // 2, "run", file, "--out", out, "--jobs", 1)
    assert outcome.status == 2
    assert f"File too large: {out}" in outcome.complaint
    assert files(out) == ["run.json", "summary.csv", "table.csv"]
    assert call("run", file, "--out", out, "--jobs", 1, "--resume").status == 0
    assert files(out) == files(whole)
    assert (out / "acr.png").read_bytes() == (whole / "acr.png").read_bytes()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_at_every_file(nth, study, tmp_path, monkeypatch):
    # 1: the first record, 2: the table, 3: the last record
    expected = run(study, tmp_path / "whole")
    honest, count = os.fsync, [0]

    def fsync(handle):
        count[0] += 1
        if count[0] == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        honest(handle)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="No space left") as error:
            run(study, out)
    name = "table.csv" if nth == 2 else "run.json"
    assert error.value.filename == str(out / name)
    if nth == 1:
        # nothing was finished, so nothing is there
        assert files(tmp_path) == ["whole"]
    else:
        assert files(out) == ["cells.jsonl", "run.json", "table.csv"][:nth]
        monkeypatch.setattr(runs, "run_cell", failing_after(0, AssertionError("computed")))
    assert_frame_equal(run(study, out, resume=True), expected, check_exact=True)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: seen.append(path.read_text(encoding="utf-8")))
        write_atomically(path, "newer β")
    assert seen == ["old"]
    assert path.read_text(encoding="utf-8") == "newer β"

    def full(handle):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"newest")
    assert path.read_text(encoding="utf-8") == "newer β"
    assert files(tmp_path) == ["file"]


def test_lines_end_alike_on_every_system(tmp_path):
    write_atomically(tmp_path / "file", "a\nb\r\n")
    assert (tmp_path / "file").read_bytes() == b"a\nb\r\n"


@pytest.mark.parametrize("old", [None, b"old picture"])
def test_a_picture_is_written_whole_or_not_at_all(old, tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    if old is not None:
        path.write_bytes(old)
    before = content(tmp_path)

    def savefig(self, target, **options):
        # half a picture, then the end
        if isinstance(target, str | Path):
            Path(target).write_bytes(b"\x89PNG")
        else:
            target.write(b"\x89PNG")
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        with pytest.raises(MemoryError):
            save_figure(Figure(), path)
    assert content(tmp_path) == before
    save_figure(Figure(), path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_figures_are_let_go(file, whole):
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    assert call("run", file, "--out", whole, "--jobs", 1, "--resume").status == 0
    assert plt.get_fignums() == before


def test_a_failure_while_drawing_keeps_the_table(file, whole, tmp_path, monkeypatch):
    def draw(*_, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "font.cache")

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", draw)
        outcome = call("run", file, "--out", tmp_path / "run", "--jobs", 1)
    assert outcome.status == 2
    assert "No space left on device: font.cache" in outcome.complaint
    assert files(tmp_path / "run") == ["run.json", "summary.csv", "table.csv"]
    assert (tmp_path / "run" / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
