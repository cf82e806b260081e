"""The worked figures of docs/math.md to every printed digit, and closed forms against independent roads."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from noiseaug import risk, sweep
from noiseaug.predictors import augmented, convolved, smoothed
from noiseaug.regions import Ball, HalfSpace
from noiseaug.tasks import ConcentricGaussians, ConcentricSpheres, GaussianPair, Intervals, IsolatedBall, MixtureOnLine

PAIR = GaussianPair([1, 0.5, 0.25, 0.1], [-1, -0.5, -0.25, -0.1], [1, 0.2, 0.05, 0.01])


def accuracy(task, train_sigma: float, smooth_sigma: float, radius: float = 0.0) -> float:
    return risk.certified_accuracy(task, smoothed(augmented(task, train_sigma), smooth_sigma), radius).value


class TestGaussianPair:
    def test_optimal_noise_figures(self):
        found = [PAIR.optimal_train_sigma(r) for r in (0.1, 0.3, 0.5, 0.8)]
        assert np.round(found, 3).tolist() == [0.131, 0.354, 0.630, 1.256]
        assert PAIR.optimal_train_sigma(0) == 0
        assert PAIR.optimal_train_sigma(np.sqrt(1.3225) + 1e-9) == np.inf

    def test_accuracy_figures(self):
        rare = GaussianPair(PAIR.mean_1, PAIR.mean_0, PAIR.covariance, prior=0.1)
        radii = (0.1, 0.3, 0.5, 0.8)
        for task, want in ((PAIR, (0.9543, 0.8790, 0.7933, 0.6589)), (rare, (0.9763, 0.9434, 0.9162, 0.9003))):
            found = [accuracy(task, task.optimal_train_sigma(r), 0.5, r) for r in radii]
            assert np.round(found, 4).tolist() == list(want)
        without = [accuracy(PAIR, 0.0, 0.5, r) for r in radii]
        assert np.round(without, 4).tolist() == [0.9429, 0.6897, 0.2778, 0.0134]

    @pytest.mark.parametrize("prior", [0.5, 0.1, 0.8])
    @pytest.mark.parametrize("radius", [0.2, 0.6])
    def test_no_half_space_is_better_than_the_optimal_noise(self, prior, radius):
        """A numerical search over all directions and thresholds finds nothing above the closed form."""
        task = GaussianPair(PAIR.mean_1, PAIR.mean_0, PAIR.covariance, prior)
        best = accuracy(task, task.optimal_train_sigma(radius), 0.3, radius)

        def loss(parameters):
            region = HalfSpace(parameters[:-1], parameters[-1])
            return -risk.certified_accuracy(task, smoothed(region, 0.3), radius).value

        rng = np.random.default_rng(0)
        starts = [augmented(task, s) for s in (0.0, 0.3, 1.0, 5.0)]
        found = [
            optimize.minimize(loss, np.append(start.normal, start.offset) / np.linalg.norm(start.normal)).fun
            for start in starts
        ]
        found += [optimize.minimize(loss, rng.standard_normal(5)).fun for _ in range(4)]
        assert -min(found) <= best + 1e-9
        assert -min(found) >= best - 1e-5

    def test_condition_of_the_ridge(self):
        """λ = r wᵀΣw / (|w|(w·δ − r|w|)), the stationarity condition in its other form."""
        delta, r = 0.5 * (PAIR.mean_1 - PAIR.mean_0), 0.5
        ridge = PAIR.optimal_train_sigma(r) ** 2
        w = delta / (PAIR.covariance + ridge)
        length = np.linalg.norm(w)
        assert ridge == pytest.approx(r * (w**2 @ PAIR.covariance) / (length * (w @ delta - r * length)), rel=1e-9)

    def test_minority_figures(self):
        task = GaussianPair([1.5, 0.0], [-1.5, 0.0], 1.0, prior=0.1)
        assert [round(accuracy(task, a, 0.5), 3) for a in (0, 1, 2)] == [0.966, 0.950, 0.902]
        found = [float(task.class_mass(1, [augmented(task, a)])[0]) for a in (0, 1, 2)]
        assert np.round(found, 3).tolist() == [0.779, 0.514, 0.015]
        shift = [augmented(task, a).offset / np.linalg.norm(augmented(task, a).normal) for a in (0, 1, 2)]
        assert np.round(shift, 3).tolist() == [0.732, 1.465, 3.662]

    def test_acr_closed_form(self):
        """ACR = Σ P(y)[m Φ(m/v) + v φ(m/v)]."""
        region = augmented(PAIR, 0.4)
        w, b = region.normal, region.offset
        v = np.sqrt(w**2 @ PAIR.covariance) / np.linalg.norm(w)
        margins = [(w @ PAIR.mean_1 - b) / np.linalg.norm(w), -(w @ PAIR.mean_0 - b) / np.linalg.norm(w)]
        want = sum(0.5 * (m * special.ndtr(m / v) + v * stats.norm.pdf(m / v)) for m in margins)
        for smooth_sigma in (0.1, 2.0):
            assert risk.acr(PAIR, smoothed(region, smooth_sigma)).value == pytest.approx(want, rel=1e-11)

    def test_disagreement_against_the_bivariate_normal(self):
        rng = np.random.default_rng(1)
        for _ in range(20):
            first, second = (HalfSpace(rng.standard_normal(4), rng.normal()) for _ in range(2))
            want = 0.0
            for mean in (PAIR.mean_1, PAIR.mean_0):
                u, v = (r.normal * np.sqrt(PAIR.covariance) for r in (first, second))
                h, k = ((mean @ r.normal - r.offset) / np.linalg.norm(s) for r, s in ((first, u), (second, v)))
                rho = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
                both = stats.multivariate_normal.cdf([h, k], cov=[[1, rho], [rho, 1]], abseps=1e-12)
                want += 0.5 * (special.ndtr(h) + special.ndtr(k) - 2 * both)
            assert PAIR.disagreement_mass(first, second) == pytest.approx(want, abs=1e-7)

    def test_disagreement_of_nearly_equal_half_spaces_keeps_its_digits(self):
        """Two directions an angle t apart through the mean of one class: exactly t/π of that class lies between."""
        task = GaussianPair([0.0, 0.0], [0.0, 100.0], 1.0)
        for angle in (1e-3, 1e-7, 1e-12):
            one = HalfSpace(np.array([1.0, 0.0]), 0.0)
            other = HalfSpace(np.array([np.cos(angle), np.sin(angle)]), 0.0)
            found = task._difference_mass(1, one, other, [(True, False), (False, True)])
            assert found == pytest.approx(angle / np.pi, rel=1e-3 if angle < 1e-10 else 1e-8)

    def test_convolved_rule_is_the_bayes_rule(self):
        """h ∗ p_α at the Bayes boundary is ½, by quadrature along the normal."""
        region = convolved(PAIR, 1.0)
        assert np.array_equal(region.normal, augmented(PAIR, 0.0).normal)
        length = np.linalg.norm(region.normal)
        for offset, above in ((1e-3, True), (-1e-3, False)):
            value = integrate.quad(lambda z, o=offset: special.expit(length * (o + z)) * stats.norm.pdf(z), -12, 12)[0]
            assert (value > 0.5) == above

    def test_a_hundred_thousand_dimensions(self):
        dim = 100_000
        mean = np.full(dim, 0.01)
        task = GaussianPair(mean, -mean, np.linspace(0.5, 2, dim))
        want = special.ndtr(np.sqrt(np.sum(mean**2 / np.linspace(0.5, 2, dim))))
        assert accuracy(task, 0.0, 0.3) == pytest.approx(want, rel=1e-12)
        # risks far in the tail do not saturate
        far = GaussianPair(30 * mean, -30 * mean, 1.0)
        predictor = smoothed(augmented(far, 1.0), 0.5)
        assert risk.risk(far, predictor).value == pytest.approx(special.ndtr(-30 * np.linalg.norm(mean)), rel=1e-9)
        assert (
            0 < risk.risk(GaussianPair([30.0], [-30.0], 1.0), smoothed(HalfSpace(np.ones(1), 0.0), 1.0)).value < 1e-190
        )


class TestConcentricGaussians:
    TASK = ConcentricGaussians(100, 0.3, 0.4)

    def test_worked_figures(self):
        assert round(accuracy(self.TASK, 0.0, 0.25), 4) == 0.5006
        assert round(accuracy(self.TASK, 0.25, 0.25), 4) == 0.9772

    def test_best_noise(self):
        for radius, want in ((0.0, 0.2444), (0.4, 0.2686)):
            best = optimize.minimize_scalar(
                lambda a, r=radius: -accuracy(self.TASK, a, 0.25, r), bounds=(0.1, 0.5), options={"xatol": 1e-7}
            )
            assert round(float(best.x), 4) == want

    def test_the_plane_gains_at_strong_smoothing_only(self):
        plane = ConcentricGaussians(2, 0.3, 0.4)
        assert round(accuracy(plane, 0.0, 0.25), 4) == 0.5995
        assert round(accuracy(plane, 0.177, 0.25), 4) == 0.6044
        assert accuracy(plane, 0.0, 0.45) == 0.5

    @pytest.mark.parametrize("dim", [2, 10, 784])
    def test_certified_accuracy_by_a_direct_integral(self, dim):
        """P(margin of the true class ≥ r/β) by quadrature over |X|, with scipy's noncentral chi-square."""
        task, train, smooth, radius = ConcentricGaussians(dim, 0.3, 0.4), 0.2, 0.25, 0.15
        ball = augmented(task, train)
        mass = lambda t: stats.ncx2.cdf((ball.radius / smooth) ** 2, dim, (t / smooth) ** 2 + 1e-300)  # noqa: E731
        total = 0.0
        for std, level, sign in ((0.3, special.ndtr(radius / smooth), 1), (0.4, special.ndtr(-radius / smooth), -1)):
            top = 30 * std * np.sqrt(dim)
            edge = optimize.brentq(lambda t, q=level: mass(t) - q, 1e-9, top) if mass(1e-9) > level else 0.0
            law = stats.chi(dim, scale=std)
            total += 0.5 * (law.cdf(edge) if sign > 0 else law.sf(edge))
        assert accuracy(task, train, smooth, radius) == pytest.approx(total, rel=1e-7)

    def test_threshold_where_the_classes_nearly_agree(self):
        """ρ² with 60 digits, for stds a relative 1e-9 apart and for huge noise: no cancellation."""
        for std_0, train in ((0.3 * (1 + 1e-9), 0.1), (0.4, 1e5)):
            task = ConcentricGaussians(100, 0.3, std_0)
            with mp.workdps(60):
                v1, v0 = mp.mpf(0.3) ** 2 + mp.mpf(train) ** 2, mp.mpf(std_0) ** 2 + mp.mpf(train) ** 2
                want = mp.sqrt(100 * mp.log(v0 / v1) / (1 / v1 - 1 / v0))
            assert augmented(task, train).radius == pytest.approx(float(want), rel=1e-12)

    def test_convolved_radius_by_quadrature(self):
        """(h ∗ p_α)(x) = ½ at the radius found, by an integral in the plane."""
        task, train = ConcentricGaussians(2, 0.5, 1.0), 0.4
        edge = convolved(task, train).radius

        def integrand(v, u):
            weight = np.exp(-0.5 * ((u - edge) ** 2 + v**2) / train**2) / (2 * np.pi * train**2)
            return float(task.regression(np.array([[u, v]]))[0]) * weight

        value, _ = integrate.dblquad(integrand, edge - 3.5, edge + 3.5, -3.5, 3.5, epsabs=1e-9)
        assert value == pytest.approx(0.5, abs=1e-6)

    def test_extreme_dimensions_stay_finite(self):
        huge = ConcentricGaussians(100_000, 0.3, 0.301)
        values = sweep(
            huge,
            train_sigma=[0, 0.1, 5],
            smooth_sigma=[1e-3, 0.1, 50],
            radii=[0, 1.0],
            quantities=["risk", "certified_accuracy"],
        )
        assert np.isfinite(values["value"]).all()
        assert (values["value"] >= 0).all()
        # the Bayes risk, far below rounding of 1, by the central chi-square tail
        far = ConcentricGaussians(100_000, 0.3, 0.33)
        rate = risk.risk(far, smoothed(augmented(far, 0.0), 0.0)).value
        assert 0 < rate < 1e-40


