"""The vote engine: the same votes however they are asked for, of any classifier; and what it refuses."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from noiseaug.errors import InvalidInputError
from noiseaug.votes import (
    DiscreteNoise,
    GaussianNoise,
    Predictor,
    VoteCounter,
    as_predictor,
    counting,
    make_noise,
)
from tests.helpers.classifiers import LAWS, Camera, X, counts_of, halves, rows_seen, scrambled


@pytest.mark.parametrize("noise", LAWS, ids=lambda noise: noise.name)
@pytest.mark.parametrize(
    "x", [X, X.astype(float), X[:1], np.zeros((300, 300), np.float32)], ids=["37", "f8", "1", "big"]
)
def test_rows_are_the_same_whatever_the_batch_and_the_calls(noise, x):
    """Bit for bit, over several blocks; the largest input has blocks of a single vote."""
    n = 20 if x.size > 1000 else 4000
    expected = rows_seen(x, noise, n)
    assert expected.shape == (n, *x.shape)
    assert expected.dtype == x.dtype
    assert len(np.unique(expected.reshape(n, -1)[:, -1])) > n / 20
    for batch, takes in [(1, [n]), (7, [n]), (1000, [1, 0, n - 1]), (3, [5, n - 8, 3]), (10**6, [n // 2, n - n // 2])]:
        np.testing.assert_array_equal(rows_seen(x, noise, n, batch=batch, takes=takes), expected)


@pytest.mark.parametrize("noise", LAWS, ids=lambda noise: noise.name)
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_change_nothing(noise, threads, monkeypatch):
    expected = rows_seen(X, noise, 12_000)
    monkeypatch.setattr(counting, "_WORTH_A_THREAD", 0)
    monkeypatch.setattr(counting, "_threads", lambda: threads)
    monkeypatch.setattr(counting, "_pool", pools := Pools(threads))
    for batch, takes in [(12_000, [12_000]), (5000, [4999, 7001]), (100, [12_000]), (2500, [1, 9999, 2000])]:
        np.testing.assert_array_equal(rows_seen(X, noise, 12_000, batch=batch, takes=takes), expected)
    assert (pools.asked > 0) == (threads > 1)
    pools.pool.shutdown()


class Pools:
    """Stands in for the pool of the process and counts how often it is asked for."""

    def __init__(self, threads):
        self.pool, self.asked = counting.ThreadPoolExecutor(threads), 0

    def __call__(self, process):
        self.asked += 1
        return self.pool


@pytest.mark.parametrize("noise", LAWS, ids=lambda noise: noise.name)
def test_inputs_do_not_disturb_one_another(noise):
    """Order of the inputs, other streams in between, another instance: the votes for an input stay."""
    counter = VoteCounter(scrambled, noise=noise, num_classes=7, seed=1, batch=64)
    alone = {i: counter.stream(X, i, "estimation").take(500) for i in range(6)}
    streams = {i: counter.stream(X, i, "estimation") for i in reversed(range(6))}
    mixed = {i: stream.take(3) for i, stream in streams.items()}
    counter.stream(np.zeros(5), 0, "selection").take(999)
    for i in (4, 0, 5, 1, 2, 3):
        mixed[i] = mixed[i] + streams[i].take(497)
        np.testing.assert_array_equal(mixed[i], alone[i])
    assert len({tuple(counts) for counts in alone.values()}) == 6


def test_another_process_and_a_pickled_counter_agree():
    counter = VoteCounter(scrambled, noise=GaussianNoise(0.5), num_classes=7, seed=5)
    expected = counter.stream(X, 3, "estimation").take(3000)
    assert len(pickle.dumps(counter)) < 1000
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        np.testing.assert_array_equal(pool.submit(counts_of, GaussianNoise(0.5)).result(), expected)
    again = pickle.loads(pickle.dumps(counter))
    np.testing.assert_array_equal(again.stream(X, 3, "estimation").take(3000), expected)


def test_a_seed_means_the_same_for_ever():
    """Logs are resumed by later versions: the noise of a seed is part of the format."""
    stream = VoteCounter(halves, noise=LAWS[0], num_classes=2, seed=12).stream(X, 34, "estimation")
    text = f"1|12|34|gaussian|{(0.5).hex()}|estimation"
    assert stream._rows.key.tobytes() == hashlib.blake2b(text.encode(), digest_size=32).digest()
    gaussian, discrete = (rows_seen(X, noise, 2000, seed=12, index=34)[-1] for noise in LAWS)
    assert np.rint(255 * discrete[:6]).astype(int).tolist() == [28, 70, 208, 59, 72, 131]
    np.testing.assert_allclose(gaussian[:3], [-0.5328320264816284, 0.9528984427452087, 0.24991390109062195], rtol=1e-6)


def test_scikit_learn_classifiers_vote_in_the_order_of_their_classes():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)) + 3 * np.eye(4)[(which := np.arange(300) % 3)]
    names = np.array(["pear", "apple", "fig"])[which]
    for model in (make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(5, random_state=0)):
        fitted = model.fit(x, names)
        predictor = as_predictor(fitted)
        assert predictor.classes.tolist() == ["apple", "fig", "pear"]
        counts = counts_of(GaussianNoise(0.1), 500, x=3 * np.eye(4)[0], base=fitted, num_classes=None)
        assert counts[2] > 490  # pears
        image = counts_of(GaussianNoise(0.1), 500, x=3 * np.eye(4)[0].reshape(2, 2), base=fitted, num_classes=3)
        np.testing.assert_array_equal(image, counts)
    for labels in (which, 10.0 * which - 10):
        fitted = LogisticRegression().fit(x, labels)
        assert counts_of(GaussianNoise(0.1), 500, x=3 * np.eye(4)[2], base=fitted, num_classes=None)[2] > 490


def test_bad_scikit_learn_classifiers():
    from sklearn.linear_model import LogisticRegression, Ridge

    with pytest.raises(InvalidInputError, match="fit it first"):
        as_predictor(LogisticRegression())
    with pytest.raises(InvalidInputError, match="classes_"):
        as_predictor(Ridge().fit([[0.0], [1.0]], [0, 1]))
    fitted = LogisticRegression().fit([[0.0], [1.0]], ["a", "b"])
    with pytest.raises(InvalidInputError, match="num_classes is 3; the classifier has 2"):
        as_predictor(fitted, 3)

    class Changed:
        classes_ = np.array(["a", "b"])

        def predict(self, rows):
            return np.full(len(rows), "z")

    with pytest.raises(InvalidInputError, match="label z, which is not in classes_"):
        counts_of(GaussianNoise(1.0), base=Changed(), num_classes=None)


def test_torch_modules():
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5), torch.nn.Linear(3, 2)
    )
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]))
        model[1].bias.zero_()
        model[4].weight.copy_(torch.tensor([[0.0, 0, 0], [1, 0, 0]]))
        model[4].bias.zero_()
    model.train()
    model[3].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for kind in (np.float32, np.float64):
        x = np.array([[0.3, 1], [2, 3]], kind)
        counts = counts_of(GaussianNoise(0.5), x=x, base=model, num_classes=2)
        np.testing.assert_array_equal(counts, counts_of(GaussianNoise(0.5), x=x, base=halves, num_classes=2))
    assert [part.training for part in model.modules()] == [True, True, True, True, False, True]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(parameter.grad is not None for parameter in model.parameters())
    with pytest.raises(InvalidInputError, match="num_classes"):
        as_predictor(model)
    model.num_classes = 2
    assert as_predictor(model).num_classes == 2
    with pytest.raises(InvalidInputError, match="num_classes is 3"):
        as_predictor(model, 3)
    del model.num_classes
    with pytest.raises(InvalidInputError, match=r"shape \(1000, 2\); expected logits of shape \(1000, 3\)"):
        counts_of(GaussianNoise(0.5), x=x, base=model, num_classes=3)
    assert model.training
    with torch.no_grad():
        model[4].bias.fill_(float("nan"))
    with pytest.raises(InvalidInputError, match="NaN"):
        counts_of(GaussianNoise(0.5), x=x, base=model, num_classes=2)


def test_torch_is_not_imported():
    code = (
        "import sys; from noiseaug.votes import *; VoteCounter(lambda b: b[:, 0] > 0, noise=GaussianNoise(1), "
        "num_classes=2).stream([0.0], 0, 'estimation').take(5); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_classifiers():
    class Own:
        num_classes = 2

        def predict(self, rows):
            return halves(rows)

    expected = counts_of(GaussianNoise(0.5), base=halves, num_classes=2)
    wrapped = Predictor(halves, np.array(["no", "yes"]))
    assert wrapped.num_classes == 2
    for base in (
        Own(),
        Own().predict,
        wrapped,
        lambda rows: halves(rows).astype(float),
        lambda rows: list(halves(rows)),
    ):
        np.testing.assert_array_equal(counts_of(GaussianNoise(0.5), base=base, num_classes=2), expected)
    assert VoteCounter(Own(), noise=GaussianNoise(0.5)).num_classes == 2


def test_scores_are_taken_in_place_of_labels():
    expected = counts_of(GaussianNoise(0.5), base=halves, num_classes=2)
    for scores in (
        lambda rows: np.eye(2)[halves(rows).astype(int)],
        lambda rows: np.stack([rows[:, 0] * 0, rows[:, 0]], 1),
    ):
        np.testing.assert_array_equal(counts_of(GaussianNoise(0.5), base=scores, num_classes=2), expected)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda rows: np.zeros(len(rows) - 1, int), r"shape \(999,\); expected one label each, \(1000,\)"),
        (lambda rows: np.zeros((len(rows), 3)), r"shape \(1000, 3\)"),
        (lambda rows: np.full((len(rows), 2), np.nan), "NaN; expected finite scores"),
        (lambda rows: 1, r"shape \(\)"),
        (lambda rows: np.full(len(rows), np.nan), "NaN"),
        (lambda rows: np.full(len(rows), 0.5), "returned 0.5; expected integer labels"),
        (lambda rows: np.full(len(rows), np.inf), "label inf"),
        (lambda rows: np.full(len(rows), "cat"), "type <U3; expected integers"),
        (lambda rows: np.arange(len(rows)) - 1, "label -1; expected 0 … 1"),
        (lambda rows: np.full(len(rows), 2, np.uint64), "label 2; expected 0 … 1"),
    ],
)
def test_bad_answers_of_classifiers(answer, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        counts_of(GaussianNoise(1.0), base=answer, num_classes=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GaussianNoise(0), "smooth_sigma is 0; expected a number above 0"),
        (lambda: GaussianNoise(float("nan")), "smooth_sigma is nan"),
        (lambda: DiscreteNoise(-1.0), "smooth_sigma is -1"),
        (lambda: DiscreteNoise(25.0), "expected at most 10"),
        (lambda: make_noise("laplace", 1.0), "noise is 'laplace'; expected one of gaussian, discrete"),
        (lambda: VoteCounter(halves, noise=LAWS[0]), "give it as num_classes"),
        (lambda: VoteCounter(halves, noise=LAWS[0], num_classes=0), "num_classes is 0"),
        (lambda: VoteCounter(halves, noise=LAWS[0], num_classes=2, batch=0), "batch is 0"),
        (lambda: VoteCounter(halves, noise=LAWS[0], num_classes=2, seed=-1), "seed is -1"),
        (lambda: VoteCounter(halves, noise=LAWS[0], num_classes=2, seed=0.5), "seed is 0.5"),
        (lambda: VoteCounter("model", noise=LAWS[0], num_classes=2), "base is str; expected a function"),
        (lambda: VoteCounter(Camera, noise=LAWS[0], num_classes=2), "base is Camera; expected a function"),
        (lambda: VoteCounter(Predictor(halves, None, 2), noise=LAWS[0], num_classes=3), "num_classes is 3"),
        (lambda: counter().stream([np.nan], 0, "estimation"), "x holds NaN"),
        (lambda: counter().stream(["a"], 0, "estimation"), "expected an array of real numbers"),
        (lambda: counter().stream([[1], [1, 2]], 0, "estimation"), "x is not an array"),
        (lambda: counter().stream([], 0, "estimation"), "x is empty"),
        (lambda: counter().stream([0.0], -1, "estimation"), "index is -1"),
        (lambda: counter().stream([0.0], 0, "both"), "purpose is 'both'; expected one of selection, estimation"),
        (lambda: counter().stream([0.0], 0, "estimation").take(-1), "votes is -1"),
        (lambda: counter(LAWS[1]).stream([0.5], 0, "estimation"), "0.002 off the 1/255 grid"),
        (lambda: counter(LAWS[1]).stream([1], 0, "estimation"), "type int64; expected uint8 or floats"),
        (lambda: counter(LAWS[1]).stream([1e6], 0, "estimation"), "x reaches 1e"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def counter(noise=LAWS[0]):
    return VoteCounter(halves, noise=noise, num_classes=2)


@pytest.mark.parametrize("noise", LAWS, ids=lambda noise: noise.name)
def test_memory_is_bounded_by_the_batch(noise):
    x, batch = np.zeros(784, np.float32), 500
    peaks = []
    for n in (4000, 40_000):
        tracemalloc.start()
        counts_of(noise, n, x=x, batch=batch)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 1e5
    assert peaks[1] < 2 * batch * 784 * 4 + 8e6


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("dim", [2, 200], ids=["drawn here", "drawn by threads"])
def test_an_interrupted_call_takes_no_votes_and_leaves_no_work(stop, dim):
    calls = []

    def moody(rows):
        calls.append(len(rows))
        if len(calls) == 3:
            raise stop
        return scrambled(rows)

    x = np.zeros(dim, np.float32)
    expected = counts_of(LAWS[0], 5000, x=x)
    stream = VoteCounter(moody, noise=LAWS[0], num_classes=7, seed=5).stream(x, 3, "estimation")
    first = stream.take(100)
    with pytest.raises(stop):
        stream.take(4900)
    assert stream.drawn == 100
    np.testing.assert_array_equal(first + stream.take(4900), expected)
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("noiseaug")]
    assert len(ours) <= counting._threads()


class SlowNoise(GaussianNoise):
    """Takes its time and keeps when somebody was last drawing."""

    last = 0.0

    def fill(self, source, centre, out):
        time.sleep(0.05)
        type(self).last = time.perf_counter()


def test_no_thread_draws_on_after_an_interrupt(monkeypatch):
    def interrupted(rows):
        time.sleep(0.02)  # the next batch is being drawn
        raised.append(time.perf_counter())
        raise KeyboardInterrupt

    raised = []
    monkeypatch.setattr(counting, "_threads", lambda: 2)
    stream = VoteCounter(interrupted, noise=SlowNoise(1.0), num_classes=2).stream(np.zeros(200), 0, "estimation")
    with pytest.raises(KeyboardInterrupt):
        stream.take(3000)
    returned = time.perf_counter()
    time.sleep(0.2)
    assert raised[0] < SlowNoise.last < returned


def test_a_counter_can_be_shared_by_threads_and_nested():
    """Calls never share a buffer, and a classifier may itself be smoothed."""
    shared = VoteCounter(scrambled, noise=LAWS[0], num_classes=7, seed=5)
    x = np.zeros(100, np.float32)
    expected = [shared.stream(x, i, "estimation").take(5000) for i in range(4)]
    found = [None] * 4

    def work(i):
        found[i] = shared.stream(x, i, "estimation").take(5000)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)

    def smoothed(rows):
        return [shared.stream(row, 0, "selection").take(2000).argmax() for row in rows]

    assert counts_of(LAWS[0], 20, x=x, base=smoothed, batch=8).sum() == 20
