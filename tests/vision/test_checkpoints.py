"""Published checkpoints are read as their authors meant; what is damaged or not one of them is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors.torch")

from noiseaug.registry import Entry  # noqa: E402
from noiseaug.vision.models import (  # noqa: E402
    ARCHITECTURES,
    CifarResNet,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)
from noiseaug.vision.models.imagenet import ResNet50  # noqa: E402
from tests.helpers.checkpoints import attempt, images, same, trained  # noqa: E402
from tests.helpers.errors import complaint  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class Normalisation(torch.nn.Module):
    """As in the released code: the numbers are no part of the state."""

    def __init__(self, std, *, kept=False):
        super().__init__()
        for name, value in (("means", torch.tensor(MEAN)), ("sds", None if std is None else torch.tensor(std))):
            if kept:
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, x):
        centred = x - self.means.repeat(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)
        return centred if self.sds is None else centred / self.sds.repeat(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)


class Parallel(torch.nn.Module):
    """The names that DataParallel gives."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)


LAYOUTS = {
    "sequential": lambda norm, net: torch.nn.Sequential(norm, net),
    "parallel network": lambda norm, net: torch.nn.Sequential(norm, Parallel(net)),
    "parallel all": lambda norm, net: Parallel(torch.nn.Sequential(norm, net)),
}


@pytest.fixture(scope="module")
def network():
    """A ResNet-20 whose batch normalisation has seen photographs under noise, standardised as by Cohen et al."""
    return seen_photographs(0.5, STD)


def photographs():
    """Natural images of 32×32 pixels."""
    from sklearn.datasets import load_sample_images

    pieces = []
    for photograph in load_sample_images().images:
        x = torch.tensor(photograph[:416, :640]).permute(2, 0, 1).float() / 255
        x = torch.nn.functional.avg_pool2d(x, 4)
        pieces.append(x.unfold(1, 32, 8).unfold(2, 32, 8).permute(1, 2, 0, 3, 4).reshape(-1, 3, 32, 32))
    return torch.cat(pieces)


def seen_photographs(sigma, std):
    """The first layer sees them all, the others a few."""
    torch.manual_seed(2)
    net = CifarResNet(20, (3, 32, 32), 10)
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the mean over all batches
    x = photographs()
    with torch.no_grad():
        seen = Normalisation(std)(x + sigma * torch.randn(x.shape))
        net(seen[::10])
        net.bn1.reset_running_stats()
        net.bn1(net.conv1(seen))
    return net.eval()


def publish(path, model, arch="cifar_resnet20", *, zipped=True, **more):
    content = {
        "epoch": 90,
        "arch": arch,
        "state_dict": model.state_dict(),
        "optimizer": {"param_groups": [{"lr": 0.1}]},
    }
    torch.save({**content, **more}, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("normalisation", "std"), [("standardised", STD), ("centred", None)])
def test_published_checkpoints_give_the_original_logits(network, tmp_path, zipped, layout, normalisation, std):
    original = LAYOUTS[layout](Normalisation(std), network).eval()
    path = publish(tmp_path / "checkpoint.pth.tar", original, zipped=zipped)
    model, metadata = load_checkpoint(path, normalisation=normalisation)
    x = images((3, 32, 32))
    with torch.no_grad():
        assert torch.equal(model(x), original(x))
    about = {
        "arch": "resnet20",
        "shape": (3, 32, 32),
        "num_classes": 10,
        "released_arch": "cifar_resnet20",
        "epoch": 90,
    }
    assert metadata == {**about, "normalisation": normalisation}
    assert read_metadata(path) == about
    save_checkpoint(tmp_path / "own", model, metadata)
    again, same_metadata = load_checkpoint(tmp_path / "own")
    assert same(again, model)
    assert same_metadata == metadata


@pytest.mark.parametrize("sigma", [0.12, 0.25, 0.5, 1.0])
@pytest.mark.parametrize(("normalisation", "std"), [("standardised", STD), ("centred", None)])
def test_the_normalisation_shows_in_the_statistics(tmp_path, sigma, normalisation, std):
    original = torch.nn.Sequential(Normalisation(std), seen_photographs(sigma, std))
    path = publish(tmp_path / "a.pth.tar", original)
    assert load_checkpoint(path)[1]["normalisation"] == normalisation


