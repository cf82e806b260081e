"""Studies as values: from a TOML file, with ``--set``, as plain JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from noiseaug import InvalidInputError, sweep, tasks
from noiseaug.sweeps import Grid
from noiseaug.synthetic.presets import PRESETS
from noiseaug.synthetic.runs import run_study
from noiseaug.synthetic.study import TASKS, Part, Study, read_toml
from noiseaug.tables import steps
from tests.helpers.studies import tiny

FILE = """
name = "two-families"
title = "Two families on one page"
seed = 3

[[part]]
task = "ConcentricGaussians"
fixed = { std_1 = 0.3, std_0 = 0.4 }
vary = { dim = [2, 5], prior = { start = 0.3, stop = 0.5, num = 2 } }

[part.grid]
train_sigma = { start = 0, stop = 0.4, num = 5 }
smooth_sigma = 0.25
radii = [0, 0.1]
quantities = ["risk", "certified_accuracy"]
method = ["exact", "sampled"]
n = 200

[[part]]
task = "Intervals.row"
fixed = { count = 2, width = 1.0, separation = 0.5, domain = [0.0, 5.0] }
grid = { train_sigma = [0.0, 0.5], smooth_sigma = [0.5, 1.0], rule = "convolved", quantities = "disagreement" }
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(FILE, encoding="utf-8")
    return read_toml(path)


def run(study, path):
    return run_study(study, path, jobs=1, progress=False)


def test_a_file_says_all_of_a_study(study):
    assert (study.name, study.title, study.seed) == ("two-families", "Two families on one page", 3)
    one, two = study.parts
    assert one.grid == Grid(
        (0.0, 0.1, 0.2, 0.3, 0.4),
        (0.25,),
        (0.0, 0.1),
        ("risk", "certified_accuracy"),
        method=("exact", "sampled"),
        n=200,
    )
    assert dict(one.vary) == {"dim": [2, 5], "prior": [0.3, 0.5]}
    assert two.grid == Grid((0.0, 0.5), (0.5, 1.0), quantities=("disagreement",), rule=("convolved",))
    shown = [str(cell.task) for _, cell in study.cells()][::5]
    assert shown[:4] == [
        "ConcentricGaussians(dim=2, std_1=0.3, std_0=0.4, prior=0.3)",
        "ConcentricGaussians(dim=2, std_1=0.3, std_0=0.4, prior=0.5)",
        "ConcentricGaussians(dim=5, std_1=0.3, std_0=0.4, prior=0.3)",
        "ConcentricGaussians(dim=5, std_1=0.3, std_0=0.4, prior=0.5)",
    ]
    assert {cell.seed for _, cell in study.cells()} == {3}


def test_a_table_is_that_of_the_sweeps(study, tmp_path):
    table = run(study, tmp_path / "run")
    extra = ["task_dim", "task_prior"]
    assert list(table.columns[-2:]) == extra
    pairs = [(dim, prior) for dim in (2, 5) for prior in (0.3, 0.5)]
    expected = sweep(
        [tasks.ConcentricGaussians(dim, 0.3, 0.4, prior) for dim, prior in pairs],
        train_sigma=[0, 0.1, 0.2, 0.3, 0.4],
        smooth_sigma=0.25,
        radii=[0, 0.1],
        quantities=["risk", "certified_accuracy"],
        method=["exact", "sampled"],
        n=200,
        seed=3,
    )
    first = table.iloc[: len(expected)]
    assert_frame_equal(first.drop(columns=extra), expected, check_exact=True)
    rows = len(expected) // 4
    assert first["task_dim"].tolist() == [dim for dim, _ in pairs for _ in range(rows)]
    assert first["task_prior"].tolist() == [prior for _, prior in pairs for _ in range(rows)]
    rest = sweep(
        tasks.Intervals.row(2, 1.0, 0.5, (0.0, 5.0)),
        train_sigma=[0.0, 0.5],
        smooth_sigma=[0.5, 1.0],
        quantities="disagreement",
        rule="convolved",
    )
    second = table.iloc[len(expected) :].reset_index(drop=True)
    assert_frame_equal(second.drop(columns=extra), rest, check_exact=True)
    assert second[extra].isna().all(axis=None)


