"""Predictions beside measurements: the kernel rule, Gaussian surrogates, runs from other votes, and their gaps."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import typer
from scipy import special, stats

from noiseaug import risk
from noiseaug.bridge import (
    KernelFamily,
    QuadraticFamily,
    RuleVotes,
    best_levels,
    fit_surrogate,
    gap_table,
    kernel,
    linear_table,
    overlay,
    pair_table,
    plausible_levels,
    predict_run,
    predict_second_log,
    prediction,
    quadratic,
    recommended_level,
    rule_table,
    rule_votes,
    split_log,
    study,
    two_logs,
)
from noiseaug.bridge.advice import record_rows, track_record
from noiseaug.bridge.prediction import make_family
from noiseaug.bridge.samples import training_part
from noiseaug.bridge.study import Levels, levels_of_grid, log_overlays, read_grid, run_bridge
from noiseaug.bridge.surrogate import ACTUAL, LINEAR, PREDICTED
from noiseaug.certificates import CertificationSetting, VoteBudget
from noiseaug.certification import certify
from noiseaug.cli import bridge
from noiseaug.data import load_data
from noiseaug.errors import InvalidInputError
from noiseaug.predictors import smoothed
from noiseaug.records import read_log
from noiseaug.subjects import load_classifier
from noiseaug.tables import COLUMNS, to_frame
from noiseaug.tasks import GaussianPair, KernelRule
from noiseaug.votes import GaussianNoise, Predictor, VoteCounter
from tests.helpers.running import _inside
from tests.helpers.statistics import FALSE_ALARM, assert_frequency

LEVELS = (0.0, 0.05, 0.2, 0.5, 1.0)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


@pytest.fixture(scope="module")
def family(digits):
    return KernelFamily(*training_part(digits, 400, 0), LEVELS)


def rule_of(family, train_sigma):
    """The reference: one level at a time, in float64."""
    return KernelRule(family.points.astype(float), family.labels, family.num_classes, train_sigma)


# --- the kernel rule


def test_predictions_are_those_of_the_rule_for_one_level(family, digits):
    rng = np.random.default_rng(0)
    x = digits.test.rows(slice(150)) + 0.5 * rng.standard_normal((150, 64)).astype(np.float32)
    together = family.predict(x)
    for level, labels in zip(LEVELS, together, strict=True):
        np.testing.assert_array_equal(labels, rule_of(family, level).predict(x))
    assert (together[0] != together[-1]).sum() > 5


def test_neither_blocks_nor_the_place_of_the_data_matter(family, digits, monkeypatch):
    x = digits.test.rows(slice(97))
    expected = family.predict(x)
    moved = KernelFamily(family.points + 100, family.labels, LEVELS).predict(x + 100)
    assert (moved != expected).mean() < 0.01  # float32 at 100 has fewer digits left
    monkeypatch.setattr(kernel, "_BLOCK_FLOATS", 10 * len(family.points))
    np.testing.assert_array_equal(family.predict(x), expected)


@pytest.mark.parametrize(
    ("train_sigma", "boundary"), [(0.1, 0.5), (0.3, 0.47977), (0.5, 0.38791), (1, -0.08192), (2, -1.97674)]
)
def test_worked_boundaries_on_the_line(train_sigma, boundary):
    # docs/math.md 2.8: class 1 at 0, class 0 at 1 and 1.2
    rule = KernelFamily([[0.0], [1.0], [1.2]], np.array([1, 0, 0]), (0.0, train_sigma))
    assert rule.predict([[boundary - 1e-3], [boundary + 1e-3]])[1].tolist() == [1, 0]
    assert rule.predict([[0.499], [0.501]])[0].tolist() == [1, 0]


def test_far_points_and_small_levels_do_not_underflow():
    rule = KernelFamily([[0.0, 0.0], [3.0, 0.0]], np.array([0, 1]), (1e-3, 0.01))
    np.testing.assert_array_equal(rule.predict([[40.0, 2.0], [-40.0, 2.0], [1.51, 9.0]]), [[1, 0, 1]] * 2)


@pytest.mark.parametrize("train_sigma", [1e-15, 1e-20, 1e-170])
def test_the_smallest_levels_are_the_nearest_neighbour(train_sigma, family, digits):
    together = KernelFamily(family.points, family.labels, (0.0, train_sigma)).predict(digits.test.rows(slice(50)))
    np.testing.assert_array_equal(together[0], together[1])


# --- Gaussian classes


def test_quadratic_rules_are_bayes_rules_of_noised_gaussians(digits):
    """Against densities of scipy in float64, in all coordinates and in the first principal ones."""
    x, y = training_part(digits, None, 0)
    rng = np.random.default_rng(1)
    noisy = digits.test.rows(slice(100)) + 0.3 * rng.standard_normal((100, 64)).astype(np.float32)
    axes = np.linalg.eigh(np.cov(x, rowvar=False))[1][:, -20:]
    for components, rows, places in ((None, x, noisy), (20, x @ axes, noisy @ axes)):
        found = QuadraticFamily(x, y, LEVELS[1:], components).predict(noisy)
        for level, labels in zip(LEVELS[1:], found, strict=True):
            scores = []
            for label in range(10):
                part = rows[y == label].astype(float)
                law = stats.multivariate_normal(part.mean(axis=0), np.cov(part.T) + level**2 * np.eye(len(part.T)))
                scores.append(np.log(len(part) / len(rows)) + law.logpdf(places))
            first, second = np.sort(scores, axis=0)[[-1, -2]]
            sure = first - second > 1e-2  # float32
            assert sure.mean() > 0.95
            np.testing.assert_array_equal(labels[sure], np.argmax(scores, axis=0)[sure])


@pytest.mark.parametrize(("train_sigma", "boundary"), [(0, 1.35956), (0.5, 1.47211), (1, 1.74766), (2, 2.50334)])
def test_worked_boundaries_of_gaussian_classes(train_sigma, boundary):
    # docs/math.md 2.8: both means at 0, variances 1 and 4
    points = np.array([[1.0], [-1.0], [2.0], [-2.0]]) / np.sqrt(2)
    rule = QuadraticFamily(points, np.array([1, 1, 0, 0]), (train_sigma,))
    assert rule.predict([[boundary - 1e-4], [boundary + 1e-4], [-boundary - 1e-4]])[0].tolist() == [1, 0, 0]


def test_a_common_covariance_gives_the_half_space():
    rng = np.random.default_rng(2)
    pair = GaussianPair([0.5, 0.2], [-0.5, 0.0], covariance=[0.3, 0.1])
    x, y = pair.sample(40_000, rng)
    rule = QuadraticFamily(x, y, (0.0, 1.0))
    places = rng.uniform(-1, 1, (2000, 2))
    for level, labels in zip((0.0, 1.0), rule.predict(places), strict=True):
        # 40 000 draws know the boundary to a percent
        assert (labels != pair.augmented_region(level).contains(places)).mean() < 0.02


def test_neither_blocks_nor_the_shrinkage_matter(digits, monkeypatch):
    x, y = training_part(digits, 400, 0)
    rule = QuadraticFamily(x, y, LEVELS)
    noisy = digits.test.rows(slice(90))
    expected = rule.predict(noisy)
    monkeypatch.setattr(quadratic, "_BLOCK_FLOATS", 7 * 64)
    np.testing.assert_array_equal(rule.predict(noisy), expected)
    monkeypatch.setattr(quadratic, "_SHRINKAGE", 1e-7)
    np.testing.assert_array_equal(QuadraticFamily(x, y, LEVELS[1:]).predict(noisy), expected[1:])


@pytest.mark.parametrize(
    ("points", "labels", "more", "message"),
    [
        ([[0.0], [1.0], [2.0]], [0, 0, 1], {}, "one training input alone"),
        ([[0.0], [1.0]], [0, 2], {}, "each present"),
        ([[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1], {}, "needs a variance"),
        ([[0.0], [1.0], [2.0], [1.0]], [0, 0, 1, 1], {"components": 0}, "components is 0"),
        ([[0.0], [1.0], [2.0], [1.0]], [0, 0, 1, 1], {"train_sigma": ()}, "train_sigma is empty"),
    ],
)
def test_gaussian_classes_refuse_bad_input(points, labels, more, message):
    settings = {"train_sigma": (0.5,), **more}
    with pytest.raises(InvalidInputError, match=message):
        QuadraticFamily(points, np.array(labels), **settings).predict([[0.0]])


def test_families_by_name(digits):
    x, y = training_part(digits, 300, 0)
    assert make_family("kernel", x, y, [0.5]).name == "kernel"
    wide = np.tile(x, 16)
    assert make_family("quadratic", wide, y, [0.5]).remark == "quadratic rule of 300 training inputs, 200 axes"
    assert make_family("quadratic", x, y, [0.5]).remark == "quadratic rule of 300 training inputs, 64 axes"
    with pytest.raises(InvalidInputError, match="predictor is 'linear'"):
        make_family("linear", x, y, [0.5])


# --- votes


def test_votes_are_those_of_certification(family, digits, monkeypatch):
    """The same noise for the same seed and index, whatever the groups."""
    rows = [3, 50, 51, 400]
    x, y = digits.test.rows(rows), digits.test.labels[rows]
    votes = rule_votes(family, x, y, smooth_sigma=0.5, votes=60, seed=7, indices=rows)
    for level, counts in zip(LEVELS, votes.counts, strict=True):
        base = Predictor(rule_of(family, level).predict, None, 10)
        counter = VoteCounter(base, noise=GaussianNoise(0.5), seed=7)
        expected = [counter.stream(x[i], row, "estimation").take(60) for i, row in enumerate(rows)]
        np.testing.assert_array_equal(counts, expected)
    monkeypatch.setattr(prediction, "_BLOCK_FLOATS", 1)
    alone = rule_votes(family, x, y, smooth_sigma=0.5, votes=60, seed=7, indices=rows)
    np.testing.assert_array_equal(alone.counts, votes.counts)


def test_votes_of_a_half_line():
    """One point a class: the boundary is at ½ for every α, so the share of votes at 0 is Φ(½/β)."""
    rule = KernelFamily([[0.0], [1.0]], np.array([1, 0]), (0.0, 0.7))
    votes = rule_votes(rule, [[0.0], [0.1]], [1, 1], smooth_sigma=0.5, votes=4000, seed=1)
    for level, i in itertools.product(range(2), range(2)):
        assert_frequency(int(votes.own[level, i]), 4000, special.ndtr((0.5 - 0.1 * i) / 0.5), FALSE_ALARM)
    assert votes.votes == 4000
    # certified radii .5 and .4
    np.testing.assert_array_equal(votes.reaches(0.45), [[True, False]] * 2)
    np.testing.assert_array_equal(votes.certified(0.45, 1e-3), [[True, False]] * 2)
    assert (votes.certified_radii(1e-3) < [0.5, 0.4]).all()
    assert (votes.certified_radii(1e-3) > [0.45, 0.35]).all()
    assert votes.right().all()


def test_no_smoothing_asks_once(family, digits):
    x, y = digits.test.rows(slice(80)), digits.test.labels[:80]
    votes = rule_votes(family, x, y, smooth_sigma=0)
    assert votes.votes == 1
    np.testing.assert_array_equal(votes.right(), family.predict(x) == y)
    assert not votes.reaches(0.1).any()
    assert not votes.certified(0.1, 1e-3).any()
    table = rule_table([votes], [0.0, 0.1], task="digits")
    assert table.loc[table["radius"] == 0.1, "value"].eq(0).all()
    assert table.loc[table["quantity"] == "acr", "value"].eq(0).all()


def votes_by_hand(own, smooth_sigma=0.5, votes=100):
    """Two classes, all of label 1."""
    own = np.atleast_2d(own)
    counts = np.stack([votes - own, own], axis=2)
    return RuleVotes(tuple(range(len(own))), smooth_sigma, np.ones(own.shape[1], dtype=int), counts, "kernel")


def value(table, quantity, radius=None, level=0):
    rows = table[(table["quantity"] == quantity) & (table["train_sigma"] == level)]
    return float((rows if radius is None else rows[rows["radius"] == radius])["value"].iloc[0])


def test_table_of_known_votes():
    # a run of 100 votes at failure probability .001 needs 66 votes for r = 0 and 95 for r = β (docs/math.md 1.5)
    table = rule_table([votes_by_hand([40, 55, 66, 84, 85, 94, 95, 100])], [0.0, 0.5], task="hand")
    assert value(table, "risk") == 1 / 8
    assert value(table, "certified_accuracy", 0.0) == 7 / 8
    assert value(table, "finite_sample_certified_accuracy", 0.0) == 6 / 8
    assert value(table, "certified_accuracy", 0.5) == 4 / 8  # Φ(1) = .8413
    assert value(table, "finite_sample_certified_accuracy", 0.5) == 2 / 8
    earned = [0.5 * max(special.ndtri(stats.beta.ppf(1e-3, k, 101 - k)), 0) for k in (40, 55, 66, 84, 85, 94, 95, 100)]
    assert value(table, "acr") == pytest.approx(np.mean(earned), rel=1e-9)
    assert {"predictor", *COLUMNS} - {"rule"} <= set(table.columns)
    assert (table["lower"] <= table["value"]).all()
    assert (table["upper"] >= table["value"]).all()
    row = table[table["quantity"] == "risk"].iloc[0]
    assert row["lower"] == pytest.approx(stats.binomtest(1, 8).proportion_ci(0.95).low, rel=1e-9)


def test_at_radius_0_most_votes_count_not_half_of_them():
    votes = RuleVotes((0.1,), 0.5, np.array([2, 2]), np.array([[[30, 25, 45], [45, 25, 30]]]), "kernel")
    assert votes.reaches(0).tolist() == [[True, False]]
    assert votes.reaches(0.1).tolist() == [[False, False]]


def test_plausible_levels_of_risk_and_of_accuracy_are_the_same():
    own = np.concatenate([np.full((1, 30), 90), np.full((1, 30), 10)])
    table = rule_table([votes_by_hand(own)], [0.0], task="hand")
    for quantity in ("risk", "certified_accuracy", "finite_sample_certified_accuracy"):
        assert table.loc[table["quantity"] == quantity, "plausible"].tolist() == [True, False]


def test_certified_accuracy_falls_with_the_radius(family, digits):
    votes = rule_votes(family, digits.test.rows(slice(60)), digits.test.labels[:60], smooth_sigma=0.5, votes=100)
    table = rule_table([votes], np.linspace(0, 1, 9), task="digits")
    for quantity in ("certified_accuracy", "finite_sample_certified_accuracy"):
        rows = table[table["quantity"] == quantity].pivot(index="train_sigma", columns="radius", values="value")
        assert (np.diff(rows.to_numpy(), axis=1) <= 0).all()
        assert rows.to_numpy()[:, 0].min() > 0.5
    best, run = (table[table["quantity"] == q]["value"].to_numpy() for q in ("certified_accuracy", quantity))
    assert (run <= best).all()
    assert (run < best).any()


# --- which levels are plausible


def hits_with(first_only, second_only, both=5):
    columns = [(True, False)] * first_only + [(False, True)] * second_only + [(True, True)] * both
    return np.array(columns).T


@pytest.mark.parametrize(("first", "second"), [(5, 0), (4, 0), (9, 1), (8, 1), (3, 3), (0, 7), (30, 14), (30, 17)])
def test_plausible_levels_follow_mcnemars_test(first, second):
    kept = plausible_levels(hits_with(first, second), 0.05)
    p_value = stats.binomtest(max(first, second), first + second, alternative="greater").pvalue
    assert kept.tolist() == [first >= second or p_value > 0.05, second >= first or p_value > 0.05]


def test_plausible_levels_pay_for_every_rival():
    # 5 of 5: p = 1/32, enough against one rival, too little among ten
    two = hits_with(5, 0)
    assert plausible_levels(two, 0.05).tolist() == [True, False]
    assert plausible_levels(np.concatenate([two, np.repeat(two[:1], 8, axis=0)]), 0.05).all()


@pytest.mark.parametrize("odd", [5, 12, 33, 60])
def test_the_best_level_is_left_out_rarely(odd):
    """Exact: two equally good levels, every split of the inputs that tell them apart."""
    missed = sum(
        stats.binom.pmf(k, odd, 0.5) for k in range(odd + 1) if not plausible_levels(hits_with(k, odd - k), 0.05)[1]
    )
    assert 0 < missed <= 0.05


def test_the_level_with_most_hits_is_never_left_out():
    # three wins and three losses: p = .66, below a share of .9
    assert plausible_levels(hits_with(3, 3), 0.9).tolist() == [True, True]
    assert plausible_levels(hits_with(3, 2), 0.9)[0]


def test_the_quadratic_rule_recommends_its_maximiser():
    levels, values = [0.0, 0.25, 0.5, 0.75, 1.0], [0.8, 0.9, 0.95, 0.95 + 1e-15, 0.8]
    assert recommended_level("quadratic", levels, values, [True] * 5, 0.0) == 0.75  # the middle one of equals
    assert recommended_level("quadratic", levels, [0.1, 0.4, 0.3, 0.2, 0.2], [True] * 5, 1.0) == 0.25


def test_recommended_level_is_the_plausible_one_closest_to_equal_noise():
    levels, values = [0.0, 0.25, 0.5, 0.75, 1.0], [0.9, 0.9, 0.95, 0.9, 0.8]
    assert recommended_level("kernel", levels, values, [True] * 5, 0.7) == 0.75
    assert recommended_level("kernel", levels, values, [True, True, False, False, False], 0.7) == 0.25
    assert (
        recommended_level("kernel", levels, [0.9, 0.95, 0.9, 0.9, 0.8], [True, True, False, True, False], 0.5) == 0.25
    )
    assert (
        recommended_level("kernel", levels, values, [True, True, False, True, False], 0.5) == 0.25
    )  # the smaller of equals


# --- Gaussian surrogates

PAIR = GaussianPair([1, 0.5, 0.25, 0.1], [-1, -0.5, -0.25, -0.1], [1, 0.2, 0.05, 0.01], 0.4)


def with_exact_moments(pair, copies=50):
    """Inputs whose means, shares and pooled covariance are those of the pair, up to rounding."""
    counts = {1: round(pair.prior * 2 * pair.dim * copies), 0: round((1 - pair.prior) * 2 * pair.dim * copies)}
    x, y = [], []
    total = sum(counts.values())
    for label, mean in ((1, pair.mean_1), (0, pair.mean_0)):
        repeats = counts[label] // (2 * pair.dim)
        axes = np.diag(np.sqrt(pair.covariance)) * np.sqrt(pair.dim * (total - 2) / total)
        cross = np.tile(np.concatenate([axes, -axes]), (repeats, 1))
        x.append(cross + mean)
        y.append(np.full(len(cross), label))
    return np.concatenate(x), np.concatenate(y)


def turned(x, extra, seed=0):
    """In a larger space, rotated and moved; a half-space does not care."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((x.shape[1] + extra, x.shape[1] + extra)))[0]
    return np.pad(x, ((0, 0), (0, extra))) @ rotation + 0.3


