"""The torch vote engine: the reference engine's votes, faster; prepared networks are the networks that were given."""

from __future__ import annotations

import copy
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from noiseaug.certificates import MultiLook  # noqa: E402
from noiseaug.certification import certify, predict  # noqa: E402
from noiseaug.cli.parsing import warn_of_precision  # noqa: E402
from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.records import merge_logs, read_log  # noqa: E402
from noiseaug.vision.device import emulated  # noqa: E402
from noiseaug.vision.engine import TorchBase, TorchCounter  # noqa: E402
from noiseaug.vision.engine import counter as engine  # noqa: E402
from noiseaug.vision.engine.fusion import _Fused, fold_batch_norm, fusing_obstacle  # noqa: E402
from noiseaug.vision.engine.inference import full_precision, prepare  # noqa: E402
from noiseaug.vision.models import build_model  # noqa: E402
from noiseaug.votes import DiscreteNoise, GaussianNoise, VoteCounter, make_counter, noisy_rows  # noqa: E402
from tests.helpers.networks import SHAPE, Normalised, X, network, small_cnn, small_resnet, with_statistics  # noqa: E402

LAWS = [GaussianNoise(0.5), DiscreteNoise(0.5)]
CPU = torch.device("cpu")


def fuses(dtype):
    """Skips where the processor, or the build of torch, cannot run fused layers in a precision, and says why."""
    obstacle = fusing_obstacle(dtype)
    return pytest.mark.skipif(bool(obstacle), reason=f"no fused layers in {dtype} here: {obstacle}")


@pytest.fixture
def threads():
    """Lets a test choose the threads of torch."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def counts_of(base, n=1000, *, x=X, noise=LAWS[0], takes=None, index=3, seed=5, purpose="estimation", **options):
    counter = TorchCounter(base, noise=noise, seed=seed, **options)
    stream = counter.stream(x, index, purpose)
    total = sum(stream.take(take) for take in takes or [n])
    assert stream.drawn == n
    assert total.sum() == n
    return total


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


# --- prepared networks are the networks that were given


def prepared(model, shape=SHAPE, num_classes=5, dtype=torch.float32):
    return prepare(model, shape=shape, num_classes=num_classes, device=CPU, dtype=dtype)


def logits_of(module, x, dtype=torch.float32):
    with torch.inference_mode():
        return module(x.to(dtype)).double()


@pytest.mark.parametrize("build", [nn.Conv2d, nn.Linear], ids=["convolution", "linear"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_folding_batch_normalisation_is_exact(build, bias, affine):
    torch.manual_seed(0)
    if build is nn.Conv2d:
        model, x = (
            nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, groups=1, bias=bias), nn.BatchNorm2d(8, affine=affine)),
            (3, 8, 8),
        )
    else:
        model, x = nn.Sequential(nn.Linear(6, 8, bias=bias), nn.BatchNorm1d(8, 0.1, affine=affine)), (6,)
    model = with_statistics(model).double().eval()
    inputs = torch.randn(20, *x, dtype=torch.double)
    traced = torch.fx.symbolic_trace(copy.deepcopy(model))
    fold_batch_norm(traced)
    assert not any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in traced.modules())
    torch.testing.assert_close(traced(inputs), model(inputs), rtol=1e-12, atol=1e-12)


def test_batch_normalisation_that_cannot_be_folded_stays():
    """Of its own, after a layer that others use too, called twice, or without statistics."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.before = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.twice, self.free = nn.BatchNorm2d(3), nn.BatchNorm2d(3, track_running_stats=False)
            self.open, self.side = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
            self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3 * 64, 5)

        def forward(self, x):
            x = self.open(self.before(x))
            x = self.side(x) + x
            first = self.shared(x)
            x = self.twice(first) + first
            x = self.twice(self.shared(x))
            return self.head(self.free(self.conv(x)).flatten(1))

    torch.manual_seed(0)
    model = with_statistics(Odd())
    traced = torch.fx.symbolic_trace(copy.deepcopy(model).eval())
    fold_batch_norm(traced)
    x = torch.rand(9, *SHAPE)
    torch.testing.assert_close(logits_of(traced, x), logits_of(model.eval(), x), rtol=1e-5, atol=1e-5)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in traced.modules()) == 4


