"""The command noiseaug grid, what it refuses, and how many votes a grid needs and takes at a time."""

from __future__ import annotations

import json
import math
import re

import pytest
import typer

from noiseaug.certificates import CertificationSetting, VoteBudget, largest_radius
from noiseaug.cli import grid
from noiseaug.cli.parsing import parameters
from noiseaug.tables.levels import levels
from noiseaug.vision.grid import Grid
from noiseaug.vision.grid import votes as grid_votes
from tests.helpers.grids import small
from tests.helpers.running import _inside


def call_grid(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.callback()(lambda: None)
    grid.register(app)
    return _inside(app, ("grid", *arguments))


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
        (["--seeds", "9" * 400], "seeds is a whole number of some"),
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


def test_levels_and_parameters_are_read():
    assert levels("--x", "0,.1, 1e-1") == (0.0, 0.1, 0.1)
    assert levels("--x", "0:1:11") == tuple(i / 10 for i in range(11))
    assert parameters(["copies=4", "radius=.5", "warm-up=3", "attack=ddn"]) == {
        "copies": 4,
        "radius": 0.5,
        "warm_up": 3,
        "attack": "ddn",
    }
