"""The (α, β) grid: its table against the logs, resumption, shards, pictures, and the directories that it refuses."""

from __future__ import annotations

import json
import threading
from concurrent.futures import CancelledError
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from scipy import stats

from noiseaug.data import load_images
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.tables import COLUMNS, VOTE_COLUMNS, read_table
from noiseaug.vision.engine import load_network
from noiseaug.vision.grid import Cell, Grid, curve_table, optimum_table, run_grid, workers
from noiseaug.vision.grid import run as grids
from noiseaug.vision.grid import votes as grid_votes
from noiseaug.vision.grid.pictures import draw, read_reference
from noiseaug.vision.models import load_checkpoint, weights_digest
from noiseaug.vision.training import run_job
from noiseaug.votes import round_votes, take_together
from tests.helpers.grids import made, recipe, small, wrong_at
from tests.helpers.running import content


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished grid and the table that it returned."""
    out = tmp_path_factory.mktemp("grid") / "whole"
    return out, run_grid(small(), out)


def results(out):
    """The files that tell what was found."""
    return {name: (out / name).read_bytes() for name in ("table.csv", "optimum.csv")}


# --- the table


def test_the_table_says_what_the_logs_hold(whole):
    out, table = whole
    assert tuple(table.columns) == ("task", "model", *COLUMNS[2:], *VOTE_COLUMNS, "split")
    keys = table[["train_sigma", "smooth_sigma", "seed", "split", "quantity", "radius"]]
    assert not keys.duplicated().any()
    # three quantities with smoothing (accuracy at two radii); without it no radius but 0, and no ACR
    assert len(table) == 3 * 2 * (4 + 2)
    assert set(table["method"]) == {"measured"}
    for row in table.to_dict("records"):
        _, frame = read_log(out / f"votes/a{row['train_sigma']:g}-s0-b{row['smooth_sigma']:g}-{row['split']}.jsonl")
        assert row["n"] == len(frame) == {"test": 41, "validation": 60}[row["split"]]
        wrong = certified = earned = 0
        for entry in frame.itertuples():
            votes = entry.counts[-1] if entry.counts else entry.selection
            wrong += max(range(10), key=lambda label, votes=votes: votes[label]) != entry.label
            right = entry.prediction == entry.label
            certified += right and entry.radius >= row["radius"]
            earned += entry.radius if right else 0
        expected = {"risk": wrong, "certified_accuracy": certified, "acr": earned}[row["quantity"]] / len(frame)
        assert row["value"] == pytest.approx(expected, rel=1e-12)
        assert row["lower"] <= row["value"] <= row["upper"]
        if row["quantity"] != "acr":
            exact = stats.binomtest(round(expected * len(frame)), len(frame)).proportion_ci(0.95, "exact")
            assert (row["lower"], row["upper"]) == pytest.approx((exact.low, exact.high), abs=1e-9)
        assert (row["votes"] == 50) if row["smooth_sigma"] else pd.isna(row["votes"])
    pd.testing.assert_frame_equal(read_table(out / "table.csv"), table)


def test_unsmoothed_is_the_base_classifier(whole):
    out, table = whole
    data = load_images("digits", "test")
    model, _ = load_checkpoint(out / "models/a0.3-s0")
    with torch.no_grad():
        answers = model(torch.from_numpy(data.floats())).argmax(1).numpy()
    _, frame = read_log(out / "votes/a0.3-s0-b0-test.jsonl")
    places = frame["index"].to_numpy()
    assert places.tolist() == list(range(0, len(data), len(data) // 40))
    assert frame["prediction"].tolist() == answers[places].tolist()
    assert (frame["label"] == data.labels[places]).all()
    row = table.query("train_sigma == .3 and smooth_sigma == 0 and split == 'test'").set_index("quantity")["value"]
    assert row["risk"] == pytest.approx(1 - row["certified_accuracy"]) == (answers != data.labels)[places].mean()


def test_models_are_trained_as_asked(whole):
    out, _ = whole
    found = {path.name: json.loads((path / "run.json").read_text()) for path in (out / "models").iterdir()}
    assert {name: entry["description"]["objective"]["name"] for name, entry in found.items()} == {
        "a0-s0": "clean",
        "a0.3-s0": "gaussian",
        "a0.6-s0": "gaussian",
    }
    for entry in found.values():
        # the images that α is chosen on are not learned from
        assert entry["description"]["validation"] == 60
        assert entry["description"]["epochs"] == 2
        assert entry["description"]["init_from"] is None
    data = load_images("digits", "train")
    _, frame = read_log(out / "votes/a0.6-s0-b0.4-validation.jsonl")
    assert frame["index"].tolist() == list(range(len(data) - 60, len(data)))
    assert frame["label"].tolist() == data.labels[-60:].tolist()
    assert (frame["n"] == 50).all()


# --- interrupted, resumed, divided


@pytest.mark.parametrize(("module", "function"), [(grid_votes, "certify"), (workers, "run_job")])
def test_a_stopped_grid_goes_on_and_ends_the_same(module, function, whole, tmp_path, monkeypatch, no_pictures):
    out, calls, original = tmp_path / "grid", [], getattr(module, function)

    def failing(*arguments, **keywords):
        calls.append(1)
        if len(calls) == 3:
            if function == "certify":  # some images are voted on, and a line is cut off
                kept = {**keywords, "labels": keywords["labels"][:7], "indices": keywords["indices"][:7]}
                original(arguments[0], arguments[1][:7], **kept)
                with keywords["log"].open("a") as stream:
                    stream.write('{"index":')
            raise KeyboardInterrupt
        return original(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(module, function, failing)
        with pytest.raises(KeyboardInterrupt):
            run_grid(small(), out)
    assert json.loads((out / "run.json").read_text())["status"] == "unfinished"
    assert not (out / "table.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("model.safetensors")}
    assert kept
    with pytest.raises(InvalidInputError, match="add --resume"):
        run_grid(small(), out)
    table = run_grid(small(), out, resume=True)
    pd.testing.assert_frame_equal(table, whole[1])
    assert results(out) == results(whole[0])
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    # a finished one trains nothing, and counts no votes
    logs = content(out / "votes")
    monkeypatch.setattr("noiseaug.certification.certifier.Certifier._steps", None)
    pd.testing.assert_frame_equal(run_grid(small(), out, resume=True), whole[1])
    assert logs == content(out / "votes")


class After:
    """An event that is set once it was looked at so often."""

    def __init__(self, looks):
        self.left = looks

    def is_set(self):
        self.left -= 1
        return self.left < 0


def test_votes_end_as_soon_as_they_are_told_to(whole, tmp_path):
    grid, cell = Grid(small(), tmp_path), Cell(0.3, 0.4, 0, "test")
    grid.begin()
    log, batch = grid.log(cell), grid_votes.cpu_batch(grid)
    base, _, provenance = load_network(whole[0] / "models/a0.3-s0", "cpu", "float32")
    with pytest.raises(CancelledError):
        grid_votes.vote_cell(grid, base, provenance, cell, batch, After(19))
    # selection and estimation of nine images; they are kept, and the rest follows
    with pytest.warns(UserWarning, match="holds 9 of 41 inputs"):
        assert len(read_log(log)[1]) == 9
    grid_votes.vote_cell(grid, base, provenance, cell, batch, threading.Event())
    frame = grid.votes(cell)
    _, expected = read_log(whole[0] / "votes/a0.3-s0-b0.4-test.jsonl")
    pd.testing.assert_frame_equal(frame.drop(columns="seconds"), expected.drop(columns="seconds"))


def test_a_counter_that_can_be_stopped_still_takes_votes_together():
    counter = SimpleNamespace(round_votes=7, take_together=lambda requests: ["together", *requests])
    base = SimpleNamespace(vote_counter=lambda **options: counter)
    stoppable = grid_votes._stoppable(base, threading.Event()).vote_counter(seed=0)
    assert round_votes(stoppable) == 7
    assert take_together(stoppable, [1, 2]) == ["together", 1, 2]


def test_shards_equal_the_whole(whole, tmp_path, no_pictures):
    out = tmp_path / "grid"
    first = run_grid(small(), out, shard="0/2")
    assert not (out / "table.csv").exists()
    assert set(first["train_sigma"]) == {0.0, 0.6}
    assert {path.name for path in (out / "models").iterdir()} == {"a0-s0", "a0.6-s0"}
    with pytest.raises(InvalidInputError, match="add --resume"):
        run_grid(small(), out, shard="0/2")
    pd.testing.assert_frame_equal(run_grid(small(), out, shard="1/2"), whole[1])
    assert results(out) == results(whole[0])
    assert json.loads((out / "run.json").read_text())["status"] == "complete"


def test_what_another_shard_is_still_writing_is_waited_for(tmp_path, no_pictures):
    out, spec = tmp_path / "grid", small(train_sigma=(0.0, 0.3), smooth_sigma=(0.4,))
    run_grid(spec, out, shard="0/2")
    log = out / "votes/a0-s0-b0.4-test.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for written in ([], lines[:1], lines[:20], [*lines[:-1], lines[-1][:30]]):
        log.write_bytes(b"".join(written))
        table = run_grid(spec, out, shard="1/2", resume=True)
        assert set(table["train_sigma"]) == {0.3}
        assert not (out / "table.csv").exists()
    log.write_bytes(b"".join(lines))
    assert set(run_grid(spec, out, shard="1/2", resume=True)["train_sigma"]) == {0.0, 0.3}
    assert (out / "table.csv").exists()


def test_models_start_from_the_clean_one_of_their_seed(tmp_path, no_pictures):
    out = tmp_path / "grid"
    spec = small(train_sigma=(0.3,), smooth_sigma=(0.4,), seeds=(0, 1), init_from_clean=True, radii=(0.2,))
    with pytest.raises(InvalidInputError, match="at most 2 shards of 2 seeds"):
        run_grid(spec, out, shard="0/3")
    run_grid(spec, out, shard="0/2")
    table = run_grid(spec, out, shard="1/2")
    assert sorted(path.name for path in (out / "models").iterdir()) == ["a0.3-s0", "a0.3-s1", "clean-s0", "clean-s1"]
    for seed in (0, 1):
        told = json.loads((out / f"models/a0.3-s{seed}/run.json").read_text())["description"]
        clean, _ = load_checkpoint(out / f"models/clean-s{seed}")
        assert told["seed"] == seed
        assert told["init_from"]["weights"] == weights_digest(clean)[:16]
    # the clean models only serve to start from
    assert set(table["train_sigma"]) == {0.3}
    assert set(table["seed"]) == {0, 1}
    assert pd.read_csv(out / "optimum.csv")["seeds"].tolist() == [2, 2, 2]
    # where the grid has a clean model of its own it is that one
    plan = Grid(small(init_from_clean=True), tmp_path)
    assert plan.start(0) == plan.models[0]
    adversarial = Grid(small(init_from_clean=True, recipe=recipe("smoothadv")), tmp_path)
    assert adversarial.start(0).name == "clean-s0"


def test_another_grid_is_refused_and_other_radii_are_not(whole, monkeypatch):
    out, table = whole
    before = content(out)
    for changes in ({"recipe": recipe(epochs=3)}, {"n": 60}, {"train_sigma": (0.0, 0.3)}, {"validation": 61}):
        with pytest.raises(InvalidInputError, match="holds a run of another description"):
            run_grid(small(**changes), out, resume=True)
    with pytest.raises(InvalidInputError, match="add --resume"):
        run_grid(small(), out)
    assert content(out) == before
    monkeypatch.setattr(grids, "draw", lambda *arguments: {})
    more = run_grid(small(radii=(0.0, 0.1, 0.2)), out, resume=True)
    assert set(more["radius"].dropna()) == {0.0, 0.1, 0.2}
    merged = more[more["radius"] != 0.1].reset_index(drop=True)
    pd.testing.assert_frame_equal(merged, table)
    run_grid(small(), out, resume=True)
    assert {name: before[name] for name in before if name != "run.json"} == {
        name: digest for name, digest in content(out).items() if name != "run.json"
    }


# --- pictures


def test_pictures_are_there_and_say_what_they_show(whole, tmp_path):
    out, _ = whole
    names = {"risk", "certified_accuracy", "best_train_sigma", "benefit"}
    assert {path.stem for path in out.glob("*.png")} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))
    file = tmp_path / "published.csv"
    file.write_text("train_sigma,smooth_sigma,errors,risk\n0,0.25,1,.5\n.1,0.25,1,.4\n.1,.7,1,.3\n")
    votes = made([wrong_at(0, 1), wrong_at(2), wrong_at(1, 5)], radii=(0.1, 0.4, 0.6))
    figures = draw(votes, curve_table(votes), optimum_table(votes), ("Somebody 2023", read_reference(file)))
    risk = figures["risk"].axes[0]
    assert (risk.get_xlabel(), risk.get_ylabel()) == ("training noise α", "risk of the smoothed classifier")
    legend = [text.get_text() for text in risk.get_legend().get_texts()]
    assert legend == ["Somebody 2023", "β = 0.25"]
    hollow = [line for line in risk.lines if line.get_markerfacecolor() == "none" and len(line.get_xdata())]
    # only the levels that there are curves for
    assert [line.get_xydata().tolist() for line in hollow] == [[[0.0, 0.5], [0.1, 0.4]]]
    stars = [line.get_xydata().tolist() for line in risk.lines if line.get_marker() == "*"]
    assert stars == [[[0.25, pytest.approx(1 / 40)]]]
    bars = risk.containers[0].lines[2][0].get_segments()[0]
    assert bars[:, 1] == pytest.approx([2 / 40 - stats.sem(~wrong_at(0, 1)), 2 / 40 + stats.sem(~wrong_at(0, 1))])
    panels = figures["certified_accuracy"].axes
    assert [panel.get_title() for panel in panels] == ["r = 0.1", "r = 0.4", "r = 0.6"]
    assert {panel.get_ylabel() for panel in panels} == {"certified accuracy"}
    best = figures["best_train_sigma"].axes[0]
    assert (best.get_xlabel(), best.get_ylabel()) == ("smoothing noise β", "ℓ₂ radius r")
    assert [text.get_text() for text in best.texts] == ["0.25", "0.25"]  # nothing is certified at .6
    assert "benefit" not in figures  # with one β there is no surface


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "no file"),
        ("train_sigma,risk\n0,1\n", "lacks smooth_sigma; expected train_sigma, smooth_sigma, risk"),
        ("train_sigma,smooth_sigma,risk\n0,0,much\n", "something else than numbers"),
        ("train_sigma,smooth_sigma,risk\n", "something else than numbers"),
        ("", "not readable as CSV"),
    ],
)
def test_a_bad_reference_is_refused(text, complaint, tmp_path):
    file = tmp_path / "published.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InvalidInputError, match=complaint):
        run_grid(small(), tmp_path / "grid", reference=file)
    assert not (tmp_path / "grid").exists()


# --- directories of something else


def test_a_directory_of_something_else_is_left_alone(whole, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInputError, match="holds no run"):
        run_grid(small(), tmp_path, resume=True)
    before = content(whole[0])
    with pytest.raises(InvalidInputError, match="another description"):
        run_grid(small(), whole[0] / "models/a0-s0", resume=True)
    with pytest.raises(InvalidInputError, match="another description"):
        run_grid(small(), whole[0] / "models/a0-s0", shard="0/2")
    assert content(whole[0]) == before


def test_votes_of_another_model_are_refused(whole, tmp_path):
    """A model that was trained anew, such as on another machine, does not take over the votes of the old one."""
    out = tmp_path / "grid"
    run_grid(small(train_sigma=(0.3,), smooth_sigma=(0.0,)), out)
    for path in (out / "models/a0.3-s0").iterdir():
        path.unlink()
    other = Grid(small(train_sigma=(0.3,), smooth_sigma=(0.0,), seeds=(1,)), tmp_path)
    run_job(other.job(other.models[0]), tmp_path / "other")
    record = json.loads((tmp_path / "other/run.json").read_text())
    record["description"]["seed"] = 0
    (out / "models/a0.3-s0/run.json").write_text(json.dumps(record))
    (out / "models/a0.3-s0/model.safetensors").write_bytes((tmp_path / "other/model.safetensors").read_bytes())
    with pytest.raises(InvalidInputError, match="weights"):
        run_grid(small(train_sigma=(0.3,), smooth_sigma=(0.0,)), out, resume=True)
