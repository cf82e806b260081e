"""Checkpoints: what is saved comes back exactly, published files are read as their authors meant, damage is noticed."""

from __future__ import annotations

import errno
import importlib
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from noiseaug.errors import InvalidInputError  # noqa: E402
from noiseaug.vision.models import (  # noqa: E402
    ARCHITECTURES,
    FILE_NAME,
    CifarResNet,
    build_model,
    checkpoint_file,
    checkpoints,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
ABOUT = {
    "data": "digits",
    "objective": {"name": "gaussian", "copies": 2},
    "train_sigma": 0.25,
    "note": "α ≠ β",
    "n": None,
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def images(shape, count=3):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def trained(arch="linear", shape=(1, 4, 4), num_classes=3, **options):
    """A model whose state is nowhere what it is at the start."""
    torch.manual_seed(1)
    model = build_model(arch, shape, num_classes, **options)
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # or a network of 110 layers overflows
    with torch.no_grad():
        model(images(shape))
    for value in model.state_dict().values():
        change = torch.rand(value.shape) if value.is_floating_point() else 3
        value.copy_(value * (1 + 0.01 * change) + 0.001 * change if value.is_floating_point() else value + change)
    return model


def same(first, second):
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(
        one[key].dtype == two[key].dtype and torch.equal(one[key], two[key]) for key in one
    )


def complaint(call, *arguments, **options):
    with pytest.raises(InvalidInputError) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def attempt(path, **options):
    """What is loaded, or None after an error in one line."""
    try:
        return load_checkpoint(path, **options)
    except InvalidInputError as error:
        if "\n" in str(error):
            raise
        return None


# --- our own


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_round_trip_is_exact(arch, tmp_path):
    model = trained(arch, (3, 8, 8), mean=0.3)
    path = tmp_path / "some.safetensors"
    save_checkpoint(path, model, ABOUT)
    torch.manual_seed(5)
    again, metadata = load_checkpoint(path)
    assert same(model, again)
    assert not any(part.training for part in again.modules())
    assert all(parameter.requires_grad for parameter in again.parameters())
    logits = again(images((3, 8, 8)))
    assert logits.isfinite().all()
    assert torch.equal(logits, model.eval()(images((3, 8, 8))))
    assert metadata == {**ABOUT, "arch": arch, "shape": (3, 8, 8), "num_classes": 3} == read_metadata(path)
    assert (again.arch, again.shape, again.num_classes) == (arch, (3, 8, 8), 3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["some.safetensors"]


@pytest.mark.parametrize(
    "change", [lambda m: m.to(memory_format=torch.channels_last), lambda m: m.double(), lambda m: m.bfloat16()]
)
def test_layout_and_precision(change, tmp_path):
    model = change(trained("cnn", (1, 8, 8)))
    save_checkpoint(tmp_path / FILE_NAME, model, {})
    again, _ = load_checkpoint(tmp_path)
    assert same(model, again)


def test_loading_does_not_move_the_global_generator(tmp_path):
    save_checkpoint(tmp_path / FILE_NAME, trained(), {})
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_checkpoint(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_model_is_left_as_it_was(tmp_path):
    model = trained("resnet20", (3, 8, 8)).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / FILE_NAME, model, ABOUT)
    assert model.training
    assert model.network.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_directory_of_a_run_is_a_checkpoint(tmp_path):
    save_checkpoint(str(tmp_path / FILE_NAME), model := trained(), ABOUT)
    for path in (tmp_path, str(tmp_path), tmp_path / FILE_NAME):
        assert same(load_checkpoint(path, device=torch.device("cpu"))[0], model)
        assert read_metadata(path)["data"] == "digits"
        assert checkpoint_file(path) == tmp_path / FILE_NAME


def test_metadata_may_be_passed_on(tmp_path):
    """What was read can be saved again, and the file is the same, byte for byte."""
    save_checkpoint(tmp_path / "a", trained(), ABOUT)
    model, metadata = load_checkpoint(tmp_path / "a")
    save_checkpoint(tmp_path / "b", model, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_metadata_is_read_without_the_weights(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "a", trained("mlp", (1, 8, 8)), ABOUT)
    content = (tmp_path / "a").read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    (tmp_path / "b").write_bytes(content[:size])
    assert read_metadata(tmp_path / "b") == read_metadata(tmp_path / "a")
    complaint(load_checkpoint, tmp_path / "b")


def test_other_programs_can_read_the_weights(tmp_path):
    save_checkpoint(tmp_path / "a", model := trained(), ABOUT)
    state = safetensors_torch.load_file(tmp_path / "a")
    assert torch.equal(state["network.1.weight"], model.network[1].weight)
    assert torch.equal(state["std"], model.std)


def test_shared_weights_and_networks_of_ones_own(tmp_path, monkeypatch):
    source = (
        "from torch import nn\n"
        "def tied(shape, num_classes):\n"
        "    first = nn.Linear(16, 16)\n"
        "    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), first, nn.Linear(16, num_classes))\n"
    )
    (tmp_path / "tiednets.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    save_checkpoint(tmp_path / "a", model := trained("tiednets:tied"), {})
    again, _ = load_checkpoint(tmp_path / "a")
    assert same(model, again)
    assert again.network[1].weight is again.network[3].weight
    (tmp_path / "tiednets.py").write_text(source.replace("num_classes))", "num_classes), nn.LayerNorm(num_classes))"))
    monkeypatch.delitem(sys.modules, "tiednets")
    importlib.invalidate_caches()
    message = complaint(load_checkpoint, "a")
    assert "a lacks network.5.weight; expected the weights of tiednets:tied for 3 classes of 1×4×4 images" in message
    (tmp_path / "tiednets.py").unlink()
    monkeypatch.delitem(sys.modules, "tiednets")
    importlib.invalidate_caches()
    assert "a: cannot import tiednets" in complaint(load_checkpoint, "a")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / FILE_NAME
    save_checkpoint(path, model := trained(), ABOUT)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, trained(num_classes=4), {})
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE_NAME]
    assert same(load_checkpoint(path)[0], model)


def test_what_is_not_saved(tmp_path):
    path, model = tmp_path / FILE_NAME, trained()
    assert "expected a Classifier" in complaint(save_checkpoint, path, model.network, {})
    assert "metadata cannot be written as JSON: Object of type float32" in complaint(
        save_checkpoint, path, model, {"loss": np.float32(1)}
    )
    assert "JSON" in complaint(save_checkpoint, path, model, {"loss": float("nan")})
    assert "key 3; expected text" in complaint(save_checkpoint, path, model, {3: 4})
    assert "num_classes is 10; the model's is 3" in complaint(save_checkpoint, path, model, {"num_classes": 10})
    assert "shape is (1, 2, 3)" in complaint(save_checkpoint, path, model, {"shape": (1, 2, 3)})
    assert "no directory" in complaint(save_checkpoint, tmp_path / "no" / "where", model, {})
    with torch.no_grad():
        model.network[1].bias[0] = float("inf")
    assert "infinite weights in network.1.bias" in complaint(save_checkpoint, path, model, {})
    assert not list(tmp_path.iterdir())


# --- damage to our own


def test_any_flipped_byte_is_noticed(tmp_path):
    """At every position: an error in one line, or exactly what was saved (a space of the header that became a tab)."""
    path = tmp_path / "a"
    save_checkpoint(path, model := trained(), ABOUT)
    about, content = read_metadata(path), path.read_bytes()
    unnoticed = 0
    for position in range(len(content)):
        for change in (1 << position % 8, 0xFF) if position % 16 == 0 else (1 << position % 8,):
            damaged = bytearray(content)
            damaged[position] ^= change
            path.write_bytes(damaged)
            if (loaded := attempt(path)) is not None:
                assert same(loaded[0], model)
                assert loaded[1] == about
                unnoticed += 1
    assert unnoticed < 10


def test_any_truncation_is_noticed(tmp_path):
    path = tmp_path / "a"
    save_checkpoint(path, trained(), ABOUT)
    content = path.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    for length in [*range(0, len(content), 5), size - 1, size, len(content) - 1]:
        path.write_bytes(content[:length])
        assert str(path) in complaint(load_checkpoint, path)
        if length < size:
            complaint(read_metadata, path)
    path.write_bytes(content + b"\0")
    complaint(load_checkpoint, path)


def test_damaged_descriptions_and_weights_say_so(tmp_path):
    path = tmp_path / "a"
    save_checkpoint(path, trained(), ABOUT)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"0.25", b"0.75"))
    assert "description does not match its checksum" in complaint(read_metadata, path)
    assert "description does not match its checksum" in complaint(load_checkpoint, path)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "weights do not match their checksum" in complaint(load_checkpoint, path)


def forged(path, state, about):
    """A file with the right checksums and whatever in it."""
    weights = checkpoints._digest(state)
    checksum = checkpoints._checksum(json.dumps(about, sort_keys=True), weights)
    entry = json.dumps({"metadata": about, "weights": weights, "checksum": checksum})
    safetensors_torch.save_file(state, path, {"noiseaug": entry})
    return path


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "a"
    about = {"arch": "linear", "shape": [1, 4, 4], "num_classes": 3}
    state = {key: value.clone() for key, value in trained().state_dict().items()}
    assert same(load_checkpoint(forged(path, state, about))[0], trained())
    lacking = {key: value for key, value in state.items() if key != "network.1.bias"}
    assert "lacks network.1.bias; expected the weights of linear for 3 classes" in complaint(
        load_checkpoint, forged(path, lacking, about)
    )
    more = {**state, "network.2.bias": torch.zeros(2)}
    assert "holds network.2.bias, which linear for 3" in complaint(load_checkpoint, forged(path, more, about))
    other = {**about, "num_classes": 4}
    message = complaint(load_checkpoint, forged(path, state, other))
    assert "network.1.weight has shape (3, 16); linear for 4 classes of 1×4×4 images has (4, 16)" in message
    integers = {**state, "network.1.bias": torch.zeros(3, dtype=torch.int64)}
    assert "network.1.bias is torch.int64; expected torch.float32" in complaint(
        load_checkpoint, forged(path, integers, about)
    )
    broken = {**state, "network.1.bias": torch.tensor([0, float("nan"), 0])}
    assert "NaN or infinite weights in network.1.bias" in complaint(load_checkpoint, forged(path, broken, about))
    assert "architecture is 'vgg'; expected linear" in complaint(
        load_checkpoint, forged(path, state, {**about, "arch": "vgg"})
    )
    assert "metadata: shape: missing" in complaint(
        load_checkpoint, forged(path, state, {"arch": "linear", "num_classes": 3})
    )
    for changes, fault in (
        ({"shape": None}, "shape: expected array, got null"),
        ({"shape": [1, "4", 4]}, "shape[1]: expected int, got str"),
        ({"num_classes": 3.5}, "num_classes: expected int, got float"),
        ({"arch": ["linear"]}, "arch: expected str, got array"),
    ):
        assert f"metadata: {fault}" in complaint(load_checkpoint, forged(path, state, {**about, **changes}))


def test_files_of_another_kind(tmp_path):
    model = trained()
    safetensors_torch.save_file({"weight": model.network[1].weight.detach()}, tmp_path / "foreign.safetensors")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text.pth").write_text("hello, I am a checkpoint\n" * 9)
    (tmp_path / "zeros").write_bytes(bytes(1000))
    (tmp_path / "nested").write_bytes((90_008 - 8).to_bytes(8, "little") + b"{" + b"[" * 89_999)
    (tmp_path / "huge").write_bytes((2**62).to_bytes(8, "little") + b"{}" * 100)
    (tmp_path / "list").write_bytes((16).to_bytes(8, "little") + b'{"a":[1,2,3,4] }')
    np.savez(tmp_path / "images.npz", x=np.zeros(3))
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"arch": "cifar_resnet20", "state_dict": {}}))
    for path in sorted(tmp_path.iterdir()):
        assert str(path) in complaint(load_checkpoint, path)
        complaint(read_metadata, path)
    assert "was not written by noiseaug" in complaint(load_checkpoint, tmp_path / "foreign.safetensors")
    assert "holds no model.safetensors" in complaint(load_checkpoint, tmp_path)
    assert "no file" in complaint(load_checkpoint, tmp_path / "missing.pth.tar")


def test_devices_that_are_not_there(tmp_path):
    save_checkpoint(tmp_path / "a", trained(), {})
    assert "device is warp" in complaint(load_checkpoint, tmp_path / "a", device="warp")
    if not torch.cuda.is_available():
        assert "device is cuda" in complaint(load_checkpoint, tmp_path / "a", device="cuda")


# --- published


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

    assert "architecture 'resnet50'; expected one of cifar_resnet20, cifar_resnet110" in refused(arch="resnet50")
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
