"""Torch modules of the user's own: classes, factories, weights, outputs of all kinds; networks of other packages."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from noiseaug.certification import certify  # noqa: E402
from noiseaug.subjects import attack_model, load_subject  # noqa: E402
from tests.helpers.errors import complaint  # noqa: E402
from tests.helpers.running import call_root  # noqa: E402

RNG = np.random.default_rng(11)

MODULE = """
    from types import SimpleNamespace

    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, num_classes=10):
            super().__init__()
            self.layer = nn.Linear(27, num_classes)

        def forward(self, x):
            return self.layer(x.flatten(1))

    class Asks(Net):
        def __init__(self, num_classes, channels):
            super().__init__(num_classes)

    def network(shape, num_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], num_classes))

    class Tuple(Net):
        def forward(self, x):
            return x.flatten(1), super().forward(x)

    class Dictionary(Net):
        def forward(self, x):
            return {"loss": torch.zeros(len(x), 3), "logits": super().forward(x)}

    class Holder(Net):
        def forward(self, x):
            return SimpleNamespace(logits=super().forward(x))

    class Single(Net):
        def __init__(self):
            super().__init__(1)

        def forward(self, x):
            return super().forward(x)[:, 0]

    class Twice(Net):
        def forward(self, x):
            return super().forward(x), super().forward(x)

    class Object(Net):
        def forward(self, x):
            return object()

    torch.manual_seed(0)
    net = Net(3)
    normed = nn.Sequential(nn.Flatten(), nn.Linear(27, 8), nn.ReLU(), nn.Linear(8, 3))
    with __import__("warnings").catch_warnings():
        __import__("warnings").simplefilter("ignore")
        nn.utils.weight_norm(normed[1])
        scripted = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(27, 8), nn.ReLU(), nn.Linear(8, 3)))
        convolution = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 3))
        traced = torch.jit.trace(convolution, torch.zeros(2, 3, 3, 3))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_network.py").write_text(textwrap.dedent(MODULE))
    x = RNG.integers(0, 256, (12, 3, 3, 3), np.uint8)
    np.savez("three.npz", x=x, y=np.arange(12) % 3)
    np.savez("two.npz", x=x, y=np.array(["no", "yes"])[np.arange(12) % 2])
    yield tmp_path
    sys.modules.pop("own_network", None)


def votes(subject, rows=slice(3)):
    frame = certify(subject.base, subject.data.inputs[rows], smooth_sigma=0.5, n=200, n0=10)
    return np.stack([counts[-1] for counts in frame["counts"]])


def expected(module, subject, weights, single=False):
    """The votes of the linear layer that all these networks are."""
    weight, bias = (torch.as_tensor(each).double().numpy() for each in weights)

    def classify(batch):
        scores = batch.reshape(len(batch), -1) @ weight.T + bias
        return (scores[:, 0] > 0).astype(int) if single else scores.argmax(1)

    frame = certify(classify, subject.data.inputs[:3], smooth_sigma=0.5, n=200, n0=10, num_classes=2 if single else 3)
    return np.stack([counts[-1] for counts in frame["counts"]])


@pytest.mark.parametrize("name", ["Net", "Asks", "network", "Tuple", "Dictionary", "Holder", "net"])
@pytest.mark.parametrize("form", ["safetensors", "state dict", "checkpoint", "DataParallel", "Lightning"])
def test_weights_go_into_classes_and_factories(own, name, form):
    weight, bias = torch.tensor(RNG.normal(size=(3, 27))).float(), torch.zeros(3)
    keys = ("1.weight", "1.bias") if name == "network" else ("layer.weight", "layer.bias")
    state = dict(zip(keys, (weight, bias), strict=True))
    path = own / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        safetensors.save_file(state, path)
    elif form == "checkpoint":
        torch.save({"epoch": 3, "model_state_dict": state, "optimizer": {"lr": 0.1}}, path)
    else:
        prefix = {"state dict": "", "DataParallel": "module.", "Lightning": "model."}[form]
        torch.save({prefix + key: value for key, value in state.items()}, path)
    subject = load_subject(f"own_network:{name}", "three.npz", weights=path)
    assert subject.base.num_classes == 3
    # a few of 600 votes may differ by rounding
    assert np.abs(votes(subject) - expected(name, subject, (weight, bias))).sum() <= 4