@pytest.mark.parametrize("extra", [0, 3])
def test_closed_form_is_recovered(extra):
    x, y = with_exact_moments(PAIR)
    surrogate = fit_surrogate(turned(x, extra), y)
    assert surrogate.pair.dim == 4
    assert surrogate.shrinkage == 0
    radii, levels = [0.0, 0.3, 0.8], [0.0, 0.354, 1.256]
    table = pair_table(surrogate, turned(x, extra), y, train_sigma=levels, radii=radii, task="pair")
    closed = table[table["predictor"] == PREDICTED]
    for level, radius in itertools.product(levels, radii):
        rule = smoothed(PAIR.augmented_region(level), 0.5)
        row = closed[(closed["train_sigma"] == level) & (closed["radius"] == radius)]
        # inputs are float32
        assert float(row["value"].iloc[0]) == pytest.approx(risk.certified_accuracy(PAIR, rule, radius).value, abs=1e-5)
        # the same half-space, in the inputs' own space
        expected = PAIR.augmented_region(level).coordinate(x)
        np.testing.assert_allclose(surrogate.region(level).coordinate(turned(x, extra)), expected, atol=1e-5)
    best = best_levels(surrogate, table, radii)
    assert best["optimal_train_sigma"].tolist() == pytest.approx([0, 0.354, 1.256], abs=1e-3)
    assert best[f"{PREDICTED}, best α"].tolist() == levels


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_counts_on_test_inputs_follow_the_law_of_the_half_space(level):
    """Whatever was fitted: on fresh draws the count is binomial with the true law's probability."""
    rng = np.random.default_rng(5)
    x, y = PAIR.sample(300, rng)
    surrogate = fit_surrogate(x, y)
    fresh, labels = PAIR.sample(4000, rng)
    fresh = fresh.astype(np.float32)
    table = pair_table(surrogate, fresh, labels, train_sigma=[level], radii=[0.0, 0.5], task="pair")
    rule = smoothed(surrogate.region(level), 1.0)
    for radius in (0.0, 0.5):
        row = table[(table["predictor"] == ACTUAL) & (table["radius"] == radius)].iloc[0]
        assert_frequency(round(row["value"] * 4000), 4000, risk.certified_accuracy(PAIR, rule, radius).value)
    actual = table[table["predictor"] == ACTUAL].set_index("quantity")
    assert actual.loc["risk", "value"] == pytest.approx(np.mean(rule.predict(fresh) != labels))
    own = np.where(labels == 1, 1, -1) * surrogate.region(level).coordinate(fresh)
    assert actual.loc["acr", "value"] == pytest.approx(np.maximum(own, 0).mean())


