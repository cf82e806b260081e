"""Laws of every architecture on every shape of image, and what building a model refuses."""

from __future__ import annotations

import copy
import importlib
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noiseaug import votes  # noqa: E402
from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.vision.models import (  # noqa: E402
    ARCHITECTURES,
    CIFAR10_MEAN,
    CIFAR10_STD,
    Classifier,
    build_model,
    default_arch,
    replace_last_layer,
)
from tests.helpers.networks import quick_ones  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = {"mnist": (1, 28, 28), "cifar": (3, 32, 32), "digits": (1, 8, 8), "odd": (2, 17, 21)}
EVERY = [
    pytest.param(arch, shape, id=f"{arch}-{name}", marks=pytest.mark.slow if arch == "resnet50" else ())
    for arch in ARCHITECTURES
    for name, shape in SHAPES.items()
    # resnet110 is the code of resnet20, but slow, and resnet50 is large
    if name in {"resnet110": ("cifar", "digits"), "resnet50": ("digits",)}.get(arch, SHAPES)
]


def images(shape, count=3, seed=0):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def made(arch, shape, num_classes=5, seed=0, **options):
    """A model whose batch normalisation has seen something."""
    torch.manual_seed(seed)
    model = build_model(arch, shape, num_classes, **options)
    if not arch.startswith("resnet110"):
        model.train()
        with torch.no_grad():
            model(images(shape, 4, seed=9))
    return model.eval()


@pytest.mark.parametrize(("arch", "shape"), EVERY)
def test_every_architecture_on_every_shape(arch, shape):
    model, x = made(arch, shape), images(shape)
    assert (model.arch, model.shape, model.num_classes) == (arch, shape, 5)
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (3, 5)
        assert logits.dtype == torch.float32
        assert len(logits.unique()) == 15  # it looks at its input
        # flat or in another layout of memory, the same images give the same logits
        assert torch.equal(model(x.flatten(1)), logits)
        other = copy.deepcopy(model).to(memory_format=torch.channels_last)
        torch.testing.assert_close(other(x.to(memory_format=torch.channels_last)), logits, rtol=1e-4, atol=1e-4)
        # in eval mode an image does not see the rest of its batch
        for i in range(3):
            torch.testing.assert_close(model(x[i : i + 1]), logits[i : i + 1], rtol=1e-4, atol=1e-4)
        assert model(x[:0]).shape == (0, 5)


@pytest.mark.parametrize(("arch", "shape"), EVERY)
def test_gradients_reach_every_parameter_and_every_image(arch, shape):
    torch.manual_seed(1)
    model = build_model(arch, shape, 5)
    assert model.training  # fresh, and ready to be trained
    x = images(shape, 4).requires_grad_()
    torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name
    assert (x.grad.flatten(1) != 0).any(1).all()


@pytest.mark.parametrize(("arch", "shape"), EVERY)
def test_the_last_layer_is_replaced_and_nothing_else(arch, shape):
    model, x = made(arch, shape), images(shape)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    replace_last_layer(model, 7)
    assert all(part.training for part in model.modules())
    after = model.state_dict()
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert before.keys() == after.keys()
    assert {key.rsplit(".", 1)[1] for key in changed} == {"weight", "bias"}
    assert len({key.rsplit(".", 1)[0] for key in changed}) == 1
    assert model.num_classes == 7
    assert model.eval()(x).shape == (3, 7)
    assert votes.as_predictor(model).num_classes == 7


@pytest.mark.parametrize(("arch", "shape"), EVERY)
def test_a_state_carries_the_whole_model(arch, shape):
    model, x = made(arch, shape, mean=0.3, std=0.7), images(shape)
    fresh = build_model(arch, shape, 5).eval()
    assert not torch.equal(fresh(x), model(x))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))


