"""Sampling that stops by itself: narrow enough, valid at every look, within the budget."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from noiseaug import risk, sweep
from noiseaug.confidence import binomial_interval
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.predictors import augmented, smoothed
from noiseaug.risk import Measure, evaluate, sampled_draws
from noiseaug.risk.sampled import is_narrow, stopping_looks
from noiseaug.tasks import ConcentricGaussians, Intervals, PointMasses
from tests.helpers.statistics import assert_frequency

LINE = Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 8.0]], (0.0, 10.0))
PREDICTOR = smoothed(augmented(LINE, 0.3), 0.4)


@pytest.fixture
def small_chunks(monkeypatch):
    """Looks after few draws."""
    monkeypatch.setattr(sampled_draws, "_CHUNK_ROWS", 100)


def test_looks_grow_and_end_with_all_chunks():
    assert stopping_looks(1) == (1,)
    assert stopping_looks(5) == (1, 2, 3, 4, 5)
    looks = np.array(stopping_looks(3052))
    assert looks[-1] == 3052
    assert (np.diff(looks) > 0).all()
    assert (looks[1:] <= np.maximum(looks[:-1] + 1, 1.3 * looks[:-1])).all()
    assert len(looks) < 35


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.5])
@pytest.mark.parametrize("tolerance", [0.2, 0.12, 0.08])
def test_coverage_at_the_stop_by_enumeration(probability, tolerance):
    """Every path of the counts through the looks, stopped as the evaluation stops: misses are as rare as stated."""
    rows, chunks, failure_prob = 10, 40, 0.1
    looks = stopping_looks(chunks)
    alive, before, missed, stopped = np.ones(1), 0, 0.0, 0.0
    for look in looks:
        step = (look - before) * rows
        alive = np.convolve(alive, stats.binom.pmf(np.arange(step + 1), step, probability))
        before = look
        for count in np.flatnonzero(alive > 0):
            low, high = binomial_interval(int(count), look * rows, failure_prob / len(looks))
            answer = Estimate(count / (look * rows), low, high, "sampled")
            if is_narrow(answer, tolerance) or look == chunks:
                stopped += alive[count]
                missed += alive[count] * (not low <= probability <= high)
                alive[count] = 0.0
    assert stopped == pytest.approx(1, abs=1e-12)
    assert missed <= failure_prob


def test_coverage_of_whole_runs(small_chunks):
    """200 runs at failure probability .2, false alarm 1e-9: the interval at the stop misses no oftener than stated."""
    asked = [Measure("risk"), Measure("certified_accuracy", 0.2)]
    exact = [e.value for e in evaluate(LINE, PREDICTOR, asked)]
    misses, lengths = [0, 0], set()
    for seed in range(200):
        found = evaluate(
            LINE, PREDICTOR, asked, method="sampled", tolerance=0.08, n=4_000, seed=seed, failure_prob=0.2, jobs=1
        )
        lengths.add(found[0].n)
        for i in range(2):
            misses[i] += not found[i].lower <= exact[i] <= found[i].upper
    assert len(lengths) > 1  # it stops where the draws say
    assert max(lengths) < 4_000
    for count in misses:
        # the intervals are conservative, so only too many misses are an error
        if count > 40:
            assert_frequency(count, 200, 0.2)


def test_draws_until_all_intervals_are_narrow():
    asked = [Measure("risk"), Measure("certified_accuracy", 0.2), Measure("excess_risk"), Measure("acr")]
    options = {"method": "sampled", "failure_prob": 1e-9, "seed": 2}
    exact = evaluate(LINE, PREDICTOR, asked)
    found = evaluate(LINE, PREDICTOR, asked, tolerance=0.03, **options)
    assert {e.n for e in found} == {found[0].n}
    assert found[0].n < 10**6
    for one, other in zip(exact, found, strict=True):
        assert max(other.value - other.lower, other.upper - other.value) <= 0.03
        assert other.agrees_with(one)
        assert other.failure_prob == 1e-9
    # one interval alone is narrow earlier, and a closer tolerance takes more draws
    few, many = (risk.risk(LINE, PREDICTOR, tolerance=tolerance, **options).n for tolerance in (0.03, 0.003))
    assert few <= found[0].n
    assert few < many
    assert risk.risk(LINE, PREDICTOR, tolerance=0.003, jobs=3, **options) == risk.risk(
        LINE, PREDICTOR, tolerance=0.003, jobs=1, **options
    )


def test_a_rare_event_takes_fewer_draws():
    """The interval of a small probability is narrow sooner, so the draws follow the answer."""
    task = ConcentricGaussians(50, 0.2, 0.4)
    easy, hard = (smoothed(augmented(task, a), 0.1) for a in (0.1, 0.9))
    counts = [risk.risk(task, p, method="sampled", tolerance=0.002, seed=1).n for p in (easy, hard)]
    assert counts[0] < 0.2 * counts[1]


def test_the_budget_is_kept_and_the_interval_says_so():
    found = risk.risk(LINE, PREDICTOR, method="sampled", tolerance=1e-6, n=70_000)
    assert found.n == 70_000
    assert found.upper - found.value > 1e-6
    assert found.agrees_with(risk.risk(LINE, PREDICTOR))


def test_infinite_radii_are_narrow():
    task = ConcentricGaussians(10, 0.3, 0.4)
    constant = smoothed(augmented(task, 0.0).smoothed(50.0), 0.2)
    found = risk.acr(task, constant, method="sampled", tolerance=0.1)
    assert found.value == found.lower == found.upper == np.inf
    assert found.n < 10**6


@pytest.mark.parametrize("tolerance", [0, -0.1, np.nan, "0.1"])
def test_bad_tolerances(tolerance):
    with pytest.raises(InvalidInputError, match="tolerance is"):
        risk.risk(LINE, PREDICTOR, method="sampled", tolerance=tolerance)
    with pytest.raises(InvalidInputError, match="tolerance is"):
        sweep(LINE, train_sigma=0.3, smooth_sigma=0.4, method="sampled", tolerance=tolerance)


def test_votes_refuse_a_tolerance():
    message = re.escape("tolerance is 0.1, but votes limit how narrow an interval becomes; give n and votes_per_point")
    options = SimpleNamespace(method="sampled", tolerance=0.1, train_sigma=0.3, smooth_sigma=0.4)
    with pytest.raises(InvalidInputError, match=message):
        risk.risk(LINE, PREDICTOR, method="sampled", tolerance=0.1, votes_per_point=100)
    with pytest.raises(InvalidInputError, match=message):
        sweep(LINE, **vars(options), votes_per_point=100)
    with pytest.raises(InvalidInputError, match=message):
        sweep(PointMasses.moons(50), **vars(options))


def test_a_sweep_stops_row_by_row():
    table = sweep(
        LINE,
        train_sigma=[0.0, 0.3],
        smooth_sigma=[0.4],
        quantities=["risk", "disagreement"],
        method="sampled",
        tolerance=0.004,
    )
    assert (table["upper"] - table["value"] <= 0.004).all()
    assert (table["n"] < 10**7).all()
    fixed = sweep(LINE, train_sigma=[0.0], smooth_sigma=[0.4], method="sampled")
    assert fixed["n"].tolist() == [100_000]