def test_a_single_logit_stands_for_two_classes(own):
    weight, bias = torch.tensor(RNG.normal(size=(1, 27))).float(), torch.zeros(1)
    torch.save({"layer.weight": weight, "layer.bias": bias}, own / "w.pt")
    subject = load_subject("own_network:Single", "two.npz", weights=own / "w.pt")
    assert (subject.base.num_classes, subject.description["classes"]) == (2, ["no", "yes"])
    assert np.abs(votes(subject) - expected("Single", subject, (weight, bias), single=True)).sum() <= 4


@pytest.mark.parametrize("name", ["normed", "scripted", "traced"])
def test_networks_that_torch_does_not_copy_or_rewrite(own, name):
    subject = load_subject(f"own_network:{name}", "three.npz")
    module = sys.modules["own_network"].__dict__[name]

    def classify(batch):
        with torch.no_grad():
            return module(torch.from_numpy(batch)).argmax(1).numpy()

    plain = certify(classify, subject.data.inputs[:3], smooth_sigma=0.5, n=200, n0=10, num_classes=3)
    assert np.abs(votes(subject) - np.stack([counts[-1] for counts in plain["counts"]])).sum() <= 4


def test_what_is_no_network_for_the_data_is_one_line(own):
    torch.save({"layer.weight": torch.zeros(3, 20), "layer.bias": torch.zeros(3)}, own / "shape.pt")
    torch.save({"layer.weight": torch.zeros(3, 27)}, own / "lacks.pt")
    torch.save([1, 2], own / "list.pt")
    torch.save(torch.nn.Linear(2, 2), own / "pickle.pt")
    (own / "bad.safetensors").write_bytes(b"no")
    for name, data, options, message in [
        (
            "Asks",
            "three.npz",
            {"weights": own / "shape.pt"},
            "layer.weight has shape (3, 20); own_network:Asks has (3, 27)",
        ),
        (
            "Asks",
            "three.npz",
            {"weights": own / "lacks.pt"},
            "lacks layer.bias; expected the weights of own_network:Asks",
        ),
        ("Asks", "three.npz", {"weights": own / "list.pt"}, "holds list; expected a state dict"),
        ("Asks", "three.npz", {"weights": own / "pickle.pt"}, "is not loaded: it asks for"),
        ("Asks", "three.npz", {"weights": own / "bad.safetensors"}, "is truncated or damaged"),
        ("Asks", "three.npz", {"weights": own / "none.pt"}, "no file"),
        ("Twice", "three.npz", {}, "returned tuple of shape (2, 10), shape (2, 10) for two inputs"),
        ("Object", "three.npz", {}, "returned object for two inputs; expected logits"),
        ("net", "two.npz", {}, "which of those class no is, is not known"),
        ("net", "three.npz", {"num_classes": 4}, "num_classes is 4; own_network:net has 3 classes"),
        ("net", "digits", {}, "own_network:net does not take inputs of shape 1×8×8"),
    ]:
        got = complaint(
            lambda name=name, data=data, options=options: load_subject(f"own_network:{name}", data, **options)
        )
        assert message in got, got


def test_a_network_of_ones_own_is_attacked_too(own):
    frame, summary = attack_model(
        "own_network:net", "three.npz", smooth_sigma=0.25, radii=[0.2], steps=2, samples=8, n=50
    )
    assert (len(frame), len(summary)) == (12, 1)