def test_a_short_file_has_its_name_from_the_path(tmp_path):
    path = tmp_path / "my-sweep_2.toml"
    path.write_text(
        '[[part]]\ntask = "IsolatedBall"\nfixed = {dim = 2, radius = 1.0}\n'
        "grid = {train_sigma = [0], smooth_sigma = [1]}",
        encoding="utf-8",
    )
    study = read_toml(path)
    assert (study.name, study.title, study.seed) == ("my-sweep_2", "my-sweep_2", 0)


def test_parameters_that_are_lists_become_text_in_the_table(tmp_path):
    grid = Grid((0.0, 0.5), (0.5,))
    vary = {"domain": [[0.0, 5.0], [0.0, 8.0]]}
    part = Part("Intervals.row", {"count": 1, "width": 1.0, "separation": 1.0}, vary, grid)
    table = run(Study("lists", "lists", (part,)), tmp_path / "run")
    assert table["task_domain"].tolist() == ["[0.0, 5.0]"] * 2 + ["[0.0, 8.0]"] * 2


def test_columns_keep_their_order_over_parts(tmp_path):
    late = replace(
        tiny().parts[0], grid=tiny(quantities="finite_sample_certified_accuracy", radii=(0.1,)).parts[0].grid
    )
    table = run(Study("late", "votes come late", (*tiny().parts, late)), tmp_path / "run")
    assert list(table.columns[-4:]) == ["seed", "votes", "vote_failure_prob", "task_dim"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.toml: part: missing"),
        ("name = ", "is not a TOML file"),
        ("seed = 1" + "0" * 5000, "is not a TOML file"),
        ("seed = " + "[" * 100_000, "is not a TOML file"),
        ("a = 1\na = 2", "is not a TOML file"),
        ("part = []", "bad.toml: part: expected array of length >= 1"),
        ('part = "x"', "part: expected array, got str"),
        ('[part]\ntask = "IsolatedBall"', "part: expected array, got object"),
        ("part = [3]", "part[0]: expected object, got int"),
        ("[[part]]", "part[0].task: missing"),
        ('[[part]]\ntask = "IsolatedBall"', "part[0].grid: missing"),
        ("[[part]]\ngrid = {train_sigma = [0], smooth_sigma = [1]}", "part[0].task: missing"),
        ("GOOD colour = 3", "bad.toml: colour: not a known key"),
        ("[[part]]\nGOOD colour = 3", "bad.toml: part[0].colour: not a known key"),
        ("seed = -1\nGOOD", "seed: expected int >= 0"),
        ("seed = 1.5\nGOOD", "seed: expected int, got float"),
        ("seed = true\nGOOD", "seed: expected int, got bool"),
        ('seed = "1"\nGOOD', "seed: expected int, got str"),
        ("title = 3\nGOOD", "title: expected str | null, got int"),
        ("name = 3\nGOOD", "name: expected str | null, got int"),
        ('name = "../up"\nGOOD', "name is '../up'; expected letters"),
        ('name = "a b"\nGOOD', "name is 'a b'; expected letters"),
        ('name = ""\nGOOD', "name is ''; expected letters"),
        ("task = 'Cube'", "task is 'Cube'; expected one of GaussianPair"),
        ("task = ['IsolatedBall']", "part[0].task: expected str, got array"),
        ("task = 3", "part[0].task: expected str, got int"),
        ("fixed = 3", "part[0].fixed: expected object, got int"),
        ("vary = [1]", "part[0].vary: expected object, got array"),
        ("fixed = {dim = 2, radius = 1.0, colour = 1}", "has no parameter colour; it has dim, radius, window"),
        ("vary = {colour = [1]}", "has no parameter colour; it has dim, radius, window"),
        ("vary = {dim = 2}", "part[0].vary.dim: Expected array, got int"),
        ("vary = {dim = []}", "dim is empty"),
        ("vary = {dim = [2, 2]}", "dim holds 2 more than once"),
        ("vary = {dim = [2, 2.0]}", "dim holds 2.0 more than once"),
        ("fixed = {dim = 2}", "IsolatedBall cannot be made"),
        ("fixed = {dim = 0, radius = 1.0}", "dim is 0; expected an integer of at least 1"),
        ("fixed = {dim = 2, radius = -1.0}", "radius is -1; expected a number above 0"),
        ("fixed = {dim = 2, radius = nan}", "radius is nan; expected a finite number"),
        ("fixed = {dim = 2, radius = 'a'}", "radius is 'a'; expected a number"),
        ("fixed = {dim = 2, radius = 1.0, window = 0.5}", "expected radius < window"),
        ("fixed = {dim = 2, radius = 1979-05-27}", "expected a number"),
        ("grid = 3", "part[0].grid: expected object, got int"),
        ("grid = {smooth_sigma = [1]}", "part[0].grid: train_sigma: missing"),
        ("grid = {}", "part[0].grid: train_sigma: missing"),
        (
            "grid = {train_sigma = [0], smooth_sigma = [1], beta = 3}",
            "part[0].grid: beta: not a known key",
        ),
        ("grid = {train_sigma = [], smooth_sigma = [1]}", "train_sigma is empty"),
        ("grid = {train_sigma = [-1], smooth_sigma = [1]}", "train_sigma is -1"),
        ("grid = {train_sigma = [nan], smooth_sigma = [1]}", "train_sigma is nan"),
        ("grid = {train_sigma = ['a'], smooth_sigma = [1]}", "train_sigma is 'a'"),
        ("grid = {train_sigma = [[0]], smooth_sigma = [1]}", "train_sigma is [0]; expected a number"),
        ("grid = {train_sigma = [0, 0.0], smooth_sigma = [1]}", "train_sigma holds 0.0 more than once"),
        ("grid = {train_sigma = {start = 0, stop = 1}, smooth_sigma = [1]}", "part[0].grid.train_sigma: num: missing"),
        ("grid = {train_sigma = {start = 0, stop = 'a', num = 2}, smooth_sigma = [1]}", "stop is 'a'"),
        ("grid = {train_sigma = {start = 0, stop = inf, num = 2}, smooth_sigma = [1]}", "stop is inf"),
        ("grid = {train_sigma = {start = 0, stop = 1, num = 0}, smooth_sigma = [1]}", "num is 0"),
        ("grid = {train_sigma = {start = 0, stop = 1, num = 2.5}, smooth_sigma = [1]}", "num is 2.5"),
        ("grid = {train_sigma = {start = 0, stop = 1, num = 1000000000}, smooth_sigma = [1]}", "expected at most"),
        (
            "grid = {train_sigma = [0], smooth_sigma = [1], quantities = ['fun']}",
            "quantities is 'fun'; expected one of",
        ),
        ("grid = {train_sigma = [0], smooth_sigma = [1], quantities = ['acr', 'acr']}", "quantities holds 'acr' more"),
        ("grid = {train_sigma = [0], smooth_sigma = [1], rule = 3}", "rule is 3; expected one of augmented"),
        ("grid = {train_sigma = [0], smooth_sigma = [1], method = 'fast'}", "method is 'fast'; expected one of exact"),
        ("grid = {train_sigma = [0], smooth_sigma = [1], n = [5, 6]}", "n is [5, 6]; expected a number"),
        ("grid = {train_sigma = [0], smooth_sigma = [1], quantities = 'certified_accuracy'}", "radii is empty"),
    ],
)
def test_malformed_files_get_one_line(text, message, tmp_path):
    good = {
        "task": "'IsolatedBall'",
        "fixed": "{dim = 2, radius = 1.0}",
        "grid": "{train_sigma = [0], smooth_sigma = [1]}",
    }
    key = text.split(" =")[0]
    if key in {*good, "vary"}:
        # the text replaces one entry of a good part
        text = "[[part]]\n" + "\n".join([f"{k} = {v}" for k, v in good.items() if k != key] + [text])
    elif "GOOD" in text:
        entries = "\n".join(f"{k} = {v}" for k, v in good.items())
        inside = text.startswith("[[part]]")
        before, _, after = text.partition("GOOD")
        text = f"{before}{entries}\n{after}" if inside else f"{before}{after}\n[[part]]\n{entries}"
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError) as error:
        read_toml(path).cells()
    assert message in str(error.value)
    assert "\n" not in str(error.value).strip()


