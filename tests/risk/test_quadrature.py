"""Averages over the margin, and the convolved rule of mixtures, by roads that share no quadrature with the package."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

from noiseaug import risk
from noiseaug.errors import NoClosedFormError, UndecidedError
from noiseaug.numerics import SmoothedRegression
from noiseaug.predictors import SmoothedRegion, augmented, bayes, convolved, smoothed
from noiseaug.regions import HalfSpace
from noiseaug.risk import VoteBudget
from noiseaug.tasks import BinaryTask, ConcentricGaussians, GaussianPair, Intervals, MixtureOnLine

PANELS = 12_000


def dense_average(task: BinaryTask, predictor: SmoothedRegion, function: Callable[[np.ndarray], np.ndarray]) -> float:
    """E f(margin of the true class) on equal panels far narrower than anything the margin does, with the density."""
    edges = [predictor.decision.profile().ravel()]
    if isinstance(task, Intervals):
        low, high = task.domain
        edges.append(np.ravel(task.intervals))
    else:
        low, high = -task.reach(), task.reach()
    cells = np.unique(np.clip(np.concatenate([np.linspace(low, high, PANELS + 1), *edges]), low, high))
    unit, weights = np.polynomial.legendre.leggauss(8)
    total = 0.0
    for left, right in zip(np.array_split(cells[:-1], 40), np.array_split(cells[1:], 40), strict=True):
        half = 0.5 * (right - left)[:, None]
        x = (0.5 * (left + right)[:, None] + half * unit).reshape(-1, 1)
        margin = predictor.base.margin(x, predictor.smooth_sigma)
        for label, share, sign in ((1, task.prior, 1), (0, 1 - task.prior, -1)):
            density = share * np.exp(task.log_density(x, label))
            # where the density is 0 the margin may be anything
            total += float(
                np.sum((half * weights).ravel() * density * np.where(density > 0, function(sign * margin), 0))
            )
    return total


def random_line(seed: int, periodic: bool) -> tuple[BinaryTask, SmoothedRegion]:
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.random(2 * rng.integers(1, 4)))
    task = Intervals(ends.reshape(-1, 2), (0.0, 1.0), periodic)
    rule = (convolved, augmented)[rng.integers(2)]
    train, smooth = float(np.diff(ends).min()) * 10 ** rng.uniform(-2, -0.3), 10 ** rng.uniform(-2.7, -0.7)
    return task, smoothed(rule(task, train), smooth)


def random_mixture(seed: int) -> tuple[BinaryTask, SmoothedRegion]:
    rng = np.random.default_rng(seed)
    sides = []
    for _ in range(2):
        count = rng.integers(1, 4)
        weights = rng.dirichlet(np.ones(count))
        sides.append(list(zip(weights, rng.normal(0, 3, count), 10 ** rng.uniform(-0.7, 0.3, count), strict=True)))
    task = MixtureOnLine(*sides, prior=rng.uniform(0.2, 0.8))
    return task, smoothed(bayes(task), 10 ** rng.uniform(-1.3, 0.5))


KINK = Intervals([[0.5003145590931377, 0.9481022894736189]], (0.0, 1.0))
CASES = [
    *(pytest.param(*random_line(seed, False), id=f"line-{seed}") for seed in range(16)),
    *(pytest.param(*random_line(100 + seed, True), id=f"circle-{seed}") for seed in range(12)),
    *(pytest.param(*random_mixture(200 + seed), id=f"mixture-{seed}") for seed in range(14)),
    pytest.param(KINK, smoothed(convolved(KINK, 0.00807), 0.00197), id="kink"),
]
EVERY = pytest.mark.parametrize(("task", "predictor"), CASES)
ROUNDING = 2e-14  # of the dense sums


@EVERY
def test_acr_interval_holds_the_truth(task, predictor):
    found = risk.acr(task, predictor)
    want = predictor.smooth_sigma * dense_average(task, predictor, lambda margin: np.maximum(margin, 0))
    assert found.upper - found.lower < 1e-8
    slack = ROUNDING * (1 + want)
    assert found.lower - slack <= want <= found.upper + slack
    assert found.value == pytest.approx(want, rel=1e-11, abs=1e-12)


@EVERY
@pytest.mark.parametrize("votes", [50, 3000])
def test_finite_sample_interval_holds_the_truth(task, predictor, votes):
    radius = 0.5 * predictor.smooth_sigma
    found = risk.finite_sample_certified_accuracy(task, predictor, radius, budget=VoteBudget(votes, 0.01))
    k = VoteBudget(votes, 0.01).needed(radius, predictor.smooth_sigma)
    want = dense_average(task, predictor, lambda margin: stats.binom.sf(k - 1, votes, special.ndtr(margin)))
    assert found.upper - found.lower < 1e-8
    slack = 10 * ROUNDING
    assert found.lower - slack <= want <= found.upper + slack


def test_the_dense_sums_find_a_quadrature_that_misses_the_kink():
    """The control: two Gauss rules on the whole pieces agree to far better than they are right."""
    (task, predictor) = CASES[-1].values
    want = predictor.smooth_sigma * dense_average(task, predictor, lambda margin: np.maximum(margin, 0))
    ends = np.unique(np.concatenate([[0.0, 1.0], np.ravel(task.intervals), predictor.decision.profile().ravel()]))
    unit, weights = np.polynomial.legendre.leggauss(24)
    half = 0.5 * np.diff(ends)[:, None]
    x = (0.5 * (ends[1:] + ends[:-1])[:, None] + half * unit).reshape(-1, 1)
    margin = predictor.base.margin(x, predictor.smooth_sigma) * np.where(task.bayes_region().contains(x), 1, -1)
    rough = predictor.smooth_sigma * float(np.sum((half * weights).ravel() * np.maximum(margin, 0)))
    assert abs(rough - want) > 1e-6


def test_the_neglected_tail_is_in_the_interval():
    """A half-space 20 stds from the law: nothing of its tiny average lies in the window of the quadrature."""
    task, region = GaussianPair([0.0], [40.0], 1.0), HalfSpace([1.0], 20.0)
    for label, sign in ((1, 1), (0, -1)):
        value, error = task.expectation(label, region, 0.1, lambda m, s=sign: np.maximum(s * m, 0), [0.0])
        want = float(stats.norm.pdf(20) / 20**2 / 0.1)
        assert 0 < error < 1e-18
        assert value - error <= want <= value + error


@pytest.mark.parametrize("dim", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_acr_of_balls_with_little_noise(dim):
    """A ball's margin has its kink at the centre: |R − |x|| up to β there."""
    task = ConcentricGaussians(dim, 0.3, 0.5)
    predictor = smoothed(bayes(task), 0.003)
    found = risk.acr(task, predictor)
    unit, weights = np.polynomial.legendre.leggauss(8)
    edges = np.unique(np.append(np.linspace(0, 6, 40_001), predictor.decision.radius))
    half = 0.5 * np.diff(edges)[:, None]
    c = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * unit).ravel()
    margin = predictor.smooth_sigma * predictor.base.margin_at(c, predictor.smooth_sigma)
    want = sum(
        0.5 * float(np.sum((half * weights).ravel() * stats.chi(dim, scale=std).pdf(c) * np.maximum(sign * margin, 0)))
        for std, sign in ((0.3, 1), (0.5, -1))
    )
    assert found.upper - found.lower < 1e-8
    assert found.lower - 1e-12 <= want <= found.upper + 1e-12


