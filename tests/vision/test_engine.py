"""The torch vote engine: the reference engine's votes, faster, also behind certify and predict."""

from __future__ import annotations

import copy
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from noiseaug.certificates import MultiLook  # noqa: E402
from noiseaug.certification import certify, predict  # noqa: E402
from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.records import merge_logs, read_log  # noqa: E402
from noiseaug.vision.engine import TorchBase, TorchCounter  # noqa: E402
from noiseaug.vision.engine import counter as engine  # noqa: E402
from noiseaug.vision.engine.fusion import fusing_obstacle  # noqa: E402
from noiseaug.votes import VoteCounter, make_counter, noisy_rows  # noqa: E402
from tests.helpers.classifiers import LAWS  # noqa: E402
from tests.helpers.engine import counts_of, frames_agree  # noqa: E402
from tests.helpers.networks import SHAPE, Normalised, X, network, small_cnn  # noqa: E402


def unexplained(model, n, counts, *, x=X, noise=LAWS[0], rounding=2e-5):
    """How far counts are from what the logits allow: exact where no two logits are within rounding, else in between."""
    rows = noisy_rows(noise, 5, x, 3, "estimation")
    noisy = np.empty((n, rows.dim), rows.dtype)
    rows.fill(0, noisy, None)
    with torch.inference_mode():
        logits = copy.deepcopy(model).double().eval()(torch.from_numpy(noisy).reshape(-1, *SHAPE).double())
    close = logits > logits.max(1, keepdim=True).values - rounding * logits.abs().max()
    sure = close.sum(1) == 1
    least, most = close[sure].sum(0).numpy(), close.sum(0).numpy()
    return int(np.maximum(least - counts, 0).sum() + np.maximum(counts - most, 0).sum()), int((~sure).sum())


# --- the votes of the reference engine


@pytest.mark.parametrize("noise", LAWS, ids=lambda noise: noise.name)
@pytest.mark.parametrize("kind", ["cnn", "resnet"])
def test_votes_are_those_of_the_reference_engine(kind, noise, threads):
    """The same noise, and logits up to rounding: every vote that rounding cannot turn is the same."""
    model, n = network(kind), 1500
    expected = VoteCounter(model, noise=noise, seed=5).stream(X, 3, "estimation").take(n)
    assert (expected > 50).sum() >= 2
    for batch, number in [(None, 1), (1, 2), (7, 2), (64, 1), (1000, 3)]:
        threads(number)
        counts = counts_of(TorchBase(model, batch=batch), n, noise=noise)
        wrong, doubtful = unexplained(model, n, counts, noise=noise)
        assert wrong == 0
        assert doubtful < n / 100
        assert np.abs(counts - expected).sum() <= 2 * doubtful
    other = counts_of(TorchBase(model), n, noise=noise, seed=6)
    assert unexplained(model, n, other, noise=noise)[0] > 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("on_device", [False, True], ids=["host", "device"])
def test_votes_are_exactly_the_same_however_they_are_asked_for(precision, on_device, threads):
    """Also inputs at the brink of two classes: a vote's place in its batch does not depend on the calls."""
    base = TorchBase(network(), precision=precision, batch=48)
    expected = [counts_of(base, n, noise_on_device=on_device) for n in (1, 699, 1500)]
    for number in (1, 3):
        threads(number if not on_device else 1)
        counter = TorchCounter(base, noise=LAWS[0], seed=5, noise_on_device=on_device)
        for takes in ([1, 698, 801], [1, 0, 48, 50, 600, 801], [1] * 30 + [669, 801]):
            stream, total, seen = counter.stream(X, 3, "estimation"), 0, {}
            for take in takes:
                total = total + stream.take(take)
                seen[stream.drawn] = total
            for n, counts in zip((1, 699, 1500), expected, strict=True):
                np.testing.assert_array_equal(seen[n], counts)


def test_first_batches_are_small(threads):
    """Few votes cost few; the noise is that of large batches, whatever calls and threads."""
    sizes = []

    class Watched(nn.Linear):
        shape, num_classes = (4,), 3

        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x)

    torch.manual_seed(0)
    base, x = TorchBase(Watched(4, 3), batch=1000), np.full(4, 0.5, np.float32)
    for number in (1, 2):
        threads(number)
        whole = counts_of(base, 40_000, x=x)
        counter = TorchCounter(base, noise=LAWS[0], seed=5)
        stream = counter.stream(x, 3, "estimation")
        sizes.clear()
        total = stream.take(100)
        assert sizes == [128]
        total = total + stream.take(900) + stream.take(39_000)
        assert sizes[1:4] == [128, 256, 451]
        np.testing.assert_array_equal(total, whole)
    reference = VoteCounter(base.model, noise=LAWS[0], seed=5).stream(x, 3, "estimation").take(40_000)
    assert np.abs(whole - reference).sum() <= 4


def test_bfloat16_is_another_classifier_that_is_close():
    model, n = network(), 3000
    single, half = (counts_of(TorchBase(model, precision=precision), n) for precision in ("float32", "bfloat16"))
    assert 0 < np.abs(single - half).sum() < n / 20


