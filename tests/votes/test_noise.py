"""The noise behind the votes: independent streams, the law that is meant, and what it hides of the input."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from noiseaug.errors import InvalidInputError
from noiseaug.votes import DiscreteNoise, GaussianNoise, counting
from noiseaug.votes import noise as noise_laws
from tests.helpers.classifiers import LAWS, X, counts_of, rows_seen
from tests.helpers.statistics import FALSE_ALARM, assert_frequency


def variants():
    """Streams of which each two differ in a single part of the key, or are two blocks of one stream."""
    keys = [
        (s, i, b, p) for s in (0, 1, 2**70) for i in (0, 1, 10**12) for b in (0.5, 0.25) for p in counting._PURPOSES
    ]
    rows = {
        key: (rows_seen(np.zeros(16), GaussianNoise(key[2]), 4096, seed=key[0], index=key[1], purpose=key[3]))
        for key in keys
    }
    rows["next"] = rows_seen(np.zeros(16), GaussianNoise(0.5), 8192)[4096:]
    return rows


def test_streams_are_independent():
    """Signs of any two streams agree as often as coins do: for each of 666 pairs a false alarm at 1e-9 / 666."""
    rows = {key: np.signbit(found).reshape(-1) for key, found in variants().items()}
    pairs = list(itertools.combinations(rows.values(), 2))
    assert len(pairs) == 666
    for one, other in pairs:
        assert_frequency(int((one == other).sum()), one.size, 0.5, FALSE_ALARM / len(pairs))


def test_the_test_of_independence_fires():
    one = np.signbit(rows_seen(np.zeros(16), GaussianNoise(0.5), 4096)).reshape(-1)
    other = np.signbit(rows_seen(np.zeros(16), GaussianNoise(0.5), 4096, index=1)).reshape(-1)
    other[:3000] = one[:3000]
    with pytest.raises(AssertionError):
        assert_frequency(int((one == other).sum()), one.size, 0.5, FALSE_ALARM / 666)


def test_keys_do_not_run_into_one_another():
    """(seed 1, index 23) is not (seed 12, index 3), and laws of one width are not each other's noise."""
    found = [rows_seen(X, noise, 1, seed=s, index=i) for noise in LAWS for s, i in [(1, 23), (12, 3)]]
    assert len({rows.tobytes() for rows in found}) == 4


# --- the law


def assert_law(draws, cdf):
    """Sup distance of the empirical distribution; false alarm at most 1e-9 (Dvoretzky–Kiefer–Wolfowitz–Massart)."""
    values, counts = np.unique(draws, return_counts=True)
    after = np.cumsum(counts) / draws.size
    distance = max(
        np.abs(after - cdf(values)).max(), np.abs(after - counts / draws.size - cdf(values, below=True)).max()
    )
    assert distance <= math.sqrt(math.log(2 / FALSE_ALARM) / (2 * draws.size))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.12, 1.0, 30.0])
def test_gaussian_noise_has_its_law(kind, sigma):
    x = np.array([0.25, -3.0, 0.0, 100.0, 7.0], dtype=kind)
    noise = (rows_seen(x, GaussianNoise(sigma), 60_000) - x).astype(float)
    assert_law(noise.reshape(-1), lambda t, below=False: stats.norm.cdf(t / sigma))
    for beyond in (1.0, 3.0, 4.0):
        assert_frequency(int((noise > beyond * sigma).sum()), noise.size, stats.norm.sf(beyond))
    signs = np.signbit(noise)
    for i, j in itertools.combinations(range(5), 2):
        assert_frequency(int((signs[:, i] == signs[:, j]).sum()), len(signs), 0.5, FALSE_ALARM / 10)


def test_the_test_of_the_law_fires():
    draws = rows_seen(np.zeros(5), GaussianNoise(1.0), 60_000).reshape(-1)
    with pytest.raises(AssertionError):
        assert_law(1.04 * draws, lambda t, below=False: stats.norm.cdf(t))


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.25, 1.0, 10.0])
def test_discrete_noise_has_its_law(sigma):
    found = rows_seen(np.full(6, 100, np.uint8), DiscreteNoise(sigma), 40_000).astype(float) * 255 - 100
    draws = np.rint(found)
    np.testing.assert_allclose(found, draws, atol=0.01)
    assert_law(draws.reshape(-1), lambda k, below=False: stats.norm.cdf((2 * k + (-1 if below else 1)) / (510 * sigma)))
    for beyond in (1.0, 3.0, 4.0):
        k = math.ceil(255 * sigma * beyond)
        assert_frequency(int((draws >= k).sum()), draws.size, stats.norm.sf((2 * k - 1) / (510 * sigma)))
        assert_frequency(int((draws <= -k).sum()), draws.size, stats.norm.sf((2 * k - 1) / (510 * sigma)))
    positive, share = draws > 0, stats.norm.sf(1 / (510 * sigma))
    for i, j in itertools.combinations(range(6), 2):
        assert_frequency(int((positive[:, i] & positive[:, j]).sum()), len(draws), share**2, FALSE_ALARM / 15)


