"""``noiseaug.sweep``: one call, one tidy table, the same table however it is computed."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy import stats

import noiseaug.sweeps
from noiseaug import NoClosedFormError, risk, sweep, tasks
from noiseaug.predictors import augmented, convolved, smoothed

COLUMNS = [
    "task",
    "rule",
    "train_sigma",
    "smooth_sigma",
    "quantity",
    "radius",
    "value",
    "lower",
    "upper",
    "method",
    "n",
    "failure_prob",
    "seed",
]
WITHOUT_RADIUS = ["risk", "excess_risk", "disagreement", "acr"]
WITH_RADIUS = ["certified_accuracy", "adversarial_accuracy", "finite_sample_certified_accuracy"]
CONCENTRIC = tasks.ConcentricGaussians(5, 0.3, 0.4)
PAIR = tasks.GaussianPair([1.0, 0.5], [-1.0, 0.0], [1.0, 0.2], prior=0.4)


def test_columns_in_the_promised_order():
    table = sweep(CONCENTRIC, train_sigma=[0, 0.2], smooth_sigma=[0.25])
    assert list(table.columns) == COLUMNS
    assert list(noiseaug.tables.COLUMNS) == COLUMNS
    assert len(table) == 2
    assert list(table.index) == [0, 1]


@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_kinds_of_the_columns(method):
    table = sweep(
        CONCENTRIC,
        train_sigma=[0, 0.2],
        smooth_sigma=[0.25],
        radii=[0.1],
        quantities=[*WITHOUT_RADIUS, *WITH_RADIUS],
        method=method,
        n=50,
        votes=100,
    )
    kinds = table.dtypes
    for column in ("task", "rule", "quantity", "method"):
        assert pd.api.types.is_string_dtype(table[column]), column
    for column in ("train_sigma", "smooth_sigma", "radius", "value", "lower", "upper", "failure_prob"):
        assert kinds[column] == np.dtype(float), column
    assert kinds["n"] == np.dtype("int64")
    assert kinds["seed"] == pd.Int64Dtype()
    assert kinds["votes"] == pd.Int64Dtype()
    assert kinds["vote_failure_prob"] == np.dtype(float)


def test_every_quantity_at_every_radius_that_it_has():
    asked = ["acr", *WITH_RADIUS, *WITHOUT_RADIUS[:3]]
    table = sweep(CONCENTRIC, train_sigma=0.2, smooth_sigma=0.25, radii=[0.0, 0.1], quantities=asked, votes=100)
    expected = [("acr", None)]
    expected += [(name, radius) for name in WITH_RADIUS for radius in (0.0, 0.1)]
    expected += [(name, None) for name in WITHOUT_RADIUS[:3]]
    shown = [(row.quantity, None if math.isnan(row.radius) else row.radius) for row in table.itertuples()]
    assert shown == expected
    assert table["value"].notna().all()
    assert set(risk.QUANTITIES) == {*WITHOUT_RADIUS, *WITH_RADIUS}


def test_rows_follow_the_arguments():
    table = sweep(
        [CONCENTRIC, PAIR],
        train_sigma=[0.3, 0],
        smooth_sigma=[0.25, 0.1],
        radii=[0.1],
        quantities=["certified_accuracy", "risk"],
        rule=["convolved", "augmented"],
        method=["sampled", "exact"],
        n=20,
    )
    expected = [
        (str(task), rule, alpha, beta, called(task, rule, alpha, method), quantity)
        for task in (CONCENTRIC, PAIR)
        for rule in ("convolved", "augmented")
        for alpha in (0.3, 0.0)
        for beta in (0.25, 0.1)
        for method in ("sampled", "exact")
        for quantity in ("certified_accuracy", "risk")
    ]
    columns = ["task", "rule", "train_sigma", "smooth_sigma", "method", "quantity"]
    assert list(table[columns].itertuples(index=False, name=None)) == expected


def called(task, rule: str, train_sigma: float, method: str) -> str:
    """The convolved region of concentric Gaussians comes from a quadrature, and says so."""
    by_quadrature = task is CONCENTRIC and rule == "convolved" and train_sigma > 0
    return "numeric" if method == "exact" and by_quadrature else method


def test_values_are_those_of_the_smaller_pieces():
    table = sweep(
        PAIR,
        train_sigma=[0, 0.7],
        smooth_sigma=[0.5],
        radii=[0.3],
        quantities=["risk", "certified_accuracy", "acr"],
        rule=["augmented", "convolved"],
    )
    for row in table.itertuples():
        base = {"augmented": augmented, "convolved": convolved}[row.rule](PAIR, row.train_sigma)
        predictor = smoothed(base, row.smooth_sigma)
        radius = () if math.isnan(row.radius) else (row.radius,)
        estimate = getattr(risk, row.quantity)(PAIR, predictor, *radius)
        assert (row.value, row.lower, row.upper, row.method) == (
            estimate.value,
            estimate.lower,
            estimate.upper,
            estimate.method,
        )


def test_values_against_the_formula_of_two_gaussians():
    # an independent road: half-space with normal (Σ + α²)⁻¹ (μ₁ − μ₀), which smoothing leaves alone
    alphas, radii, prior = [0.0, 0.5, 2.0], [0.0, 0.4], 0.4
    quantities = ["risk", "certified_accuracy"]
    table = sweep(PAIR, train_sigma=alphas, smooth_sigma=[0.3], radii=radii, quantities=quantities)
    found = {
        (row.train_sigma, row.quantity, row.radius): row.value for row in table.fillna({"radius": -1.0}).itertuples()
    }
    mean_1, mean_0, variance = np.array([1.0, 0.5]), np.array([-1.0, 0.0]), np.array([1.0, 0.2])
    for alpha in alphas:
        w = (mean_1 - mean_0) / (variance + alpha**2)
        cut = w @ (mean_1 + mean_0) / 2 - np.log(prior / (1 - prior))
        spread, length = np.sqrt(np.sum(w**2 * variance)), np.linalg.norm(w)
        for radius in radii:
            right_1 = stats.norm.cdf((w @ mean_1 - cut - radius * length) / spread)
            right_0 = stats.norm.cdf((cut - w @ mean_0 - radius * length) / spread)
            expected = prior * right_1 + (1 - prior) * right_0
            assert found[alpha, "certified_accuracy", radius] == pytest.approx(expected, rel=1e-12)
            if radius == 0:
                assert found[alpha, "risk", -1.0] == pytest.approx(1 - expected, rel=1e-12)


def test_how_each_value_was_had():
    table = sweep(
        CONCENTRIC,
        train_sigma=[0.2],
        smooth_sigma=[0.25],
        quantities=["risk", "acr"],
        method=["exact", "sampled"],
        n=300,
        failure_prob=0.01,
        seed=7,
    )
    shown = list(table[["quantity", "method", "n", "failure_prob"]].itertuples(index=False, name=None))
    assert shown == [
        ("risk", "exact", 0, 0.0),
        ("acr", "numeric", 0, 0.0),
        ("risk", "sampled", 300, 0.01),
        ("acr", "sampled", 300, 0.01),
    ]
    assert table["seed"].isna().tolist() == [True, True, False, False]
    assert table["seed"].dropna().tolist() == [7, 7]
    assert (table["lower"] <= table["value"]).all()
    assert (table["value"] <= table["upper"]).all()


def test_sampled_values_agree_with_exact_ones():
    # 24 intervals at 1e-11 each: a false alarm below 1e-9
    table = sweep(
        [CONCENTRIC, PAIR],
        train_sigma=[0, 0.3],
        smooth_sigma=[0.25],
        radii=[0.1],
        quantities=[*WITHOUT_RADIUS[:3], *WITH_RADIUS],
        method=["exact", "sampled"],
        n=20_000,
        votes=200,
        failure_prob=1e-11,
        seed=3,
    )
    keys = ["task", "train_sigma", "quantity"]
    exact, sampled = (part.set_index(keys) for part in (table[table["method"] != "sampled"], table[table["n"] > 0]))
    assert len(exact) == len(sampled) == 24
    exact = exact.loc[sampled.index]
    assert (sampled["lower"] <= exact["upper"]).all()
    assert (exact["lower"] <= sampled["upper"]).all()
    assert (sampled["upper"] - sampled["lower"]).between(1e-6, 0.2).all()


def test_vote_columns_come_with_the_predicted_run_alone():
    options = {"train_sigma": [0.2], "smooth_sigma": [0.25], "radii": [0.1]}
    plain = sweep(CONCENTRIC, quantities=["certified_accuracy"], **options)
    assert list(plain.columns) == COLUMNS
    quantities = ["certified_accuracy", "finite_sample_certified_accuracy"]
    table = sweep(CONCENTRIC, quantities=quantities, votes=500, vote_failure_prob=0.01, **options)
    assert list(table.columns) == [*COLUMNS, "votes", "vote_failure_prob"]
    assert table["votes"].isna().tolist() == [True, False]
    assert table["votes"].iloc[1] == 500
    assert table["vote_failure_prob"].isna().tolist() == [True, False]
    assert table["vote_failure_prob"].iloc[1] == 0.01
    # what the run certifies depends on both, and never exceeds what infinitely many votes would
    assert table["value"].iloc[1] < table["value"].iloc[0]
    fewer = sweep(CONCENTRIC, quantities=quantities[1:], votes=50, vote_failure_prob=0.01, **options)
    surer = sweep(CONCENTRIC, quantities=quantities[1:], votes=500, vote_failure_prob=1e-6, **options)
    assert max(fewer["value"].item(), surer["value"].item()) < table["value"].iloc[1]


def test_one_value_is_a_list_of_one():
    listed = sweep(
        [CONCENTRIC],
        train_sigma=[0.2],
        smooth_sigma=[0.25],
        radii=[0.1],
        quantities=["certified_accuracy"],
        rule=["augmented"],
        method=["sampled"],
        n=30,
    )
    single = sweep(
        CONCENTRIC,
        train_sigma=0.2,
        smooth_sigma=np.float64(0.25),
        radii=np.array(0.1),
        quantities="certified_accuracy",
        rule="augmented",
        method="sampled",
        n=np.int64(30),
    )
    assert_frame_equal(listed, single, check_exact=True)


@pytest.mark.parametrize(
    "levels",
    [(0, 0.1, 0.2), np.array([0, 0.1, 0.2]), pd.Series([0, 0.1, 0.2]), (x / 10 for x in range(3))],
    ids=["tuple", "array", "series", "generator"],
)
def test_levels_in_any_sequence(levels):
    expected = sweep(CONCENTRIC, train_sigma=[0.0, 0.1, 0.2], smooth_sigma=[0.25])
    assert_frame_equal(sweep(CONCENTRIC, train_sigma=levels, smooth_sigma=[0.25]), expected, check_exact=True)


def test_several_tasks_one_after_another():
    options = {"train_sigma": [0, 0.2], "smooth_sigma": [0.1, 0.25], "quantities": ["risk", "disagreement"]}
    together = sweep([CONCENTRIC, PAIR], **options)
    apart = pd.concat([sweep(CONCENTRIC, **options), sweep(PAIR, **options)], ignore_index=True)
    assert_frame_equal(together, apart, check_exact=True)
    assert together["task"].nunique() == 2


def test_same_table_in_worker_processes():
    options = {
        "train_sigma": [0, 0.2, 0.4],
        "smooth_sigma": [0.1, 0.25],
        "radii": [0.1],
        "quantities": ["risk", "certified_accuracy", "acr"],
        "method": ["exact", "sampled"],
        "n": 200,
        "seed": 5,
    }
    here = sweep([CONCENTRIC, PAIR], **options)
    assert_frame_equal(here, sweep([CONCENTRIC, PAIR], jobs=2, **options), check_exact=True)


def test_seeds_reproduce_and_differ():
    options = {"train_sigma": [0.2], "smooth_sigma": [0.25], "method": "sampled", "n": 2000}
    first = sweep(CONCENTRIC, seed=1, **options)
    assert_frame_equal(first, sweep(CONCENTRIC, seed=1, **options), check_exact=True)
    # two seeds may hit the same count; nine in a row do not
    others = [sweep(CONCENTRIC, seed=seed, **options)["value"].item() for seed in range(2, 11)]
    assert any(value != first["value"].item() for value in others)
    assert sweep(CONCENTRIC, **options)["seed"].item() == 0


def test_all_levels_see_the_same_draws():
    # one level alone gives the numbers that it gives among others
    together = sweep(CONCENTRIC, train_sigma=[0, 0.2], smooth_sigma=[0.1, 0.25], method="sampled", n=500, seed=4)
    alone = sweep(CONCENTRIC, train_sigma=0.2, smooth_sigma=0.25, method="sampled", n=500, seed=4)
    assert_frame_equal(together.tail(1).reset_index(drop=True), alone, check_exact=True)


def test_votes_at_each_point():
    moons = tasks.PointMasses.moons(n=60, noise=0.1)
    table = sweep(
        moons, train_sigma=[0.2], smooth_sigma=[0.3], method="sampled", n=40, votes_per_point=100, failure_prob=1e-9
    )
    assert table["method"].tolist() == ["sampled"]
    assert 0 <= table["lower"].item() <= table["value"].item() <= table["upper"].item() <= 1
    more = sweep(
        moons, train_sigma=[0.2], smooth_sigma=[0.3], method="sampled", n=40, votes_per_point=2000, failure_prob=1e-9
    )
    # more votes leave less open about the same points
    assert more["upper"].item() - more["lower"].item() < table["upper"].item() - table["lower"].item()


def test_progress_goes_to_standard_error(capsys):
    sweep(CONCENTRIC, train_sigma=[0, 0.1], smooth_sigma=[0.25])
    assert capsys.readouterr() == ("", "")
    sweep(CONCENTRIC, train_sigma=[0, 0.1], smooth_sigma=[0.25], progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err


def test_the_example_of_the_docstring():
    results = doctest.testmod(noiseaug.sweeps)
    assert results.attempted >= 3
    assert results.failed == 0


@pytest.mark.parametrize(
    ("task", "options", "names"),
    [
        (tasks.PointMasses.moons(n=20), {"method": "exact"}, ["PointMasses", "no closed form", "'sampled'"]),
        (tasks.PointMasses.moons(n=20), {"rule": "convolved"}, ["PointMasses", "no convolved rule", "augmented"]),
        (tasks.ConcentricSpheres(5, 1.0, 1.3), {"rule": "convolved"}, ["ConcentricSpheres", "convolved", "augmented"]),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_has_no_closed_form_says_what_it_has(task, options, names, jobs):
    with pytest.raises(NoClosedFormError) as error:
        sweep(task, train_sigma=[0.1, 0.2], smooth_sigma=[0.25], jobs=jobs, **options)
    message = str(error.value)
    assert "\n" not in message
    for name in names:
        assert name in message
