"""The discs of Pal & Sulam's Figure 4: as published, against an obvious loop, and drawn fairly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from noiseaug.errors import InvalidInputError
from noiseaug.tasks import DiscLattice, PublishedDiscs, disagreement_curves

ALPHAS = range(21)


def published_lattice(candidates, separation):
    """The rule of the released code, read off its description: a slow oracle. Also counts discs that wrap."""
    window = 2 * 10 + separation
    centres = []
    for x, y in candidates.tolist():
        free = True
        for a, b in centres:
            if x - window <= a < x + window and y - window <= b < y + window:
                free = False
        if free:
            centres.append((x, y))
    lattice, wrapped = np.zeros((100, 100)), 0
    for x, y in centres:
        wraps = False
        for dx in range(-10, 10):
            for dy in range(-10, 10):
                if dx**2 + dy**2 <= 100 and x + dx < 100 and y + dy < 100:
                    wraps |= x + dx < 0 or y + dy < 0
                    lattice[x + dx, y + dy] = 1.0
        wrapped += wraps
    return centres, lattice, wrapped


def test_published_lattices_cell_for_cell():
    stream = np.random.RandomState(246)
    draws = [stream.randint(0, 100, (10_000, 2)) for _ in range(120)]
    discs = wrapped = 0
    for number, candidates in enumerate(draws):
        beta, separation = (8, 11, 14)[number // 40], number // 10 % 4
        task = PublishedDiscs.figure4(beta, separation)[number % 10]
        assert task == PublishedDiscs(separation, number)
        if number % 10 < 2:
            centres, lattice, _ = published_lattice(candidates, separation)
            np.testing.assert_array_equal(task.centres, centres)
            np.testing.assert_array_equal(task.cell_regression, lattice)
        discs += len(task.centres)
        wrapped += int((task.centres < 10).any(axis=1).sum())
    assert (wrapped, discs) == (561, 1882)


def test_the_oracle_counts_wrapped_discs_as_those_near_the_edge():
    candidates = np.random.RandomState(246).randint(0, 100, (10_000, 2))
    centres, _, wrapped = published_lattice(candidates, 0)
    assert wrapped == (np.array(centres) < 10).any(axis=1).sum() > 0


def figure(beta, separation):
    return disagreement_curves(PublishedDiscs.figure4(beta, separation), ALPHAS, [beta])[:, 0]


def test_published_disagreements_to_every_digit():
    for separation, printed in enumerate((".3074", ".2972", ".2981", ".2912")):
        assert f"{figure(8, separation)[:, 0].mean():.4f}" == "0" + printed
    for beta, best, printed in ((11, 3, "-0.0017"), (14, 4, "-0.0045")):
        curve = figure(beta, 0)
        gain = curve.mean(axis=0) - curve[:, 0].mean()
        assert int(gain.argmin()) == best
        assert f"{gain.min():.4f}" == printed


@pytest.mark.parametrize(("beta", "separation"), [(8, 3), (11, 0), (14, 1)])
def test_published_curves_are_those_of_gaussian_filter(beta, separation):
    curves = figure(beta, separation)
    for task, curve in list(zip(PublishedDiscs.figure4(beta, separation), curves, strict=True))[::4]:
        h = task.cell_regression
        for alpha in ALPHAS:
            trained = ndimage.gaussian_filter(h, alpha, mode="constant") >= 0.5 if alpha else h >= 0.5
            smoothed = ndimage.gaussian_filter(trained.astype(float), beta, mode="constant") >= 0.5
            assert curve[alpha] == np.abs(smoothed - h).mean()
            region = task.convolved_region(alpha).smoothed(beta)
            assert task.disagreement_mass(region, task.bayes_region()) == curve[alpha]


def test_draws_do_not_depend_on_the_order_in_which_they_are_asked_for():
    one = PublishedDiscs(1, 7, seed=99).centres
    PublishedDiscs(1, 3, seed=99).centres  # noqa: B018
    np.testing.assert_array_equal(PublishedDiscs(1, 7, seed=99).centres, one)
    stream = np.random.RandomState(99)
    candidates = [stream.randint(0, 100, (10_000, 2)) for _ in range(8)][7]
    np.testing.assert_array_equal(published_lattice(candidates, 1)[0], one)


def fair_centres(task):
    """The same rule by a plain loop."""
    rng = np.random.default_rng((task.seed, task.draw))
    centres = []
    for x, y in rng.integers(0, task.size, (task.tries, 2)).tolist():
        gaps = [(abs(x - a), abs(y - b)) for a, b in centres]
        if task.periodic:
            gaps = [(min(dx, task.size - dx), min(dy, task.size - dy)) for dx, dy in gaps]
        if all(max(gap) > 2 * task.disc_radius + task.separation for gap in gaps):
            centres.append((x, y))
    return centres


FAIR = [
    DiscLattice(0),
    DiscLattice(3, draw=5, seed=2),
    DiscLattice(1.5, 64, 6.5, tries=500, periodic=False),
    DiscLattice(2, 21, 10),
    DiscLattice(0, 31, 2, draw=1),
]


@pytest.mark.parametrize("task", FAIR, ids=str)
def test_fair_discs_by_plain_loops(task):
    centres = fair_centres(task)
    np.testing.assert_array_equal(task.centres, centres)
    h = np.zeros((task.size, task.size))
    for i, j in np.ndindex(h.shape):
        for x, y in centres:
            dx, dy = abs(i - x), abs(j - y)
            if task.periodic:
                dx, dy = min(dx, task.size - dx), min(dy, task.size - dy)
            if dx**2 + dy**2 <= task.disc_radius**2:
                h[i, j] = 1.0
    np.testing.assert_array_equal(task.cell_regression, h)
    assert task.prior == pytest.approx(h.mean(), rel=1e-13)


def test_fair_discs_are_whole_and_apart():
    for draw in range(20):
        task = DiscLattice(2, draw=draw)
        # on the torus all discs have equally many cells, and no two meet
        assert task.cell_regression.sum() == 317 * len(task.centres)
        parts, count = ndimage.label(np.tile(task.cell_regression, (3, 3)), np.ones((3, 3)))
        assert count >= len(task.centres) == len(np.unique(task.centres, axis=0))
        for part in range(1, count + 1):
            assert (parts == part).sum() <= 317


def test_draws_are_reproducible_and_differ():
    a, b, c = DiscLattice(1, draw=0), DiscLattice(1, draw=0), DiscLattice(1, draw=1)
    assert a == b
    assert a != c
    np.testing.assert_array_equal(a.cell_regression, b.cell_regression)
    assert not np.array_equal(a.cell_regression, c.cell_regression)
    assert not np.array_equal(a.cell_regression, DiscLattice(1, seed=1).cell_regression)
    assert str(PublishedDiscs(2, 17)) == "PublishedDiscs(separation=2, draw=17, seed=246)"
    assert "separation=1" in str(a)
    assert "draw=1" in str(c)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: DiscLattice(-1), "separation"),
        (lambda: DiscLattice(float("nan")), "separation"),
        (lambda: DiscLattice(0, size=20), "fit"),
        (lambda: DiscLattice(0, disc_radius=0), "disc_radius"),
        (lambda: DiscLattice(0, tries=0), "tries"),
        (lambda: DiscLattice(0, draw=-1), "draw"),
        (lambda: DiscLattice(0, seed=0.5), "seed"),
        (lambda: DiscLattice(0, periodic=2), "periodic"),
        (lambda: DiscLattice(0, truncate=0), "truncate"),
        (lambda: PublishedDiscs(0.5, 0), "separation"),
        (lambda: PublishedDiscs(0, -1), "draw"),
        (lambda: PublishedDiscs(0, 0, seed=2**32), "seed"),
        (lambda: PublishedDiscs.figure4(9, 0), "smooth_sigma"),
        (lambda: PublishedDiscs.figure4(8, 4), "separation"),
    ],
)
def test_bad_input_gets_one_line(call, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
