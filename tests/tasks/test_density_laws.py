"""Laws of every task with class densities, whatever its family: one in tests/helpers/cases.py gets them all."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from noiseaug import NoClosedFormError, risk, sweep
from noiseaug.predictors import augmented, bayes
from noiseaug.risk import Measure, VoteBudget, VotedPredictor, evaluate
from noiseaug.tables import measures
from noiseaug.tasks import FromDensities
from tests.helpers.cases import CASES, DENSITY_CASES, ids
from tests.helpers.statistics import FALSE_ALARM, assert_frequency, assert_mean

EVERY = pytest.mark.parametrize("case", DENSITY_CASES, ids=ids(DENSITY_CASES))
ON_LATTICE = [case for case in DENSITY_CASES if case.task.dim <= 3]
# a lattice of densities without a formula for their noised version takes a quarter of a minute for each law
EVERY_LATTICE = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if isinstance(case.task, FromDensities) else [])
        for case in ON_LATTICE
    ],
)
BUDGET = VoteBudget(100, 0.01)
NAMES = ("risk", "excess_risk", "disagreement", "certified_accuracy", "acr", "finite_sample_certified_accuracy")


def predictor(case, smooth_sigma=None):
    return VotedPredictor(
        augmented(case.task, case.train_sigma), case.smooth_sigma if smooth_sigma is None else smooth_sigma
    )


def asked(case, names=NAMES):
    return measures(names, [case.radius], case.task.num_classes)


@cache
def on_lattice(case):
    return dict(zip(asked(case), evaluate(case.task, predictor(case), asked(case), budget=BUDGET), strict=True))


@EVERY
def test_sampler_follows_the_priors_and_the_noised_densities(case):
    """E p_σ(x − X) over draws of a class is its noised density at x: false alarm 1e-9 for each of 5 points."""
    task, sigma = case.task, 0.6
    x, y = task.sample(30_000, np.random.default_rng(5))
    assert x.shape == (30_000, task.dim)
    for label in range(task.num_classes):
        mine = x[y == label]
        assert_frequency(len(mine), len(x), float(task.priors[label]))
        places = mine[:5]
        density = np.exp(task.log_density(places, label, sigma)) * (2 * np.pi * sigma**2) ** (task.dim / 2)
        # where the density is an average itself, the nearest height within seven of its standard errors
        errors = task.averaged(places, label, sigma)[1] if isinstance(task, FromDensities) else np.zeros(5)
        for place, height, error in zip(places, density, 7 * errors, strict=True):
            kernel = np.exp(-0.5 * np.sum((mine[5:] - place) ** 2, axis=1) / sigma**2)
            assert_mean(kernel, np.clip(kernel.mean(), height * (1 - error), height * (1 + error)), 1.0)
    again, _ = task.sample(30_000, np.random.default_rng(5))
    assert np.array_equal(x, again)
    low, high = task.box()
    assert ((x >= low) & (x <= high)).all()


@EVERY
def test_augmented_is_the_bayes_rule_of_the_noised_law(case):
    rng = np.random.default_rng(2)
    x, _ = case.task.sample(500, rng)
    x = x + case.train_sigma * rng.standard_normal(x.shape)
    rule = augmented(case.task, case.train_sigma)
    scores = case.task.log_scores(x, case.train_sigma)
    best = scores[np.arange(len(x)), rule.predict(x)]
    assert (best == scores.max(axis=1)).all()
    for label in range(case.task.num_classes):
        mine = np.log(case.task.priors[label]) + case.task.log_density(x, label, case.train_sigma)
        assert np.allclose(scores[:, label], mine, rtol=1e-12)


@EVERY_LATTICE
def test_lattice_equals_votes(case):
    """Every quantity, of all classes and of each: false alarm 1e-9 each."""
    voted = evaluate(
        case.task,
        predictor(case),
        asked(case),
        method="sampled",
        budget=BUDGET,
        n=200,
        seed=3,
        failure_prob=FALSE_ALARM,
        votes_per_point=200,
    )
    for (measure, one), other in zip(on_lattice(case).items(), voted, strict=True):
        assert one.agrees_with(other), f"{measure}: {one} against {other}"
        scale = case.smooth_sigma + one.value if measure.kind.is_length else 1.0
        assert max(one.value - one.lower, one.upper - one.value) <= case.task.tolerance * scale


@EVERY_LATTICE
def test_the_classes_make_up_the_whole(case):
    found = on_lattice(case)
    for measure, whole in found.items():
        if measure.label is None and measure.kind.by_class:
            labels = range(case.task.num_classes)
            parts = [found[Measure(measure.quantity, measure.radius, label)].value for label in labels]
            assert whole.value == pytest.approx(float(case.task.priors @ parts), abs=1e-12)


@EVERY_LATTICE
def test_bayes_is_optimal_and_noise_does_not_help_without_smoothing(case):
    base = VotedPredictor(bayes(case.task), 0.0)
    least, excess, apart = (e.value for e in evaluate(case.task, base, measures(NAMES[:3], [])))
    assert excess == 0
    assert apart < 1e-15
    other = VotedPredictor(augmented(case.task, 2 * case.train_sigma), 0.0)
    wrong, more = (e.value for e in evaluate(case.task, other, measures(NAMES[:2], [])))
    assert wrong >= least - 1e-6
    assert more == pytest.approx(wrong - least, abs=1e-9)


@EVERY_LATTICE
def test_certified_accuracy_falls_and_acr_is_its_area(case):
    radii = np.linspace(0, 5 * case.smooth_sigma, 16)
    table = evaluate(case.task, predictor(case), [Measure("certified_accuracy", float(r)) for r in radii])
    values = np.array([e.value for e in table])
    assert (np.diff(values) <= 1e-9).all()
    acr = on_lattice(case)[Measure("acr")]
    step = radii[1]
    assert step * values[1:].sum() - 1e-3 <= acr.upper
    beyond = values[-1] * case.smooth_sigma * 40  # what lies beyond the last radius, generously
    assert acr.lower <= step * values[:-1].sum() + beyond + 1e-3


@EVERY_LATTICE
def test_confusion_agrees_with_the_risks(case):
    exact = risk.confusion(case.task, predictor(case))
    for label, row in enumerate(exact):
        assert sum(e.value for e in row) == pytest.approx(1, abs=1e-6)
        assert 1 - row[label].value == pytest.approx(on_lattice(case)[Measure("risk", label=label)].value, abs=1e-4)
    options = {"n": 100, "votes_per_point": 100, "failure_prob": FALSE_ALARM, "seed": 1}
    voted = risk.confusion(case.task, predictor(case), method="sampled", **options)
    assert all(
        a.agrees_with(b) for one, other in zip(exact, voted, strict=True) for a, b in zip(one, other, strict=True)
    )


@EVERY
def test_by_class_from_votes_makes_up_the_whole(case):
    table = sweep(
        case.task,
        train_sigma=case.train_sigma,
        smooth_sigma=[case.smooth_sigma],
        radii=[case.radius],
        quantities=["risk", "certified_accuracy", "acr"],
        method="sampled",
        n=120,
        votes_per_point=50,
        by_class=True,
    )
    for _, rows in table.groupby("quantity"):
        whole, parts = rows[rows["class"].isna()], rows[rows["class"].notna()]
        assert parts["class"].tolist() == list(range(case.task.num_classes))
        assert parts["n"].sum() == whole["n"].item() == 120
        assert (parts["n"] * parts["value"]).sum() / 120 == pytest.approx(whole["value"].item())


@EVERY
def test_smoothing_level_zero_is_the_base_classifier(case):
    base = predictor(case, 0.0)
    method = {} if case.task.dim <= 3 else {"method": "sampled", "n": 200, "votes_per_point": 2}
    questions = [
        Measure("certified_accuracy", 0.0),
        Measure("certified_accuracy", 0.1),
        Measure("acr"),
        Measure("risk"),
    ]
    accuracy, certified, acr, wrong = (e.value for e in evaluate(case.task, base, questions, **method))
    assert accuracy == pytest.approx(1 - wrong, abs=1e-9)
    assert (certified, acr) == (0, 0)


@EVERY
def test_description_is_readable_and_distinct(case):
    text = str(case.task)
    assert text.startswith(type(case.task).__name__ + "(")
    assert "\n" not in text
    assert sum(str(other.task) == text for other in [*CASES, *DENSITY_CASES]) == 1


@EVERY
def test_what_it_does_not_have(case):
    with pytest.raises(NoClosedFormError, match="augmented"):
        sweep(case.task, train_sigma=0.1, smooth_sigma=0.1, rule="convolved")
    if case.task.dim > 3:
        with pytest.raises(NoClosedFormError, match="sampled"):
            risk.risk(case.task, predictor(case))
