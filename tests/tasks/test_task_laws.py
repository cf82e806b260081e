"""Laws that every task obeys, whatever its family: a task in tests/helpers/cases.py gets them all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special

from noiseaug import risk
from noiseaug.errors import NoClosedFormError
from noiseaug.predictors import augmented, bayes, by_rule, convolved, smoothed
from noiseaug.risk import QUANTITIES, Measure, VoteBudget, evaluate
from noiseaug.tasks import BinaryTask, LatticeTask
from tests.helpers.cases import CASES, ids
from tests.helpers.statistics import FALSE_ALARM, assert_frequency

EVERY = pytest.mark.parametrize("case", CASES, ids=ids(CASES))
BUDGET = VoteBudget(400, 0.01)
RULES = [(case, rule) for case in CASES for rule in case.task.rules]
EVERY_RULE = pytest.mark.parametrize(("case", "rule"), RULES, ids=[f"{c.name}-{r}" for c, r in RULES])


CONTINUOUS = [c for c in CASES if "convolved" in c.task.rules and not isinstance(c.task, LatticeTask)]


def all_questions(radius: float) -> list[Measure]:
    return [Measure(name, radius if QUANTITIES[name].takes_radius else None) for name in QUANTITIES]


@EVERY_RULE
def test_exact_equals_sampled(case, rule):
    """Every quantity: the closed form lies in a sampled interval that fails with probability 1e-9."""
    predictor = smoothed(by_rule(case.task, rule, case.train_sigma), case.smooth_sigma)
    asked = all_questions(case.radius)
    exact = evaluate(case.task, predictor, asked, budget=BUDGET)
    sampled = evaluate(
        case.task,
        predictor,
        asked,
        method="sampled",
        budget=BUDGET,
        n=case.sampled_points,
        seed=7,
        failure_prob=FALSE_ALARM,
    )
    for question, one, other in zip(asked, exact, sampled, strict=True):
        assert one.agrees_with(other), f"{question}: {one} against {other}"
        assert other.n == case.sampled_points
        assert other.lower <= other.value <= other.upper


@EVERY
def test_exact_equals_votes(case):
    """The inner probability by votes as well: nothing of the region's mass is used, only who contains what."""
    predictor = smoothed(augmented(case.task, case.train_sigma), case.smooth_sigma)
    asked = [q for q in all_questions(case.radius) if q.quantity != "adversarial_accuracy"]
    exact = evaluate(case.task, predictor, asked, budget=BUDGET)
    voted = evaluate(
        case.task,
        predictor,
        asked,
        method="sampled",
        budget=BUDGET,
        n=400,
        seed=3,
        failure_prob=FALSE_ALARM,
        votes_per_point=400,
    )
    for question, one, other in zip(asked, exact, voted, strict=True):
        assert one.agrees_with(other), f"{question}: {one} against {other}"


@EVERY
def test_augmented_is_the_bayes_rule_of_the_noised_law(case):
    """The region against the sign of the noised log-odds at random points, noise included."""
    rng = np.random.default_rng(2)
    x, _ = case.task.sample(2000, rng)
    if not isinstance(case.task, LatticeTask):  # there only cells are points
        x = x + case.train_sigma * rng.standard_normal(x.shape)
    odds = case.task.log_odds(x, case.train_sigma)
    clear = np.abs(odds) > 1e-9
    assert clear.any()
    region = augmented(case.task, case.train_sigma)
    assert np.array_equal(region.contains(x)[clear], (odds > 0)[clear])


@EVERY
def test_bayes_is_optimal_and_noise_free(case):
    task, base = case.task, smoothed(bayes(case.task), 0.0)
    least = risk.risk(task, base).value
    assert risk.excess_risk(task, base).value == pytest.approx(0, abs=1e-15)
    assert risk.disagreement(task, base).value == 0
    for train_sigma in (0.3 * case.train_sigma, case.train_sigma, 3 * case.train_sigma):
        other = smoothed(augmented(task, train_sigma), 0.0)
        gap = risk.risk(task, other).value - least
        assert gap >= -1e-14
        assert risk.excess_risk(task, other).value == pytest.approx(gap, abs=1e-13)


