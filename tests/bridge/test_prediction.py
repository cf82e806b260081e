"""Votes of the rules, and the tables made from them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special, stats

from noiseaug.bridge import KernelFamily, RuleVotes, prediction, rule_table, rule_votes
from noiseaug.tables import COLUMNS
from noiseaug.votes import GaussianNoise, Predictor, VoteCounter
from tests.helpers.bridge import LEVELS, rule_of, value
from tests.helpers.statistics import FALSE_ALARM, assert_frequency


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