# --- the convolved rule of mixtures -----------------------------------------------------------------------------------

SPLIT = MixtureOnLine([(0.5, -2, 1), (0.5, 4, 0.5)], [(1, 0, 1)])
SHARED = MixtureOnLine([(0.5, 0, 3), (0.5, 1, 0.5)], [(0.5, 0, 3), (0.5, -1.2, 0.7)])
COMB = MixtureOnLine([(0.25, k, 0.1) for k in range(0, 8, 2)], [(0.25, k, 0.12) for k in range(1, 9, 2)], prior=0.4)
NARROW = MixtureOnLine([(0.3, 0, 1), (0.7, 2, 0.2)], [(1, 1, 0.5)], prior=0.3)
LEVELS = [1e-8, 1e-5, 1e-3, 0.01, 0.1, 0.4, 1.0, 3.0, 30.0, 1e4]


def exact_gap(task: MixtureOnLine, x: float, sigma: float, corners: np.ndarray) -> mp.mpf:
    """(h ∗ p_σ)(x) − ½ with 30 digits: Gauss–Legendre panels that close in on the corners of h."""

    def density(parts, u):
        return sum(w * mp.exp(-(((u - m) / s) ** 2) / 2) / s for w, m, s in parts)

    def gap(z):
        u = x + sigma * z
        first, second = task.prior * density(task.components_1, u), (1 - task.prior) * density(task.components_0, u)
        return (first - second) / (first + second) / 2 * mp.npdf(z)

    rings = 0.02 * 2.0 ** np.arange(8 + int(np.log2(1 + 600 * sigma)))
    near = (corners[:, None] + np.array([-1, 1])[:, None, None] * rings).ravel()
    cuts = (np.concatenate([corners, near]) - float(x)) / sigma
    cuts = np.unique(np.concatenate([np.arange(-12.0, 12.5, 3), cuts[np.abs(cuts) < 12]]))
    return mp.quad(gap, [mp.mpf(c) for c in cuts], method="gauss-legendre", maxdegree=3)


