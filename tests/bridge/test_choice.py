"""Which levels of training noise are plausible, and which one is recommended."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from noiseaug.bridge import plausible_levels, recommended_level


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


def test_the_convolutional_rule_recommends_the_middle_of_what_it_cannot_tell_apart():
    levels, values = [0.0, 0.25, 0.5, 0.75, 1.0], [0.1, 0.9, 0.8, 0.8, 0.7]
    assert recommended_level("convolutional", levels, values, [False, True, True, True, False], 0.0) == 0.5
    assert recommended_level("convolutional", levels, values, [False, True, True, False, False], 0.0) == 0.5
    assert recommended_level("convolutional", levels, values, [False, True, False, False, False], 1.0) == 0.25


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