PRECISIONS = [(torch.float32, 2e-6), (torch.bfloat16, 0.03), (torch.float16, 4e-3)]
MAKERS = [(small_cnn, 3), (small_resnet, 9), (lambda: small_resnet(1), 9), (lambda: small_resnet(2), 9)]
NAMES = ["cnn", "resnet", "resnet with functions", "resnet with methods"]


def furthest(module, model, dtype):
    """The largest difference of logits from the plain network's, relative to the largest logit."""
    worst = 0.0
    for size in (1, 3, 50):
        x = torch.randn(size, *SHAPE)
        expected = logits_of(model.eval(), x)
        error = (logits_of(module, x, dtype) - expected).abs().max()
        worst = max(worst, float(error / expected.abs().max().clamp(min=1)))
    return worst


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("make", "calls"), MAKERS, ids=NAMES)
def test_prepared_networks_agree_on_every_processor(make, calls, dtype, tolerance):
    """Whatever way the processor allows; and the way that is not taken has its reason."""
    torch.manual_seed(0)
    model = Normalised(make())
    network = prepared(model, dtype=dtype)
    assert furthest(network.module, model, dtype) < tolerance
    assert not any(isinstance(part, nn.BatchNorm2d) for part in network.module.modules())
    obstacle = fusing_obstacle(dtype)
    assert (network.way, network.obstacles) == (("folded", {"fused": obstacle}) if obstacle else ("fused", {}))


@pytest.mark.parametrize(
    "dtype",
    [pytest.param(dtype, marks=fuses(dtype)) for dtype, _ in PRECISIONS],
    ids=["float32", "bfloat16", "float16"],
)
@pytest.mark.parametrize(("make", "calls"), MAKERS, ids=NAMES)
def test_fused_networks_are_fused(make, calls, dtype):
    torch.manual_seed(0)
    network = prepared(Normalised(make()), dtype=dtype)
    fused = [part for part in network.module.modules() if isinstance(part, _Fused)]
    assert len(fused) == calls
    assert not any(isinstance(part, nn.BatchNorm2d | nn.ReLU | nn.Conv2d) for part in network.module.modules())
    if make is not small_cnn:
        # the short cuts that nobody needs afterwards are overwritten: all but a block's own input behind a ReLU
        assert sum(part.overwrites for part in fused) == 3


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN")
def test_single_precision_is_fused_wherever_onednn_is():
    assert fusing_obstacle(torch.float32) == ""


def test_a_processor_without_the_instructions_folds_and_says_so(monkeypatch, tmp_path):
    """As on one where oneDNN refuses the precision: the same votes in float32, and the reason in the log."""
    model, options = network(), {"smooth_sigma": 0.25, "n": 200, "labels": [1]}
    expected = certify(TorchBase(model), X[None], log=tmp_path / "here.jsonl", **options)

    def refuse(*_):
        raise RuntimeError("bf16 path needs the cpu support avx512bw\nmore")

    fusing_obstacle.cache_clear()
    monkeypatch.setattr(_Fused, "forward", refuse)
    try:
        assert fusing_obstacle(torch.float32) == "bf16 path needs the cpu support avx512bw"
        found = certify(TorchBase(model), X[None], log=tmp_path / "there.jsonl", **options)
        frames_agree(found, expected)
        execution = read_log(tmp_path / "there.jsonl")[0]["execution"]
        assert execution == {"way": "folded", "obstacles": {"fused": "bf16 path needs the cpu support avx512bw"}}
        # rounding in float32 does not make another classifier: a log may go on elsewhere
        more = certify(TorchBase(model), X[None], indices=[1], log=tmp_path / "here.jsonl", resume=True, **options)
        assert more["index"].tolist() == [0, 1]
    finally:
        monkeypatch.undo()
        fusing_obstacle.cache_clear()


