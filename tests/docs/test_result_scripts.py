"""What makes the committed tables of docs/results: the scripts run, in small, and refuse what they cannot use."""

from __future__ import annotations

import importlib.util
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

from benchmarks import speed, where
from noiseaug.certification import certify
from noiseaug.data import LabelledSet
from noiseaug.vision.engine import TorchBase
from noiseaug.vision.models import load_checkpoint
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import Job, Recipe, run_job
from tests.helpers.running import ROOT

SCRIPTS = sorted((ROOT / "docs/results").glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_shell_and_say_what_they_make(script):
    assert subprocess.run(["sh", "-n", str(script)], capture_output=True).returncode == 0
    text = script.read_text(encoding="utf-8")
    assert f"sh docs/results/{script.name} FOLDER" in text
    pages = [page.read_text(encoding="utf-8") for page in script.parent.glob("*.md")]
    assert any(f"sh docs/results/{script.name} FOLDER" in page for page in pages)


def test_speed_of_a_network(tmp_path, capsys):
    out = tmp_path / "speed.csv"
    assert speed.main(["lenet", "--seconds", "0.05", "--precisions", "float32", "--out", str(out)]) == 0
    assert out.read_text().startswith("# ")
    row = pd.read_csv(out, comment="#").iloc[0]
    assert row["network"] == "lenet"
    assert row["ratio"] == pytest.approx(row["votes_per_second"] / row["loop_votes_per_second"], abs=0.01)
    assert row["seconds_per_image"] == pytest.approx(100_000 / row["votes_per_second"], rel=0.01)
    # 2 × (6·25·28² + 16·150·10² + 400·120 + 120·84 + 84·10) operations
    assert row["gigaflop_per_vote"] == pytest.approx(0.0008, abs=5e-5)
    assert speed.main(["lenet=nowhere", "--seconds", "0.05"]) == 2
    assert "error: " in capsys.readouterr().err


def test_shares_of_the_time(tmp_path):
    out = tmp_path / "where.csv"
    arguments = ["--networks", "lenet", "--trained", "linear", "--precisions", "float32", "--seconds", "0.1"]
    assert where.main([*arguments, "--out", str(out)]) == 0
    table = pd.read_csv(out, comment="#")
    assert table.groupby("what")["share"].sum().to_numpy() == pytest.approx(np.ones(3), abs=0.01)
    assert set(table["part"]) >= {"noise", "network", "forward", "backward", "attack", "optimiser"}
    assert where.main(["--device", "gpu"]) == 2


def test_the_table_of_cifar10(tmp_path, monkeypatch, capsys):
    """From a run and a log in the names of the script; published numbers of the same level stand beside them."""
    path = ROOT / "docs/results/cifar10_table.py"
    spec = importlib.util.spec_from_file_location("cifar10_table", path)
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    data = LabelledSet("colours", "train", images, np.arange(20) % 2, ("a", "b"))
    recipe = Recipe("linear", make_objective("gaussian", 0.5), epochs=1, batch=10)
    for method, seed in (("gaussian", 0), ("gaussian", 1), ("adre", 0)):
        run = tmp_path / f"{method}-0.5-s{seed}"
        run_job(Job(replace(recipe, seed=seed), data), run, test=replace(data, split="test"))
        model, _ = load_checkpoint(run)
        base = TorchBase(model.float())
        certify(base, images[:6], labels=data.labels[:6], smooth_sigma=0.5, n=200, n0=20, log=f"{run}.jsonl")
    out = tmp_path / "table.csv"
    monkeypatch.setattr("sys.argv", ["cifar10_table.py", str(tmp_path), "--out", str(out)])
    table.main()
    rows = pd.read_csv(out).set_index("method")
    assert rows["seeds"].to_dict() == {"gaussian": 2, "adre": 1}
    assert rows.loc["gaussian", "published_acr"] == 0.525
    assert rows.loc["gaussian", "acr_difference"] == pytest.approx(rows.loc["gaussian", "acr"] - 0.525, abs=1e-4)
    assert rows.loc["gaussian", "published_ca_1.25"] == 0.141
    assert np.isnan(rows.loc["adre", "published_acr"])
    # 200 votes certify no radius of 1
    assert not np.isnan(rows.loc["gaussian", "ca_0.75"])
    assert np.isnan(rows.loc["gaussian", "ca_1"])
    assert "| Gaussian | 0.5 |" in capsys.readouterr().out
    (tmp_path / "stray.jsonl").write_text("")
    with pytest.raises(SystemExit, match="stray"):
        table.main()