def test_shrinkage_only_where_it_is_needed():
    x, y = with_exact_moments(PAIR)
    beyond = np.concatenate([x, 0.1 * y[:, None]], axis=1)  # tells the classes apart without any variance
    assert fit_surrogate(beyond, y).shrinkage > 0
    assert fit_surrogate(x, y).shrinkage == 0


def test_components_see_the_largest_variance():
    x, y = with_exact_moments(PAIR)
    surrogate = fit_surrogate(turned(x, 2), y, components=2)
    assert surrogate.pair.dim == 2
    assert np.allclose(surrogate.basis.T @ surrogate.basis, np.eye(2))
    whole = fit_surrogate(turned(x, 2), y).pair
    assert surrogate.pair.covariance.max() == pytest.approx(whole.covariance.max(), rel=0.1)


def test_linear_models_are_counted_exactly():
    data = load_data("digits:3,8")
    table = linear_table(data, train_sigma=[0.3], radii=[0.0, 0.5], copies=2, seed=4)
    model = load_classifier("logistic", data, 0.3, 2, 4)
    margin = (data.test.rows() @ model.coef_[0] + model.intercept_[0]) / np.linalg.norm(model.coef_[0])
    own = np.where(data.test.labels == 1, margin, -margin)
    assert set(table["predictor"]) == {LINEAR}
    assert value(table, "certified_accuracy", 0.5, 0.3) == pytest.approx(np.mean(own >= 0.5))
    assert value(table, "risk", level=0.3) == pytest.approx(
        np.mean(model.predict(data.test.rows()) != data.test.labels)
    )