@fuses(torch.bfloat16)
def test_a_log_in_a_shorter_precision_goes_on_only_as_it_began(monkeypatch, tmp_path):
    base, log = TorchBase(network(), precision="bfloat16"), tmp_path / "run.jsonl"
    options = {"smooth_sigma": 0.25, "n": 200, "log": log}
    certify(base, X[None], **options)
    monkeypatch.setattr("noiseaug.vision.engine.inference.fusing_obstacle", lambda dtype: "not here")
    with pytest.raises(InvalidInputError, match="its execution is 'fused', not 'folded'"):
        certify(base, X[None], indices=[1], resume=True, **options)


def test_a_defect_in_rewriting_is_seen(monkeypatch):
    """Only what a rewritten network may raise falls back to the original."""

    def broken(*_, **__):
        raise AssertionError("a bug")

    monkeypatch.setattr("noiseaug.vision.engine.inference.rewritten", broken)
    with pytest.raises(AssertionError, match="a bug"):
        prepared(network())


@fuses(torch.float32)
def test_what_is_used_again_is_not_overwritten():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
            self.head = nn.Linear(192, 5)

        def forward(self, x):
            first = self.a(x)
            second = torch.relu(first + self.b(x))  # first is needed below
            third = torch.relu(self.c(second) + second)
            return self.head((third.relu() + first + self.b(x)).flatten(1))

    torch.manual_seed(0)
    model = Dense().eval()
    network, x = prepared(model), torch.randn(7, *SHAPE)
    assert network.way == "fused"
    torch.testing.assert_close(logits_of(network.module, x), logits_of(model, x), rtol=1e-5, atol=1e-5)


class Wild(nn.Module):
    """Its forward looks at values, so nothing around its parts can be traced."""

    def __init__(self):
        super().__init__()
        self.first, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.tail = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))

    def forward(self, x):
        x = self.bn(self.first(x))
        return self.tail(x.abs() if float(x.sum()) > -1e9 else x)


def test_networks_that_cannot_be_traced_run_as_far_as_they_can_be():
    torch.manual_seed(0)
    model = with_statistics(Wild()).eval()
    network, x = prepared(model), torch.randn(7, *SHAPE)
    assert isinstance(network.module.tail, torch.fx.GraphModule)
    assert isinstance(network.module.bn, nn.BatchNorm2d)
    torch.testing.assert_close(logits_of(network.module, x), logits_of(model, x), rtol=1e-5, atol=1e-5)