def test_the_message_names_the_file(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[[part]]\ntask = 3\ngrid = {train_sigma = [0], smooth_sigma = [1]}", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"bad\.toml: part\[0\]\.task: expected str, got int"):
        read_toml(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InvalidInputError, match=r"cannot read .*none\.toml: No such file"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InvalidInputError, match=r"folder\.toml is a directory; expected a file"):
        read_toml(tmp_path / "folder.toml")
    (tmp_path / "bytes.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(InvalidInputError, match="is not a TOML file"):
        read_toml(tmp_path / "bytes.toml")


def test_settings_replace_fields_and_parameters():
    study = tiny().with_settings(
        {"train_sigma": [0.1, 0.3], "quantities": ["risk", "acr"], "n": [500], "dim": [3, 4], "prior": [0.5]}
    )
    (part,) = study.parts
    assert part.grid.train_sigma == (0.1, 0.3)
    assert part.grid.quantities == ("risk", "acr")
    assert part.grid.n == 500
    assert part.vary == {"dim": (3, 4), "prior": (0.5,)}
    assert len(study.cells()) == 4
    # a fixed parameter that varies now is fixed no longer
    (part,) = tiny().with_settings({"std_1": [0.1, 0.2]}).parts
    assert "std_1" not in part.fixed
    assert [str(task) for _, task in part.tasks()] == [
        f"ConcentricGaussians(dim=2, std_1={std}, std_0=0.4, prior=0.5)" for std in (0.1, 0.2)
    ]


def test_settings_reach_every_part_that_has_the_key(study):
    changed = study.with_settings({"smooth_sigma": [0.7], "separation": [1.0, 1.5]})
    assert [part.grid.smooth_sigma for part in changed.parts] == [(0.7,), (0.7,)]
    assert [list(part.vary) for part in changed.parts] == [["dim", "prior"], ["separation"]]
    assert study.parts[0].grid.smooth_sigma == (0.25,)


def test_a_name_that_grid_and_task_share():
    # n: draws of the grid, or points of the data set
    moons = PRESETS["moons"].build(True)
    assert moons.with_settings({"n": [30]}).parts[0].grid.n == 30
    assert moons.with_settings({"n": [30]}).parts[0].vary["n"] == (200,)
    changed = moons.with_settings({"task.n": [30, 40]})
    assert changed.parts[0].vary["n"] == (30, 40)
    assert changed.parts[0].grid == moons.parts[0].grid


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"colour": [1]}, "no part of tiny has a key 'colour'; expected one of train_sigma, smooth_sigma, radii"),
        ({"task.colour": [1]}, "no part of tiny has a key 'task.colour'"),
        ({"task.n": [1]}, "no part of tiny has a key 'task.n'"),
        ({"n": [1, 2]}, "n is [1, 2]; expected one value"),
        ({"dim": [2, 2]}, "dim holds 2 more than once"),
        ({"train_sigma": []}, "train_sigma is empty"),
        ({"dim": []}, "dim is empty"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InvalidInputError) as error:
        tiny().with_settings(settings)
    assert message in str(error.value)


