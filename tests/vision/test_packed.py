"""Votes with noise from counters, of many inputs in one batch: the law, the same votes, full batches, fallbacks."""

from __future__ import annotations

import math
import shutil
from typing import ClassVar

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from noiseaug.certificates import CertificationSetting, Cohen, ConfidenceSequence, MultiLook, TCertify, VoteBudget  # noqa: E402
from noiseaug.certification import certify, predict  # noqa: E402
from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.records import read_log  # noqa: E402
from noiseaug.vision.engine import TorchBase, TorchCounter  # noqa: E402
from noiseaug.vision.engine import packed as packing  # noqa: E402
from noiseaug.vision.engine import philox as counters  # noqa: E402
from noiseaug.vision.engine.inference import Network  # noqa: E402
from noiseaug.vision.engine.packed import PackedVotes, Segment, packed_input  # noqa: E402
from noiseaug.vision.engine.philox import noisy_inputs, philox  # noqa: E402
from noiseaug.votes import DiscreteNoise, GaussianNoise, noisy_rows  # noqa: E402
from tests.helpers.networks import SHAPE, Normalised, X, network, small_cnn  # noqa: E402
from tests.helpers.statistics import FALSE_ALARM  # noqa: E402

CPU, NOISE = torch.device("cpu"), GaussianNoise(0.5)
WORD = 0xFFFFFFFF


