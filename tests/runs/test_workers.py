"""Independent pieces of work: the same results in this process, in worker processes and on a Dask cluster."""

from __future__ import annotations

import math
import operator
import os
import re
import signal
import time
from concurrent.futures import CancelledError

import pytest

from noiseaug import InvalidInputError, NoiseaugError
from noiseaug.runs import check_wanted, run_all, threads_each
from noiseaug.synthetic.runs import run_study
from tests.helpers.running import PATIENCE, ROOT, call, dask_cluster, start, wait_until
from tests.helpers.studies import tiny


@pytest.fixture(scope="module")
def cluster():
    """Address of a Dask scheduler."""
    with dask_cluster() as (_, address):
        yield address


@pytest.mark.parametrize("jobs", [1, 2, -1])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_every_piece_once(jobs, count):
    pieces = [float(number) for number in range(count)]
    found = list(run_all(math.sqrt, pieces, jobs=jobs))
    assert sorted(found) == [(index, math.sqrt(piece)) for index, piece in enumerate(pieces)]


def test_one_job_works_here_and_piece_by_piece():
    seen = []
    results = run_all(lambda piece: seen.append((piece, os.getpid())), ["a", "b"], jobs=1)
    assert seen == []
    assert next(results) == (0, None)
    assert seen == [("a", os.getpid())]
    assert next(results) == (1, None)
    assert seen[1] == ("b", os.getpid())


def pid(_):
    return os.getpid()


def test_more_jobs_work_elsewhere():
    assert os.getpid() not in {found for _, found in run_all(pid, range(8), jobs=2)}


def slow_pid(seconds):
    time.sleep(seconds)
    return os.getpid()


def test_worker_processes_only_where_they_save_time(monkeypatch):
    quick = [found for _, found in run_all(pid, range(50), jobs=2, if_worth=True)]
    assert quick == [os.getpid()] * 50
    # two pieces here, the first of which does not count, and the rest elsewhere
    monkeypatch.setattr("noiseaug.runs.workers._START_SECONDS", 0.1)
    found = dict(run_all(slow_pid, [0.5, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05], jobs=2, if_worth=True))
    assert sorted(found) == list(range(8))
    assert {found[0], found[1]} == {os.getpid()}
    assert os.getpid() not in {found[index] for index in range(2, 8)}
    # what is slow once, while it imports, starts none
    once = dict(run_all(slow_pid, [0.5, *[0.0] * 20], jobs=2, if_worth=True))
    assert set(once.values()) == {os.getpid()}


def threads(_):
    from threadpoolctl import threadpool_info

    return {pool["num_threads"] for pool in threadpool_info()}