class TestSpheres:
    def test_each_smoothing_level_wants_its_own_noise(self):
        task = ConcentricSpheres(500, 1.0, 1.3)
        levels = (0.02, 0.05, 0.1)
        right = [[accuracy(task, a, b) == 1 for a in levels] for b in levels]
        assert right == [[True, False, False], [False, True, False], [False, False, True]]

    def test_radii_and_margins(self):
        task = ConcentricSpheres(500, 1.0, 1.3)
        assert np.round([augmented(task, a).radius for a in (0.02, 0.05, 0.1)], 4).tolist() == [1.2342, 1.6051, 2.5164]
        ball = augmented(task, 0.1)
        assert round(float(ball.margin_at(1.0, 0.1)), 3) == 0.892
        assert round(-float(ball.margin_at(1.3, 0.1)), 3) == 0.870
        assert augmented(task, 0.0).radius == pytest.approx(1.15)
        assert augmented(task, 1e-4).radius == pytest.approx(1.15, abs=1e-4)

    def test_threshold_with_mpmath(self):
        task, train = ConcentricSpheres(7, 1.0, 1.3, prior=0.3), 0.35
        edge = mp.mpf(augmented(task, train).radius)

        def log_density(rho):
            kappa = edge * rho / mp.mpf(train) ** 2
            return -(edge**2 + rho**2) / (2 * mp.mpf(train) ** 2) + mp.log(mp.besseli(2.5, kappa)) - 2.5 * mp.log(kappa)

        assert float(log_density(mp.mpf(1)) - log_density(mp.mpf(1.3)) + mp.log(mp.mpf(3) / 7)) == pytest.approx(
            0, abs=1e-10
        )