def test_a_normalisation_that_cannot_be_told_is_asked_for(network, tmp_path):
    fresh = torch.nn.Sequential(Normalisation(STD), CifarResNet(20, (3, 32, 32), 10))
    path = publish(tmp_path / "a.pth.tar", fresh)
    message = complaint(load_checkpoint, path)
    assert "give normalisation=... as one of standardised, centred" in message
    assert torch.equal(load_checkpoint(path, normalisation="centred")[0].std, torch.ones(3, 1, 1))
    assert "normalisation is 'both'" in complaint(load_checkpoint, path, normalisation="both")
    save_checkpoint(tmp_path / "own", trained(), {})
    assert "holds its own" in complaint(load_checkpoint, tmp_path / "own", normalisation="centred")


@pytest.mark.parametrize("std", [(0.3, 0.4, 0.5), None])
def test_a_normalisation_that_was_saved_is_used(network, tmp_path, std):
    original = torch.nn.Sequential(Normalisation(std, kept=True), network).eval()
    assert "0.means" in original.state_dict()
    model, metadata = load_checkpoint(publish(tmp_path / "a.pth.tar", original))
    with torch.no_grad():
        assert torch.equal(model(images((3, 32, 32))), original(images((3, 32, 32))))
    assert metadata["normalisation"] == "saved"


def test_other_published_architectures(tmp_path):
    for arch, depth, classes in (("cifar_resnet110", 110, 100), ("imagenet32_resnet110", 110, 1000)):
        original = torch.nn.Sequential(Normalisation(STD), CifarResNet(depth, (3, 32, 32), classes)).eval()
        path = publish(tmp_path / f"{arch}.pth.tar", original, arch)
        # the code for ImageNet 32×32 has but one normalisation
        model, metadata = load_checkpoint(path, normalisation=None if classes == 1000 else "standardised")
        assert (metadata["arch"], metadata["num_classes"]) == ("resnet110", classes)
        with torch.no_grad():
            assert torch.equal(model(images((3, 32, 32), 1)), original(images((3, 32, 32), 1)))


@pytest.mark.parametrize("normalisation", ["standardised", "centred"])
def test_the_resnet_50_of_imagenet(tmp_path, monkeypatch, normalisation):
    """In the published format, with an eighth of the channels."""
    monkeypatch.setitem(ARCHITECTURES, "resnet50", Entry(lambda shape, count: ResNet50(shape[0], count, 8), "narrow"))
    torch.manual_seed(3)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225) if normalisation == "standardised" else None
    norm = Normalisation(std)
    norm.means = torch.tensor(mean)
    original = torch.nn.Sequential(norm, Parallel(ResNet50(3, 1000, 8))).eval()
    path = publish(tmp_path / "checkpoint.pth.tar", original, "resnet50")
    model, metadata = load_checkpoint(path, normalisation=normalisation)
    assert (metadata["arch"], metadata["shape"], metadata["num_classes"]) == ("resnet50", (3, 224, 224), 1000)
    with torch.no_grad():
        assert torch.equal(model(images((3, 224, 224), 1)), original(images((3, 224, 224), 1)))
    # nothing in the file tells how the inputs were normalised
    assert "give normalisation=... as one of standardised, centred" in complaint(load_checkpoint, path)


def test_the_resnet_50_is_torchvisions():
    with torch.device("meta"):
        state = {name: value.numel() for name, value in ResNet50(3, 1000).named_parameters()}
    assert sum(state.values()) == 25_557_032  # as torchvision documents it
    assert {"conv1.weight", "layer1.0.downsample.1.bias", "layer4.2.conv3.weight", "fc.bias"} <= state.keys()


def test_files_of_old_torch_lack_a_counter(network, tmp_path):
    state = {f"1.{key}": value for key, value in network.state_dict().items() if "num_batches" not in key}
    model, _ = load_checkpoint(publish(tmp_path / "a", network, state_dict=state))
    original = torch.nn.Sequential(Normalisation(STD), network)
    with torch.no_grad():
        assert torch.equal(model(images((3, 32, 32))), original(images((3, 32, 32))))