def test_few_pieces_share_the_workers():
    assert [threads_each(8, pieces) for pieces in (0, 1, 2, 3, 8, 100)] == [8, 8, 4, 2, 1, 1]
    assert threads_each(1, 1) == 1
    assert threads_each(-1, 1) >= 1
    with pytest.raises(InvalidInputError, match="jobs is 0"):
        threads_each(0, 1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_piece_has_one_thread(jobs):
    from threadpoolctl import threadpool_limits

    with threadpool_limits(2):
        assert threads(None) == {2}
        for _, found in run_all(threads, range(3), jobs=jobs):
            assert found == {1}
            # and whoever takes the results has as many as before
            assert threads(None) == {2}


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_come_back_as_they_are(jobs):
    with pytest.raises(ZeroDivisionError):
        list(run_all((1.0).__truediv__, [1.0, 0.0, 2.0], jobs=jobs))


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("jobs", [0, -2, 1.5, "2", True, None])
def test_bad_numbers_of_jobs(jobs, count):
    with pytest.raises(InvalidInputError, match="expected a number of processes, or -1 for one a core"):
        list(run_all(math.sqrt, [1.0] * count, jobs=jobs))


def die_of_two(piece):
    if piece == 2:
        os._exit(1)
    return piece


def test_a_lost_worker_is_told():
    with pytest.raises(NoiseaugError, match="a worker process was killed, perhaps for its memory; try again"):
        list(run_all(die_of_two, range(6), jobs=2))
    # and does not spoil the next call
    assert len(list(run_all(operator.neg, range(6), jobs=2))) == 6


# joblib's own callback thread may still be at work when its results are closed, and complain to nobody
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
# the manager thread of joblib's pool may trip over the work that is thrown away
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("jobs", [1, 2])
def test_whoever_takes_the_results_may_stop(jobs):
    # no warning either, which would be an error here
    results = run_all(math.sqrt, [1.0] * 50, jobs=jobs)
    next(results)
    results.close()
    assert list(results) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_counts_the_pieces(jobs, capsys):
    list(run_all(math.sqrt, [1.0] * 5, jobs=jobs, progress="roots"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err
    assert re.search(r"roots: 100%.* 5/5 ", err)
    # not a terminal: the start, the end, and at most one line in ten seconds
    assert err.count("cell") <= 3
    list(run_all(math.sqrt, [1.0] * 5, jobs=jobs))
    assert capsys.readouterr() == ("", "")


# A parent with two workers that are at work until they are ended.
PARENT = f"""
import os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job does not have
sys.path.insert(0, {str(ROOT)!r})
from noiseaug.runs import run_all

meeting = pathlib.Path(sys.argv[1])

def work(piece):
    if piece < 2:
        (meeting / str(os.getpid())).touch()
        while len(list(meeting.iterdir())) < 2:  # so that both workers take one
            time.sleep(0.02)
        return os.getpid()
    time.sleep(600)

try:
    for index, pid in run_all(work, range(8), jobs=2):
        print(pid, flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


def gone(process):
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks at processes through /proc")
def test_workers_end_with_a_killed_parent(tmp_path):
    with start("-c", PARENT, tmp_path) as parent:
        workers = {int(parent.stdout.readline()) for _ in range(2)}
        assert not any(gone(worker) for worker in workers)
        parent.kill()
        wait_until(lambda: all(gone(worker) for worker in workers))


@pytest.mark.skipif(os.name != "posix", reason="signals a process group")
def test_an_interruption_is_answered_by_the_parent_alone(tmp_path):
    # as Ctrl-C in a terminal does: the signal goes to the parent and to its workers
    with start("-c", PARENT, tmp_path, start_new_session=True) as parent:
        for _ in range(2):
            parent.stdout.readline()
        os.killpg(parent.pid, signal.SIGINT)
        _, err = parent.communicate(timeout=PATIENCE)
    assert parent.returncode == 130
    assert err == ""


def test_dask_gives_the_same_results(cluster):
    assert [found for _, found in run_all(threads, range(2), dask=cluster)] == [{1}, {1}]
    found = list(run_all(math.sqrt, [float(number) for number in range(20)], dask=cluster))
    assert sorted(found) == [(number, math.sqrt(number)) for number in range(20)]
    # on the cluster, also where there is but one piece or one job
    assert {found for _, found in run_all(pid, [0], dask=cluster)} != {os.getpid()}
    with pytest.raises(ZeroDivisionError):
        list(run_all((1.0).__truediv__, [1.0, 0.0], dask=cluster))


def test_a_scheduler_without_workers_is_told(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("noiseaug.runs.workers._WORKER_PATIENCE", 0.5)
    command = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with start(*command) as process:
        address = next(found[0] for line in process.stderr if (found := re.search(r"tcp://[\d.:]+", line)))
        with pytest.raises(InvalidInputError, match=f"{address} has no workers; start some: dask worker"):
            next(run_all(pid, [0], dask=address))


def endless(file):
    """Nothing, or work without an end that leaves a mark when it is ended all the same."""
    if file is None:
        return
    file.with_suffix(".begun").touch()
    try:
        while True:
            time.sleep(0.02)
            check_wanted()
    except CancelledError:
        file.touch()
        raise


def test_a_dask_worker_ends_what_nobody_waits_for(cluster, tmp_path):
    results = run_all(endless, [None, tmp_path / "ended"], dask=cluster, one_by_one=True)
    next(results)
    wait_until((tmp_path / "ended.begun").exists)
    results.close()
    wait_until((tmp_path / "ended").exists)
    # and is free for other work, undisturbed
    assert len(list(run_all(quietly, range(4), dask=cluster))) == 4


def quietly(_):
    time.sleep(0.3)
    check_wanted()


def test_work_outside_a_cluster_is_wanted():
    check_wanted()


def die(_):
    os._exit(1)


@pytest.mark.slow
def test_dask_workers_that_die_of_a_piece_are_told():
    with dask_cluster() as (_, address), pytest.raises(NoiseaugError, match="several Dask workers died"):
        list(run_all(die, [0], dask=address))


def test_same_table_whatever_the_engine(cluster, tmp_path):
    study = tiny(
        train_sigma=(0.0, 0.1, 0.2),
        radii=(0.0, 0.1),
        quantities=("certified_accuracy", "finite_sample_certified_accuracy", "acr"),
        method=("exact", "sampled"),
        n=200,
        votes=100,
    )
    engines = {"here": {"jobs": 1}, "workers": {"jobs": 2}, "cluster": {"dask": cluster}}
    tables = set()
    for name, engine in engines.items():
        run_study(study, tmp_path / name, progress=False, **engine)
        tables.add((tmp_path / name / "table.csv").read_bytes())
    assert len(tables) == 1


def test_the_command_runs_on_a_cluster(cluster, tmp_path):
    tables = set()
    for engine in (["--jobs", 1], ["--jobs", 2], ["--dask", cluster]):
        out = tmp_path / engine[0]
        outcome = call("run", "moons", "--fast", "--set", "smooth_sigma=0.25", "--out", out, "--seed", 11, *engine)
        assert outcome.status == 0, outcome.err
        tables.add((out / "table.csv").read_bytes())
        assert not (out / "cells.jsonl").exists()
    assert len(tables) == 1


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:9", "nowhere", "", "http://127.0.0.1:9", "tls://127.0.0.1:9", "nowhere:port"],
)
def test_no_scheduler_at_the_address(address, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    made = []
    monkeypatch.setattr("distributed.Client", lambda *arguments, **options: made.append(arguments))
    monkeypatch.setattr("noiseaug.runs.workers._DASK_PATIENCE", 0.5)
    outcome = call("run", "minority", "--fast", "--out", tmp_path / "out", "--dask", address)
    assert outcome.status == 2
    assert "Dask scheduler" in outcome.complaint
    assert address in outcome.complaint
    assert made == []  # a client that finds no scheduler may later close itself in any thread, and wait for ever
    # no progress bar of a run that does not begin, and no trace of it
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_patience_is_short():
    from noiseaug.runs import workers as parallel

    assert 0 < parallel._DASK_PATIENCE <= 5


def test_without_dask_the_extra_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    outcome = call("run", "minority", "--fast", "--out", tmp_path / "out", "--dask", "tcp://127.0.0.1:9")
    assert (outcome.status, outcome.complaint) == (2, "--dask needs the extra 'dask': pip install 'noiseaug[dask]'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_lost_scheduler_keeps_the_finished_cells(tmp_path):
    out, cells = tmp_path / "run", tmp_path / "run" / "cells.jsonl"
    settings = ["--set", "train_sigma=0:0.6:30", "--set", "method=sampled", "--set", "n=20000", "--set", "dim=10"]
    command = ["run", "phase", "--fast", "--out", out, "--set", "smooth_sigma=0.25", *settings]
    with (
        dask_cluster() as (running, address),
        start("-m", "noiseaug.synthetic", *command, "--dask", address) as process,
    ):
        wait_until(lambda: cells.exists() and cells.read_bytes().count(b"\n") >= 2)
        os.killpg(running.pid, signal.SIGKILL)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert err.splitlines()[-1] == f"error: the Dask scheduler at {address} was lost"
    assert cells.read_bytes().count(b"\n") >= 2
    assert call(*command, "--resume", "--jobs", 2).status == 0
    command[command.index(out)] = tmp_path / "whole"
    assert call(*command, "--jobs", 2).status == 0
    one, two = ((tmp_path / name / "table.csv").read_bytes() for name in ("run", "whole"))
    assert one == two
