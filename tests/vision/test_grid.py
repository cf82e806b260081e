"""The (α, β) grid: its table against the logs, resumption, shards, the choice of α, pictures, and what it refuses."""

from __future__ import annotations

import json
import math
import re
import threading
from concurrent.futures import CancelledError

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from scipy import stats

from noiseaug.certificates import CertificationSetting, VoteBudget, largest_radius
from noiseaug.cli import grid
from noiseaug.cli.parsing import parameters
from noiseaug.data import load_images
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.tables import COLUMNS, VOTE_COLUMNS, Measure, read_table
from noiseaug.tables.levels import levels
from noiseaug.vision.engine import load_network
from noiseaug.vision.grid import (
    Cell,
    Grid,
    GridSpec,
    GridVotes,
    curve_table,
    grid_table,
    optimum_table,
    run_grid,
    tables,
    workers,
)
from noiseaug.vision.grid import run as grids
from noiseaug.vision.grid import votes as grid_votes
from noiseaug.vision.grid.pictures import draw, read_reference
from noiseaug.vision.models import load_checkpoint, weights_digest
from noiseaug.vision.objectives import make_objective
from noiseaug.vision.training import default_recipe, run_job
from tests.helpers.running import _inside, content
from tests.helpers.statistics import FALSE_ALARM

ALPHAS, BETAS, RADII = (0.0, 0.3, 0.6), (0.0, 0.4), (0.0, 0.2)


def recipe(objective="gaussian", **changes):
    settled = {"epochs": 2, **changes}
    return default_recipe("linear", (1, 8, 8), make_objective(objective, 0.0), **settled)


