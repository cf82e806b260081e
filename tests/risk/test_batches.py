"""Many values in one array against one value at a time, on generated cases."""

from __future__ import annotations

import numpy as np
import pytest

from noiseaug import tasks
from noiseaug.predictors import by_rule, smoothed
from noiseaug.regions import Ball, HalfSpace
from noiseaug.regions.batches import batch_of
from noiseaug.risk import QUANTITIES, VoteBudget, exact
from noiseaug.tables import measures

BUDGET = VoteBudget(200, 0.01)
FULL = np.array([[1.0, 0.2, 0.0], [0.2, 0.5, 0.1], [0.0, 0.1, 0.3]])


def generated(seed: int):
    """Each family with parameters of its own, and noise levels and radii that suit them."""
    rng = np.random.default_rng(seed)

    def uniform(low, high, *shape):
        return rng.uniform(low, high, *shape) if shape else float(rng.uniform(low, high))

    prior = uniform(0.05, 0.95)
    std, dim = uniform(0.2, 0.6), int(rng.choice([1, 2, 3, 17, 400]))
    return [
        tasks.GaussianPair(uniform(-1, 1, 5), uniform(-1, 1, 5), uniform(0.05, 2, 5), prior),
        tasks.GaussianPair(uniform(-1, 1, 3), uniform(-1, 1, 3), FULL, prior),
        tasks.ConcentricGaussians(dim, std, std * uniform(1.02, 2), prior),
        tasks.ConcentricSpheres(dim + 1, std, std * uniform(1.1, 2), prior),
        tasks.IsolatedBall(dim, uniform(1, 3)),
    ]


CASES = [(task, rule) for seed in range(2) for task in generated(seed) for rule in task.rules]
LEVELS = (0.0, 0.03, 0.4)
RADII = (0.0, 0.1, 0.6, 3.0)


def bases_of(task, rule):
    # the convolved rule of concentric Gaussians is a quadrature at each step of a root-finder
    slow = rule == "convolved" and isinstance(task, tasks.ConcentricGaussians)
    return [by_rule(task, rule, alpha) for alpha in ((0.0, 0.15) if slow else (0.0, 0.2, 2.0))]


@pytest.mark.parametrize(("task", "rule"), CASES, ids=lambda value: str(value)[:40])
def test_an_array_holds_the_single_values(task, rule):
    bases, quantities = bases_of(task, rule), [*QUANTITIES][:5]
    # the average radius of the others is a quadrature for each value
    quantities += ["acr"] if isinstance(task, tasks.ConcentricSpheres | tasks.GaussianPair) else []
    asked = measures(quantities, RADII)
    together = exact.evaluate_many(task, bases, LEVELS, asked, BUDGET)
    places = {name: [k for k, measure in enumerate(asked) if measure.quantity == name] for name in QUANTITIES}
    for i, j in np.ndindex(len(bases), len(LEVELS)):
        predictor = smoothed(bases[i], LEVELS[j])
        for name, found in places.items():
            if not found:
                continue
            radii = np.array([asked[k].at for k in found])
            one_by_one = exact._EXACT[name](task, predictor, radii, BUDGET)
            for k, single in zip(found, one_by_one, strict=True):
                mine = together.at((i, j, k))
                told = f"{asked[k]}, α number {i}, β = {LEVELS[j]}: {mine} against {single}"
                # differences of masses are known absolutely
                slack = 1e-15 if name == "excess_risk" else 0.0
                assert mine.value == pytest.approx(single.value, rel=1e-12, abs=slack), told
                assert mine.method == single.method, told
                for end in ("lower", "upper"):
                    assert getattr(mine, end) == pytest.approx(getattr(single, end), rel=1e-12, abs=slack), told


@pytest.mark.parametrize("task", [generated(0)[0], tasks.ConcentricGaussians(30, 0.3, 0.4)], ids=["pair", "balls"])
def test_a_value_does_not_depend_on_its_company(task):
    bases, asked = bases_of(task, "augmented"), measures(["risk", "certified_accuracy"], RADII)
    together = exact.evaluate_many(task, bases, LEVELS, asked, BUDGET)
    for i, j in np.ndindex(len(bases), len(LEVELS)):
        alone = exact.evaluate_exact(task, smoothed(bases[i], LEVELS[j]), asked, BUDGET)
        assert alone == [together.at((i, j, k)) for k in range(len(asked))]


@pytest.mark.parametrize("rows", [1, 7, 30])
def test_a_study_in_blocks_is_the_same(monkeypatch, rows):
    task = tasks.ConcentricGaussians(30, 0.3, 0.4)
    bases, asked = bases_of(task, "augmented"), measures(["risk", "disagreement", "certified_accuracy"], RADII)
    whole = exact.evaluate_many(task, bases, LEVELS, asked, BUDGET)
    monkeypatch.setattr(exact, "_BATCH_ROWS", rows)
    parts = exact.evaluate_many(task, bases, LEVELS, asked, BUDGET)
    for name, array in vars(whole).items():
        assert np.array_equal(array, getattr(parts, name)), name


def test_what_is_no_batch():
    half = HalfSpace(np.array([1.0, 2.0]), 0.1)
    assert batch_of([half, Ball(2, 1.0)]) is None
    assert batch_of([Ball(2, 1.0), Ball(3, 1.0)]) is None
    assert batch_of([Ball(2, 1.0), Ball(2, 1.0, outside=True)]) is None
    assert batch_of([]) is None
    assert batch_of([half, half]) is not None