def test_steps():
    assert steps("x", 0, 0.6, 7) == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    assert steps("x", 1, 2, 1) == (1.0,)
    assert steps("x", 1, 0, 2) == (1.0, 0.0)
    # short decimals, but not at the price of small or large numbers
    assert steps("x", 1e-12, 3e-12, 3) == (1e-12, 2e-12, 3e-12)
    np.testing.assert_allclose(steps("x", 0, 1e9, 7), np.linspace(0, 1e9, 7), rtol=1e-11)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("fast", [True, False])
def test_descriptions_survive_json(name, fast):
    study = PRESETS[name].build(fast)
    described = study.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described


def rebuilt(described):
    """A study from its description."""
    parts = [Part(p["task"], p["fixed"], p["vary"], Grid(**p["grid"])) for p in described["parts"]]
    return Study(described["name"], described["title"], tuple(parts), described["seed"])


@pytest.mark.parametrize("name", ["rules", "agreement", "moons"])
def test_a_description_determines_the_table(name, tmp_path):
    study = PRESETS[name].build(True).with_settings({"train_sigma": [0.0, 0.4], "radii": [0.1], "n": [30]})
    again = rebuilt(json.loads(json.dumps(study.describe())))
    assert again.describe() == study.describe()
    run(study, tmp_path / "one")
    run(again, tmp_path / "two")
    one, two = ((tmp_path / name / "table.csv").read_bytes() for name in ("one", "two"))
    assert one == two


