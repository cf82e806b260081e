"""The statistical asserts fire when they should and stay silent when they should."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.statistics import FALSE_ALARM, assert_frequency, assert_mean


def test_frequency_fires_on_a_wrong_probability():
    hits = int(np.random.default_rng(0).binomial(100_000, 0.5))
    assert_frequency(hits, 100_000, 0.5)
    with pytest.raises(AssertionError):
        assert_frequency(hits, 100_000, 0.52)


def test_frequency_has_its_false_alarm_rate():
    # exact: the probability of the counts that it rejects, by enumeration
    from scipy import stats

    trials, probability, rate = 400, 0.3, 1e-3
    rejected = 0.0
    for k in range(trials + 1):
        try:
            assert_frequency(k, trials, probability, rate)
        except AssertionError:
            rejected += stats.binom.pmf(k, trials, probability)
    assert 0 < rejected <= rate


def test_mean_fires_on_a_shift():
    draws = np.random.default_rng(1).random(100_000)
    assert_mean(draws, 0.5, 1.0)
    with pytest.raises(AssertionError):
        assert_mean(draws, 0.52, 1.0)
    assert FALSE_ALARM == 1e-9
