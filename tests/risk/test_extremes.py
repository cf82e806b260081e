"""Where numbers differ by many orders of magnitude: right to the last digits, or refused in one line, never silent."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from noiseaug import risk
from noiseaug.errors import InvalidInputError, NoiseaugError, UndecidedError
from noiseaug.numerics import norm_log_tails
from noiseaug.predictors import augmented, convolved, smoothed
from noiseaug.regions import Ball, HalfSpace, IntervalUnion
from noiseaug.tasks import ConcentricGaussians, ConcentricSpheres, GaussianPair, Intervals, MixtureOnLine, PointMasses
from noiseaug.tasks.laws import ChiLaw


@pytest.mark.parametrize(
    ("dim", "train_sigma"),
    [(2, 1e8), (2, 1e-4), (100_000, 1e4), (100_000, 10.0), (100_000, 0.05), (500, 1e3), (7, 0.35)],
)
def test_spheres_under_any_noise(dim, train_sigma):
    found = augmented(ConcentricSpheres(dim, 1.0, 1.3), train_sigma).radius
    with mp.workdps(40):

        def odds(t):
            logs = []
            for rho in (mp.mpf(1), mp.mpf(1.3)):
                kappa = t * rho / mp.mpf(train_sigma) ** 2
                logs.append(mp.log(mp.hyp0f1(mp.mpf(dim) / 2, kappa**2 / 4)) - rho**2 / (2 * mp.mpf(train_sigma) ** 2))
            return logs[0] - logs[1]

        root = mp.findroot(odds, (found * 0.999, found * 1.001))
    assert found == pytest.approx(float(root), rel=1e-12)


def test_intervals_under_strong_noise():
    """Far out the boundary scales as α²; where double precision cannot tell it any more, that is said."""
    task = Intervals([[0.0, 0.4]], (0.0, 1.0))
    assert augmented(task, 1e3).intervals[0, 1] / 1e6 == pytest.approx(-0.822163, rel=1e-6)
    for train_sigma in (1e5, 1e8):
        with pytest.raises(UndecidedError, match="double precision"):
            augmented(task, train_sigma)


@pytest.mark.parametrize(
    "make",
    [
        lambda: augmented(Intervals([[0.0, 1 - 1e-9]], (0.0, 1.0)), 1.0),
        lambda: augmented(Intervals([[1e-15, 1.0]], (0.0, 1.0)), 0.1),
        lambda: augmented(MixtureOnLine([(0.5, 0, 1e-6), (0.5, 1, 1e3)], [(0.5, 0, 1e2), (0.5, 3, 1e-6)]), 0.0),
        lambda: IntervalUnion(np.array([[0.5, 0.5 + 1e-14]])).smoothed(1e4),
        lambda: augmented(MixtureOnLine([(1, 0, 1)], [(1, 0, 2)]), 1e9),
    ],
)
def test_hopeless_cases_end_in_one_line(make):
    with pytest.raises(NoiseaugError) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_tangency_within_rounding_is_reported_and_harmless():
    region = IntervalUnion(np.array([[-1.3, -0.3], [0.3, 1.3]])).smoothed(0.448714374544535)
    assert not region.proven
    assert len(region.intervals) in (1, 2)
    assert region.intervals[0, 0] == pytest.approx(-region.intervals[-1, 1])
    # it stays so through further steps, and the estimates say it
    assert not region.smoothed(0.1).proven
    task = Intervals([[-1.0, 1.0]], (-5.0, 5.0))
    assert risk.risk(task, smoothed(region, 0.1)).method == "numeric"


def test_quadrature_is_not_called_exact():
    task = ConcentricGaussians(5, 0.3, 0.4)
    assert risk.risk(task, smoothed(convolved(task, 0.1), 0.1)).method == "numeric"
    assert risk.risk(task, smoothed(augmented(task, 0.1), 0.1)).method == "exact"


def test_regions_of_another_circle_are_refused():
    task = Intervals([[0.1, 0.3]], (0.0, 1.0), periodic=True)
    for region in (IntervalUnion(np.array([[1.1, 1.3]]), 1.0, 1.0), IntervalUnion(np.array([[0.1, 0.3]]))):
        with pytest.raises(InvalidInputError, match="circle"):
            risk.risk(task, smoothed(region, 0.1))


def test_narrow_shells_of_the_chi_law():
    law = ChiLaw(10, 0.3)
    for width in (1e-3, 1e-6, 1e-9):
        with mp.workdps(50):
            ends = [mp.gammainc(5, 0, (mp.mpf(v) / mp.mpf(0.3)) ** 2 / 2, regularized=True) for v in (1.0, 1.0 + width)]
            want = float(ends[1] - ends[0])
        assert float(law.interval_mass(1.0, 1.0 + width)) == pytest.approx(want, rel=1e-9)


def test_small_noise_against_far_centres():
    """|x| a hundred million noise levels away: the difference of the squares keeps its digits (d = 3, elementary)."""
    below, _ = norm_log_tails(3, 1.0, 1.0 - 3e-7, 1e-8)
    with mp.workdps(60):
        t, rho, s = mp.mpf(1), mp.mpf(1.0 - 3e-7), mp.mpf(1e-8)
        shell = mp.ncdf((rho - t) / s) - mp.ncdf((-rho - t) / s)
        shell -= s / t * (mp.npdf((rho - t) / s) - mp.npdf((rho + t) / s))
        want = float(mp.log(shell))
    assert float(below) == pytest.approx(want, abs=1e-8)


def test_rare_and_far_classes_do_not_vanish():
    pair = GaussianPair([0.0], [40.0], 1.0)
    model = smoothed(HalfSpace(np.array([1.0]), 20.0), 0.1)
    assert 0 < risk.acr(pair, model).value < 1e-80
    assert 0 < risk.certified_accuracy(pair, model, 0.5).value < 1e-80


def test_disagreement_of_nearly_parallel_boundaries():
    """Isotropic classes: the boundaries are parallel, a hair α²·ln(…)/2|δ| apart."""
    task = GaussianPair([1.0, 0.0], [-1.0, 0.0], 1.0, prior=0.2)
    shift_0 = np.log(0.8 / 0.2) / 2
    for train_sigma in (1e-3, 1e-5, 1e-6):
        found = risk.disagreement(task, smoothed(augmented(task, train_sigma), 0.1)).value
        gap = train_sigma**2 * shift_0
        density = sum(p * np.exp(-0.5 * (shift_0 - m) ** 2) / np.sqrt(2 * np.pi) for p, m in ((0.2, 1), (0.8, -1)))
        assert found == pytest.approx(gap * density, rel=3e-4 if train_sigma > 1e-6 else 2e-3)


def test_points_far_from_the_origin():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(60, 2)), rng.integers(0, 2, 60)
    labels[:2] = 0, 1
    far = PointMasses(points + 1e7, labels)
    assert (augmented(far, 0.0).predict(far.points) == far.labels).all()


def test_one_arc_across_the_cut():
    assert Intervals([[0.0, 0.1], [0.9, 1.0]], (0.0, 1.0), periodic=True).separation == pytest.approx(0.8)


def test_balls_with_margins_far_out():
    ball = Ball(784, 30.0)
    for margin in (-300.0, -30.0, 30.0, 200.0):
        level = ball.superlevels(0.1, [margin])[0]
        assert float(ball.margin_at(level.radius, 0.1)) == pytest.approx(margin, rel=1e-10)