def test_every_field_of_a_grid_is_in_the_description():
    changed = {
        "train_sigma": (0.0, 0.3),
        "smooth_sigma": (0.3,),
        "radii": (0.1,),
        "quantities": ("acr",),
        "rule": ("convolved",),
        "method": ("sampled",),
        "n": 77,
        "failure_prob": 0.02,
        "votes": 77,
        "vote_failure_prob": 0.02,
        "votes_per_point": 77,
        "tolerance": 0.02,
        "by_class": True,
    }
    assert set(changed) == {field.name for field in fields(Grid)}
    base = tiny().describe()
    for name, value in changed.items():
        assert tiny(**{name: value}).describe() != base, name
    assert replace(tiny(), seed=1).describe() != base
    assert tiny().with_settings({"dim": [3]}).describe() != base
    assert tiny().with_settings({"std_1": [0.2]}).describe() != base


def test_a_study_samples_to_a_tolerance(tmp_path):
    """From a file and by ``--set``; without a tolerance the description is that of before there were any."""
    path = tmp_path / "study.toml"
    path.write_text(FILE.replace("n = 200", "tolerance = 0.02"), encoding="utf-8")
    parts = read_toml(path).with_settings({"tolerance": [0.03]}).parts
    assert {part.grid.tolerance for part in parts} == {0.03}
    assert read_toml(path).parts[0].grid.tolerance == 0.02
    study = Study("close", "a tolerance", (replace(parts[0], vary={"dim": [2]}),))
    table = run(study, tmp_path / "run")
    sampled = table[table["method"] == "sampled"]
    assert len(sampled) == 15
    assert (sampled["upper"] - sampled["value"] <= 0.03).all()
    assert (sampled["n"] < 10**6).all()
    assert study.describe()["parts"][0]["grid"]["tolerance"] == 0.03
    plain = tiny().describe()["parts"][0]["grid"]
    assert "tolerance" not in plain
    assert "by_class" not in plain
    assert plain["n"] == 100_000


def test_every_public_task_can_be_named_in_a_file():
    named = {name.split(".")[0] for name in TASKS}
    public = [getattr(tasks, name) for name in tasks.__all__ if isinstance(getattr(tasks, name), type)]
    leaves = [one for one in public if issubclass(one, tasks.Task) and not one.__subclasses__()]
    assert len(leaves) >= 8
    # functions have no names in a file
    assert {one.__name__ for one in leaves} - named == {"FromDensities"}