def small(**changes):
    settled = {"radii": RADII, "recipe": recipe(), "n": 50, "n0": 10, "images": 40}
    return GridSpec("digits", **{"train_sigma": ALPHAS, "smooth_sigma": BETAS, "validation": 60, **settled, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished grid and the table that it returned."""
    out = tmp_path_factory.mktemp("grid") / "whole"
    return out, run_grid(small(), out)


@pytest.fixture
def no_pictures(monkeypatch):
    """For grids whose pictures are not looked at; drawing takes longer than they do."""
    monkeypatch.setattr(grids, "draw", lambda *arguments: {})


def results(out):
    """The files that tell what was found."""
    return {name: (out / name).read_bytes() for name in ("table.csv", "optimum.csv")}


def call_grid(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.callback()(lambda: None)
    grid.register(app)
    return _inside(app, ("grid", *arguments))


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
    assert len(read_log(log)[1]) == 9
    grid_votes.vote_cell(grid, base, provenance, cell, batch, threading.Event())
    frame = grid.votes(cell)
    _, expected = read_log(whole[0] / "votes/a0.3-s0-b0.4-test.jsonl")
    pd.testing.assert_frame_equal(frame.drop(columns="seconds"), expected.drop(columns="seconds"))


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


# --- the choice of α, on hand-made votes


def frame(right, certified=None, radius=0.5):
    """Images of class 0: what most votes say, and whether that is certified."""
    certified = right if certified is None else certified
    return pd.DataFrame(
        {
            "index": range(len(right)),
            "label": 0,
            "prediction": np.where(certified, 0, -1),
            "radius": np.where(certified, radius, 0.0),
            "selection": [(6, 4)] * len(right),
            "counts": [((30, 20),) if yes else ((20, 30),) for yes in right],
        }
    )


def made(validation, test=None, *, radii=(0.0,), seeds=1, alphas=(0.0, 0.25, 0.5)):
    """A grid at β = .25 from whether each image is right: for each α (and seed) an array."""
    cells = {}
    for split, arrays in (("validation", validation), ("test", validation if test is None else test)):
        for i, alpha in enumerate(alphas):
            for seed in range(seeds):
                right = arrays[i][seed] if seeds > 1 else arrays[i]
                cells[Cell(alpha, 0.25, seed, split)] = frame(np.asarray(right, dtype=bool))
    return GridVotes("hand", "made", cells, radii, VoteBudget(50, 1e-3))


def wrong_at(*places, images=40):
    right = np.ones(images, dtype=bool)
    right[list(places)] = False
    return right


def test_alpha_is_chosen_on_validation_and_reported_on_test():
    validation = [wrong_at(0, 1, 2, 3, 4), wrong_at(0), wrong_at(0, 1)]
    test = [wrong_at(*range(8)), wrong_at(*range(6)), wrong_at(0)]  # test images would have chosen .5
    table = optimum_table(made(validation, test)).set_index("quantity")
    risk = table.loc["risk"]
    assert risk["best_train_sigma"] == 0.25
    assert risk["validation_value"] == pytest.approx(1 / 40)
    assert risk["value"] == pytest.approx(6 / 40)
    assert risk["without_noise"] == pytest.approx(8 / 40)
    assert risk["benefit"] == pytest.approx(2 / 40)
    assert (risk["same_noise_train_sigma"], risk["same_noise"]) == (0.25, pytest.approx(6 / 40))
    assert risk["standard_error"] == pytest.approx(math.sqrt(0.15 * 0.85 / 39))
    gains = np.repeat([1.0, 0.0], [2, 38])
    assert risk["benefit_standard_error"] == pytest.approx(stats.sem(gains))
    assert risk["lower"] < 6 / 40 < risk["upper"]
    for quantity in ("certified_accuracy", "acr"):
        assert table.loc[quantity, "best_train_sigma"] == 0.25
    assert table.loc["certified_accuracy", "value"] == pytest.approx(34 / 40)
    assert table.loc["acr", "value"] == pytest.approx(0.5 * 34 / 40)
    assert table.loc["acr", "benefit"] == pytest.approx(0.5 * 2 / 40)


def test_of_equals_the_smallest_alpha_is_chosen():
    table = optimum_table(made([wrong_at(0, 1), wrong_at(2), wrong_at(1)]))
    assert (table["best_train_sigma"] == 0.25).all()


def test_the_choice_is_that_of_all_seeds():
    rights = [[wrong_at(*range(9))] * 2, [wrong_at(), wrong_at(*range(10))], [wrong_at(0), wrong_at(0)]]
    table = optimum_table(made(rights, seeds=2))
    assert (table["best_train_sigma"] == 0.5).all()
    assert table["value"].tolist() == pytest.approx([1 / 40, 39 / 40, 0.5 * 39 / 40])


@pytest.mark.parametrize(("wins", "losses", "kept"), [(8, 1, False), (7, 1, True), (6, 0, False), (5, 0, True)])
def test_the_interval_is_an_exact_paired_test(wins, losses, kept):
    """P(Bin(9, ½) ≥ 8) = .0195, P(Bin(8, ½) ≥ 7) = .0352, 2⁻⁶ = .0156, 2⁻⁵ = .0313; the level is .05/2."""
    best = wrong_at(*range(20, 20 + losses))
    other = wrong_at(*range(wins))
    table = optimum_table(made([other, best, best]))
    row = table[table["quantity"] == "risk"].iloc[0]
    assert row["interval"] == ("0 0.25 0.5" if kept else "0.25 0.5")
    assert (row["interval_lower"], row["interval_upper"]) == (0.0 if kept else 0.25, 0.5)
    assert row["interval_test"] == "exact McNemar"
    # images that both get wrong do not matter
    also = [np.append(right, np.zeros(100, dtype=bool)) for right in (other, best, best)]
    assert optimum_table(made(also))["interval"].iloc[0] == row["interval"]


def test_the_interval_for_several_seeds_and_for_the_acr_is_a_t_test():
    rng = np.random.default_rng(3)
    rights = [[rng.random(200) < p for _ in range(2)] for p in (0.6, 0.8, 0.8)]
    votes = made(rights, seeds=2)
    row = optimum_table(votes).iloc[0]
    assert row["interval_test"] == "paired t"
    means = np.array([np.mean(each, axis=0) for each in rights])
    best = int(np.argmax(means.mean(axis=1)))
    assert row["best_train_sigma"] == (0.0, 0.25, 0.5)[best]
    for i, alpha in enumerate(("0", "0.25", "0.5")):
        p = stats.ttest_rel(means[best], means[i], alternative="greater").pvalue if i != best else 1.0
        assert (alpha in row["interval"].split()) == (p > 0.025)
    assert row["seed_deviation"] == pytest.approx(np.std([np.mean(each) for each in rights[best]], ddof=1))
    assert row["standard_error"] == pytest.approx(stats.sem(means[best]))
    assert row["value"] == pytest.approx(1 - means[best].mean())


def test_the_interval_misses_the_best_level_as_seldom_as_it_says():
    """Four equally good levels, so that each is the best: the first is left out in at most 5% of all grids."""
    rng, grids_drawn, missed = np.random.default_rng(0), 600, 0
    for _ in range(grids_drawn):
        scores = (rng.random((4, 1, 80)) < 0.3).astype(float)
        missed += not tables._choice(Measure("risk"), scores, 0.05)[1][0]
    assert stats.binom.sf(missed - 1, grids_drawn, 0.05) > FALSE_ALARM


def test_no_alpha_is_best_where_nothing_is_certified():
    votes = made([wrong_at(0), wrong_at(1), wrong_at(2)], radii=(0.4, 0.6))
    table = optimum_table(votes).query("quantity == 'certified_accuracy'").set_index("radius")
    assert table.loc[0.4, "best_train_sigma"] == 0
    assert math.isnan(table.loc[0.6, "best_train_sigma"])
    assert table.loc[0.6, "interval"] == "0 0.25 0.5"
    assert math.isnan(table.loc[0.6, "value"])


def test_curves_average_over_seeds():
    rights = [[wrong_at(0, 1), wrong_at(0)], [wrong_at(), wrong_at()], [wrong_at(0), wrong_at(*range(9))]]
    curves = curve_table(made(rights, seeds=2)).query("quantity == 'risk'").set_index("train_sigma")
    by_image = (~np.array(rights[0])).mean(axis=0)
    assert curves.loc[0.0, "value"] == pytest.approx(1.5 / 40)
    assert curves.loc[0.0, "standard_error"] == pytest.approx(stats.sem(by_image))
    assert curves.loc[0.0, "upper"] - curves.loc[0.0, "value"] == pytest.approx(stats.sem(by_image))
    assert curves["benefit"].tolist() == pytest.approx([0.0, 1.5 / 40, 1.5 / 40 - 5 / 40])


def test_certificates_and_most_votes_are_different_questions():
    right, certified = wrong_at(0), wrong_at(0, 1, 2, 3)
    cells = {Cell(0.0, 0.25, 0, "test"): frame(right, certified, radius=0.2)}
    table = grid_table(GridVotes("hand", "made", cells, (0.0, 0.2, 0.21), VoteBudget(50, 1e-3))).set_index(
        ["quantity", "radius"]
    )
    values = table["value"]
    assert values["risk"].iloc[0] == pytest.approx(1 / 40)
    assert values[("certified_accuracy", 0.2)] == values[("certified_accuracy", 0.0)] == pytest.approx(36 / 40)
    assert values[("certified_accuracy", 0.21)] == 0
    acr = table.loc["acr"].iloc[0]
    assert acr["value"] == pytest.approx(0.2 * 36 / 40)
    most = largest_radius(CertificationSetting(0.25, VoteBudget(50, 1e-3)))
    assert 0 <= acr["lower"] < acr["value"] < acr["upper"] <= most


def test_votes_of_other_images_are_refused():
    cells = {Cell(0.0, 0.25, 0, "test"): frame(wrong_at(0)), Cell(0.5, 0.25, 0, "test"): frame(wrong_at(0, images=30))}
    with pytest.raises(InvalidInputError, match="other test images"):
        GridVotes("hand", "made", cells, (0.0,), VoteBudget(50, 1e-3))
    whole = {Cell(0.0, 0.25, 0, "test"): frame(wrong_at(0))}
    with pytest.raises(InvalidInputError, match="the grid lacks"):
        optimum_table(
            GridVotes(
                "hand", "made", {**whole, Cell(0.5, 0.25, 1, "validation"): frame(wrong_at(0))}, (), VoteBudget(50, 0.1)
            )
        )


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


# --- votes within reach, and the time they take


def test_radii_out_of_reach_are_told_with_the_votes_they_need():
    assert small(radii=(0.0, 0.4)).out_of_reach() is None
    line = small(radii=(0.0, 0.6, 0.8), n=100, smooth_sigma=(0.0, 0.4, 0.5)).out_of_reach()
    assert "\n" not in line
    assert "2 of 6 pairs" in line
    few, all_of = 123, 301
    assert f"n = {few} would reach r = 0.8 at β = 0.5, n = {all_of} all" in line
    for n, radius, level in ((few, 0.8, 0.5), (all_of, 0.8, 0.4)):
        fewer, enough = (CertificationSetting(level, VoteBudget(votes, 1e-3)) for votes in (n - 1, n))
        assert largest_radius(fewer) < radius <= largest_radius(enough)


def test_few_votes_do_not_pay_for_many(tmp_path):
    # a block holds 1024 noisy digits; batches are equal parts of it
    size = 1024 / -(-1024 // grid_votes.cpu_batch(Grid(small(n=100, n0=20), tmp_path)))
    classified = sum(math.ceil(votes / size) * size for votes in (20, 100))
    assert classified <= 1.25 * 120
    assert grid_votes.cpu_batch(Grid(small(n=10_000), tmp_path)) > 150


# --- the command


def test_the_command(tmp_path, no_pictures):
    out = tmp_path / "grid"
    arguments = [
        *("--model", "linear", "--train-sigma", "0:.3:2", "--smooth-sigma", ".4", "--radii", "0,5", "--epochs", 2),
        *("--n", 50, "--n0", 10, "--images", 20, "--validation", 30, "--set", "copies=2", "--out", out),
        *("--clip", 1, "--ema", 0.5, "--momentum", 0.8, "--crop", 1, "--flip", "--train-precision", "bfloat16"),
    ]
    done = call_grid(*arguments)
    assert done.status == 0, done.err
    assert "risk" in done.out
    assert str(out / "optimum.csv") in done.out
    assert "note: 50 votes at failure_prob 0.001 certify no radius above" in done.err
    assert "2 models to train, 60 votes on each of 102 images" in done.err
    assert re.search(r"100%.* 2/2 ", done.err)
    model = json.loads((out / "models/a0.3-s0/run.json").read_text())["description"]
    assert model["objective"] == {"name": "gaussian", "train_sigma": 0.3, "copies": 2}
    asked = {"clip": 1, "ema": 0.5, "momentum": 0.8, "crop": 1, "flip": True, "precision": "bfloat16"}
    assert {name: model[name] for name in asked} == asked
    assert call_grid(*arguments).complaint.endswith("add --resume, or choose another --out")
    again = call_grid(*arguments, "--resume")
    assert again.status == 0
    assert "0 models to train, 60 votes on each of 0 images" in again.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--train-sigma", "0,x"], "--train-sigma is '0,x'; expected numbers as 0,.1,.2 or start:stop:num"),
        (["--train-sigma", "0:1"], "--train-sigma is '0:1'"),
        (["--train-sigma", "0:1:1"], "--train-sigma is '0:1:1'"),
        (["--train-sigma", "0,0"], "train_sigma holds 0.0 more than once"),
        (["--train-sigma=-1"], "train_sigma is -1; expected a number of at least 0"),
        (["--smooth-sigma", "nan"], "smooth_sigma is nan"),
        (["--radii=-1"], "radii is -1"),
        (["--seeds", "a"], "--seeds is 'a'; expected integers"),
        (["--seeds", "-1"], "seeds is -1"),
        (["--objective", "hope"], "objective is 'hope'; expected one of"),
        (["--objective", "clean"], "clean takes 0 alone"),
        (["--set", "copy=3"], "gaussian has no parameter copy"),
        (["--set", "copies"], "expected name=value"),
        (["--model", "transformer"], "transformer"),
        (["--epochs", 0], "epochs is 0"),
        (["--train-precision", "float8"], "precision is 'float8'"),
        (["--precision", "float8"], "precision is 'float8'"),
        (["--n", 5], "fewer than 10 votes certify nothing"),
        (["--images", 0], "images is 0"),
        (["--validation", 0], "validation is 0"),
        (["--validation", 899], "leave some to train on"),
        (["--data", "imagenet"], "digits, mnist"),
        (["--device", "cuda:77"], "leave out --device"),
        (["--shard", "2/2"], "expected i/k with 0 ≤ i < k"),
        (["--shard", "0/4"], "expected at most 3 shards of 3 models"),
        (["--vote-batch", 0], "vote_batch is 0"),
        (["--step-epochs", 3], "belong to --schedule step"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(arguments, complaint, tmp_path):
    usual = {"--train-sigma": "0,.3,.6", "--smooth-sigma": ".4"}
    given = [part for name, value in usual.items() if not str(arguments[0]).startswith(name) for part in (name, value)]
    done = call_grid(*given, *arguments, "--out", tmp_path / "grid")
    assert done.status == 2
    assert complaint in done.complaint
    assert not (tmp_path / "grid").exists()


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


def test_levels_and_parameters_are_read():
    assert levels("--x", "0,.1, 1e-1") == (0.0, 0.1, 0.1)
    assert levels("--x", "0:1:11") == tuple(i / 10 for i in range(11))
    assert parameters(["copies=4", "radius=.5", "warm-up=3", "attack=ddn"]) == {
        "copies": 4,
        "radius": 0.5,
        "warm_up": 3,
        "attack": "ddn",
    }