class TestIsolated:
    def test_figures(self):
        once = [Ball(2, 10.0).smoothed(s).radius for s in (1, 2, 4, 6, 8)]
        assert np.round(once, 3).tolist() == [9.950, 9.797, 9.136, 7.741, 3.957]
        twice = [Ball(2, 10.0).smoothed(a).smoothed(8).radius for a in range(5)]
        assert np.round(twice, 3).tolist() == [3.957, 3.783, 3.193, 1.745, 0.0]

    @pytest.mark.parametrize("dim", [1, 2, 10])
    def test_noise_never_helps(self, dim):
        frame = sweep(
            IsolatedBall(dim, 10.0),
            train_sigma=np.linspace(0, 9, 10),
            smooth_sigma=[1, 3, 6],
            quantities="disagreement",
        )
        grid = frame.pivot(index="train_sigma", columns="smooth_sigma", values="value").to_numpy()
        assert (grid >= grid[0] - 1e-12).all()


class TestIntervals:
    def test_two_arcs(self):
        """Every entry of the table in docs/math.md 2.6."""
        rows = {
            0.25: (0.0435, 0.0258, 0.0258, 0.0268, 0.0316, 0.0448),
            0.5: (0.0842, 0.0814, 0.0504, 0.0518, 0.0597, 0.0852),
            1.0: (0.1610, 0.1610, 0.1547, 0.1015, 0.1125, 0.1616),
            2.0: (0.0979, 0.0979, 0.0979, 0.1031, 0.1495, 0.4000),
            3.0: (0.1826, 0.1826, 0.1826, 0.1955, 0.3846, 0.4000),
        }
        for separation, want in rows.items():
            task = Intervals.row(2, 2.0, separation, (0.0, 10.0))
            assert task.separation == pytest.approx(separation)
            found = sweep(task, train_sigma=[0, 0.25, 0.5, 0.75, 1, 1.4], smooth_sigma=1.4, quantities="disagreement")
            assert found["value"].round(4).tolist() == list(want)

    def test_both_rules_agree_on_the_circle_and_differ_at_a_border(self):
        circle = Intervals([[0.0, 2.0], [5.0, 6.0]], (0.0, 10.0), periodic=True)
        assert np.allclose(augmented(circle, 0.7).intervals, convolved(circle, 0.7).intervals)
        line = Intervals([[0.0, 2.0], [5.0, 6.0]], (0.0, 10.0))
        assert augmented(line, 0.7).intervals[0, 0] == -np.inf
        assert convolved(line, 0.7).intervals[0, 0] > 0

    @pytest.mark.parametrize("smooth_sigma", [0.05, 0.1, 0.2, 0.3])
    def test_isolated_components_never_gain(self, smooth_sigma):
        task = Intervals.row(3, 1.0, 4.0, (0.0, 20.0))
        frame = sweep(task, train_sigma=np.linspace(0, 0.6, 13), smooth_sigma=smooth_sigma, quantities="disagreement")
        assert (frame["value"] >= frame["value"].iloc[0] - 1e-12).all()

    def test_single_interval_melts(self):
        task = Intervals([[-1.0, 1.0]], (-50.0, 50.0))
        assert convolved(task, 1.0).intervals[0, 1] == pytest.approx(0.93327, abs=5e-6)
        critical = 1 / special.ndtri(0.75)
        assert critical == pytest.approx(1.48260, abs=5e-6)
        assert len(convolved(task, critical * (1 - 1e-9)).intervals) == 1
        assert len(convolved(task, critical * (1 + 1e-9)).intervals) == 0