@pytest.mark.parametrize("sigma", [1e-8, 1e-3, 0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("task", [SPLIT, NARROW], ids=["split", "narrow"])
def test_convolved_boundary_against_mpmath(task, sigma):
    """h ∗ p_α − ½ changes its sign within 1e-9 of what is found, in units of the larger of α and 1."""
    region = convolved(task, sigma)
    assert region.proven
    corners = np.ravel(bayes(task).intervals)
    corners = corners[np.isfinite(corners)]
    ends = np.ravel(region.intervals)
    with mp.workdps(30):
        for end in ends[np.isfinite(ends)]:
            step = 1e-9 * max(1.0, sigma)
            below, above = (exact_gap(task, mp.mpf(end) + d, sigma, corners) for d in (-step, step))
            rising = end in region.intervals[:, 0]
            assert (below < 0 < above) if rising else (above < 0 < below)


@pytest.mark.parametrize("task", [SPLIT, NARROW, COMB, SHARED], ids=["split", "narrow", "comb", "shared"])
@pytest.mark.parametrize("sigma", LEVELS)
def test_convolved_rule_has_the_sign_of_dense_quadrature(task, sigma):
    """Everywhere on a grid, and around the Bayes boundary, where the sum is clear of rounding."""
    if task is SHARED and sigma > 1:
        # h tends to ½ on both sides, and numbers below rounding decide the far tails: no proof, or a refusal
        try:
            region = convolved(task, sigma)
        except (NoClosedFormError, UndecidedError):
            return
    else:
        region = convolved(task, sigma)
        assert region.proven
    ends = np.ravel(bayes(task).intervals)
    ends = ends[np.isfinite(ends)]
    x = np.concatenate([np.linspace(-12, 14, 27), (ends[:, None] + sigma * np.linspace(-6, 6, 13)).ravel()])
    unit, weights = np.polynomial.legendre.leggauss(8)
    # nodes dense in z, and in u wherever h moves
    z = np.linspace(-10, 10, 401)
    for point in x:
        cuts = (np.linspace(-20, 22, 2101) - point) / sigma
        cells = np.unique(np.concatenate([z, cuts[np.abs(cuts) < 10]]))
        half = 0.5 * np.diff(cells)[:, None]
        nodes = 0.5 * (cells[1:] + cells[:-1])[:, None] + half * unit
        h = task.regression((point + sigma * nodes).reshape(-1, 1)).reshape(nodes.shape) - 0.5
        gap = float(np.sum(half * weights * h * np.exp(-0.5 * nodes**2))) / np.sqrt(2 * np.pi)
        if abs(gap) > 1e-12:
            assert bool(region.contains(np.array([[point]]))[0]) == (gap > 0)


@pytest.mark.parametrize("sigma", LEVELS)
def test_memory_of_the_convolved_rule(sigma):
    convolved(SPLIT, sigma)
    tracemalloc.start()
    convolved(SPLIT, sigma)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_little_noise_moves_the_boundary_by_its_second_derivative():
    """h ∗ p_α = h + α²h″/2 + O(α⁴), so an end moves by −α² h″/2h′."""
    (end,) = (e for e in np.ravel(bayes(SPLIT).intervals) if 2 < e < 3)
    with mp.workdps(40):

        def h(u):
            parts = [sum(w * mp.npdf(u, m, s) for w, m, s in c) for c in (SPLIT.components_1, SPLIT.components_0)]
            return parts[0] / (parts[0] + parts[1])

        rate = float(-mp.diff(h, end, 2) / mp.diff(h, end) / 2)
    for sigma in (1e-3, 1e-2):
        moved = [e for e in np.ravel(convolved(SPLIT, sigma).intervals) if 2 < e < 3]
        assert moved[0] - end == pytest.approx(rate * sigma**2, rel=20 * sigma, abs=4e-15)


def test_tiny_priors_do_not_cancel():
    region = MixtureOnLine([(1, 100, 1)], [(1, 0, 1)], prior=1e-16).bayes_region()
    assert region.intervals.tolist() == [[pytest.approx(50 - np.log(1e-16) / 100, rel=1e-12), np.inf]]


@pytest.mark.parametrize("task", [SPLIT, NARROW, COMB, SHARED], ids=["split", "narrow", "comb", "shared"])
@pytest.mark.parametrize("sigma", [0.003, 0.5, 50.0])
def test_slopes_lie_in_the_range_that_the_proof_rests_on(task, sigma):
    """g′ at points of random cells, by the slope of g over a thousandth of the noise level, its error included."""
    rng = np.random.default_rng(3)
    zone = np.array([-6.0, 9.0])
    smooth = SmoothedRegression(task._odds(), sigma, zone, np.ravel(bayes(task).intervals))
    left = rng.uniform(*zone, 300)
    right = left + 10 ** rng.uniform(-4, 0, 300)
    low, high = smooth.slope_range(left, right)
    step = 1e-3 * sigma
    for share in (0.0, 0.3, 1.0):
        x = left + share * (right - left)
        slope = (smooth.value(x + step) - smooth.value(x - step)) / (2 * step)
        slack = 1e-6 * np.abs(slope) + (1e-12 + 0.8 * 1e-6 / 6) / sigma * 1.6
        assert (slope >= low - slack).all()
        assert (slope <= high + slack).all()
    assert np.median((high - low)[right - left < 1e-3]) < 2e-2 / min(sigma, 1.0)
