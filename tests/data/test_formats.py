"""What files hold, and that nothing unchecked is read."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from noiseaug.data import DATASETS, describe, load_images
from noiseaug.data import published as published_sets
from noiseaug.data.formats import parse_cifar, parse_idx
from noiseaug.errors import InvalidInputError
from tests.helpers.errors import complaint
from tests.helpers.library import LABELS, batch, idx, published
from tests.helpers.running import content as everything

# --- nothing unchecked is read


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("harm", ["truncated", "longer", "changed", "empty", "folder"])
def test_a_damaged_file_is_named_and_left_alone(root, monkeypatch, name, harm):
    file = DATASETS[name].files["test"][-1]
    path = root / file.path
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    bodies = {"truncated": body[:20], "longer": body + b"x", "changed": body, "empty": b""}
    path.unlink()
    if harm == "folder":
        path.mkdir()
    else:
        path.write_bytes(bodies[harm])
    before = everything(root)
    said = {
        "truncated": f"has 20 of {file.size} bytes",
        "longer": f"has {file.size + 1} bytes instead of {file.size}",
        "changed": "does not have its published sha256",
        "empty": f"has 0 of {file.size} bytes",
        "folder": "cannot be read",
    }[harm]
    with monkeypatch.context() as patch:
        patch.setattr(published_sets, "parse_idx", None)  # not even called
        patch.setattr(published_sets, "parse_cifar", None)
        message = complaint(lambda: load_images(name, "test", root=root))
    assert message.startswith(f"{path} {said}")
    assert message.endswith(f"delete it, or run `noiseaug data {name}` to replace it")
    assert everything(root) == before
    load_images(name, "train", root=root, download=False)
    stock = describe(name, root)
    assert stock.damaged == (path,)
    assert not stock.complete


class Trap:
    """Runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_runs_nothing(root, library, tmp_path):
    """Neither where its hash is wrong nor, should the registry ever be wrong, where it is right."""
    sprung = tmp_path / "sprung"
    trap = pickle.dumps({"data": Trap(sprung)}, protocol=2)
    path = root / "cifar-10-batches-py/test_batch"
    path.write_bytes(trap)
    complaint(lambda: load_images("cifar10", "test", root=root))
    assert not sprung.exists()
    files = DATASETS["cifar10"].files
    library.replace("cifar10", files={**files, "test": (published("cifar-10-batches-py/test_batch", trap),)})
    message = complaint(lambda: load_images("cifar10", "test", root=root))
    assert f"{path} is no batch of CIFAR-10: it refers to" in message
    assert ".mkdir; delete it" in message
    assert not sprung.exists()
    pickle.loads(trap)
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"not a pickle",
        pickle.dumps([1, 2], protocol=2),
        pickle.dumps({"data": 1}, protocol=2),
        pickle.dumps({"data": 1, "labels": [0]}, protocol=2),
        batch(np.zeros((2, 3, 32, 32), np.uint8), [0, 1])[:-20],
        batch(np.zeros((2, 3, 32, 31), np.uint8), [0, 1]),
        batch(np.zeros((2, 3, 32, 32), np.uint8), [0, 1]).replace(b"labels", b"levels"),
        batch(np.zeros((2, 3, 32, 32), np.uint8), [0, 1]).replace(b"numpy\ndtype", b"numpy\nsqrt_"),
    ],
)
def test_bad_batches(content):
    with pytest.raises(InvalidInputError, match=r"^b is no batch of CIFAR-10.*delete it$"):
        parse_cifar(Path("b"), content)


@pytest.mark.parametrize(
    ("content", "ndim", "message"),
    [
        (b"", 1, "begins with nothing; expected an idx file of bytes with 1 axes, 00 00 08 01"),
        (idx(np.zeros((2, 3, 4))), 1, "begins with 00 00 08 03"),
        (b"\0\0\x0d\x01" + idx(np.zeros(4))[4:], 1, "begins with 00 00 0d 01"),
        (b"\0\0\x08\x03\0\0", 3, "ends in its header, after 6 bytes"),
        (idx(np.zeros((2, 3, 4)))[:-1], 3, "holds 23 values; its header says 2 × 3 × 4"),
        (idx(np.zeros((2, 3, 4))) + b"\0", 3, "holds 25 values"),
        (b"\0\0\x08\x03" + b"\xff" * 12, 3, "holds 0 values; its header says 4294967295 × "),
    ],
)
def test_bad_idx_files(content, ndim, message):
    for path, form in ((Path("f"), content), (Path("f.gz"), gzip.compress(content))):
        assert f"{path} {message}" in complaint(lambda path=path, form=form: parse_idx(path, form, ndim))


def test_bad_gz_files():
    good = gzip.compress(idx(np.arange(100)))
    assert parse_idx(Path("f.gz"), good, 1).tolist() == list(range(100))
    for form in (good[:-9], good[:40], b"", b"no", good[:30] + b"\xff\xff" + good[32:], good[:-6] + b"\0" + good[-5:]):
        assert "f.gz " in complaint(lambda form=form: parse_idx(Path("f.gz"), form, 1))


def test_images_and_labels_must_fit(root, library):
    """Files that have the hashes that the registry asks for, but not what a data set needs."""
    for labels, message in [(np.arange(11) % 10, "(11,); expected int64, (12,)"), (np.full(12, 10), "from 10 to 10")]:
        library.set_idx(labels=LABELS | {"test": labels})
        library.fill(root)
        assert message in complaint(lambda: load_images("mnist", "test", root=root))
    library.set_cifar(labels=np.full((6, 4), 10))
    library.fill(root)
    assert "expected 0 … 9" in complaint(lambda: load_images("cifar10", "test", root=root))
