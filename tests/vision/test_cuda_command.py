"""The command for CUDA devices, in small on a CPU: all stages, what is cut or fails, reruns, and the packed images."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from benchmarks.cuda import pack, stages  # noqa: E402
from benchmarks.cuda.__main__ import main  # noqa: E402
from benchmarks.cuda.certified import published  # noqa: E402
from benchmarks.cuda.stages import Context, Table, caught, run_all, run_stage  # noqa: E402
from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.vision.models import build_model, load_checkpoint  # noqa: E402
from noiseaug.vision.objectives import make_objective  # noqa: E402
from noiseaug.vision.training import Recipe, TimeBudget, Trainer, TrainingSet  # noqa: E402
from noiseaug.vision.training import budget as _budget  # noqa: E402
from tests.helpers.library import batch  # noqa: E402
from tests.helpers.running import environment, wait_until  # noqa: E402

# what an environment for PyTorch may lack of this package's dependencies
LACKING = [
    "pooch",
    "platformdirs",
    "typer",
    "rich",
    "joblib",
    "matplotlib",
    "threadpoolctl",
    "tqdm",
    "dask",
    "PIL",
    "sklearn",
]
BARE = f"import sys\nsys.modules.update(dict.fromkeys({LACKING}))"


def run(tmp_path, *arguments):
    """The command in an environment with nothing but PyTorch, NumPy, SciPy, pandas and safetensors."""
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(BARE)
    env = environment() | {"OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "site"), env["PYTHONPATH"]])
    command = [sys.executable, "-m", "benchmarks.cuda", "--out", str(tmp_path / "out"), "--device", "cpu", "--small"]
    return subprocess.run([*command, *arguments], env=env, capture_output=True, text=True, timeout=200)


def table(tmp_path, name):
    return pd.read_csv(tmp_path / "out" / f"{name}.csv", comment="#", keep_default_na=False)


# --- the stages


def test_right_and_fast_in_small(tmp_path):
    done = run(tmp_path, "--stages", "right,fast", "--minutes", "4")
    assert done.returncode == 0, done.stderr
    assert table(tmp_path, "stages")["status"].tolist() == ["finished", "finished"]
    right = table(tmp_path, "right").set_index("check")
    assert set(right["passed"]) == {"yes", ""}, right
    assert {"Philox words", "radii, lenet", "step, macer, float32", "resumed", "torchrun, one process"} <= set(
        right.index[right["passed"] == "yes"]
    )
    fast = table(tmp_path, "fast")
    assert set(fast["way"]) == {"loop by default", "loop", "forward", "graph", "shares", "eager"}
    assert (fast["votes_per_second"].astype(float) > 0).all()
    row = fast[(fast["way"] == "graph") & (fast["precision"] == "float32")].iloc[0]
    loop = fast[(fast["way"] == "loop") & (fast["precision"] == "float32")].iloc[0]
    ratio = float(row["votes_per_second"]) / float(loop["votes_per_second"])
    assert float(row["ratio_same_precision"]) == pytest.approx(ratio, rel=1e-3)
    shares = (
        fast[fast["way"] == "shares"]
        .filter(like="share_")
        .drop(columns=["share_of_forward_pass", "share_of_matrix_product"])
    )
    assert float(shares.astype(float).sum(axis=1).iloc[0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_good_certified_and_the_question_in_small(tmp_path):
    done = run(tmp_path, "--stages", "good,certified,question", "--minutes", "4")
    assert done.returncode == 0, done.stderr
    good = table(tmp_path, "good")
    assert set(good["network"]) == {"gaussian", "consistency", "question-0.25", "question-0.375"}
    for _, rows in good.groupby("network"):
        last = rows.iloc[-1]
        assert last["epoch"] == last["planned_epochs"]  # so the schedule came to its end
    model, metadata = load_checkpoint(tmp_path / "out" / "consistency.safetensors")
    assert metadata["finished"]
    assert metadata["objective"]["name"] == "consistency"
    assert next(model.parameters()).dtype == torch.float16
    certified = table(tmp_path, "certified")
    ours = certified[certified["network"] == "consistency"]
    assert ours["rule"].tolist() == ["cohen", "multi-look", "confidence-sequence", "cohen", "cohen"]
    assert (ours["images"].astype(int) == 10).all()
    assert "CAT-RS" in set(certified[certified["network"] == "published"]["rule"])
    with zipfile.ZipFile(tmp_path / "out" / "logs.zip") as logs:
        assert {"consistency-0.25-cohen.jsonl", "question-0.25-0.25-multi-look.jsonl"} <= set(logs.namelist())
    assert table(tmp_path, "question")["train_sigma"].tolist() == [0.25, 0.375]
    # what a user carries away
    assert len([path for path in (tmp_path / "out").iterdir() if path.is_file()]) <= 8
    before = (tmp_path / "out" / "certified.csv").read_bytes()
    again = run(tmp_path, "--stages", "good,certified", "--minutes", "0.1")
    assert again.stdout.count("finished before") == 2
    assert (tmp_path / "out" / "certified.csv").read_bytes() == before


def test_published_rows_at_half(tmp_path):
    table = Table(tmp_path / "certified.csv")
    published(table, 0.5)
    assert {"0.525", "0.684", "0.72", "0.757"} <= {row["acr"] for row in table.rows}


# --- running them

FAKE = """
import os, subprocess, sys, time
from pathlib import Path

