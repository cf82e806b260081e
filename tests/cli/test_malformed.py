"""Malformed calls of every command end in one line and status 2, within limits on time and memory, and write nothing.

The calls are made from a seed (``tests.helpers.calls``). Each runs in a fork with ten seconds of processor time and
1 GiB of memory. A call that is odd but works may end with status 0.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import sys
from pathlib import Path

import pytest

from noiseaug.data import load_data
from noiseaug.errors import InvalidInputError
from tests.helpers import calls, damage
from tests.helpers.forks import HEAVY, LIGHT, Forks, forks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the size of a process from /proc")


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    with forks(LIGHT, tmp_path_factory.mktemp("printed")) as process:
        yield process


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    pytest.importorskip("torch")
    with forks([*LIGHT, *HEAVY], tmp_path_factory.mktemp("printed")) as process:
        yield process


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network for the images of ``damage.npz``."""
    from noiseaug.vision.models import build_model, save_checkpoint

    path = tmp_path_factory.mktemp("network") / "m.safetensors"
    save_checkpoint(path, build_model("mlp", damage.X.shape[1:], 2), {"data": "d.npz"})
    return path.read_bytes()


def files(folder: Path) -> dict[str, object]:
    """What lies below a folder, with sizes and times."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            told = os.lstat(Path(root) / name)
            regular = stat.S_ISREG(told.st_mode)
            found[os.path.join(root, name)] = (told.st_size, told.st_mtime_ns) if regular else told.st_mode
    return {name: told for name, told in found.items() if "__pycache__" not in name}


def faults(process: Forks, call: calls.Call, folder: Path, checkpoint: bytes | None = None) -> str:
    """What is wrong with how a call ended; empty where nothing is."""
    folder.mkdir()
    try:
        calls.lay_out(folder, checkpoint)
        call.make(folder)
        before = files(folder)
        outcome = process.call(folder, call.arguments)
        after = files(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = []
    if outcome.status not in ((2,) if call.refused else (0, 2)):
        found.append(f"status {outcome.status}")
    if "Traceback" in outcome.err or "Warning" in outcome.err:
        found.append("more than a line")
    if outcome.status == 2:
        lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
        if len(lines) != 1 or not outcome.err.endswith(lines[0] + "\n"):
            found.append("not one line")
        if before != after:
            changed = sorted(set(map(str, before.items())) ^ set(map(str, after.items())))
            found.append(f"written: {changed[:3]}")
    return f"{call}: {', '.join(found)}\n{outcome.err[-600:]}" if found else ""


def check(process: Forks, made: list[calls.Call], folder: Path, checkpoint: bytes | None = None) -> None:
    found = [faults(process, call, folder / str(number), checkpoint) for number, call in enumerate(made)]
    wrong = [each for each in found if each]
    assert not wrong, f"{len(wrong)} of {len(made)}\n" + "\n".join(wrong)


def names(networks: bool) -> list[str]:
    return [name for name in calls.commands() if (name in calls.NETWORKS) == networks]


@pytest.mark.slow
def test_the_files_that_calls_start_from_are_good(light, tmp_path):
    """Else what is put in their place would never be reached."""
    for number, name in enumerate(name for name in calls.WORKING if name not in (*calls.NETWORKS, *calls.LONG)):
        folder = tmp_path / str(number)
        folder.mkdir()
        calls.lay_out(folder)
        outcome = light.call(folder, [*name.split(), *calls.WORKING[name]])
        assert outcome.status == 0, (name, outcome.err)


@pytest.mark.parametrize("kind", [*damage.BAD_NPZ, *damage.ANY])
def test_every_damaged_data_set_is_refused(kind, tmp_path):
    (damage.BAD_NPZ | damage.ANY)[kind](tmp_path / "d.npz")
    with pytest.raises((InvalidInputError, OSError)) as caught:
        load_data(str(tmp_path / "d.npz"))
    assert "\n" not in str(caught.value)


def test_some_malformed_calls(light, tmp_path):
    check(light, list(calls.some(20, 20, names(False))), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_many_malformed_calls(light, tmp_path, part):
    check(light, list(calls.some(1000 + part, 200, names(False))), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_many_malformed_calls_of_networks(heavy, checkpoint, tmp_path, part):
    check(heavy, list(calls.some(2000 + part, 200, names(True))), tmp_path, checkpoint)


def test_a_crash_a_good_call_and_a_file_left_behind_would_be_seen(light, tmp_path):
    def own(body):
        arguments = ("certify", *calls.WORKING["certify"], "--classifier", "mine:label", "--classes", "2")
        return calls.Call(arguments, lambda folder: (folder / "mine.py").write_text(body), True, "own code")

    assert "status -9" in faults(light, own("import os\nos.kill(os.getpid(), 9)\n"), tmp_path / "crash")
    assert "written" in faults(light, own("open('left', 'w').close()\n1 / 0\n"), tmp_path / "left")
    worked = calls.Call(("figures", "list"), calls._nothing, True, "a good call")
    assert "status 0" in faults(light, worked, tmp_path / "good")
    refused = calls.Call(("--nonsense",), calls._nothing, True, "a refusal")
    assert faults(light, refused, tmp_path / "refused") == ""
    either = calls.Call(("--nonsense",), calls._nothing, False, "a call that may be refused")
    assert faults(light, either, tmp_path / "either") == ""
    unknown = calls.Call(("data", "x"), calls._nothing, False, "an unknown data set")
    assert faults(light, unknown, tmp_path / "unknown") == ""


def test_new_options_are_tried_without_being_named():
    for name in calls.WORKING:
        options = [each for each in calls.parameters(name) if each.opts[0].startswith("-")]
        assert all(calls._kind(each) in ("int", "float", "path", "text") for each in options)
    assert calls._kind(next(each for each in calls.parameters("certify") if each.name == "n")) == "int"
    assert calls._kind(next(each for each in calls.parameters("certify") if each.name == "out")) == "path"
    assert calls._kind(next(each for each in calls.parameters("certify") if each.name == "train_sigma")) == "float"
    known = names(False)
    assert len({repr(calls.draw(random.Random(seed), known)) for seed in range(200)}) > 100
