"""The choice of α by a grid's votes on validation images, on votes made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from noiseaug.certificates import CertificationSetting, VoteBudget, largest_radius
from noiseaug.errors import InvalidInputError
from noiseaug.tables import Measure
from noiseaug.vision.grid import Cell, GridVotes, curve_table, grid_table, optimum_table, tables
from tests.helpers.grids import frame, made, wrong_at
from tests.helpers.statistics import FALSE_ALARM


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