def test_inputs_of_any_form_and_type():
    model = network("cnn")
    expected = counts_of(TorchBase(model))
    np.testing.assert_array_equal(counts_of(TorchBase(model), x=X.reshape(-1)), expected)
    np.testing.assert_array_equal(counts_of(TorchBase(model), x=X.reshape(3, 64)), expected)
    np.testing.assert_array_equal(counts_of(TorchBase(model), x=np.rint(X * 255).astype(np.uint8)), expected)
    plain, named = model.network, TorchBase(model.network, SHAPE, num_classes=5)
    alone = counts_of(named)
    np.testing.assert_array_equal(counts_of(named, x=X.reshape(-1)), alone)
    np.testing.assert_array_equal(counts_of(TorchBase(plain, num_classes=5)), alone)  # the input's own shape
    double = VoteCounter(model, noise=LAWS[0], seed=5).stream(X.astype(float), 3, "estimation").take(1000)
    np.testing.assert_array_equal(counts_of(TorchBase(model), x=X.astype(float)), double)
    rows = nn.Linear(4, 3)
    counts = counts_of(TorchBase(rows, num_classes=3), x=np.arange(4.0))
    reference = VoteCounter(rows, noise=LAWS[0], seed=5, num_classes=3).stream(np.arange(4.0), 3, "estimation")
    np.testing.assert_array_equal(counts, reference.take(1000))


def test_an_interrupted_call_takes_no_votes_and_leaves_no_work(threads):
    class Moody(Normalised):
        calls, failing = 0, False

        def forward(self, x):
            Moody.calls += 1
            if Moody.failing and Moody.calls == 4:
                raise KeyboardInterrupt
            return super().forward(x)

    torch.manual_seed(3)
    model = Moody(small_cnn())
    for number, on_device in [(1, False), (2, False), (1, True)]:
        threads(number)
        expected = counts_of(TorchBase(model, batch=40), 3000, noise_on_device=on_device)
        stream = TorchCounter(TorchBase(model, batch=40), noise=LAWS[0], seed=5, noise_on_device=on_device).stream(
            X, 3, "estimation"
        )
        first = stream.take(30)
        Moody.calls, Moody.failing = 0, True
        with pytest.raises(KeyboardInterrupt):
            stream.take(2970)
        Moody.failing, calls = False, Moody.calls
        time.sleep(0.1)
        assert Moody.calls == calls
        assert stream.drawn == 30
        np.testing.assert_array_equal(first + stream.take(2970), expected)


def test_threads_of_torch_stay_as_they_were(threads):
    """Here and in threads that begin later; those of the engine have one each."""
    threads(2)
    with engine._workers.__wrapped__(0, 2) as workers, engine.ThreadPoolExecutor(1) as later:
        assert [workers.submit(torch.get_num_threads).result() for _ in range(4)] == [1] * 4
        assert later.submit(torch.get_num_threads).result() == 2
        assert torch.get_num_threads() == 2


# --- behind certify and predict


def test_certify_and_predict_take_a_torch_base(tmp_path):
    model = network()
    x = np.stack([X, X[::-1], 1 - X])
    options = {"smooth_sigma": 0.25, "n": 400, "labels": [0, 1, 2], "seed": 2}
    plain = certify(model, x, **options)
    frames_agree(certify(TorchBase(model), x, **options), plain)
    frames_agree(
        certify(TorchBase(model, batch=9), x, batch=33, certificate=MultiLook((0.1,)), **options),
        certify(model, x, certificate=MultiLook((0.1,)), **options),
    )
    asked = {"smooth_sigma": 0.25, "n": 300}
    assert predict(TorchBase(model), x, **asked).equals(predict(model, x, **asked))
    assert (plain["prediction"] >= 0).any()


def test_logs_record_precision_and_noise_and_refuse_another(tmp_path):
    model, x = network(), X[None]
    options = {"smooth_sigma": 0.25, "n": 200}
    certify(TorchBase(model), x, log=tmp_path / "single.jsonl", **options)
    certify(TorchBase(model, precision="bfloat16"), x, log=tmp_path / "half.jsonl", **options)
    certify(model, x, log=tmp_path / "plain.jsonl", **options)
    single, half, plain = (read_log(tmp_path / f"{name}.jsonl")[0] for name in ("single", "half", "plain"))
    ways = [log.pop("execution")["way"] for log in (single, half)]
    assert ways == ["folded" if fusing_obstacle(dtype) else "fused" for dtype in (torch.float32, torch.bfloat16)]
    assert single == {**plain, "precision": "float32", "noise_source": "host"}
    assert half == {**single, "precision": "bfloat16"}
    assert not {"precision", "noise_source"} & set(plain)
    with pytest.raises(InvalidInputError, match="its precision is 'float32', not 'bfloat16'"):
        certify(
            TorchBase(model, precision="bfloat16"),
            x,
            indices=[1],
            log=tmp_path / "single.jsonl",
            resume=True,
            **options,
        )
    with pytest.raises(InvalidInputError, match="precision"):
        merge_logs([tmp_path / "single.jsonl", tmp_path / "half.jsonl"], tmp_path / "both.jsonl")
    more = certify(TorchBase(model), x, indices=[1], log=tmp_path / "single.jsonl", resume=True, **options)
    assert more["index"].tolist() == [0, 1]


def test_one_function_picks_the_engine():
    model = network()
    assert type(make_counter(TorchBase(model), noise=LAWS[0])) is TorchCounter
    assert type(make_counter(model, noise=LAWS[0])) is VoteCounter
    assert make_counter(model, noise=LAWS[0]).batch == 1000
    assert make_counter(model, noise=LAWS[0], batch=10).batch == 10
    assert make_counter(TorchBase(model, batch=7), noise=LAWS[0]).batch == 7
    assert make_counter(TorchBase(model, batch=7), noise=LAWS[0], batch=10).batch == 10
    with pytest.raises(InvalidInputError, match="base is TorchBase; expected"):
        make_counter(TorchBase, noise=LAWS[0], num_classes=2)