@EVERY
def test_sampler_follows_the_prior_and_the_law(case):
    rng = np.random.default_rng(9)
    x, y = case.task.sample(50_000, rng)
    assert x.shape == (50_000, case.task.dim)
    assert set(np.unique(y)) <= {0, 1}
    assert_frequency(int(y.sum()), y.size, case.task.prior)
    region = smoothed(augmented(case.task, case.train_sigma), case.smooth_sigma).decision
    for label in (0, 1):
        mine = x[y == label]
        mass = float(case.task.class_mass(label, [region])[0])
        assert_frequency(int(region.contains(mine).sum()), len(mine), mass)
    again, _ = case.task.sample(50_000, np.random.default_rng(9))
    assert np.array_equal(x, again)
    assert (np.linalg.norm(x, axis=1) <= case.task.reach() * (1 + 1e-12)).all()


@EVERY_RULE
def test_certified_accuracy_falls_and_stays_below_adversarial(case, rule):
    predictor = smoothed(by_rule(case.task, rule, case.train_sigma), case.smooth_sigma)
    radii = np.linspace(0, 6 * case.radius, 13)
    certified = [e.value for e in evaluate(case.task, predictor, [Measure("certified_accuracy", r) for r in radii])]
    true = [e.value for e in evaluate(case.task, predictor, [Measure("adversarial_accuracy", r) for r in radii])]
    assert (np.diff(certified) <= 1e-12).all()
    assert (np.diff(true) <= 1e-12).all()
    assert (np.array(certified) <= np.array(true) + 1e-10).all()
    assert certified[0] == pytest.approx(true[0], abs=1e-12)
    assert certified[0] == pytest.approx(1 - risk.risk(case.task, predictor).value, abs=1e-12)


@EVERY
def test_acr_is_the_area_under_certified_accuracy(case):
    task, predictor = case.task, smoothed(augmented(case.task, case.train_sigma), case.smooth_sigma)
    found = risk.acr(task, predictor)
    top = task.radius_cap(predictor.base, predictor.smooth_sigma)
    radii = np.linspace(0, top, 151)
    accuracy = [e.value for e in evaluate(task, predictor, [Measure("certified_accuracy", r) for r in radii])]
    # the curve falls, so left and right sums enclose the area
    step = radii[1]
    assert step * sum(accuracy[1:]) - 1e-9 <= found.value <= step * sum(accuracy[:-1]) + 1e-9
    assert found.lower <= found.value <= found.upper


@EVERY
def test_finite_sample_accuracy_by_its_beta_law(case):
    """E I_s(k, n−k+1) is an average of CA over a Beta law (docs/math.md 1.5): the other road."""
    task, predictor = case.task, smoothed(augmented(case.task, case.train_sigma), case.smooth_sigma)
    n, level = 60, 0.01
    found = risk.finite_sample_certified_accuracy(task, predictor, case.radius, budget=VoteBudget(n, level))
    k = VoteBudget(n, level).needed(case.radius, case.smooth_sigma)
    if k > n:
        assert found.value == 0
        return
    u = special.betaincinv(k, n - k + 1, (np.arange(500) + 0.5) / 500)
    margins = special.ndtri(u)
    accuracy = np.zeros(u.size)
    for label, share, sign in ((1, task.prior, 1), (0, 1 - task.prior, -1)):
        regions = predictor.base.superlevels(case.smooth_sigma, sign * margins)
        if sign < 0:
            regions = [region.complement() for region in regions]
        accuracy += share * task.class_mass(label, regions)
    # midpoint rule on a falling function of the quantile: off by at most half a cell of its total fall
    assert found.value == pytest.approx(accuracy.mean(), abs=1 / 500)


@EVERY
def test_finite_sample_accuracy_grows_with_the_votes(case):
    predictor = smoothed(augmented(case.task, case.train_sigma), case.smooth_sigma)
    limit = risk.certified_accuracy(case.task, predictor, case.radius).value
    values = [
        risk.finite_sample_certified_accuracy(case.task, predictor, case.radius, budget=VoteBudget(votes, 1e-3)).value
        for votes in (100, 10_000, 1_000_000, 100_000_000)
    ]
    assert values[3] == pytest.approx(limit, abs=2e-3)
    # up to points just out of reach, which few votes certify with the failure probability
    assert (np.diff(values) >= -1e-3).all()


