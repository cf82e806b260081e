"""What the torch vote engine refuses: bad answers, bad arguments, and precisions that the device lacks."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from noiseaug.cli.parsing import warn_of_precision  # noqa: E402
from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.vision.device import emulated  # noqa: E402
from noiseaug.vision.engine import TorchBase, TorchCounter  # noqa: E402
from noiseaug.vision.engine import counter as engine  # noqa: E402
from noiseaug.vision.engine.inference import full_precision  # noqa: E402
from noiseaug.votes import GaussianNoise  # noqa: E402
from tests.helpers.classifiers import LAWS  # noqa: E402
from tests.helpers.networks import SHAPE, X, network, small_cnn  # noqa: E402


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
        (lambda x: x[:, :1, None], r"returned shape \(6, 1, 1\); expected logits of shape \(6, 2\)"),
        (lambda x: (x[:, :2], x[:, :2]), r"returned tuple of shape \(6, 2\), shape \(6, 2\); expected logits"),
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
    """Holds what cannot be copied."""

    shape, num_classes = (4,), 2

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


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