# --- runs from other votes


@pytest.mark.parametrize(("seen", "votes", "radius"), [(40, 40, 0.0), (60, 30, 0.3), (200, 50, 0.5), (64, 63, 0.2)])
def test_prediction_of_a_run_is_unbiased(seen, votes, radius):
    """Exact: averaged over all counts that could have been seen, for every share."""
    run = CertificationSetting(0.5, VoteBudget(votes, 0.01), 2)
    needed = next(k for k in range(votes + 2) if stats.binom.sf(k - 1, votes, special.ndtr(radius / 0.5)) <= 0.01)
    guesses = np.array([predict_run([own], seen, run, [radius])[0] for own in range(seen + 1)])
    for share in (0.3, 0.6, 0.8, 0.95, 0.999):
        truth = stats.binom.sf(needed - 1, votes, share)
        assert float(stats.binom.pmf(np.arange(seen + 1), seen, share) @ guesses) == pytest.approx(truth, abs=1e-10)
    assert 0 < guesses.max() <= 1


def half_space(x):
    return (x.reshape(len(x), -1)[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def half_space_logs(tmp_path_factory):
    """Two runs on 200 inputs at distances around the boundary."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 0.6, (200, 2))
    folder, logs = tmp_path_factory.mktemp("logs"), []
    for seed, n in ((0, 1000), (1, 600)):
        path = folder / f"{seed}.jsonl"
        certify(
            half_space,
            x,
            smooth_sigma=0.5,
            labels=(x[:, 0] > 0).astype(int),
            n=n,
            num_classes=2,
            seed=seed,
            log=path,
            description={"data": "line", "classifier": "half-space", "weights": "w"},
        )
        logs.append(path)
    return logs


def test_predicted_curve_lies_in_the_interval_at_every_radius(half_space_logs):
    one, other = (read_log(path) for path in half_space_logs)
    radii = np.linspace(0, 1.2, 41)
    table = two_logs(other, one, radii)
    assert (table["votes"].iloc[0], table["predicted_from"].iloc[0]) == (600, 1000)
    assert table["inside"].all()
    assert table["value"].iloc[0] > 0.8
    assert table["value"].iloc[-1] < 0.2
    # given the inputs the gap is a mean of 200 independent terms in [−1, 1] without bias (Hoeffding, all radii)
    assert table["gap"].abs().max() <= np.sqrt(2 * np.log(2 * 41 / FALSE_ALARM) / 200)
    split = split_log(one, radii)
    assert (split["votes"].iloc[0], split["predicted_from"].iloc[0]) == (500, 500)
    assert split["inside"].all()
    assert (split["predicted"] != table["predicted"]).any()


def test_no_vote_is_used_twice(half_space_logs):
    """First votes all right, the rest all wrong: the run sees the former alone, the prediction the latter alone."""
    description, frame = read_log(half_space_logs[0])
    counts = [
        tuple((0, look) if label else (look, 0) for look in looks[:2]) + ((500, 500),) * (len(looks) - 2)
        for label, looks in zip(frame["label"], frame["looks"], strict=True)
    ]
    right = [(0, 100) if label else (100, 0) for label in frame["label"]]
    assert set(frame["looks"]) == {(100, 500, 1000)}
    table = split_log((description, frame.assign(counts=counts, selection=right)), [0.0, 0.5])
    assert table["value"].tolist() == [1, 1]
    assert table["predicted"].tolist() == [0, 0]


def test_the_choice_of_the_class_is_predicted_too(half_space_logs):
    one, other = (read_log(path) for path in half_space_logs)
    wrong = [(100, 0) if label else (0, 100) for label in one[1]["label"]]
    table = predict_second_log((one[0], one[1].assign(selection=wrong)), other, [0.0])
    assert table["predicted"].tolist() == [0]


def changed(log, **facts):
    return {**log[0], **facts}, log[1]


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"seed": 1}, "one seed"),
        ({"weights": "v"}, "differ in weights"),
        ({"smooth_sigma": 0.25}, "differ in smooth_sigma"),
        ({"certificate": {"name": "multi-look"}}, "may stop early"),
        ({"n": 400}, "400 votes cannot predict a run of 600"),
    ],
)
def test_logs_that_cannot_predict_are_refused(half_space_logs, first, message):
    one, other = (read_log(path) for path in half_space_logs)
    log = changed(one, **first)
    if "n" in first:
        log = log[0], one[1].assign(looks=[(100, 400, 500)] * 200)
    with pytest.raises(InvalidInputError, match=message):
        predict_second_log(log, other, [0.0])


def test_more_logs_that_are_refused(half_space_logs):
    one, other = (read_log(path) for path in half_space_logs)
    with pytest.raises(InvalidInputError, match="different inputs"):
        predict_second_log((one[0], one[1].iloc[1:]), other, [0.0])
    with pytest.raises(InvalidInputError, match="does not say"):
        predict_second_log(({"n": 1000}, one[1]), other, [0.0])
    trained = [changed(log, classifier="logistic", train_sigma=0.5) for log in (one, other)]
    with pytest.raises(InvalidInputError, match="trained with the seed"):
        predict_second_log(*trained, [0.0])
    with pytest.raises(InvalidInputError, match="keeps no look"):
        split_log((one[0], one[1].assign(looks=[(600, 1000)] * 200)), [0.0])


def test_logs_find_their_partners(half_space_logs):
    together = log_overlays(half_space_logs)
    assert list(together) == ["1.jsonl"]
    assert len(together["1.jsonl"]) == 41
    assert list(log_overlays(half_space_logs[:1], [0.0])) == ["0.jsonl"]
    with pytest.raises(InvalidInputError, match="3 logs are of one classifier"):
        log_overlays([*half_space_logs, half_space_logs[0]])


def test_the_curve_ends_at_the_largest_radius(half_space_logs, monkeypatch):
    top = next(r for r in np.random.default_rng(0).random(1000) if r * 40 / 40 > r)
    description, frame = read_log(half_space_logs[0])
    monkeypatch.setattr(
        study, "read_log", lambda path: (description, frame.assign(radius=np.where(frame["prediction"] < 0, 0, top)))
    )
    radii = log_overlays(half_space_logs[:1])["0.jsonl"]["radius"]
    assert (len(radii), radii.iloc[0], radii.iloc[-1]) == (41, 0, top)


# --- predicted against measured


def tidy(values, *, predictor="kernel", smooth_sigma=0.5, quantity="risk", radius=np.nan, width=0.02, **more):
    common = {"task": "t", "predictor": predictor, "smooth_sigma": smooth_sigma, "quantity": quantity, "radius": radius}
    return to_frame(
        {**common, "train_sigma": i / 10, "value": v, "lower": v - width, "upper": v + width, "method": "sampled"}
        | {"n": 100, "failure_prob": 0.05, "seed": 0, **more}
        for i, v in enumerate(values)
    )


def test_gap_and_regret_by_hand():
    predicted = tidy([0.2, 0.1, 0.05, 0.1, 0.2, 0.3])
    measured = tidy([0.5, 0.3, 0.06, 0.02, 0.03, 0.04], predictor="cnn")
    table = overlay(predicted, measured)
    assert table["gap"].tolist() == pytest.approx([-0.3, -0.2, -0.01, 0.08, 0.17, 0.26])
    assert table["inside"].tolist() == [False, False, True, False, False, False]
    row = gap_table(table).iloc[0]
    assert row["mean_abs_gap"] == pytest.approx(1.02 / 6)
    assert row["max_abs_gap"] == pytest.approx(0.3)
    assert row["worst_train_sigma"] == 0
    # risk: the smallest is best
    assert (row["predicted_train_sigma"], row["measured_train_sigma"]) == (0.2, 0.3)
    assert row["regret"] == pytest.approx(0.04)
    assert row["measured_best"] == pytest.approx(0.02)
    assert row["regret_of_equal_noise"] == pytest.approx(0.02)


def test_accuracy_is_maximised_and_plausible_levels_decide():
    measured = tidy([0.1, 0.9, 0.8, 0.7], quantity="certified_accuracy", radius=0.5)
    predicted = tidy([0.9, 0.8, 0.8, 0.8], quantity="certified_accuracy", radius=0.5)
    row = gap_table(overlay(predicted, measured)).iloc[0]
    assert (row["predicted_train_sigma"], row["measured_train_sigma"]) == (0, 0.1)
    assert row["regret"] == pytest.approx(0.8)
    row = gap_table(overlay(predicted.assign(plausible=[True, True, True, False]), measured)).iloc[0]
    assert row["predicted_train_sigma"] == 0.2
    assert row["regret"] == pytest.approx(0.1)


def test_seeds_are_averaged_and_the_split_is_kept():
    a, b = tidy([0.2, 0.1]).assign(split="test"), tidy([0.4, 0.3]).assign(split="test", seed=1)
    validation = tidy([0.9, 0.9]).assign(split="validation")
    measured = pd.concat([a, b, validation], ignore_index=True)
    table = overlay(tidy([0.3, 0.2]), measured)
    assert table["measured"].tolist() == pytest.approx([0.3, 0.2])
    assert overlay(tidy([0.3, 0.2]), measured, split="validation")["measured"].tolist() == [0.9, 0.9]


def test_runs_are_compared_with_predicted_runs():
    run = {"votes": 100, "vote_failure_prob": 1e-3}
    measured = tidy([0.5, 0.6], quantity="certified_accuracy", radius=0.5, **run)
    limit = tidy([0.8, 0.9], quantity="certified_accuracy", radius=0.5, votes=100, vote_failure_prob=None)
    finite = tidy([0.5, 0.7], quantity="finite_sample_certified_accuracy", radius=0.5, **run)
    predicted = pd.concat([limit.astype({"vote_failure_prob": float}), finite], ignore_index=True)
    table = overlay(predicted, measured)
    assert table["predicted"].tolist() == [0.5, 0.7]
    assert set(table["quantity"]) == {"certified_accuracy"}
    with pytest.raises(InvalidInputError, match=r"measured with votes \[1000"):
        overlay(predicted, measured.assign(votes=1000))


def test_half_spaces_hold_for_every_smoothing_noise_and_levels_match_up_to_rounding():
    measured = pd.concat([tidy([0.1, 0.2], smooth_sigma=s) for s in (0.25, 0.5)], ignore_index=True)
    predicted = tidy([0.1, 0.2], predictor="gaussian", smooth_sigma=np.nan).assign(train_sigma=[0.0, 0.1 + 1e-12])
    table = overlay(predicted, measured)
    assert sorted(table["smooth_sigma"].unique()) == [0.25, 0.5]
    assert len(table) == 4
    with pytest.raises(InvalidInputError, match="share no"):
        overlay(predicted.assign(train_sigma=7.0), measured)
    with pytest.raises(InvalidInputError, match="lacks smooth_sigma"):
        overlay(predicted, measured.drop(columns="smooth_sigma"))


def test_levels_of_a_grid():
    rows = [tidy([0.1, 0.2], votes=250, vote_failure_prob=0.01), tidy([0.1, 0.2], smooth_sigma=0.0, votes=1)]
    rows.append(tidy([0.1], quantity="certified_accuracy", radius=0.25, votes=250, vote_failure_prob=0.01))
    table = pd.concat(rows, ignore_index=True)
    assert levels_of_grid(table) == Levels((0.0, 0.1), (0.0, 0.5), (0.25,), VoteBudget(250, 0.01))
    mixed = pd.concat([table, tidy([0.1], votes=100)], ignore_index=True)
    with pytest.raises(InvalidInputError, match="votes"):
        levels_of_grid(mixed)


# --- all of it, and the command


def test_a_bridge_on_two_classes():
    data = load_data("digits:3,8")
    levels = Levels((0.0, 0.5), (0.0, 0.5), (0.0, 0.5), VoteBudget(20))
    tables = run_bridge(data, levels, images=30, copies=2)
    assert set(tables.predicted["predictor"]) == {"quadratic", "kernel", PREDICTED, ACTUAL, LINEAR}
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
    assert names == tables | {"quadratic.png", "kernel.png", "overlay.png", "pair.png"}
    gaps = pd.read_csv(out / "gap.csv")
    assert {"measured", ACTUAL, LINEAR} == set(gaps["against"])
    rows = gaps[(gaps["against"] == "measured") & (gaps["predictor"] == "kernel") & (gaps["measured_best"] > 0)]
    lost, usual = (f"{rows[name].mean():.4f} on average" for name in ("regret", "regret_of_equal_noise"))
    assert f"kernel rule: its α loses {lost}" in done.out
    assert f"over {len(rows)} pairs (β, r) in reach; α = β loses {usual}" in done.out
    kept = track_record(record)
    assert kept[["model", "predictor", "smooth_sigma", "radius", "measured_train_sigma"]].values.tolist() == [
        ["cnn", rule, 0.5, radius, 0.5] for rule in ("kernel", "quadratic") for radius in (0.0, 0.5)
    ]
    rows = record_rows(gaps[gaps["against"] == "measured"], data="digits:3,8", model="cnn", source=str(grid))
    pd.testing.assert_frame_equal(kept, rows.sort_values(["predictor", "radius"], ignore_index=True))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not readable as a table: No columns"),
        (b"a\nb,c\nd,e,f\n", "is not readable as a table"),
        (b"\xff\xfe\x00", "is not readable as a table"),
        (b"train_sigma,smooth_sigma,quantity,radius\na,.5,risk,\n", "something else than numbers in train_sigma"),
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


def test_the_command_predicts_logs(tmp_path, half_space_logs):
    done = run("bridge", "--data", "digits", *SMALL, "--log", half_space_logs[0], "--out", tmp_path)
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
