"""Checkpoints of our own: what is saved comes back exactly, and damage is noticed."""

from __future__ import annotations

import importlib
import json
import pickle
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from noiseaug.vision.models import (  # noqa: E402
    FILE_NAME,
    checkpoint_file,
    checkpoints,
    load_checkpoint,
    read_metadata,
    save_checkpoint,
)
from tests.helpers.checkpoints import attempt, images, same, trained  # noqa: E402
from tests.helpers.errors import complaint, full_disk  # noqa: E402
from tests.helpers.networks import quick_ones  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


ABOUT = {
    "data": "digits",
    "objective": {"name": "gaussian", "copies": 2},
    "train_sigma": 0.25,
    "note": "α ≠ β",
    "n": None,
}


# --- our own


@pytest.mark.parametrize("arch", quick_ones())
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
    again, _ = load_checkpoint(tmp_path / "a", trusted=["tiednets:tied"])
    assert same(model, again)
    assert again.network[1].weight is again.network[3].weight
    (tmp_path / "tiednets.py").write_text(source.replace("num_classes))", "num_classes), nn.LayerNorm(num_classes))"))
    monkeypatch.delitem(sys.modules, "tiednets")
    importlib.invalidate_caches()
    message = complaint(load_checkpoint, "a", trusted=["tiednets:tied"])
    assert "a lacks network.5.weight; expected the weights of tiednets:tied for 3 classes of 1×4×4 images" in message
    (tmp_path / "tiednets.py").unlink()
    monkeypatch.delitem(sys.modules, "tiednets")
    importlib.invalidate_caches()
    assert "a: cannot import tiednets" in complaint(load_checkpoint, "a", trusted=["tiednets:tied"])


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / FILE_NAME
    save_checkpoint(path, model := trained(), ABOUT)

    with full_disk(), pytest.raises(OSError, match="No space"):
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