class TestMixture:
    def test_equal_stds_have_closed_form(self):
        """Two equal-width components, one in each class: the threshold of linear discriminant analysis."""
        task = MixtureOnLine([(1, 1.0, 0.5)], [(1, -0.5, 0.5)], prior=0.3)
        for train in (0.0, 0.8):
            variance = 0.25 + train**2
            want = 0.25 - variance * np.log(0.3 / 0.7) / 1.5
            region = augmented(task, train)
            assert region.intervals.tolist() == [[pytest.approx(want, rel=1e-12), np.inf]]

    def test_far_roots_of_a_narrow_winner(self):
        """A class with a slightly wider component wins the far tails however small its weight."""
        task = MixtureOnLine([(1 - 1e-9, 0, 1.0), (1e-9, 0, 1.5)], [(1, 0, 1.01)], prior=0.5)
        region = augmented(task, 0.0)
        assert region.intervals[0, 0] == -np.inf
        assert region.intervals[-1, 1] == np.inf
        assert region.proven
        ends = region.intervals[np.isfinite(region.intervals)]
        assert np.allclose(task.log_odds(ends), 0, atol=1e-9)

    def test_common_components_cancel(self):
        shared = (0.5, 0.0, 3.0)
        task = MixtureOnLine([shared, (0.5, 1.0, 0.5)], [shared, (0.5, -1.0, 0.5)])
        assert augmented(task, 0.4).intervals.tolist() == [[pytest.approx(0, abs=1e-12), np.inf]]