def normals(keys, votes, dim):
    return counters.normals(keys, votes, dim, torch.arange(-(-dim // 4)))


# --- words and normal values


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((WORD,) * 4, (WORD,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, expected):
    """Those that come with Random123, the authors' own code."""
    words = philox(tuple(torch.tensor([word]) for word in counter), tuple(torch.tensor([word]) for word in key))
    assert tuple(int(word) for word in words) == expected


def words_by_hand(counter, key):
    """Philox4x32-10 with Python's integers."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (right >> 32) ^ b ^ k, right & WORD, (left >> 32) ^ d ^ m, left & WORD
        k, m = (k + 0x9E3779B9) & WORD, (m + 0xBB67AE85) & WORD
    return a, b, c, d


def test_normal_values_are_those_of_their_place():
    """Every value from its own counter, in double precision; for large numbers, and dimensions 4 does not divide."""
    rng = np.random.default_rng(0)
    keys, votes = rng.integers(0, 2**32, (5, 4)), np.array([0, 1, 4095, 2**31, 2**32 - 1])
    for dim in (1, 4, 7, 192):
        found, groups = normals(torch.from_numpy(keys), torch.from_numpy(votes), dim).numpy(), -(-dim // 4)
        for row, coordinate in [(r, c) for r in range(5) for c in range(0, dim, 5)]:
            lane, group = divmod(coordinate, groups)
            key = tuple(int(k) for k in keys[row])
            words = words_by_hand((group, int(votes[row]), key[2], key[3]), key[:2])
            size, turn = words[2 * (lane // 2)], words[2 * (lane // 2) + 1]
            radius, angle = math.sqrt(-2 * math.log((size + 0.5) / 2**32)), 2 * math.pi * turn / 2**32
            expected = radius * (math.sin(angle) if lane % 2 else math.cos(angle))
            assert found[row, coordinate] == pytest.approx(expected, abs=3e-6)


def test_the_law_of_noise_from_counters():
    """Mean, variance, the whole law by Kolmogorov and Smirnov, and correlations, each at 1e-9."""
    keys = torch.randint(2**32, (1, 4), generator=torch.Generator().manual_seed(1)).expand(20_000, 4)
    draws = normals(keys, torch.arange(20_000), 50).double().numpy()
    size, bound = draws.size, stats.norm.isf(FALSE_ALARM / 2)
    assert abs(draws.mean()) < bound / np.sqrt(size)
    low, high = stats.chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], size)
    assert low < (draws**2).sum() < high
    for lane in range(4):  # cosine and sine of either pair
        part = draws[:, 13 * lane : 13 * lane + 11].reshape(-1)
        assert stats.kstest(part, stats.norm.cdf).pvalue > FALSE_ALARM
        assert stats.kstest(1.04 * part, stats.norm.cdf).pvalue < FALSE_ALARM
    other = normals(keys + torch.tensor([0, 0, 0, 1]), torch.arange(20_000), 50).double().numpy()
    for one, two in [
        (draws[:-1], draws[1:]),
        (draws[:, :-1], draws[:, 1:]),
        (draws[:, :13], draws[:, 13:26]),
        (draws, other),
        (draws[:, :13] ** 2 - 1, draws[:, 13:26] ** 2 - 1),
    ]:
        assert abs(np.corrcoef(one.reshape(-1), two.reshape(-1))[0, 1]) < bound / np.sqrt(one.size)


def test_every_word_of_a_key_counts():
    key = torch.tensor([[1, 2, 3, 4]])
    first = normals(key, torch.tensor([7]), 8)
    for word in range(4):
        changed = key.clone()
        changed[0, word] += 1
        assert not torch.isclose(normals(changed, torch.tensor([7]), 8), first).any()
    assert not torch.isclose(normals(key, torch.tensor([8]), 8), first).any()


# --- packed counts


def counter(model=None, *, batch=48, precision="float32", seed=5, noise=NOISE, on_device=True):
    base = TorchBase(network() if model is None else model, precision=precision, batch=batch)
    return TorchCounter(base, noise=noise, seed=seed, noise_on_device=on_device)


def images(count, seed=0):
    return (np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)) / 255).astype(np.float32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_votes_do_not_depend_on_what_else_is_in_a_batch(precision):
    some = images(6)
    alone = [counter(precision=precision).stream(x, index, "estimation").take(333) for index, x in enumerate(some)]
    together = counter(precision=precision)
    streams = [together.stream(x, index, "estimation") for index, x in enumerate(some)]
    first = together.take_together([(stream, 33 + number) for number, stream in enumerate(streams)])
    # a stream may come up more than once, and not at all
    again = together.take_together([(streams[1], 100), (streams[4], 296 - 33), (streams[1], 199), (streams[0], 0)])
    assert [int(counts.sum()) for counts in again] == [100, 263, 199, 0]
    assert [stream.drawn for stream in streams] == [33, 333, 35, 36, 300, 38]
    np.testing.assert_array_equal(first[1] + again[0] + again[2], alone[1])
    rest = together.take_together([(stream, 333 - stream.drawn) for stream in streams])
    np.testing.assert_array_equal(first[0] + again[3] + rest[0], alone[0])
    np.testing.assert_array_equal(first[5] + rest[5], alone[5])
    assert len({tuple(counts) for counts in alone}) > 1


def test_votes_are_those_of_the_noisy_inputs():
    """Counts by hand from the very inputs; unlike those of another seed."""
    model, n = network("cnn"), 2000
    found = counter(model).stream(X, 3, "estimation").take(n)

    def by_hand(seed):
        rows = noisy_rows(NOISE, seed, X, 3, "estimation")
        key = torch.from_numpy(rows.key[:4].astype(np.int64))[None]
        centre = torch.from_numpy(packed_input(rows.centre, SHAPE))[None]
        slots = torch.zeros(n, dtype=torch.int64)
        flat = noisy_inputs(centre, key, slots, torch.arange(n), torch.arange(48), torch.tensor(0.5), torch.float32)
        with torch.inference_mode():
            labels = model(flat.reshape(n, 8, 8, 3).permute(0, 3, 1, 2)).argmax(1)
        return np.bincount(labels.numpy(), minlength=5)

    assert np.abs(found - by_hand(5)).sum() <= 4  # two votes at the brink
    assert np.abs(found - by_hand(6)).sum() > 4


def test_counts_have_the_law_of_the_reference_engine():
    """A chi-square test of homogeneity at 1e-9; other noise is found out."""
    model, n = network(), 20_000
    ours = counter(model, batch=500).stream(X, 3, "estimation").take(n)
    for sigma, same in [(0.5, True), (0.3, False)]:
        law = GaussianNoise(sigma)
        reference = counter(model, seed=9, noise=law, on_device=False).stream(X, 3, "estimation").take(n)
        seen = (ours + reference) > 20
        assert (stats.chi2_contingency([ours[seen], reference[seen]]).pvalue > FALSE_ALARM) == same


class Watched(Normalised):
    """Keeps the sizes of the batches it gets."""

    sizes: ClassVar[list[int]] = []

    def forward(self, x):
        Watched.sizes.append(len(x))
        return super().forward(x)


def watched():
    torch.manual_seed(3)
    return Watched(small_cnn()).eval()


@pytest.mark.parametrize(("rounds", "slots"), [(64, 1 << 24), (2, 1 << 24), (64, 8 * 192)])
def test_batches_are_full(rounds, slots, monkeypatch):
    """Few votes of each of many inputs in as many batches as they come to, however rounds and slots cut them."""
    expected = [counter().stream(x, index, "estimation").take(50) for index, x in enumerate(images(20))]
    monkeypatch.setattr(packing, "_ROUND_BATCHES", rounds)
    monkeypatch.setattr(packing, "_SLOT_VALUES", slots)
    packed = counter()
    requests = [(packed.stream(x, index, "estimation"), 50) for index, x in enumerate(images(20))]
    np.testing.assert_array_equal(packed.take_together(requests), expected)
    seen = counter(watched(), batch=100)
    requests = [(seen.stream(x, index, "estimation"), 50) for index, x in enumerate(images(20))]
    Watched.sizes.clear()
    seen.take_together(requests)
    assert Watched.sizes == [100] * 10


def test_another_law_is_drawn_on_the_cpu():
    assert counter().description() == {"precision": "float32", "noise_source": "philox"}
    other = counter(noise=DiscreteNoise(0.5))
    assert other.description() == {"precision": "float32", "noise_source": "host"}
    reference = counter(noise=DiscreteNoise(0.5), on_device=False)
    some, same = (
        each.take_together([(each.stream(X, index, "estimation"), 100) for index in range(2)])
        for each in (other, reference)
    )
    np.testing.assert_array_equal(some, same)


def test_too_many_votes_for_the_counter():
    stream = counter().stream(X, 0, "estimation")
    stream.drawn = 2**32 - 1
    with pytest.raises(InvalidInputError, match="4294967297 votes; an input has at most 4294967296"):
        stream.take(2)


# --- certification


class Packing(TorchBase):
    """Counts on the CPU as on another device; ``round_batches`` 0: one input at a time."""

    round_batches = 64

    def vote_counter(self, **options):
        made = TorchCounter(self, noise_on_device=True, **options)
        if not self.round_batches:
            made.__class__ = Alone
        return made


class Alone(TorchCounter):
    round_votes = 0


RULES = [Cohen(), TCertify(), MultiLook((0.1, 0.25)), ConfidenceSequence(0.25)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_packed_certification_is_that_of_one_input_at_a_time(rule, tmp_path, monkeypatch):
    some, labels = images(30), np.arange(30) % 5
    frames, batches = [], []
    for name, at_a_time in (("alone", 0), ("packed", 64)):
        monkeypatch.setattr(Packing, "round_batches", at_a_time)
        Watched.sizes.clear()
        arguments = {"labels": labels, "smooth_sigma": 0.5, "n": 2000, "n0": 30, "certificate": rule}
        log = tmp_path / f"{name}.jsonl"
        frames.append(certify(Packing(watched(), batch=100), some, log=log, **arguments))
        batches.append(len(Watched.sizes))
        assert read_log(log)[1]["index"].tolist() == list(range(30))
        assert (frames[-1]["seconds"] > 0).all()
    plain = [frame.drop(columns="seconds") for frame in frames]
    assert plain[0].equals(plain[1])
    votes = int(frames[1]["n"].sum()) + 30 * 30
    # what the votes come to, and at the end a round a look for inputs that do not fill one
    assert batches[1] <= votes / 100 + len(rule.looks(CertificationSetting(0.5, VoteBudget(2000, 1e-3), 5))) + 10
    assert batches[1] < batches[0]


def test_a_packed_run_that_was_interrupted_is_taken_up(tmp_path):
    some, arguments = images(12), {"smooth_sigma": 0.5, "n": 500, "n0": 30}
    whole = certify(Packing(watched(), batch=100), some, **arguments)

    class Stopped(Watched):
        left = 30

        def forward(self, x):
            Stopped.left -= 1
            if Stopped.left == 0:
                raise KeyboardInterrupt
            return super().forward(x)

    model = watched()
    model.__class__ = Stopped
    base = Packing(model, batch=100)
    object.__setattr__(base, "round_batches", 0)
    log = tmp_path / "run.jsonl"
    with pytest.raises(KeyboardInterrupt):
        certify(base, some, log=log, **arguments)
    assert 0 < len(read_log(log)[1]) < 12
    resumed = certify(Packing(watched(), batch=100), some, log=log, resume=True, **arguments)
    assert resumed.drop(columns="seconds").equals(whole.drop(columns="seconds"))


def test_predictions_are_packed():
    some = images(20)
    Watched.sizes.clear()
    frame = predict(Packing(watched(), batch=100), some, smooth_sigma=0.5, n=50)
    assert sum(Watched.sizes) < 1500
    single = [counter(watched(), batch=100, seed=0).stream(x, i, "estimation").take(50) for i, x in enumerate(some)]
    assert frame["counts"].tolist() == [tuple(counts) for counts in single]


# --- compiled, captured, or as before


def packed_votes(model=None, **wishes):
    """Of a network that is not fused, as on another device."""
    model = Network(network() if model is None else model, 5, CPU, torch.float32, 100, "folded")
    return PackedVotes(model, SHAPE, 0.5, **wishes)


def some_counts(votes):
    rows = noisy_rows(NOISE, 5, X, 3, "estimation")
    return votes.count([Segment(packed_input(rows.centre, SHAPE), rows.key[:4].astype(np.int64), 0, 1000)])[0]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch about its own parts
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_compiled_noise_and_network_are_the_same_up_to_rounding():
    votes = packed_votes(compile_noise=True, compile_network=True)
    assert votes.way == "folded, network compiled, noise compiled"
    assert np.abs(some_counts(votes) - some_counts(packed_votes())).sum() <= 4


@pytest.mark.parametrize("fault", ["raises", "returns something else"])
def test_what_cannot_be_compiled_runs_plainly(fault, monkeypatch):
    def broken(function, **options):
        def call(*arguments):
            if fault == "raises":
                raise RuntimeError("no compiler")
            return function(*arguments) + 1

        return call

    monkeypatch.setattr(torch, "compile", broken)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    votes = packed_votes(model, compile_noise=True, compile_network=True)
    assert votes.way == "folded"
    why = "no compiler" if fault == "raises" else "its result differs from the plain one"
    assert votes.obstacles == {"network compiled": why, "noise compiled": why}
    np.testing.assert_array_equal(some_counts(votes), some_counts(packed_votes(model)))


def test_votes_that_are_lost_are_noticed(monkeypatch):
    """As of a graph that captured nothing."""
    votes = packed_votes()
    monkeypatch.setattr(votes, "_step", lambda: None)
    with pytest.raises(RuntimeError, match="votes were lost, or counted twice"):
        some_counts(votes)


def test_compiling_is_for_other_devices():
    with pytest.raises(InvalidInputError, match="compiled is for another device; on a CPU layers are fused without it"):
        TorchBase(network(), compiled=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_votes_on_a_cuda_device(precision):
    """Captured; the votes of the CPU up to rounding, exactly the same however they are asked for."""
    model, n = network(), 20_000
    base = TorchBase(model, device="cuda", precision=precision, batch=500)
    ours = base.vote_counter(noise=NOISE, seed=5)
    stream = ours.stream(X, 3, "estimation")
    assert stream.votes.way == "folded, noise compiled, CUDA graph"
    counts = stream.take(n)
    reference = counter(model, batch=500, precision=precision).stream(X, 3, "estimation").take(n)
    assert np.abs(counts - reference).sum() < (n / 100 if precision == "float32" else n / 10)
    parts = [ours.stream(X, 3, "estimation"), ours.stream(images(1)[0], 4, "estimation")]
    total = sum(ours.take_together([(parts[0], take), (parts[1], 77)])[0] for take in (1, 999, 19_000))
    np.testing.assert_array_equal(total, counts)
    discrete = base.vote_counter(noise=DiscreteNoise(0.5), seed=5).stream(X, 3, "estimation").take(n)
    assert discrete.sum() == n
