"""Bad input gets one line that says what was wrong and what was expected; exit status 2 and nothing written."""

from __future__ import annotations

import math

import numpy as np
import pytest

from noiseaug import InvalidInputError, NoiseaugError, sweep, tasks
from tests.helpers.running import call

TASK = tasks.ConcentricGaussians(3, 0.3, 0.4)
GOOD = {"task": TASK, "train_sigma": [0, 0.2], "smooth_sigma": [0.25]}
BAD_SWEEPS = [
    *(
        ({name: value}, [name, message])
        for name in ("train_sigma", "smooth_sigma", "radii")
        for value, message in [
            (-0.1, "is -0.1; expected a number of at least 0"),
            ([0.1, -2], "is -2; expected a number of at least 0"),
            (math.nan, "is nan; expected a finite number"),
            ([0.1, math.inf], "is inf; expected a finite number"),
            (-math.inf, "is -inf; expected a finite number"),
            ("0.1", "is '0.1'; expected a number"),
            (None, "is None; expected a number"),
            ([0, [0.1, 0.2]], "is [0.1, 0.2]; expected a number"),
            (np.zeros((1, 2)), "expected a number"),
            ({0.1}, "is {0.1}; expected a number"),
            ({0.1: 1}, "is {0.1: 1}; expected a number"),
            (True, "is True; expected a number"),
            (1j, "is 1j; expected a number"),
            ([0.1, 0.2, 0.1], "holds 0.1 more than once"),
        ]
    ),
    ({"train_sigma": []}, ["train_sigma is empty", "at least one"]),
    ({"smooth_sigma": ()}, ["smooth_sigma is empty", "at least one"]),
    ({"quantities": []}, ["quantities is empty", "certified_accuracy"]),
    ({"rule": []}, ["rule is empty", "augmented, convolved"]),
    ({"method": []}, ["method is empty", "exact, sampled"]),
    ({"quantities": "accuracy"}, ["quantities is 'accuracy'", "risk", "acr"]),
    ({"quantities": ["risk", 3]}, ["quantities is 3", "risk"]),
    ({"quantities": None}, ["quantities is None"]),
    ({"quantities": ["risk", "risk"]}, ["quantities holds 'risk' more than once"]),
    ({"rule": "bayes"}, ["rule is 'bayes'", "augmented, convolved"]),
    ({"method": "numeric"}, ["method is 'numeric'", "exact, sampled"]),
    ({"quantities": "certified_accuracy"}, ["radii is empty, but certified_accuracy needs"]),
    ({"quantities": ["risk", "adversarial_accuracy"]}, ["radii is empty, but adversarial_accuracy needs"]),
    *(
        ({name: value}, [name, "expected an integer of at least"])
        for name, least in (("n", 2), ("votes", 1), ("votes_per_point", 1))
        for value in (least - 1, 0, -5, 2.5)
    ),
    *(
        ({name: value}, [name, message])
        for name in ("n", "votes", "votes_per_point", "seed")
        for value, message in [
            ("10", "expected a number"),
            (math.nan, "expected a finite number"),
            (math.inf, "expected a finite number"),
            ([10], "expected a number"),
            (True, "expected a number"),
        ]
    ),
    ({"seed": -1}, ["seed is -1", "at least 0"]),
    ({"seed": 0.5}, ["seed is 0.5", "integer"]),
    *(
        ({name: value}, [name, "strictly between 0 and 1"])
        for name in ("failure_prob", "vote_failure_prob")
        for value in (0, 1, -0.1, 1.5)
    ),
    ({"failure_prob": math.nan}, ["failure_prob is nan"]),
    ({"failure_prob": "1%"}, ["failure_prob is '1%'", "expected a number"]),
    *(({"jobs": value}, [f"jobs is {value!r}", "or -1"]) for value in (0, -2, 1.5, "2", None, True)),
    ({"task": []}, ["task is empty", "noiseaug.tasks"]),
    ({"task": "ConcentricGaussians"}, ["task is str", "noiseaug.tasks"]),
    ({"task": [TASK, 3]}, ["task is ConcentricGaussians, int", "noiseaug.tasks"]),
    ({"task": tasks.ConcentricGaussians}, ["task is ABCMeta", "noiseaug.tasks"]),
    ({"task": None}, ["task is NoneType", "noiseaug.tasks"]),
]