def test_upper_and_lower_bits_of_discrete_noise_come_from_two_streams():
    high, low = DiscreteNoise(0.5).source(np.random.SeedSequence(0))
    assert not np.isin(high.random_raw(100), low.random_raw(100)).any()


SIGMAS = [0.0004, 0.002, 0.0123, 0.25, 1.0]


def exact_cdf(j, sigma):
    return mpmath.ncdf((2 * j + 1) / (510 * mpmath.mpf(sigma)))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_thresholds_of_discrete_noise_are_correctly_rounded(sigma):
    """Against mpmath: every one within half a unit of 2⁻⁶⁴, up to 2⁻³⁰ of it, as distribution_error assumes."""
    found = noise_laws._thresholds(sigma)
    largest = len(found) // 2
    assert len(found) == 2 * largest
    assert (np.diff(found.astype(object)) >= 0).all()
    with mpmath.workdps(50):
        scale = mpmath.mpf(2) ** 64
        worst = max(abs(scale * exact_cdf(j, sigma) - int(t)) for j, t in enumerate(found, start=-largest))
        assert worst <= 0.5 * (1 + mpmath.mpf(2) ** -30)
        assert scale * (1 - exact_cdf(largest, sigma)) < 0.5 * (1 + mpmath.mpf(2) ** -30)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_distribution_error_bounds_the_distance_of_all_draws(sigma):
    noise, dim, drawn = DiscreteNoise(sigma), 784, 100_000
    edges = [0, *map(int, noise_laws._thresholds(sigma)), 2**64]
    assert sum(np.diff(np.array(edges, dtype=object))) == 2**64
    largest = (len(edges) - 2) // 2
    with mpmath.workdps(50):
        cdf = [exact_cdf(j, sigma) for j in range(-largest - 1, largest + 1)]
        distance = cdf[0] + 1 - cdf[-1]  # beyond the largest
        for i, (low, high) in enumerate(itertools.pairwise(edges)):
            distance += abs(mpmath.mpf(high - low) / 2**64 - (cdf[i + 1] - cdf[i]))
        total = distance * dim * drawn
        bound = noise.distribution_error(dim, drawn)
        assert total <= bound
        assert bound <= 16 * total if largest > 3 else bound < 1e-10
    assert bound < 1e-5
    assert noise.distribution_error(dim, 0) == 0
    assert GaussianNoise(sigma).distribution_error(dim, drawn) == 0


class Words:
    """A source that gives chosen words."""

    def __init__(self, words):
        self.words = np.array(words, dtype=np.uint64)

    def random_raw(self, count):
        taken, self.words = self.words[:count], self.words[count:]
        assert len(taken) == count
        return taken


def test_a_threshold_at_the_edge_of_a_cell_of_the_table(monkeypatch):
    """Only a cell without a threshold above its first integer, up to its last, is settled by its top bits."""
    edges = np.array([(5 << 48) - 1, 7 << 48, 2**63, 2**64 - 1], dtype=np.uint64)
    monkeypatch.setattr(noise_laws, "_thresholds", lambda sigma: edges)
    table = noise_laws._table.__wrapped__(1.0, "d")
    assert np.flatnonzero(np.isnan(table)).tolist() == [4, 2**16 - 1]
    assert table[[3, 5, 6, 7, 2**15 - 1, 2**15]].tolist() == [-2, -1, -1, 0, 0, 1]


@pytest.mark.parametrize("sigma", [0.0004, 0.0123, 0.5, 10.0])
@pytest.mark.parametrize("kind", ["f", "d"])
def test_the_table_draws_what_comparing_with_every_threshold_would(sigma, kind):
    """At each threshold, just below and above it, and at the ends of the integers."""
    thresholds = [int(t) for t in noise_laws._thresholds(sigma)]
    uniform = sorted({0, 2**64 - 1, *(t + step for t in thresholds for step in (-1, 0, 1))} - {2**64})
    uniform += [2**63] * (-len(uniform) % 4)
    expected = np.searchsorted(noise_laws._thresholds(sigma), np.array(uniform, dtype=np.uint64), side="right")
    top = np.array([u >> 48 for u in uniform], dtype="<u2")
    is_open = np.isnan(noise_laws._table(sigma, kind)[top])
    low = [(u & (2**48 - 1)) << 16 for u, undecided in zip(uniform, is_open, strict=True) if undecided]
    out, centre = np.empty((1, len(uniform)), kind), np.full(len(uniform), 7, kind)
    low_words = Words(low)
    DiscreteNoise(sigma).fill((Words(top.view("<u8")), low_words), centre, out)
    assert len(low_words.words) == 0
    np.testing.assert_array_equal(out[0], (7 + expected - len(thresholds) // 2).astype(kind) / np.array(255, kind))
    if 0.01 < sigma < 1:
        assert np.isnan(noise_laws._table(sigma, kind)).mean() < 0.05


def low_bits(rows):
    """A classifier that reads the input from the rounding of the sum: 1 if a small one has no bits below 2⁻²⁴."""
    flat = rows.reshape(-1)
    small = np.abs(flat) < 1 / 16
    return np.where(small & (flat * 2.0**24 == np.rint(flat * 2.0**24)), 1, 0)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8])