name, out = sys.argv[sys.argv.index("--stage") + 1], Path(sys.argv[sys.argv.index("--out") + 1])
work = Path(sys.argv[sys.argv.index("--work") + 1])
with (out / "log").open("a") as log:
    print(name, file=log)
if name == "right":
    (work / "right.error").write_text("ValueError: no such kernel")
    sys.exit(1)
if name == "fast":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    (out / "child").write_text(str(child.pid))
    time.sleep(100)
if name == "good":
    (work / "good.error").write_text("no time for the second half")
    sys.exit(3)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    (tmp_path / "fake_stages.py").write_text(FAKE)
    monkeypatch.setattr(stages, "_COMMAND", "fake_stages")
    monkeypatch.setattr(stages, "_LEAST", 0.1)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "out"


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_stage_that_fails_or_overruns_does_not_stop_the_next(fake, monkeypatch):
    monkeypatch.setattr(stages, "LIMITS", dict.fromkeys(stages.LIMITS, 3.0))
    assert run_all(["right", "fast", "good", "certified"], fake, fake / "work", 30, []) == 1
    rows = Table(fake / "stages.csv").rows
    assert [(row["stage"], row["status"]) for row in rows] == [
        ("right", "failed"), ("fast", "cut"), ("good", "unfinished"), ("certified", "finished")
    ]  # fmt: skip
    assert rows[0]["note"] == "ValueError: no such kernel"
    assert "after 3 s" in rows[1]["note"]
    assert rows[2]["note"] == "no time for the second half"
    wait_until(lambda: not alive(int((fake / "child").read_text())))
    # begun again: what finished is left out, the rest is done anew
    (fake / "log").unlink()
    assert run_all(["right", "certified"], fake, fake / "work", 30, []) == 1
    assert (fake / "log").read_text().split() == ["right"]
    assert [row["stage"] for row in Table(fake / "stages.csv").rows] == ["fast", "good", "certified", "right"]


def test_a_stage_without_time_is_skipped(fake, monkeypatch):
    monkeypatch.setattr(stages, "_LEAST", 100.0)
    assert run_all(["certified"], fake, fake / "work", 1, []) == 1
    assert Table(fake / "stages.csv").rows[0]["status"] == "skipped"
    assert not (fake / "log").exists()


