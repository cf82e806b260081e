"""Lattices: the blur against scipy, brute force and mpmath; sets of cells; tasks; the fast majority filter."""

from __future__ import annotations

import itertools

import mpmath
import numpy as np
import pytest
from scipy import ndimage, special

from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.numerics import FoldedFields, Grid, MajorityFilter, gaussian_blur, log_escape, log_gaussian_blur
from noiseaug.regions import Ball, LatticeSet
from noiseaug.regions import lattice as lattices
from noiseaug.regions.lattice import smoothed_sets
from noiseaug.tasks import Lattice, disagreement_curves
from tests.helpers.statistics import FALSE_ALARM, assert_frequency

SHAPES = [(37,), (64,), (30, 41), (24, 16), (8, 9, 12), (1, 5)]
PERIODIC = [False, True]


def field(shape, seed=0, smooth=2.0):
    """A smooth random h in [0, 1] with both classes."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    return special.ndtr(4 * ndimage.gaussian_filter(noise, smooth, mode="wrap") / noise.std())


def random_set(shape, periodic, seed=0, smooth=2.0, **grid):
    blurred = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), smooth, mode="wrap")
    return LatticeSet(blurred > 0, Grid(shape, periodic=periodic, **grid))


@pytest.mark.parametrize("periodic", PERIODIC)
@pytest.mark.parametrize("shape", SHAPES)
def test_truncated_blur_is_scipys(shape, periodic):
    values = np.random.default_rng(1).random(shape)
    mode = "wrap" if periodic else "constant"
    for truncate, sigma, spacing in itertools.product([4.0, 2.5], [0.1, 0.3, 1.0, 2.7, 8.0, 80.0], [1.0, 0.25]):
        found = gaussian_blur(values, Grid(shape, spacing, periodic, truncate), sigma * spacing)
        expected = ndimage.gaussian_filter(values, sigma, mode=mode, truncate=truncate)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("periodic", PERIODIC)
@pytest.mark.parametrize("sigma", [0.4, 1.3, 4.0, 9.0])
def test_untruncated_blur_is_the_sum_over_all_integers(sigma, periodic):
    shape = (6, 5)
    values = np.random.default_rng(2).random(shape)
    reach = np.arange(-100, 101)
    weights = np.exp(-0.5 * (reach / sigma) ** 2)
    weights /= weights.sum()
    expected = np.zeros(shape)
    for i, j in np.ndindex(shape):
        for di, wi in zip(reach, weights, strict=True):
            for dj, wj in zip(reach, weights, strict=True):
                row, column = i + di, j + dj
                if periodic or (0 <= row < 6 and 0 <= column < 5):
                    expected[i, j] += wi * wj * values[row % 6, column % 5]
    grid = Grid(shape, periodic=periodic)
    np.testing.assert_allclose(gaussian_blur(values, grid, sigma), expected, rtol=1e-13)
    stays = gaussian_blur(np.ones(shape), grid, sigma)
    np.testing.assert_allclose(stays + np.exp(log_escape(grid, sigma)), 1.0, rtol=1e-13)


def test_blur_takes_batches_and_long_axes():
    values = np.random.default_rng(3).random((3, 7, 11))
    grid = Grid((7, 11))
    for one, blurred in zip(values, gaussian_blur(values, grid, 1.5), strict=True):
        np.testing.assert_allclose(blurred, gaussian_blur(one, grid, 1.5), rtol=1e-14)
    # long enough to be done in blocks, which see the neighbourhood of their rows only
    line = np.random.default_rng(4).random(20_000)
    expected = ndimage.gaussian_filter(line, 6.0, mode="constant", truncate=12)
    np.testing.assert_allclose(gaussian_blur(line, Grid(line.shape), 6.0), expected, atol=1e-12)


@pytest.mark.parametrize("deviation", [1e-100, 1e-3, 3.99999, 4.00001, 1e4, 1e9])
def test_kernels_at_extreme_levels_keep_their_mass(deviation):
    for periodic in PERIODIC:
        grid = Grid((20,), periodic=periodic)
        stays = gaussian_blur(np.ones(20), grid, deviation)
        np.testing.assert_allclose(stays + np.exp(log_escape(grid, deviation)), 1.0, rtol=1e-12)
        assert np.isfinite(LatticeSet(np.arange(20) < 7, grid).margins(deviation)).all()


@pytest.mark.parametrize("periodic", PERIODIC)
def test_tails_agree_with_mpmath_far_beyond_underflow(periodic):
    side, cut, sigma = 300, 120, mpmath.mpf("1.5")
    region = LatticeSet(np.arange(side) < cut, Grid((side,), periodic=periodic))

    def mass(cells):  # of offsets, by mpmath
        total = mpmath.nsum(lambda k: mpmath.exp(-(k**2) / (2 * sigma**2)), [-mpmath.inf, mpmath.inf])
        return mpmath.fsum(mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * sigma**2)) for k in cells) / total

    cell = 60  # 60 cells from the cut, 61 from the border
    offsets = range(cut - cell, 800) if not periodic else range(cut - cell, side - cell)
    outside = mass([*offsets, *range(-800, -cell)] if not periodic else offsets)
    with mpmath.workdps(30):
        expected = mpmath.log(outside)
    logs = np.logaddexp(log_gaussian_blur(~region.mask, region.grid, 1.5), log_escape(region.grid, 1.5))
    assert float(outside) < 1e-300
    assert logs[cell] == pytest.approx(float(expected), rel=1e-13)
    assert special.log_ndtr(-region.margins(1.5)[cell]) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("periodic", PERIODIC)
def test_set_laws(periodic):
    for seed, shape in enumerate([(60,), (24, 30), (10, 9, 8)]):
        region = random_set(shape, periodic, seed)
        grid, rng = region.grid, np.random.default_rng(seed)
        larger = LatticeSet(region.mask | (rng.random(shape) < 0.2), grid)
        x = grid.points()
        for sigma in (0.0, 0.6, 2.0, 7.0):
            smaller_margins, margins = region.margins(sigma), larger.margins(sigma)
            assert (smaller_margins <= margins + 1e-12).all()
            np.testing.assert_allclose(region.complement().margins(sigma), -smaller_margins, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(
                region.gaussian_mass(x, sigma), special.ndtr(region.margin(x, sigma)), rtol=1e-9, atol=1e-300
            )
            np.testing.assert_array_equal(region.smoothed(sigma).mask, region.superlevels(sigma, [0.0])[0].mask)
            nested = region.superlevels(sigma, [-2.0, 0.0, 0.5, 2.0])
            for outer, inner in itertools.pairwise(nested):
                assert (inner.mask <= outer.mask).all()
            np.testing.assert_array_equal(
                region.complement().smoothed(sigma).mask, ~region.smoothed(sigma).mask
            )  # no ties in a random set
        np.testing.assert_array_equal(region.contains(x), region.mask.ravel())


def test_translation_on_the_torus_and_scaling():
    region = random_set((24, 30), True, 5)
    moved = LatticeSet(np.roll(region.mask, (7, -4), (0, 1)), region.grid)
    scaled = LatticeSet(region.mask, Grid((24, 30), 0.5, True))
    for sigma in (1.0, 4.0):
        np.testing.assert_allclose(
            moved.margins(sigma), np.roll(region.margins(sigma), (7, -4), (0, 1)), rtol=1e-10, atol=1e-12
        )
        np.testing.assert_array_equal(scaled.margins(0.5 * sigma), region.margins(sigma))
    far = region.grid.points() + np.array([24.0, -60.0])  # the same cells, some turns away
    np.testing.assert_array_equal(region.contains(far), region.mask.ravel())


def test_ties_belong_to_class_1():
    half = np.full((9, 10), 0.5)
    half[0, 0] = 1.0
    task = Lattice(half, periodic=True)
    assert task.bayes_region().mask.all()
    for sigma in (0.7, 3.0, 50.0):
        assert task.convolved_region(sigma).mask.all()
        assert task.augmented_region(sigma).mask.all()
        assert (disagreement_curves([task], [sigma], [1.0]) == 0).all()


@pytest.mark.parametrize("periodic", PERIODIC)
def test_distances_are_those_between_cells(periodic):
    for seed, shape in enumerate([(20,), (9, 8), (5, 4, 6)]):
        region = random_set(shape, periodic, seed, smooth=0.8, spacing=0.5)
        cells = list(np.ndindex(shape))
        # the lattice with its images, or with a rim of class 0
        around = {}
        for cell in itertools.product(*[range(-side, 2 * side) for side in shape]):
            on = all(0 <= c < side for c, side in zip(cell, shape, strict=True))
            wrapped = tuple(c % side for c, side in zip(cell, shape, strict=True))
            around[cell] = bool(region.mask[wrapped]) if on or periodic else False
        points, labels = np.array(list(around)), np.array(list(around.values()))
        expected = [0.5 * np.sqrt(((points[labels != region.mask[c]] - c) ** 2).sum(axis=1).min()) for c in cells]
        found = region.distance_to_boundary(region.grid.points())
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        for radius in (0.0, 0.5, 0.7, 1.0, 1.5):
            reached = region.mask.ravel() & (np.array(expected) >= radius)
            np.testing.assert_array_equal(region.eroded(radius).mask.ravel(), reached)
    assert np.isinf(LatticeSet(np.ones((3, 3)), Grid((3, 3), periodic=True)).distance_to_boundary([[1.0, 1.0]])).all()


@pytest.mark.parametrize("periodic", PERIODIC)
@pytest.mark.parametrize("sigma", [1.0, 1.5, 4.0])
def test_certified_cells_survive_every_attack(sigma, periodic):
    for seed, shape in enumerate([(80,), (30, 34), (12, 11, 13)] * 4):
        region = random_set(shape, periodic, seed, smooth=1 + seed % 4)
        decision = region.smoothed(sigma)
        certified = sigma * np.abs(region.margins(sigma)).ravel()
        assert (certified <= decision.distance_to_boundary(region.grid.points())).all()
        for radius in (0.5, 1.0, 2.0, 3.3):
            assert (region.superlevels(sigma, [radius / sigma])[0].mask <= decision.eroded(radius).mask).all()


def test_a_fine_lattice_converges_to_the_ball():
    # R = 10 as in docs/math.md 2.5; which cells a circle holds is uncertain by a share of the spacing
    spacing, side = 0.125, 221
    middle = spacing * (side - 1) / 2
    grid = Grid((side, side), spacing)
    norms = np.linalg.norm(grid.points() - middle, axis=1).reshape(grid.shape)
    disc = LatticeSet(norms <= 10, grid)
    for sigma in (1.0, 2.0, 4.0, 6.0):
        expected = Ball(2, 10.0).smoothed(sigma).radius
        area = spacing**2 * disc.smoothed(sigma).mask.sum()
        assert np.sqrt(area / np.pi) == pytest.approx(expected, abs=spacing / 10)
        along = np.array([[middle + t, middle] for t in (0.0, 3.0, 8.0, 12.0)])
        exact = Ball(2, 10.0).margin(along - middle, sigma)
        np.testing.assert_allclose(disc.margin(along, sigma), exact, rtol=0, atol=spacing / 4 / sigma)


@pytest.mark.parametrize("periodic", PERIODIC)
@pytest.mark.parametrize("truncate", [None, 2.0])
def test_votes_agree_with_masses(periodic, truncate):
    region = random_set((12, 15), periodic, 3, truncate=truncate, spacing=0.5)
    x = region.grid.points()
    votes = region.votes(x, 0.9, 4000, np.random.default_rng(6))
    masses = region.gaussian_mass(x, 0.9)
    for hits, mass in zip(votes, masses, strict=True):
        # over all points together the false-alarm probability stays at 1e-9
        assert_frequency(int(hits), 4000, min(mass, 1.0), FALSE_ALARM / len(x))
    outside = region.complement().votes(x, 0.9, 4000, np.random.default_rng(6))
    np.testing.assert_array_equal(votes + outside, 4000)


@pytest.mark.parametrize("truncate", [None, 1.5])
def test_noise_is_drawn_from_the_kernel(truncate):
    steps = Grid((5, 5), 0.5, truncate=truncate).draw_noise(100_000, 1.0, np.random.default_rng(7)) / 0.5
    weights = ndimage.gaussian_filter1d(np.eye(1, 41, 20)[0], 2.0, mode="constant", truncate=truncate or 10)
    assert np.abs(steps).max() <= 20
    for axis, offset in itertools.product((0, 1), range(-20, 21)):
        hits = int((steps[:, axis] == offset).sum())
        assert_frequency(hits, 100_000, weights[offset + 20], FALSE_ALARM / 82)


@pytest.mark.parametrize("case", range(4))
def test_task_sums_over_cells(case):
    shape = [(40,), (12, 9), (5, 6, 4), (14, 10)][case]
    rng = np.random.default_rng(case)
    h, weights = field(shape, case), rng.random(shape) * (rng.random(shape) < 0.8)
    task = Lattice(h, None if case == 0 else weights, 0.5, periodic=case % 2 == 1)
    mu = (np.ones(shape) if case == 0 else weights) / (h.size if case == 0 else weights.sum())
    region, other = task.region(rng.random(shape) < 0.5), task.region(rng.random(shape) < 0.5)
    assert task.prior == pytest.approx(float((mu * h).sum()), rel=1e-14)
    for label, part in ((1, h), (0, 1 - h)):
        mass = (mu * part)[region.mask].sum() / (mu * part).sum()
        assert task.class_mass(label, [region, other])[0] == pytest.approx(mass, rel=1e-13)
        value, error = task.expectation(label, region, 1.0, np.exp, [])
        average = np.sum(mu * part * np.exp(region.margins(1.0))) / np.sum(mu * part)
        assert value == pytest.approx(average, rel=1e-13)
        assert 0 < error < 1e-12
        x = task.grid.points()
        density = np.exp(task.log_density(x, label, 0.6)).reshape(shape)
        np.testing.assert_allclose(density, gaussian_blur(mu * part, task.grid, 0.6) / (mu * part).sum(), rtol=1e-12)
    assert task.disagreement_mass(region, other) == pytest.approx(mu[region.mask != other.mask].sum(), rel=1e-13)
    risks = [np.sum(mu * np.where(r, 1 - h, h)) for r in (region.mask, h >= 0.5)]
    assert task.excess_mass(region) == pytest.approx(risks[0] - risks[1], rel=1e-11)
    np.testing.assert_array_equal(task.regression(x), h.ravel())
    # both rules, obviously; the noise reaches every cell, so no mass is 0
    noised = [np.exp(task.log_density(x, label, 0.6)).reshape(shape) for label in (1, 0)]
    wins = task.prior * noised[0] >= (1 - task.prior) * noised[1]
    np.testing.assert_array_equal(task.augmented_region(0.6).mask, wins)
    np.testing.assert_array_equal(task.convolved_region(0.6).mask, gaussian_blur(h, task.grid, 0.6) >= 0.5)
    assert (x <= task.reach()).all()
    assert task.radius_cap(region, 1.0) == np.abs(region.margins(1.0)).max()


def test_the_rules_agree_on_a_torus_and_differ_at_a_border():
    h = (field((30, 30), 1) > 0.5).astype(float)
    torus, square = Lattice(h, periodic=True), Lattice(h)
    np.testing.assert_array_equal(torus.augmented_region(4.0).mask, torus.convolved_region(4.0).mask)
    # zeros around the lattice can only take away from class 1
    assert (square.convolved_region(4.0).mask < square.augmented_region(4.0).mask).any()
    assert (square.convolved_region(4.0).mask <= square.augmented_region(4.0).mask).all()


def test_where_no_mass_arrives_h_decides_and_where_little_does_logarithms_do():
    h, weights = np.zeros(400), np.zeros(400)
    h[:10], weights[:20] = 1.0, 1.0
    h[390:] = 1.0
    truncated = Lattice(h, weights, truncate=4.0).augmented_region(1.0).mask
    np.testing.assert_array_equal(truncated, h == 1)
    # without truncation the nearest mass, that of class 0, wins however far away
    np.testing.assert_array_equal(Lattice(h, weights).augmented_region(1.0).mask, np.arange(400) < 10)


def test_samples_follow_the_task():
    h = field((6, 5), 2)
    task = Lattice(h, np.random.default_rng(1).random((6, 5)), 0.25)
    x, y = task.sample(200_000, np.random.default_rng(2))
    cells = np.ravel_multi_index(task.grid.cells(x), h.shape)
    np.testing.assert_array_equal(x, task.grid.points()[cells])
    joint = np.stack([task.cell_weights * (1 - h), task.cell_weights * h]).reshape(2, -1)
    for label, cell in np.ndindex(joint.shape):
        hits = int(((cells == cell) & (y == label)).sum())
        assert_frequency(hits, len(x), joint[label, cell], FALSE_ALARM / joint.size)


FILTER_SHAPES = [(36,), (37,), (24, 30), (31, 20), (15, 17), (8, 9, 12), (6, 8, 10)]


@pytest.mark.parametrize("kind", ["sets", "fields", "weighted"])
@pytest.mark.parametrize("shape", FILTER_SHAPES)
def test_curves_are_those_of_the_regions(shape, kind):
    levels, betas = [0.0, 0.5, 1.0, 2.5, 6.0], [0.0, 1.0, 3.0]
    for periodic, truncate, rule in itertools.product(PERIODIC, [None, 3.0], ["augmented", "convolved"]):
        fields = [field(shape, seed) for seed in range(3)]
        if kind == "sets":
            fields = [(h > 0.5).astype(float) for h in fields]
        weights = np.random.default_rng(9).random(shape) if kind == "weighted" else None
        tasks = [Lattice(h, weights, 1.0, periodic, truncate) for h in fields]
        found = disagreement_curves(tasks, levels, betas, rule)
        for (t, task), (b, beta), (a, alpha) in itertools.product(*map(enumerate, (tasks, betas, levels))):
            base = task.augmented_region(alpha) if rule == "augmented" else task.convolved_region(alpha)
            assert found[t, b, a] == task.disagreement_mass(base.smoothed(beta), task.bayes_region())


@pytest.mark.parametrize("shape", [(36,), (37,), (24, 30), (15, 17), (6, 8, 10)])
def test_sets_are_smoothed_together_as_one_by_one(shape, monkeypatch):
    monkeypatch.setattr(lattices, "BATCH_CELLS", 2 * np.prod(shape))  # two at a time
    for periodic, truncate, outside in itertools.product(PERIODIC, [None, 3.0], [False, True]):
        grid = Grid(shape, 1.0, periodic, truncate)
        bases = [LatticeSet(field(shape, seed) > 0.5, grid, outside) for seed in range(5)]
        bases.append(LatticeSet(np.zeros(shape, dtype=bool), grid, outside))
        for base, found in zip(bases, smoothed_sets(bases, [0.0, 1.0, 3.0]), strict=True):
            for sigma, one in zip([0.0, 1.0, 3.0], found, strict=True):
                np.testing.assert_array_equal(one.mask, base.smoothed(sigma).mask)
                assert one.outside == outside
    assert smoothed_sets([], [1.0]) == []


def test_curves_of_a_long_line():
    h = (field((5000,), 3, smooth=8.0) > 0.5).astype(float)
    found = disagreement_curves([Lattice(h, truncate=4.0)], [0.0, 3.0], [5.0])[0, 0]
    for alpha, value in zip([0.0, 3.0], found, strict=True):
        trained = ndimage.gaussian_filter(h, alpha, mode="constant") >= 0.5
        assert value == np.mean((ndimage.gaussian_filter(trained * 1.0, 5.0, mode="constant") >= 0.5) != h)


@pytest.mark.parametrize("shape", [(100, 100), (101, 64), (300,), (20, 21, 22)])
def test_the_filters_error_stays_within_its_bound(shape):
    for periodic, sigma in itertools.product(PERIODIC, [0.7, 4.0, 20.0]):
        fast = MajorityFilter(Grid(shape, periodic=periodic), False, 2e-13)
        rng = np.random.default_rng(0)
        for values in (rng.random((2, *shape)) < 0.5, rng.random((2, *shape))):
            folded = fast.fold(values)
            np.testing.assert_array_equal(fast.unfold(folded), values)
            exact = gaussian_blur(values - 0.5, fast.grid, sigma)
            error = np.abs(fast.unfold(fast._blurred(FoldedFields(folded), sigma)) - exact).max()
            assert 0 < error <= fast._error_bound < 1e-4


def test_the_filter_counts():
    fast = MajorityFilter(Grid((300, 301)), False, 2e-13)
    sets = np.random.default_rng(0).random((3, 300, 301)) < np.array([0.0, 0.5, 1.0])[:, None, None]
    np.testing.assert_array_equal(fast.count(fast.fold(sets)), sets.sum(axis=(1, 2)))


GOOD = np.array([[0.0, 1.0], [0.3, 0.6]])
BAD_CALLS = {
    "NaN": (lambda: Lattice([0.1, np.nan]), "NaN"),
    "above 1": (lambda: Lattice([0.1, 1.5]), r"\[0, 1\]"),
    "below 0": (lambda: Lattice([-0.1, 0.5]), r"\[0, 1\]"),
    "no axis": (lambda: Lattice(0.5), "axes"),
    "four axes": (lambda: Lattice(np.full((2, 2, 2, 2), 0.5)), "axes"),
    "empty": (lambda: Lattice(np.empty((0, 3))), "cell"),
    "ragged": (lambda: Lattice([[0.1], [0.1, 0.2]]), "lengths"),
    "words": (lambda: Lattice(["a", "b"]), "numbers"),
    "one class": (lambda: Lattice(np.ones((3, 3))), "class 0"),
    "weights' shape": (lambda: Lattice(GOOD, np.ones(4)), "axes"),
    "weights' sides": (lambda: Lattice(GOOD, np.ones((2, 3))), "shape"),
    "negative weights": (lambda: Lattice(GOOD, -np.ones((2, 2))), "negative"),
    "no weight": (lambda: Lattice(GOOD, np.zeros((2, 2))), "positive sum"),
    "spacing": (lambda: Lattice(GOOD, spacing=0.0), "spacing"),
    "truncate": (lambda: Lattice(GOOD, truncate=-1.0), "truncate"),
    "periodic": (lambda: Lattice(GOOD, periodic="yes"), "periodic"),
    "negative level": (lambda: Lattice(GOOD).augmented_region(-1.0), "train_sigma"),
    "NaN level": (lambda: Lattice(GOOD).convolved_region(np.nan), "train_sigma"),
    "mask's shape": (lambda: LatticeSet(np.ones(3, bool), Grid((4,))), "mask"),
    "mask's values": (lambda: LatticeSet(np.array([0, 2]), Grid((2,))), "mask"),
    "off the lattice": (lambda: Lattice(GOOD).region(GOOD > 0.5).contains([[0.0, 1.6]]), "off the lattice"),
    "NaN point": (lambda: Lattice(GOOD).region(GOOD > 0.5).contains([[0.0, np.nan]]), "NaN"),
    "point's axes": (lambda: Lattice(GOOD).region(GOOD > 0.5).contains([[0.0, 1.0, 0.0]]), "points"),
    "radius": (lambda: Lattice(GOOD).region(GOOD > 0.5).eroded(-1.0), "radius"),
    "values' shape": (lambda: gaussian_blur(np.ones((2, 3)), Grid((3, 2)), 1.0), "values"),
    "rule": (lambda: disagreement_curves([Lattice(GOOD)], [1.0], [1.0], "other"), "rule"),
    "grids": (lambda: disagreement_curves([Lattice(GOOD), Lattice(GOOD, spacing=2.0)], [1.0], [1.0]), "grids"),
    "curve's level": (lambda: disagreement_curves([Lattice(GOOD)], [-1.0], [1.0]), "train_sigma"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_input_gets_one_line(name):
    call, words = BAD_CALLS[name]
    with pytest.raises(InvalidInputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_other_regions_are_refused():
    task = Lattice(GOOD)
    for region in (Ball(2, 1.0), Lattice(GOOD, spacing=2.0).bayes_region()):
        with pytest.raises(NoClosedFormError, match="sets of cells"):
            task.class_mass(1, [region])