@pytest.mark.parametrize("arch", quick_ones())
def test_the_global_generator_alone_decides_the_weights(arch):
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(build_model(arch, (1, 8, 8), 3).state_dict())
    keys = [key for key in states[0] if states[0][key].ndim > 1 and key not in ("mean", "std")]
    assert keys
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not any(torch.equal(states[0][key], states[2][key]) for key in keys)


# --- single architectures


@pytest.mark.parametrize(
    ("arch", "shape", "count"),
    [
        ("linear", (1, 28, 28), 7_850),
        ("mlp", (1, 28, 28), 784 * 256 + 256 + 256 * 256 + 256 + 2570),
        ("cnn", (1, 28, 28), 320 + 18_496 + 9216 * 128 + 128 + 1290),  # PyTorch's MNIST example has the same layers
        ("lenet", (1, 28, 28), 61_706),  # the number in every account of LeNet-5
        ("lenet", (1, 32, 32), 61_706),
        ("resnet20", (3, 32, 32), 272_474),  # He et al. 2016: .27M, 2752 of these in short cuts that they have not
        ("resnet110", (3, 32, 32), 1_730_714),  # 1.7M
        ("resnet", (3, 32, 32), 6_573_130),
        ("resnet", (1, 28, 28), 9 * (32 + 32 * 64 + 2 * 64**2 + 64 * 128 + 128 * 256 + 2 * 256**2) + 2 * 1120 + 2570),
    ],
)
def test_numbers_of_parameters(arch, shape, count):
    model = build_model(arch, shape, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_the_published_resnets_by_hand():
    """The names of the released parameters, and a block computed from them."""
    model = made("resnet20", (3, 32, 32))
    state = model.network.state_dict()
    for name in ("conv1.weight", "bn1.running_var", "layer1.0.bn2.bias", "layer2.0.downsample.0.weight", "fc.weight"):
        assert name in state
    assert "layer1.0.downsample.0.weight" not in state
    assert {key.split(".")[0] for key in state} == {"conv1", "bn1", "layer1", "layer2", "layer3", "fc"}
    assert len(made("resnet110", (3, 32, 32)).network.layer3) == 18

    def conv_bn(x, conv, bn, stride=1):
        out = torch.nn.functional.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=0 if conv[-1] == "0" else 1)
        part = [state[f"{bn}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        return torch.nn.functional.batch_norm(out, *part)

    x = images((3, 32, 32)) - 0.5
    with torch.no_grad():
        hidden = conv_bn(x, "conv1", "bn1").relu()
        for stage in (1, 2, 3):
            for block in range(3):
                name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
                inner = conv_bn(hidden, f"{name}.conv1", f"{name}.bn1", stride).relu()
                inner = conv_bn(inner, f"{name}.conv2", f"{name}.bn2")
                if stride == 2:
                    hidden = conv_bn(hidden, f"{name}.downsample.0", f"{name}.downsample.1", 2)
                hidden = (inner + hidden).relu()
        assert hidden.shape == (3, 64, 8, 8)
        expected = hidden.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]
        torch.testing.assert_close(model.network(x), expected, rtol=1e-4, atol=1e-5)


def test_released_initialisation():
    """Normal with variance 2/(9·outputs), not torch's default; the weights are 3·10⁵, the tolerance ten deviations."""
    torch.manual_seed(0)
    for part in build_model("resnet20", (3, 32, 32), 10).modules():
        if isinstance(part, torch.nn.Conv2d):
            scaled = part.weight.var() * part.kernel_size[0] ** 2 * part.out_channels / 2
            assert abs(scaled - 1) < 10 * (2 / part.weight.numel()) ** 0.5


def test_default_architectures():
    assert [default_arch(shape) for shape in SHAPES.values()] == ["lenet", "resnet", "mlp", "resnet"]
    assert default_arch([1, 28, 28]) == "lenet"
    for entry in ARCHITECTURES.values():
        assert 10 < len(entry.line) < 100
        assert "\n" not in entry.line


# --- normalisation


def test_normalisation_is_inside():
    for shape, mean, std in (
        ((3, 32, 32), CIFAR10_MEAN, CIFAR10_STD),
        ((1, 28, 28), (0.0,), (1.0,)),
        ((2, 9, 9), (0.0, 0.0), (1.0, 1.0)),
    ):
        model, x = made("linear", shape), images(shape)
        channels = [(x[:, c] - mean[c]) / std[c] for c in range(shape[0])]
        torch.testing.assert_close(model(x), model.network(torch.stack(channels, 1)))
        assert model.mean.shape == model.std.shape == (shape[0], 1, 1)
        assert {"mean", "std"} <= model.state_dict().keys()
        assert not any(name in ("mean", "std") for name, _ in model.named_parameters())
    own = build_model("linear", (3, 4, 4), 2, mean=[0.1, 0.2, 0.3], std=0.5)
    assert own.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert own.std.flatten().tolist() == [0.5] * 3
    again = build_model("linear", (3, 4, 4), 2, mean=own.mean.flatten(), std=own.std.flatten())
    assert torch.equal(again.mean, own.mean)
    assert CIFAR10_MEAN == (0.4914, 0.4822, 0.4465)
    assert CIFAR10_STD == (0.2023, 0.1994, 0.2010)


def test_votes_come_straight_from_a_model():
    model = made("lenet", (1, 28, 28))
    x = images((1, 28, 28), 1)[0].numpy()
    counter = votes.VoteCounter(model, noise=votes.GaussianNoise(0.1))
    assert counter.num_classes == 5
    counts = counter.stream(x, 0, "selection").take(40)
    flat = counter.stream(x.ravel(), 0, "selection").take(40)
    np.testing.assert_array_equal(counts, flat)
    assert counts.sum() == 40


OWN = """
import torch
from torch import nn

class Convolutional(nn.Module):
    def __init__(self, shape, num_classes):
        super().__init__()
        self.first = nn.Conv2d(shape[0], 4, 3)
        self.last = nn.Conv2d(4, num_classes, 1)
    def forward(self, x):
        return self.last(self.first(x).relu()).mean((2, 3))

def upside_down(shape, num_classes):
    net = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 6), nn.Linear(6, num_classes))
    return nn.Sequential(net, nn.Softmax(1))

def no_linear(shape, num_classes):
    return nn.Sequential(nn.Conv2d(shape[0], num_classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def linear_in_between(shape, num_classes):
    return nn.Sequential(nn.Linear(shape[2], num_classes), nn.Conv2d(shape[0], num_classes, 3),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten())

def wrong_width(shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes + 1))

def wrong_input(shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3, num_classes))

def merging(shape, num_classes):
    return nn.Sequential(nn.Flatten(0), nn.Linear(128, num_classes))

def no_module(shape, num_classes):
    return 3

def one_argument(shape):
    return nn.Flatten()

def stochastic(shape, num_classes):
    return nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, num_classes))

a_module = nn.Flatten()
a_number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of one's own in the current directory."""
    (tmp_path / "ownnets.py").write_text(OWN)
    (tmp_path / "brokennets.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("ownnets", "brokennets"):
        sys.modules.pop(name, None)


def test_a_network_of_ones_own(own):
    path = list(sys.path)
    for arch in ("ownnets:Convolutional", "ownnets:upside_down"):
        model = build_model(arch, (1, 8, 8), 3)
        assert isinstance(model, Classifier)
        assert model.arch == arch
        assert model(images((1, 8, 8))).shape == (3, 3)
        replace_last_layer(model, 4)
        assert model(images((1, 8, 8))).shape == (3, 4)
    assert sys.path == path


def test_trying_out_leaves_no_trace(own):
    model = build_model("ownnets:stochastic", (1, 8, 8), 3)
    assert all(part.training for part in model.modules())
    assert model.network[2].num_batches_tracked == 0
    assert not model.network[2].running_mean.any()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("ownnets:missing", "ownnets has no missing"),
        ("nosuchmodule:net", "cannot import nosuchmodule: No module"),
        ("brokennets:f", "cannot import brokennets"),
        ("ownnets:no_module", "ownnets:no_module returned int; expected a torch module"),
        ("ownnets:one_argument", r"no function of \(shape, num_classes\)"),
        ("ownnets:a_module", r"no function of \(shape, num_classes\)"),
        ("ownnets:a_number", r"no function of \(shape, num_classes\)"),
        ("ownnets:wrong_width", r"shape \(2, 4\); expected logits of shape \(2, 3\)"),
        ("ownnets:wrong_input", "does not fit images of shape 1×8×8"),
        ("ownnets:merging", r"shape \(3,\); expected logits"),
        ("resnet18", "architecture is 'resnet18'; expected linear, mlp"),
        ("a b:c", "architecture is 'a b:c'"),
        (".x:y", "architecture is '.x:y'"),
        (":y", "architecture is ':y'"),
        ("ownnets:", "architecture is 'ownnets:'"),
        ("", "architecture is ''"),
        (None, "architecture is None"),
    ],
)
def test_bad_architectures(own, arch, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        build_model(arch, (1, 8, 8), 3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arch", ["no_linear", "linear_in_between"])
def test_a_last_layer_that_cannot_be_replaced(own, arch):
    model = build_model(f"ownnets:{arch}", (1, 8, 8), 3)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InvalidInputError, match=r"to replace|cannot replace it"):
        replace_last_layer(model, 4)
    assert model.num_classes == 3
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model(images((1, 8, 8))).shape == (3, 3)


def test_a_new_last_layer_is_where_the_old_one_was():
    model = build_model("linear", (1, 8, 8), 3).double()
    replace_last_layer(model, 4)
    assert model(images((1, 8, 8)).double()).dtype == torch.float64


# --- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_model("mlp", (28, 28), 10), r"shape is \(28, 28\); expected \(channels, height, width\)"),
        (lambda: build_model("mlp", 784, 10), "shape is 784"),
        (lambda: build_model("mlp", (1, 0, 8), 10), r"shape is \(1, 0, 8\)"),
        (lambda: build_model("mlp", "abc", 10), "shape is 'abc'"),
        (lambda: build_model("mlp", (1, 8, 8), 1), "num_classes is 1; expected an integer of at least 2"),
        (lambda: build_model("mlp", (1, 8, 8), 2.5), "num_classes is 2.5"),
        (lambda: build_model("mlp", (3, 8, 8), 2, std=0), "std holds 0; expected numbers above 0"),
        (
            lambda: build_model("mlp", (3, 8, 8), 2, mean=(0, 1)),
            "mean holds 2 numbers; expected one, or one for each of 3",
        ),
        (lambda: build_model("mlp", (3, 8, 8), 2, mean=float("nan")), "mean holds NaN"),
        (lambda: build_model("mlp", (3, 8, 8), 2, mean="x"), "mean is not an array of numbers"),
        (lambda: build_model("cnn", (1, 2, 2), 2), "cnn does not fit images of shape 1×2×2"),
        (lambda: replace_last_layer(build_model("linear", (1, 2, 2), 2), 0), "num_classes is 0"),
        (
            lambda: model_on(torch.zeros(2, 3, 8, 8)),
            r"inputs have shape \(2, 3, 8, 8\); this linear expects \(m, 1, 8, 8\)",
        ),
        (lambda: model_on(torch.zeros(1, 8, 8)), r"inputs have shape \(1, 8, 8\)"),
        (lambda: model_on(torch.zeros(64)), r"inputs have shape \(64,\)"),
        (lambda: model_on(torch.zeros(2, 63)), r"or \(m, 64\)"),
        (lambda: model_on(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)), "torch.uint8; expected floating point"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def model_on(x):
    return build_model("linear", (1, 8, 8), 2)(x)