def test_an_unknown_stage_and_an_error_within_one(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--stages", "right,best"]) == 2
    assert "no stage 'best'" in capsys.readouterr().err

    def broken(context):
        raise RuntimeError("line one\nline two")

    (tmp_path / "work").mkdir()
    assert run_stage("good", Context(tmp_path, tmp_path / "work"), {"good": broken}) == 1
    assert (tmp_path / "work" / "good.error").read_text() == "RuntimeError: line one"


def test_a_table_is_gone_on_with(tmp_path):
    path = tmp_path / "table.csv"
    first = Table(path, "device, versions")
    first.add(network="cnn", votes=1234.5678, note="a, b\nc")
    first.add(network="other", more=None)
    assert path.read_text().splitlines()[:2] == ["# device, versions", "network,votes,note,more"]
    again = Table(path, "another device")
    assert again.has(network="cnn", note="a, b c")
    assert not again.has(network="cnn", note="a")
    again.drop(network="cnn")
    with caught(again, network="third"):
        raise ValueError("no\nsuch thing")
    assert [row["network"] for row in Table(path).rows] == ["other", "third"]
    assert Table(path).rows[1]["note"] == "failed: ValueError: no"
    assert Table(path).head == "another device"


# --- a training that ends in time


@pytest.mark.parametrize(("images", "budget"), [(300, 200.0), (60, 40.0)])
def test_a_training_ends_in_time_with_its_schedule_done(images, budget, monkeypatch):
    """By a clock of which the first step takes 20 ticks and every other one 1, an epoch's end 2."""
    now = [0.0]
    monkeypatch.setattr(_budget.time, "monotonic", lambda: now[0])
    data = TrainingSet(torch.rand(images, 1, 8, 8), torch.arange(images) % 10, images)
    recipe = Recipe("linear", make_objective("gaussian", 0.25), epochs=30, batch=10, learning_rate=0.01)
    trainer = Trainer(recipe, data, build_model("linear", (1, 8, 8), 10))
    left = TimeBudget(budget)

    def after_step(trainer, steps):
        now[0] += 20 if now[0] == 0 else 1
        left.after_step(trainer, steps)

    def after_epoch(trainer):
        now[0] += 3
        left.after_epoch(trainer)

    trainer.run(after_step, after_epoch)
    each = images // 10 + 2
    assert now[0] <= budget
    assert left.left < 2 * each
    assert trainer.epoch == trainer.recipe.epochs == len(trainer.rows)
    assert trainer.rows[-1]["learning_rate"] <= 2 * recipe.learning_rate / trainer.epoch


# --- packed images


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as found:
        yield found


@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_packed_images_come_back_byte_by_byte(kind, pool, monkeypatch):
    monkeypatch.setattr(pack, "_CHUNK", 7)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    if kind == "smooth":
        images = (np.add.outer(np.arange(32), np.arange(32)) + images // 64).astype(np.uint8)
    np.testing.assert_array_equal(pack.restored(pack.residuals(images)), images)
    content = batch(images, np.arange(len(images)) % 10)
    packed = pack.pack_file(content, "data_batch_1", pool)
    assert pack.unpack_file(packed, "file", pool) == ("data_batch_1", content)
    if kind == "smooth":
        assert len(packed) < len(content) / 2


def test_damaged_and_other_files_are_refused(tmp_path, pool, capsys):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    packed = pack.pack_file(batch(images, np.arange(len(images)) % 10), "data_batch_1", pool)
    for damaged in (packed[:-5], packed[: len(packed) // 2], packed[1:], b"", packed + b"0"):
        with pytest.raises(InvalidInputError, match="damaged or no packed file"):
            pack.unpack_file(damaged, "file", pool)
    for place in (30, len(packed) // 2, len(packed) - 30):
        flipped = bytearray(packed)
        flipped[place] ^= 1
        with pytest.raises(InvalidInputError, match="damaged"):
            pack.unpack_file(bytes(flipped), "file", pool)
    with pytest.raises(InvalidInputError, match="no batch of CIFAR-10"):
        pack.pack_file(pickle.dumps({b"data": subprocess.Popen}), "file", pool)
    # whole, but not what was published
    (tmp_path / "data_batch_1.packed").write_bytes(packed)
    assert pack.main([str(tmp_path), str(tmp_path / "root"), "--unpack"]) == 2
    assert "another data_batch_1 than the published one" in capsys.readouterr().err
    assert not list((tmp_path / "root").rglob("data_batch*"))
    assert pack.main([str(tmp_path / "nowhere"), str(tmp_path)]) == 2