@EVERY
def test_smoothing_level_zero_is_the_base_classifier(case):
    predictor = smoothed(augmented(case.task, case.train_sigma), 0.0)
    asked = [Measure("certified_accuracy", 0.0), Measure("certified_accuracy", 0.1), Measure("acr")]
    accuracy, certified, acr = (e.value for e in evaluate(case.task, predictor, asked))
    assert accuracy == pytest.approx(1 - risk.risk(case.task, predictor).value, abs=1e-14)
    assert certified == 0
    assert acr == 0
    assert risk.finite_sample_certified_accuracy(case.task, predictor, 0.1).value == 0
    assert risk.finite_sample_certified_accuracy(case.task, predictor, 0.0).value == pytest.approx(accuracy)


@EVERY
def test_predictions_follow_the_decision_region(case):
    predictor = smoothed(augmented(case.task, case.train_sigma), case.smooth_sigma)
    x, _ = case.task.sample(500, np.random.default_rng(1))
    away = predictor.radius(x) > 1e-9
    assert np.array_equal(predictor.predict(x)[away], predictor.decision.contains(x)[away])


@EVERY
def test_noised_family_members(case):
    if type(case.task).noised is BinaryTask.noised:
        with pytest.raises(NoClosedFormError, match="log_density"):
            case.task.noised(case.train_sigma)
        return
    noised = case.task.noised(case.train_sigma)
    x, _ = case.task.sample(200, np.random.default_rng(6))
    for label in (0, 1):
        assert np.allclose(noised.log_density(x, label), case.task.log_density(x, label, case.train_sigma), rtol=1e-10)


@EVERY
def test_description_is_readable_and_distinct(case):
    text = str(case.task)
    assert text.startswith(type(case.task).__name__ + "(")
    assert "\n" not in text
    assert sum(str(other.task) == text for other in CASES) == 1


@pytest.mark.parametrize("case", CONTINUOUS, ids=ids(CONTINUOUS))
def test_convolved_by_its_definition(case):
    """{h ∗ p_α ≥ ½} against E h(x + αZ) by sampling; false alarm 1e-9 for each of 20 points.

    Lattices have noise of their own and a test of their own (test_lattice.py).
    """
    rng = np.random.default_rng(8)
    x, _ = case.task.sample(20, rng)
    region = convolved(case.task, case.train_sigma)
    for point in x:
        noisy = point + case.train_sigma * rng.standard_normal((4000, case.task.dim))
        h = regression_everywhere(case.task, noisy)
        bound = np.sqrt(np.log(2 / FALSE_ALARM) / (2 * h.size))
        if abs(h.mean() - 0.5) > bound:
            assert bool(region.contains(point[None])[0]) == (h.mean() > 0.5)


def regression_everywhere(task, x: np.ndarray) -> np.ndarray:
    """h, with 0 off the domain, as the convolved rule of a bounded flat law has it."""
    if type(task).__name__ in ("Intervals", "IsolatedBall"):
        return bayes(task).contains(x).astype(float)
    return task.regression(x)


@pytest.mark.parametrize("case", CASES[:2], ids=lambda c: c.name)
def test_densities_integrate_to_the_masses(case):
    """A one-dimensional family by quadrature of its density."""
    from noiseaug.tasks import MixtureOnLine

    task = MixtureOnLine([(0.3, 0, 1), (0.7, 2, 0.2)], [(1, 1, 0.5)], prior=0.3)
    region = augmented(task, case.train_sigma)
    for label in (0, 1):
        total = sum(
            integrate.quad(lambda v, label=label: float(np.exp(task.log_density(np.array([v]), label)[0])), low, high)[
                0
            ]
            for low, high in np.clip(region.intervals, -20, 20)
        )
        assert total == pytest.approx(float(task.class_mass(label, [region])[0]), abs=1e-8)
