"""Prepared networks are the networks that were given: folded, fused, or left as they are."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from noiseaug.certification import certify  # noqa: E402
from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.records import read_log  # noqa: E402
from noiseaug.vision.engine import TorchBase  # noqa: E402
from noiseaug.vision.engine.fusion import _Fused, fold_batch_norm, fusing_obstacle  # noqa: E402
from noiseaug.vision.engine.inference import prepare  # noqa: E402
from noiseaug.vision.models import build_model  # noqa: E402
from noiseaug.votes import GaussianNoise, VoteCounter  # noqa: E402
from tests.helpers.classifiers import LAWS  # noqa: E402
from tests.helpers.engine import counts_of, frames_agree  # noqa: E402
from tests.helpers.networks import SHAPE, Normalised, X, network, small_cnn, small_resnet, with_statistics  # noqa: E402

CPU = torch.device("cpu")


def fuses(dtype):
    """Skips where the processor, or the build of torch, cannot run fused layers in a precision, and says why."""
    obstacle = fusing_obstacle(dtype)
    return pytest.mark.skipif(bool(obstacle), reason=f"no fused layers in {dtype} here: {obstacle}")


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