@pytest.mark.parametrize(("change", "parts"), BAD_SWEEPS, ids=lambda value: str(value)[:60])
def test_sweep_refuses(change, parts):
    with pytest.raises(InvalidInputError) as error:
        sweep(**{**GOOD, **change})
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_errors_can_be_caught_by_their_kind():
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(InvalidInputError, NoiseaugError)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dim=abc", "dim is 'abc'; expected a number"),
        ("dim=2.5", "dim is 2.5; expected an integer of at least 1"),
        ("dim=0", "dim is 0; expected an integer of at least 1"),
        ("dim=true", "dim is True; expected a number"),
        ("dim=", "--set 'dim=' is not of the form KEY=V1,V2"),
        ("dim", "--set 'dim' is not of the form KEY=V1,V2"),
        ("=3", "--set '=3' is not of the form KEY=V1,V2"),
        ("dim=2,2", "dim holds 2 more than once"),
        ("train_sigma=a", "train_sigma is 'a'; expected a number"),
        ("train_sigma=-1", "train_sigma is -1; expected a number of at least 0"),
        ("train_sigma=nan", "train_sigma is nan; expected a finite number"),
        ("train_sigma=0,,1", "train_sigma is ''; expected a number"),
        ("train_sigma=0:1", "train_sigma is '0:1'; expected a number"),
        ("train_sigma=a:1:3", "--set 'train_sigma=a:1:3': expected numbers in start:stop:num"),
        ("train_sigma=0:1:2.5", "--set 'train_sigma=0:1:2.5': expected numbers in start:stop:num"),
        ("train_sigma=0:1:0", "--set train_sigma, num is 0; expected an integer of at least 1"),
        ("train_sigma=0:1:1000000", "--set train_sigma, num is 1000000; expected at most 100000"),
        ("train_sigma=0:nan:3", "--set train_sigma, stop is nan; expected a finite number"),
        ("train_sigma=0:-1:3", "train_sigma is -0.5; expected a number of at least 0"),
        ("std_1=0.5", "std_1 is 0.5 and std_0 is 0.4; expected std_1 < std_0"),
        ("std_1=-0.5", "std_1 is -0.5; expected a number above 0"),
        ("prior=1", "prior is 1; expected a number strictly between 0 and 1"),
        ("n=10,20", "n is [10, 20]; expected one value"),
        ("n=1", "n is 1; expected an integer of at least 2"),
        ("quantities=fun", "quantities is 'fun'; expected one of risk"),
        ("rule=fun", "rule is 'fun'; expected one of augmented, convolved"),
        ("colour=3", "no part of phase has a key 'colour'; expected one of train_sigma"),
        ("task.colour=3", "no part of phase has a key 'task.colour'"),
    ],
)
def test_bad_settings_leave_nothing_behind(setting, message, tmp_path):
    out = tmp_path / "out"
    outcome = call("run", "phase", "--fast", "--jobs", 1, "--out", out, "--set", setting)
    assert outcome.status == 2
    assert message in outcome.complaint
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("preset", "setting", "message"),
    [
        ("optimal", "mean_1=1", "mean_1 has 0 axes; expected 1"),
        ("optimal", "covariance=-1", "covariance is -1; expected a number above 0"),
        ("optimal", "covariance=abc", "covariance is not an array of numbers"),
        ("circle", "domain=5", "Intervals.row cannot be made"),
        ("circle", "domain=abc", "Intervals.row cannot be made"),
        ("circle", "separation=9", "leave the domain"),
        ("circle", "width=0", "width is 0; expected a number above 0"),
        ("isolated", "window=5", "radius is 10 and window is 5; expected radius < window"),
        ("moons", "noise=-1", "PointMasses.moons cannot be made"),
        ("moons", "task.n=abc", "PointMasses.moons cannot be made"),
        ("moons", "task.n=1", "labels take the values"),
        ("digits", "test_share=1", "test_share is 1; expected a number strictly between"),
        ("rules", "components_0=1", "components_0"),
    ],
)
def test_bad_parameters_of_every_kind_of_task(preset, setting, message, tmp_path):
    outcome = call("run", preset, "--fast", "--jobs", 1, "--out", tmp_path / "out", "--set", setting)
    assert outcome.status == 2
    assert message in outcome.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nonesuch"], "no preset 'nonesuch'; expected one of phase, optimal"),
        (["run", "none.toml"], "cannot read none.toml: No such file or directory"),
        (["run", "phase", "--seed", "-1"], "seed is -1; expected an integer of at least 0"),
        (["run", "phase", "--jobs", "0"], "jobs is 0; expected a number of processes, or -1"),
        (["run", "phase", "--jobs", "-7"], "jobs is -7; expected a number of processes, or -1"),
        (["run", "phase", "--set", "dim=2", "--set", "dim=3"], "--set gives dim twice"),
        (["run", "phase", "--set", "method=sampled", "--set", "rule=fun"], "rule is 'fun'"),
        (["run"], "Missing argument 'NAME|FILE.toml'"),
        (["run", "phase", "spheres"], "unexpected extra argument"),
        (["run", "phase", "--colour"], "No such option: --colour"),
        (["run", "phase", "--jobs", "two"], "Invalid value for '--jobs'"),
        (["run", "phase", "--jobs"], "Option '--jobs' requires an argument"),
        (["walk"], "No such command 'walk'"),
        (["--colour"], "No such option: --colour"),
        (["--seed", "x"], "Invalid value for '--seed'"),
        (["--seed", "-3"], "seed is -3; expected an integer of at least 0"),
        (["--jobs", "0", "--fast"], "jobs is 0"),
        (["--fast", "run", "phase"], "--fast stands before run; options go after it"),
        (["--out", "x", "list"], "--out stands before list; options go after it"),
        (["list", "phase"], "unexpected extra argument"),
    ],
)
def test_bad_commands_leave_nothing_behind(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call(*arguments)
    assert outcome.status == 2
    assert message in outcome.complaint
    assert outcome.out == ""
    assert [path.name for path in tmp_path.iterdir() if path.name != "noiseaug-results"] == []
    # at most the folder above the one that was not to be
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_usage_errors_say_where_to_find_help():
    assert call("run", "--colour").complaint.endswith("run --help)")


def test_a_file_is_not_made_fast(tmp_path):
    (tmp_path / "x.toml").touch()
    outcome = call("run", tmp_path / "x.toml", "--fast", "--out", tmp_path / "out")
    assert (outcome.status, outcome.complaint) == (
        2,
        "--fast is for presets; set the grid in the file or with --set",
    )


def test_a_bad_file_is_named(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[[part]]\ntask = 'Cube'\ngrid = {train_sigma = [0], smooth_sigma = [1]}", encoding="utf-8")
    outcome = call("run", path, "--out", tmp_path / "out")
    assert outcome.status == 2
    assert outcome.complaint.startswith(f"{path}: task is 'Cube'; expected one of GaussianPair")
    assert list(tmp_path.iterdir()) == [path]


def test_what_has_no_closed_form_leaves_nothing_behind(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(
        "[[part]]\ntask = 'PointMasses.moons'\ngrid = {train_sigma = [0.1, 0.2], smooth_sigma = [1]}",
        encoding="utf-8",
    )
    for jobs in (1, 2):
        outcome = call("run", path, "--out", tmp_path / "out", "--jobs", jobs)
        assert outcome.status == 2
        assert "PointMasses has no closed form; it has method 'sampled'" in outcome.complaint
        assert list(tmp_path.iterdir()) == [path]
    # the same directory takes the run that was meant
    settings = ["--set", "method=sampled", "--set", "n=20", "--set", "votes_per_point=20"]
    assert call("run", path, "--out", tmp_path / "out", "--jobs", 1, *settings).status == 0
