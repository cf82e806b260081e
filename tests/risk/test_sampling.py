"""Sampled estimates: coverage, memory, and what they refuse."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from noiseaug import risk
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.predictors import augmented, smoothed
from noiseaug.risk import Measure, evaluate
from noiseaug.tasks import ConcentricGaussians, Intervals
from tests.helpers.statistics import assert_frequency

LINE = Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 8.0]], (0.0, 10.0))


def test_intervals_cover_as_often_as_they_say():
    """300 runs at failure probability .1: misses as rare as a false-alarm rate of 1e-9 allows."""
    predictor = smoothed(augmented(LINE, 0.3), 0.4)
    exact = [e.value for e in evaluate(LINE, predictor, [Measure("risk"), Measure("acr")])]
    misses = [0, 0]
    for seed in range(300):
        found = risk.evaluate(
            LINE, predictor, [Measure("risk"), Measure("acr")], method="sampled", n=400, seed=seed, failure_prob=0.1
        )
        for i in range(2):
            misses[i] += not found[i].lower <= exact[i] <= found[i].upper
    for count in misses:
        # the intervals are conservative, so only too many misses are an error
        if count > 30:
            assert_frequency(count, 300, 0.1)


def test_a_wrong_value_is_caught():
    """The check that the laws rest on fires: an exact value of another task does not agree."""
    predictor = smoothed(augmented(LINE, 0.3), 0.4)
    found = risk.risk(LINE, predictor, method="sampled", n=40_000, failure_prob=1e-9)
    other = risk.risk(LINE, smoothed(augmented(LINE, 0.3), 0.8))
    assert not other.agrees_with(found)


def test_seeds():
    predictor = smoothed(augmented(LINE, 0.3), 0.4)
    values = [risk.risk(LINE, predictor, method="sampled", n=1000, seed=s).value for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("task", [LINE, ConcentricGaussians(784, 0.3, 0.4)], ids=["line", "784"])
def test_memory_does_not_grow_with_the_draws(task):
    predictor = smoothed(augmented(task, 0.3), 0.4)
    asked = [
        Measure("risk"),
        Measure("certified_accuracy", 0.1),
        Measure("acr"),
        Measure("adversarial_accuracy", 0.1),
    ]
    peaks = []
    for n in (34_000, 68_000):
        tracemalloc.start()
        evaluate(task, predictor, asked, method="sampled", n=n)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 300 * 2**20
    assert peaks[1] < 1.2 * peaks[0] + 2**20


@pytest.mark.slow
@pytest.mark.parametrize("task", [LINE, ConcentricGaussians(2, 0.3, 0.4)], ids=["line", "2"])
def test_a_hundred_million_draws_stay_under_a_gibibyte(task):
    import resource

    predictor = smoothed(augmented(task, 0.3), 0.4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = risk.risk(task, predictor, method="sampled", n=100_000_000, failure_prob=1e-9)
    assert found.agrees_with(risk.risk(task, predictor))
    assert found.upper - found.lower < 7e-4
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 1024**2  # KiB


def test_constant_classifiers_have_infinite_radii():
    task = ConcentricGaussians(10, 0.3, 0.4)
    predictor = smoothed(augmented(task, 0.0).smoothed(50.0), 0.2)
    assert risk.acr(task, predictor).value == np.inf
    assert risk.acr(task, predictor, method="sampled", n=100).value == np.inf
    assert risk.certified_accuracy(task, predictor, 1e6).value == 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"method": "guessed"},
        {"method": "sampled", "n": 1},
        {"method": "sampled", "n": 10.5},
        {"method": "sampled", "seed": -1},
        {"method": "sampled", "failure_prob": 0.0},
        {"method": "sampled", "votes_per_point": 0},
    ],
)
def test_bad_options(options):
    with pytest.raises(InvalidInputError):
        risk.risk(LINE, smoothed(augmented(LINE, 0.3), 0.4), **options)


def test_bad_predictors():
    with pytest.raises(InvalidInputError, match="smooth_sigma"):
        smoothed(augmented(LINE, 0.3), -1.0)
    with pytest.raises(InvalidInputError, match="Region"):
        smoothed(LINE, 1.0)


def test_a_predictor_of_another_geometry_is_refused():
    with pytest.raises(NoClosedFormError, match="law"):
        risk.risk(LINE, smoothed(augmented(ConcentricGaussians(2, 0.3, 0.4), 0.1), 0.2))
