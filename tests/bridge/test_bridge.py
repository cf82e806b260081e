"""The whole bridge and its command."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import typer

from noiseaug.bridge import PREDICTORS, KernelFamily, fit_surrogate, linear_table, plausible_levels, study
from noiseaug.bridge.measured import read_grid
from noiseaug.bridge.record import record_rows, track_record
from noiseaug.bridge.study import Levels, run_bridge
from noiseaug.bridge.surrogate import ACTUAL, LINEAR, PREDICTED
from noiseaug.certificates import VoteBudget
from noiseaug.cli import bridge
from noiseaug.data import load_data
from noiseaug.errors import InvalidInputError
from tests.helpers.bridge import tidy
from tests.helpers.running import _inside


def test_a_bridge_on_two_classes():
    data = load_data("digits:3,8")
    levels = Levels((0.0, 0.5), (0.0, 0.5), (0.0, 0.5), VoteBudget(20))
    tables = run_bridge(data, levels, images=30, copies=2)
    assert set(tables.predicted["predictor"]) == {*PREDICTORS, PREDICTED, ACTUAL, LINEAR}
    assert tables.gaps is not None
    assert set(tables.gaps["against"]) == {ACTUAL, LINEAR}
    again = run_bridge(data, levels, images=30, copies=2, linear=False)
    assert LINEAR not in set(again.predicted["predictor"])
    # what the kernel rule predicted, measured: no gap, no regret
    kernel_rows = tables.predicted[tables.predicted["predictor"] == "kernel"].assign(predictor="cnn", plausible=None)
    own = run_bridge(data, levels, images=30, linear=False, measured=kernel_rows)
    assert own.gaps is not None
    rows = own.gaps[(own.gaps["against"] == "measured") & (own.gaps["predictor"] == "kernel")]
    assert rows["max_abs_gap"].max() == 0
    assert rows["inside"].min() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "digits"}, "the grid is of digits, the prediction of digits:3,8; give both the same --data"),
        ({"votes": 50}, r"measured with votes \[50"),
        ({"vote_failure_prob": 0.01}, "measured with vote_failure_prob"),
        ({"split": "validation"}, "no rows of the test split"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused_before_the_work(change, message, monkeypatch):
    monkeypatch.setattr(study, "rule_votes", None)
    measured = tidy([0.5, 0.6], quantity="certified_accuracy", radius=0.5, votes=20, vote_failure_prob=1e-3)
    measured = measured.assign(**{"task": "digits:3,8", "split": "test", **change})
    with pytest.raises(InvalidInputError, match=message):
        run_bridge(load_data("digits:3,8"), Levels((0.0, 0.1), (0.5,), (0.5,), VoteBudget(20)), measured=measured)
    lacking = measured.drop(columns="upper").assign(split="test")
    with pytest.raises(InvalidInputError, match="lacks upper"):
        run_bridge(load_data("digits:3,8"), Levels((0.0, 0.1), (0.5,), (0.5,), VoteBudget(20)), measured=lacking)


def test_names_of_one_data_set():
    assert study._same_data("mnist:8,3", "mnist:3,8")
    assert study._same_data("/there/my.npz", "my.npz")
    assert not study._same_data("mnist", "mnist:3,8")
    assert not study._same_data("mnist:3,8", "fashion_mnist:3,8")


def run(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    bridge.register(app)
    return _inside(app, arguments)


SMALL = ["--train-sigma", "0:0.5:2", "--smooth-sigma", "0.5", "--radii", "0,0.5", "--votes", 20, "--images", 20]


def test_the_command_lays_predictions_over_a_grid(tmp_path):
    measured = [
        tidy([0.2, 0.05], votes=20, vote_failure_prob=1e-3).assign(train_sigma=[0.0, 0.5]),
        tidy([0.2, 0.5], quantity="certified_accuracy", radius=0.5, votes=20, vote_failure_prob=1e-3).assign(
            train_sigma=[0.0, 0.5]
        ),
    ]
    grid = tmp_path / "grid"
    grid.mkdir()
    pd.concat(measured).assign(task="digits:3,8", split="test").to_csv(grid / "table.csv", index=False)
    out, record = tmp_path / "out", tmp_path / "record.csv"
    done = run(
        *("bridge", "--data", "digits:3,8", "--grid", grid, "--images", 20, "--copies", 1, "--out", out),
        *("--record", record, "--model", "cnn"),
    )
    assert done.status == 0, done.err
    names = {path.name for path in out.iterdir()}
    tables = {"predicted.csv", "compared.csv", "gap.csv", "best.csv"}
    assert names == tables | {f"{name}.png" for name in (*PREDICTORS, "overlay", "pair")}
    gaps = pd.read_csv(out / "gap.csv")
    assert {"measured", ACTUAL, LINEAR} == set(gaps["against"])
    rows = gaps[(gaps["against"] == "measured") & (gaps["predictor"] == "kernel") & (gaps["measured_best"] > 0)]
    lost, usual = (f"{rows[name].mean():.4f} on average" for name in ("regret", "regret_of_equal_noise"))
    assert f"kernel rule: its α loses {lost}" in done.out
    assert f"over {len(rows)} pairs (β, r) in reach; α = β loses {usual}" in done.out
    kept = track_record(record)
    assert kept[["model", "predictor", "smooth_sigma", "radius", "measured_train_sigma"]].values.tolist() == [
        ["cnn", rule, 0.5, radius, 0.5] for rule in sorted(PREDICTORS) for radius in (0.0, 0.5)
    ]
    rows = record_rows(gaps[gaps["against"] == "measured"], data="digits:3,8", model="cnn", source=str(grid))
    pd.testing.assert_frame_equal(kept, rows.sort_values(["predictor", "radius"], ignore_index=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not readable as a table: No columns"),
        (b"a\nb,c\nd,e,f\n", "is not readable as a table"),
        (b"\xff\xfe\x00", "is not readable as a table"),
        (b"train_sigma,smooth_sigma,quantity,radius\na,.5,risk,\n", "line 2: train_sigma: expected float, got str"),
        (b"train_sigma,smooth_sigma,quantity,radius,seed\n0,.5,risk,,x\n", "is not readable as a table"),
    ],
)
def test_a_file_that_is_no_grid_gets_one_line(content, message, tmp_path):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_grid(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run_bridge", None)
    (tmp_path / "file").write_text("mine")
    for arguments in (("bridge", *SMALL), ("interference",)):
        done = run(*arguments, "--out", tmp_path / "file")
        assert done.status == 2
        assert done.complaint.endswith("is a file; expected a folder")


@pytest.mark.parametrize("seed", [-1, 2**63, 10**400])
def test_a_seed_that_no_table_holds_is_refused_first(seed, tmp_path):
    for command in ("bridge", "interference"):
        done = run(command, "--data", "digits:3,8", "--seed", seed, "--out", tmp_path / "out")
        assert done.status == 2
        assert done.complaint.startswith("seed is")
        assert not (tmp_path / "out").exists()


def test_the_command_predicts_logs(tmp_path, half_space_logs):
    rules = ("--predictor", "quadratic", "--predictor", "kernel")
    done = run("bridge", "--data", "digits", *SMALL, *rules, "--log", half_space_logs[0], "--out", tmp_path)
    assert done.status == 0, done.err
    assert "inside the interval at 41 of 41 radii" in done.out
    assert "Gaussian surrogates are of two classes" in done.out
    assert {path.name for path in tmp_path.iterdir()} == {
        "predicted.csv",
        "quadratic.png",
        "kernel.png",
        "runs.csv",
        "runs.png",
    }
    assert pd.read_csv(tmp_path / "predicted.csv")["train_sigma"].unique().tolist() == [0, 0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train-sigma", "a,b"], "--train-sigma is 'a,b'; expected numbers"),
        (["--train-sigma", "0,0"], "train_sigma holds 0.0 more than once"),
        (["--radii", "-1"], "radii is -1; expected a number of at least 0"),
        (["--grid", "nowhere"], "no file nowhere"),
        (["--record", "r.csv"], "--record needs a measurement"),
        (["--data", "digits:3"], "expected different ones of 0, 1"),
        (["--predictor", "linear"], "predictor is 'linear'; expected one of convolutional, quadratic, kernel"),
        (["--votes", 0], "votes is 0; expected an integer of at least 1"),
    ],
)
def test_bad_commands_get_one_line(tmp_path, arguments, message):
    done = run("bridge", "--out", tmp_path / "out", *arguments)
    assert done.status == 2
    assert message in done.complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KernelFamily([[0.0], [1.0]], np.array([0, 2]), (0.1,)), "each present"),
        (lambda: KernelFamily([[0.0], [1.0]], np.array([0, 1]), ()), "train_sigma is empty"),
        (lambda: KernelFamily([[0.0], [1.0]], np.array([0, 1, 1]), (0.1,)), "labels are int64 of shape"),
        (lambda: KernelFamily([[0.0], [1.0]], np.array([0, 1]), (-1,)), "train_sigma is -1"),
        (lambda: KernelFamily([[0.0], [1.0]], np.array([0, 1]), (0.1,)).predict([[1.0, 2.0]]), "x has shape"),
        (lambda: fit_surrogate(np.zeros((5, 2)), [0, 0, 0, 0, 1]), "two of each"),
        (lambda: fit_surrogate(np.zeros((4, 2)), [0, 0, 1, 1]), "all equal"),
        (lambda: linear_table(load_data("digits"), train_sigma=[0.0], radii=[0.0]), "does not have two classes"),
        (lambda: plausible_levels(np.ones((2, 3))), "expected booleans"),
        (lambda: Levels((), (0.5,), (0.0,)), "train_sigma is empty"),
        (lambda: run_bridge(replace(load_data("digits"), train=None), Levels((0.0,), (0.5,), (0.0,))), "no train_x"),
    ],
)
def test_bad_input_gets_one_line(make, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