def test_a_network_that_comes_out_wrong_runs_as_it_was_given():
    """A part whose tracing goes wrong without an error: it counts its calls."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls, self.flat, self.head = 0, nn.Flatten(), nn.Linear(192, 5)

        def forward(self, x):
            self.calls += 1
            return self.head(self.flat(x)) * (1 if self.calls % 2 else 1 + 1e-3)

    torch.manual_seed(0)
    network = prepared(Counting())
    assert network.way == "as given"
    assert network.obstacles["folded"] == "its logits differ from the original's by more than rounding"
    assert isinstance(network.module, Counting)


def test_the_original_is_left_alone():
    model = network().train()
    model.network[1].eval()
    modes = [part.training for part in model.modules()]
    state = {name: (value.clone(), value.stride()) for name, value in model.state_dict().items()}
    needs = [parameter.requires_grad for parameter in model.parameters()]
    for precision in ("float32", "bfloat16"):
        counts_of(TorchBase(model, precision=precision))
    assert [part.training for part in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == needs == [True] * len(needs)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name][0])
        assert value.stride() == state[name][1]
        assert value.dtype == state[name][0].dtype
    assert not any(part._forward_hooks for part in model.modules())


def test_networks_vote_in_evaluation_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.BatchNorm1d(192), nn.Linear(192, 5)).train()
    counts = counts_of(TorchBase(model, num_classes=5))
    np.testing.assert_array_equal(
        counts, VoteCounter(model, noise=LAWS[0], seed=5, num_classes=5).stream(X, 3, "estimation").take(1000)
    )


# --- behind certify and predict


def frames_agree(one, other):
    columns = ["index", "label", "prediction", "radius", "counts", "selection"]
    assert one[columns].equals(other[columns])


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


# --- bad input


class Answers(nn.Module):
    """Returns what it is told to, as logits of a batch."""

    shape, num_classes = (4,), 2

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


def exhausted(x):
    # what torch's allocator says for more memory than any machine has
    return torch.empty(1 << 60) if len(x) > 6 else x[:, :2]


def exhausted_gpu(x):
    if len(x) > 6:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return x[:, :2]


def rare_nan(x):
    logits = x[:, :2].clone()
    if len(logits) > 6:
        logits[3, 1] = float("nan")
    return logits


@pytest.mark.parametrize("on_device", [False, True], ids=["host", "device"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: x[:, :3], r"returned shape \(6, 3\); expected logits of shape \(6, 2\)"),
        (lambda x: x[:, 0], r"returned shape \(6,\); expected logits of shape \(6, 2\)"),
        (lambda x: (x, x), r"returned tuple; expected logits"),
        (rare_nan, "returned NaN; expected finite logits"),
        (lambda x: x[:, :2] / 0 * 0, "returned NaN"),
        (exhausted, r"out of memory with (39|40) noisy inputs at a time; try batch=(19|20)"),
        (exhausted_gpu, r"out of memory with (39|40) noisy inputs at a time; try batch=(19|20)"),
        (lambda x: x @ torch.ones(5, 2), r"does not take inputs of shape \(6, 4\)"),
    ],
)
def test_bad_answers_of_networks(answer, message, on_device):
    counter = TorchCounter(TorchBase(Answers(answer), batch=40), noise=LAWS[0], noise_on_device=on_device)
    with pytest.raises(InvalidInputError, match=message) as caught:
        counter.stream(np.ones(4), 0, "estimation").take(1000)
    assert "\n" not in str(caught.value)


class Uncopied(nn.Module):
    """Holds a tensor with a history, as ``torch.nn.utils.weight_norm`` leaves behind."""

    shape, num_classes = (4,), 2

    def __init__(self):
        super().__init__()
        self.plain = nn.Parameter(torch.ones(2, 4))
        self.doubled = 2 * self.plain


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TorchBase("model.pt"), "model is str; expected a torch module"),
        (lambda: TorchBase(network(), precision="int8"), "precision is 'int8'; expected one of float32, bfloat16"),
        (lambda: TorchBase(network(), batch=0), "batch is 0"),
        (lambda: TorchBase(network(), (3, -1)), "shape is -1"),
        (lambda: TorchBase(network(), 192), r"shape is 192; expected the lengths of an input's axes"),
        (lambda: TorchBase(network(), device="gpu"), "device is 'gpu'; expected cpu, cuda or cuda:0"),
        (lambda: TorchBase(small_cnn()).vote_counter(noise=LAWS[0]), "give it as num_classes"),
        (lambda: TorchBase(network()).vote_counter(noise=LAWS[0], num_classes=3), "num_classes is 3"),
        (lambda: TorchBase(network(), num_classes=3).vote_counter(noise=LAWS[0]), "num_classes is 3"),
        (lambda: TorchBase(network()).vote_counter(noise=LAWS[0], batch=0), "batch is 0"),
        (lambda: counter().stream(X[0], 0, "estimation"), r"x has shape \(8, 8\); expected 192 values, \(3, 8, 8\)"),
        (lambda: counter().stream(np.full(SHAPE, np.nan), 0, "estimation"), "x holds NaN"),
        (lambda: TorchCounter(TorchBase(Uncopied()), noise=LAWS[0]).stream(np.ones(4), 0, "estimation"), "be copied"),
        (lambda: counter().stream(X, -1, "estimation"), "index is -1"),
        (lambda: counter().stream(X, 0, "both"), "purpose is 'both'"),
        (lambda: counter(seed=-1).stream(X, 0, "estimation"), "seed is -1"),
        (lambda: counter().stream(X, 0, "estimation").take(-1), "votes is -1"),
        (lambda: counter(LAWS[1]).stream(X + 1e-3, 0, "estimation"), "off the 1/255 grid"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def counter(noise=LAWS[0], seed=0):
    return TorchCounter(TorchBase(network()), noise=noise, seed=seed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_no_cuda_device():
    with pytest.raises(InvalidInputError, match="no CUDA device; leave out --device or use cpu"):
        TorchBase(network(), device="cuda")


def test_a_precision_that_the_device_does_not_have(monkeypatch):
    def single_only(x):
        if x.dtype != torch.float32:
            raise RuntimeError("\"matmul\" not implemented for 'Half'\nmore")
        return x[:, :2]

    base = TorchBase(Answers(single_only), precision="float16")
    with pytest.raises(InvalidInputError, match=r"does not run in float16 on cpu: .*'Half'$"):
        TorchCounter(base, noise=LAWS[0]).stream(np.ones(4), 0, "estimation")


def test_networks_are_prepared_while_others_run():
    # torch.fx replaces how modules are called in the whole process while it traces
    x = np.random.default_rng(0).random((1, 28, 28)).astype(np.float32)
    running, wrong = build_model("lenet", (1, 28, 28), 10), []
    stop = threading.Event()

    def take(network, votes):
        return TorchBase(network).vote_counter(noise=GaussianNoise(0.5)).stream(x, 0, "estimation").take(votes)

    def run():
        stream = TorchBase(running).vote_counter(noise=GaussianNoise(0.5)).stream(x, 0, "estimation")
        while not stop.is_set():
            stream.take(20)

    def prepare():
        for seed in range(15):
            torch.manual_seed(seed)
            take(build_model("lenet", (1, 28, 28), 10), 1)

    def caught(work):
        try:
            work()
        except Exception as error:
            wrong.append(error)

    call = torch.nn.Module.__call__
    threads = [threading.Thread(target=caught, args=(work,)) for work in (run, prepare, prepare)]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    stop.set()
    threads[0].join()
    assert wrong == []
    assert torch.nn.Module.__call__ is call


def test_tf32_is_asked_for_and_only_on_cuda(monkeypatch):
    """The flags of torch are those of a build without CUDA too."""
    with pytest.raises(InvalidInputError, match="tf32 is a precision of CUDA devices, not of cpu; use float32"):
        TorchBase(network(), precision="tf32")
    seen, device = [], torch.device("cuda")
    for tf32 in (False, True):
        with full_precision(device, tf32=tf32):
            seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
    assert seen == [(False, False), (True, True)]
    # a counter passes the wish on to its network, which is float32
    monkeypatch.setattr(engine, "as_device", lambda name: SimpleNamespace(type="cuda"))
    base = TorchBase(network(), precision="tf32")
    monkeypatch.setattr(engine, "as_device", lambda name: torch.device("cpu"))
    made = TorchCounter(base, noise=GaussianNoise(0.5))._network(SHAPE)
    assert made.tf32
    assert made.dtype == torch.float32
    assert base.precision == "tf32"


def test_a_precision_that_the_processor_has_to_emulate_is_told(monkeypatch, capsys):
    able = {"architecture": "x86_64", "cpu_name": "Old one", "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    warn_of_precision("bfloat16", "cpu")
    why = "Old one has no instructions for it"
    told = f"warning: bfloat16 is emulated here ({why}), so it may well be slower than float32\n"
    assert capsys.readouterr().err == told
    assert "float16" in emulated("float16", "cpu")
    assert emulated("bfloat16", "cuda") is None
    assert emulated("float32", "cpu") is None
    assert emulated("bfloat16", "cpu") is not None
    for change in ({"amx_bf16": True}, {"architecture": "aarch64"}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda change=change: able | change, raising=False)
        assert emulated("bfloat16", "cpu") is None
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert emulated("bfloat16", "cpu") is None