def test_numbers_of_numpy_beside_the_weights(network, tmp_path):
    for zipped in (True, False):
        numbers = {"best": np.float64(0.5), "loss": np.float32(1), "seed": np.int64(3)}
        path = publish(tmp_path / "a", torch.nn.Sequential(Normalisation(STD), network), zipped=zipped, **numbers)
        assert load_checkpoint(path)[1]["epoch"] == 90


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return touch, (self.target,)


def touch(path):
    Path(path).touch()


def test_nothing_in_a_file_is_executed(network, tmp_path):
    mark = tmp_path / "executed"
    for zipped in (True, False):
        path = publish(tmp_path / "a", network, zipped=zipped, best=Malicious(str(mark)))
        assert "it asks for tests.vision.test_checkpoints.touch; expected tensors" in complaint(
            load_checkpoint, path, normalisation="centred"
        )
        complaint(read_metadata, path)
        assert not mark.exists()
    torch.save(network, tmp_path / "whole.pt")
    assert "it asks for noiseaug.vision.models.resnets.CifarResNet" in complaint(load_checkpoint, tmp_path / "whole.pt")
    pickle.loads(pickle.dumps(Malicious(str(mark))))
    assert mark.exists()


def test_published_files_that_are_refused(network, tmp_path):
    path = tmp_path / "a.pth.tar"
    good = {f"1.{key}": value for key, value in network.state_dict().items()}

    def refused(**content):
        publish(path, network, **content)
        return complaint(load_checkpoint, path, normalisation="standardised")

    assert "architecture 'resnet18'; expected one of cifar_resnet20, cifar_resnet110" in refused(arch="resnet18")
    assert "architecture 7" in refused(arch=7)
    assert "no weights in its state_dict" in refused(state_dict=None)
    assert "no weights in its state_dict" in refused(state_dict={"1.conv1.weight": 3})
    assert "lacks conv1.weight" in refused(state_dict={})
    assert "lacks network.layer1.0.conv2.weight; expected the weights of resnet20" in refused(
        state_dict={key: value for key, value in good.items() if key != "1.layer1.0.conv2.weight"}
    )
    assert "holds network.extra, which resnet20" in refused(state_dict={**good, "1.extra": torch.zeros(1)})
    assert "lacks network.layer1.3.conv1.weight; expected the weights of resnet110" in refused(
        arch="cifar_resnet110", state_dict=good
    )
    assert "holds conv1.weight twice" in refused(state_dict={**good, "conv1.weight": good["1.conv1.weight"]})
    assert "network.bn1.weight has shape (4,); resnet20 for 10 classes of 3×32×32 images has (16,)" in refused(
        state_dict={**good, "1.bn1.weight": torch.ones(4)}
    )
    assert "NaN or infinite weights in network.fc.bias" in refused(
        state_dict={**good, "1.fc.bias": torch.full((10,), float("nan"))}
    )
    assert "mean has shape" in refused(state_dict={**good, "0.means": torch.zeros(1)})
    torch.save(good, path)
    assert "expected arch and state_dict" in complaint(load_checkpoint, path)
    torch.save([1, 2], path)
    assert "holds list; expected arch and state_dict" in complaint(load_checkpoint, path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_damaged_published_files(network, tmp_path, zipped):
    """A zip has checksums: damage is noticed or does not matter. The older format has none, but fails in one line."""
    path = publish(tmp_path / "a", torch.nn.Sequential(Normalisation(STD), network), zipped=zipped)
    content = path.read_bytes()
    expected, _ = load_checkpoint(path)
    rng = np.random.default_rng(0)
    start = rng.integers(0, 3000, 40)
    for position in [*start, *(len(content) - 1 - start[:15]), *rng.integers(0, len(content), 15)]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        loaded = attempt(path, normalisation="standardised")
        assert loaded is None or not zipped or same(loaded[0], expected)
    for length in rng.integers(0, len(content) - 1, 15):
        path.write_bytes(content[:length])
        assert str(path) in complaint(load_checkpoint, path, normalisation="standardised")
