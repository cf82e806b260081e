"""Gaps between predictions and measurements, and the regret of the predicted level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from noiseaug.bridge import gap_table, overlay
from noiseaug.bridge.study import Levels, levels_of_grid
from noiseaug.certificates import VoteBudget
from noiseaug.errors import InvalidInputError
from tests.helpers.bridge import tidy


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