def test_the_command_line(own):
    torch.save(torch.nn.ModuleDict({"layer": torch.nn.Linear(27, 3)}).state_dict(), own / "w.pt")
    done = call_root(
        *("certify", "--classifier", "own_network:Asks", "--weights", "w.pt", "--data", "three.npz", "--x", "x"),
        *("--smooth-sigma", 0.5, "--n", 50, "--out", "run.jsonl"),
    )
    assert done.status == 0, done.err
    done = call_root("certify", "--x", "a", "--smooth-sigma", 0.5, "--out", "other.jsonl")
    assert done.complaint == "--x says how a file is read; give the file as --data"


STAND_INS = {
    "timm": """
        import torch
        from torch import nn

        def create_model(name, pretrained=False, num_classes=5):
            if name != "tiny":
                raise RuntimeError(f"Unknown model ({name})")
            network = nn.Sequential(nn.Flatten(), nn.Linear(27, num_classes))
            if pretrained:
                nn.init.constant_(network[1].weight, 0.0)
                network[1].bias.data = torch.arange(float(num_classes))
            network.pretrained_cfg = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.1)}
            return network
    """,
    "transformers": """
        from types import SimpleNamespace

        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(27, 3)

            def forward(self, pixel_values):
                return SimpleNamespace(logits=self.layer(pixel_values.flatten(1)))

        class AutoModelForImageClassification:
            @staticmethod
            def from_pretrained(name):
                if name != "me/tiny":
                    raise OSError(f"{name} is not a local folder")
                torch.manual_seed(0)
                return Network()

        class AutoImageProcessor:
            @staticmethod
            def from_pretrained(name):
                return SimpleNamespace(image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.2, 0.1], do_normalize=True)
    """,
}


@pytest.fixture
def packages(own, monkeypatch):
    """Small packages in the place of timm and transformers, with the same names for what is used of them."""
    for name, code in STAND_INS.items():
        (own / f"{name}.py").write_text(textwrap.dedent(code))
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(own)
    yield own
    for name in STAND_INS:
        sys.modules.pop(name, None)


def test_networks_of_timm(packages):
    subject = load_subject("timm:tiny", "three.npz")
    assert (subject.base.num_classes, subject.data.num_classes) == (5, 5)  # places 0, 1, 2 of five
    assert votes(subject).argmax(1).tolist() == [4, 4, 4]
    weight = torch.tensor(RNG.normal(size=(3, 27))).float()
    torch.save({"1.weight": weight, "1.bias": torch.zeros(3)}, "w.pt")
    subject = load_subject("timm:tiny", "three.npz", weights=packages / "w.pt")
    mean, std = (np.repeat(each, 9) for each in ([0.5, 0.4, 0.3], [0.2, 0.2, 0.1]))
    scaled = weight.double().numpy() / std
    assert np.abs(votes(subject) - expected("timm", subject, (scaled, -scaled @ mean))).sum() <= 4
    assert "timm:large cannot be made: Unknown model (large)" in complaint(
        lambda: load_subject("timm:large", "three.npz")
    )


def test_networks_of_hugging_face(packages):
    subject = load_subject("huggingface:me/tiny", "three.npz")
    assert subject.base.num_classes == 3
    layer = subject.base.model.network.network.layer
    mean, std = (np.repeat(each, 9) for each in ([0.5, 0.4, 0.3], [0.2, 0.2, 0.1]))
    scaled = layer.weight.detach().double().numpy() / std
    shift = layer.bias.detach().double().numpy() - scaled @ mean
    assert np.abs(votes(subject) - expected("huggingface", subject, (scaled, shift))).sum() <= 4
    assert "not a local folder" in complaint(lambda: load_subject("huggingface:none", "three.npz"))


def test_packages_that_are_not_there(own, monkeypatch):
    for name, source in (("timm", "timm:resnet18"), ("transformers", "huggingface:a/b")):
        monkeypatch.setitem(sys.modules, name, None)
        assert (
            complaint(lambda source=source: load_subject(source, "three.npz"))
            == f"{name} is not installed; pip install {name}"
        )
