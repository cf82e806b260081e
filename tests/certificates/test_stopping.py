"""The optimal boundary keeps its level, exactly; it is cheapest among its neighbours, and near what any rule needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from noiseaug.certificates import CertificationSetting, ConfidenceSequence, OptimalStopping, VoteBudget
from noiseaug.certificates import boundary as code
from noiseaug.certificates.boundary import optimal_boundary
from noiseaug.confidence import binomial_upper
from noiseaug.errors import InvalidInputError
from tests.certificates.test_soundness import LEVELS, SIGMA, binomial_pmf


def followed(looks, needed, hopeless, p: float) -> tuple[float, float]:
    """P(certified) and the mean number of votes, with the whole law of the count carried from look to look."""
    alive, certified, votes, drawn = np.ones(1), 0.0, 0.0, 0
    for look, bar, floor in zip(looks, needed, hopeless, strict=True):
        alive = np.convolve(alive, binomial_pmf(look - drawn, p))
        drawn = look
        stops = np.zeros(len(alive), dtype=bool)
        stops[max(bar, 0) :] = stops[: floor + 1] = True
        if look == looks[-1]:
            stops[:] = True
        certified += float(alive[bar:].sum())
        votes += look * float(alive[stops].sum())
        alive = np.where(stops, 0.0, alive)
    return certified, votes


def bernoulli_divergence(p: float, q: float) -> float:
    return float(special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q))


def setting(level: float, votes: int = 3000) -> CertificationSetting:
    return CertificationSetting(SIGMA, VoteBudget(votes, level))


@pytest.mark.parametrize("radius", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("level", LEVELS)
def test_it_is_sound_and_uses_its_level(radius, level):
    """The worst class probability is the threshold; the chance of a certificate grows with it."""
    run, rule = setting(level), OptimalStopping(radius)
    found, threshold = rule.boundary(run), float(special.ndtr(radius / SIGMA))
    rates = [
        followed(rule.looks(run), found.needed, found.hopeless, share * threshold)[0] for share in (0.9, 0.99, 1.0)
    ]
    assert rates == sorted(rates)
    assert 0.95 * level < rates[-1] <= found.level <= level


def test_lower_bars_fail_the_same_test():
    run, rule = setting(0.05), OptimalStopping(0.25)
    found, threshold = rule.boundary(run), float(special.ndtr(0.5))
    lower = [bar - 1 for bar in found.needed]
    assert followed(rule.looks(run), lower, found.hopeless, threshold)[0] > 1.05 * 0.05


def test_the_rule_follows_its_boundary():
    run, rule = setting(0.001), OptimalStopping(0.25)
    found, looks = rule.boundary(run), rule.looks(run)
    for j in range(len(looks)):
        for hits in {found.needed[j] - 1, found.needed[j], found.hopeless[j], found.hopeless[j] + 1} & set(
            range(looks[j] + 1)
        ):
            counts = np.zeros((j + 1, 2), dtype=np.int64)
            counts[j] = hits, looks[j] - hits
            said = rule.decide(run, 0, np.array([1, 0]), counts)
            assert said.certified == (hits >= found.needed[j])
            assert said.radius == (rule.radius if said.certified else 0)
            assert said.done == (said.certified or hits <= found.hopeless[j] or j + 1 == len(looks))


def test_no_neighbour_of_the_boundary_is_cheaper(monkeypatch):
    """The induction against the definition of the cost, with every vote looked at: bars moved by one cost more."""
    monkeypatch.setattr(code, "_CELLS", 6)
    looks, threshold, level, miss, price = tuple(range(1, 41)), 0.7, 0.05, 5.0, math.exp(4.0)
    p, weights, above = code._population(threshold, looks[-1])
    needed, hopeless = code._bars(code._steps(looks, threshold, level, miss), price)

    def cost(bars, floors) -> float:
        said = np.array([followed(looks, bars, floors, each) for each in p])
        fine = miss * looks[-1] * above @ (1 - said[:, 0])
        return float(weights @ said[:, 1] + fine + price * followed(looks, bars, floors, threshold)[0])

    best, dearer = cost(needed, hopeless), 0
    for at in (5, 12, 25, 39):
        for bars, other in ((needed, hopeless), (hopeless, needed)):
            for shift in (-1, 1):
                moved = bars.copy()
                moved[at] += shift
                pair = (moved, other) if bars is needed else (other, moved)
                changed = cost(*pair)
                assert changed >= best * (1 - 1e-12)
                dearer += changed > best * (1 + 1e-9)
    assert dearer >= 6


def test_it_needs_half_the_votes_of_the_confidence_sequence_and_hardly_more_than_any_rule():
    """Exact means over margins; the bound is Wald's for any rule with the same chances of a certificate."""
    run, radius = setting(0.001), 0.25
    rule, other = OptimalStopping(radius), ConfidenceSequence(radius)
    looks, found, threshold = rule.looks(run), rule.boundary(run), float(special.ndtr(radius / SIGMA))
    gives_up = [int((binomial_upper(np.arange(look + 1), look, 1e-3) < threshold).sum()) - 1 for look in looks]
    p = special.ndtr(np.linspace(0.0, 3.0, 16))
    mine = np.array([followed(looks, found.needed, found.hopeless, each) for each in p])
    theirs = np.array([followed(looks, other.needed(run), gives_up, each) for each in p])
    assert mine[:, 1].mean() < 0.75 * theirs[:, 1].mean()
    assert mine[:, 0].mean() > theirs[:, 0].mean() - 0.01
    chances = np.clip(np.append(mine[:, 0], found.level), 1e-12, 1 - 1e-12)
    bounds = [
        max(
            bernoulli_divergence(chances[i], chances[j]) / bernoulli_divergence(p[i], q)
            for j, q in enumerate([*p, threshold])
            if q != p[i]
        )
        for i in range(len(p))
    ]
    assert (mine[:, 1] >= np.array(bounds) * (1 - 1e-9)).all()
    assert mine[:, 1].mean() < 1.25 * np.mean(bounds)


def test_what_is_out_of_reach_is_refused():
    with pytest.raises(InvalidInputError, match="radius is 3"):
        OptimalStopping(3.0).check(setting(0.001))
    with pytest.raises(InvalidInputError, match="at most 1000000 votes"):
        OptimalStopping(0.5).check(setting(0.001, 2_000_000))
    with pytest.raises(InvalidInputError, match="miss_cost"):
        OptimalStopping(0.5, 0.0)


def test_levels_and_thresholds_at_the_ends():
    """Tiny levels, and thresholds that only a few missing votes decide."""
    for level, threshold in ((1e-30, 0.6), (1e-3, 0.999), (0.3, 0.5)):
        looks = (200, 1000, 5000, 20_000)
        found = optimal_boundary(looks, threshold, level)
        assert 0.3 * level < found.level <= level
        assert followed(looks, found.needed, found.hopeless, threshold)[0] <= found.level
