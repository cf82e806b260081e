"""Normal probabilities in both tails against mpmath, panels, and roots."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from noiseaug.numerics import (
    bracketed_roots,
    log1mexp,
    log_normal_interval,
    margin_from_logs,
    normal_interval_mean,
    panel_nodes,
)

INTERVALS = [
    (-1.0, 2.0),
    (3.0, 3.5),
    (-40.0, -38.0),
    (37.0, 41.0),
    (2.0, 2.0 + 1e-9),
    (-1e-7, 1e-7),
    (30.0, 30.0 + 1e-3),
    (5.0, 5.0 + 2e-5),
    (-np.inf, -12.0),
    (9.0, np.inf),
    (-np.inf, np.inf),
    (-3.0, 50.0),
]


def exact_interval(lower: float, upper: float) -> mp.mpf:
    return (mp.erf(mp.mpf(upper) / mp.sqrt(2)) - mp.erf(mp.mpf(lower) / mp.sqrt(2))) / 2


@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_interval_mass(lower, upper):
    with mp.workdps(800):
        want = float(mp.log(exact_interval(lower, upper)))
    # the logarithm to 1e-10 absolute is the mass to 1e-10 relative
    assert float(log_normal_interval(lower, upper)) == pytest.approx(want, abs=1e-10, rel=1e-14)


@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_interval_mean(lower, upper):
    with mp.workdps(800):
        bell = lambda z: mp.npdf(z) if mp.isfinite(z) else mp.mpf(0)  # noqa: E731
        want = float((bell(mp.mpf(lower)) - bell(mp.mpf(upper))) / exact_interval(lower, upper))
    found = float(normal_interval_mean(lower, upper))
    assert found == pytest.approx(want, rel=1e-9, abs=1e-9)
    assert lower <= found <= upper


def test_empty_interval_has_no_mass():
    assert log_normal_interval(1.0, 1.0) == -np.inf


def test_log1mexp():
    x = -np.array([1e-300, 1e-18, 1e-8, 0.3, 0.7, 5.0, 60.0, 800.0])
    with mp.workdps(400):
        want = [float(mp.log(-mp.expm1(mp.mpf(value)))) for value in x]
    assert np.allclose(log1mexp(x), want, rtol=1e-13, atol=0)
    assert log1mexp(0.0) == -np.inf


def test_margin_keeps_both_tails():
    margins = np.array([-300.0, -9.0, -0.1, 0.0, 0.1, 9.0, 40.0, 300.0])
    found = margin_from_logs(special.log_ndtr(margins), special.log_ndtr(-margins))
    assert np.allclose(found, margins, rtol=1e-12, atol=1e-15)
    assert margin_from_logs(-np.inf, 0.0) == -np.inf
    assert margin_from_logs(0.0, -np.inf) == np.inf


def test_panels_integrate_polynomials_exactly():
    nodes, weights = panel_nodes([0.0, 0.3, 2.0], 5)
    assert np.sum(weights * nodes**9) == pytest.approx(2.0**10 / 10, rel=1e-13)


def test_roots_to_the_last_bits():
    roots = bracketed_roots(lambda x, c: x**3 - c, [0.0, 0.0], [2.0, 3.0], args=(np.array([2.0, 9.0]),))
    assert np.allclose(roots, np.cbrt([2.0, 9.0]), rtol=1e-15, atol=0)


def test_a_bracket_without_a_root_is_an_error():
    with pytest.raises(ArithmeticError):
        bracketed_roots(lambda x: x**2 + 1, [0.0], [1.0])