def test_discrete_inputs_do_not_show_what_they_were(kind):
    """Whatever the pixel and how it was rounded, the classifier sees one float for each sum, that of a clean image."""
    grid = np.arange(-40_000, 40_000).astype(np.float64 if kind is np.float64 else np.float32) / np.array(
        255, np.float64 if kind is np.float64 else np.float32
    )
    for pixel in (0, 1, 77, 255):
        x = np.array([pixel], np.uint8) if kind is np.uint8 else np.array([pixel / 255], kind)
        seen = rows_seen(x, DiscreteNoise(0.5), 3000)
        assert np.isin(seen, grid).all()
        if kind is np.float64:
            np.testing.assert_array_equal(rows_seen(x.astype(np.float32).astype(kind), DiscreteNoise(0.5), 3000), seen)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_discrete_inputs_are_grid_points_or_refused(kind):
    """The certificate is of the grid point: in 3 072 coordinates, 1e-6 in each is a distance of 5.5e-5."""
    pixels = np.arange(256)
    np.testing.assert_array_equal(DiscreteNoise(0.5).centre((pixels / 255).astype(kind)), pixels)
    np.testing.assert_array_equal(DiscreteNoise(0.5).centre(pixels.astype(kind) / kind(255)), pixels)
    for offset in (1, -1, 3):
        x = pixels.astype(kind) / kind(255)
        x[77] += offset * np.spacing(x[77])
        with pytest.raises(InvalidInputError, match="off the 1/255 grid"):
            DiscreteNoise(0.5).centre(x)


@pytest.mark.parametrize("noise", LAWS, ids=lambda noise: noise.name)
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_the_order_of_bytes_changes_no_vote(noise, kind):
    x = (np.arange(30) / 255).astype(f"<{kind}")
    rows = [rows_seen(each, noise, 50) for each in (x, x.astype(f">{kind}"))]
    assert rows[0].dtype == rows[1].dtype
    np.testing.assert_array_equal(*rows)


def test_a_classifier_can_cheat_gaussian_noise_but_not_the_discrete():
    """The negative control: 0 and 1 differ in their low-order bits under Gaussian float32 noise."""
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    tell = [counts_of(GaussianNoise(1.0), 20_000, x=x, base=low_bits, num_classes=2)[1] for x in (zero, one)]
    assert tell[0] < 200 < 400 < tell[1]
    sums = [rows_seen(x, DiscreteNoise(1.0), 5000).reshape(-1) for x in (zero, one)]
    shared = [set(np.rint(255 * np.float64(s)).astype(int)) for s in sums]
    bits = [{round(255 * float(v)): v.tobytes() for v in s} for s in sums]
    assert len(shared[0] & shared[1]) > 200
    assert all(bits[0][k] == bits[1][k] for k in shared[0] & shared[1])


@pytest.mark.parametrize("noise", [GaussianNoise(0.5), DiscreteNoise(0.5)], ids=lambda noise: noise.name)
def test_votes_on_a_half_space_have_their_frequency(noise):
    """P(w·(x + βZ) ≥ c) = Φ((w·x − c)/β‖w‖); for the grid a threshold between two pixels."""
    x = np.array([51, 102, 0], np.uint8)
    if noise.name == "gaussian":
        weights, offset = np.array([1.0, -2.0, 0.5], np.float32), -0.4
        share = stats.norm.cdf((0.2 - 0.8 + 0.4) / (0.5 * np.linalg.norm(weights)))
        counts = counts_of(noise, 100_000, x=x, base=lambda rows: rows @ weights >= offset, num_classes=2)
    else:
        share = stats.norm.cdf((51 - 20.5) / (255 * 0.5))
        counts = counts_of(noise, 100_000, x=x, base=lambda rows: rows[:, 0] > 20.5 / 255, num_classes=2)
    assert counts.dtype == np.int64
    assert counts.sum() == 100_000
    assert_frequency(int(counts[1]), 100_000, share)


def test_types_of_inputs():
    images = np.array([[0, 255]], np.uint8)
    gaussian = GaussianNoise(0.25)
    scaled = rows_seen(images, gaussian, 10)
    assert scaled.shape == (10, 1, 2)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, rows_seen(np.array([[0.0, 1.0]], np.float32), gaussian, 10))
    assert rows_seen(np.array([1, 2]), gaussian, 10).dtype == np.float64
    assert rows_seen([1, 2], gaussian, 10).dtype == np.float64
    assert rows_seen(np.float16([1, 2]), gaussian, 10).dtype == np.float32
    assert rows_seen(0.5, gaussian, 10).shape == (10,)
    assert rows_seen(images, DiscreteNoise(0.25), 10).dtype == np.float32
    assert np.abs(rows_seen(images, GaussianNoise(9.0), 100)).max() > 3, "clipped"
