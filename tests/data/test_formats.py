"""What files hold, and that nothing unchecked is read."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from noiseaug.data import DATASETS, describe, load_data, load_images
from noiseaug.data import published as published_sets
from noiseaug.data.formats import parse_cifar, parse_idx, read_npz
from noiseaug.errors import InvalidInputError
from tests.helpers.library import LABELS, batch, complaint, idx, published
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


# --- .npz files


def saved(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_npz_layouts_and_names(tmp_path):
    rng = np.random.default_rng(2)
    grey, colour = rng.random((5, 9, 7)), rng.integers(0, 256, (5, 3, 9, 7), np.uint8)
    y = np.array([0, 1, 2, 1, 0])
    for number, (x, expected) in enumerate(
        [
            (grey, grey[:, None].astype(np.float32)),
            (grey[:, None], grey[:, None].astype(np.float32)),
            (grey[..., None].astype(np.float16), grey[:, None].astype(np.float16).astype(np.float32)),
            (colour, colour),
            (colour.transpose(0, 2, 3, 1), colour),
            (colour.transpose(0, 1, 3, 2)[..., :3], colour.transpose(0, 1, 3, 2)[..., :3]),
            (np.zeros((5, 4, 6, 8), np.uint8), np.zeros((5, 4, 6, 8), np.uint8)),
        ]
    ):
        found = load_images(saved(tmp_path / f"{number}.npz", x=x, y=y), "test")
        np.testing.assert_array_equal(found.inputs, expected)
        assert found.inputs.dtype == expected.dtype
        np.testing.assert_array_equal(found.labels, y)
        assert found.classes == ("0", "1", "2")
    for test, train in [
        (("x", "y"), ("train_x", "train_y")),
        (("images", "labels"), ("train_images", "train_labels")),
        (("x_test", "y_test"), ("x_train", "y_train")),
        (("test_images", "test_labels"), ("train_images", "train_labels")),
    ]:
        arrays = dict(zip((*test, *train), (colour[:2], y[:2, None].astype(np.uint8), colour[2:], y[2:]), strict=True))
        name = saved(tmp_path / "n.npz", **arrays)
        parts = [load_images(name, split) for split in ("test", "train")]
        np.testing.assert_array_equal(np.concatenate([part.inputs for part in parts]), colour)
        np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), y)
        # the test split alone has two classes
        assert [part.num_classes for part in parts] == [3, 3]
    (tmp_path / "a:b").mkdir()
    name = str(Path(name).rename(tmp_path / "a:b" / "n.npz"))
    assert len(load_images(name, "train")) == 3
    chosen = load_images(f"{name}:2,0", "train")
    assert (chosen.labels.tolist(), chosen.classes, chosen.split) == ([1, 0], ("0", "2"), "train")


X = np.zeros((4, 5, 5), np.uint8)
Y = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arrays", "split", "message"),
    [
        ({"x": X}, "test", "lacks y (or labels, y_test, test_labels); it holds x"),
        ({"x": X, "y": Y}, "train", "lacks train_x (or train_images, x_train); it holds x, y"),
        ({}, "test", "it holds nothing"),
        (
            {"x": X.reshape(4, 25), "y": Y},
            "test",
            "has test inputs of shape (4, 25); expected (m, H, W), (m, C, H, W) or (m, H, W, C)",
        ),
        ({"x": X.astype(int), "y": Y}, "test", "x is int64; expected uint8, or floats in [0, 1]"),
        ({"x": X + 255.0, "y": Y}, "test", "x runs from 255 to 255; expected [0, 1], or uint8"),
        ({"x": X - 0.5, "y": Y}, "test", "x runs from -0.5"),
        ({"x": X + np.nan, "y": Y}, "test", "x runs from nan"),
        ({"x": X, "y": Y / 2}, "test", "y is float64 of shape (4,); expected integer labels"),
        ({"x": X, "y": Y - 1}, "test", "y runs from -1 to 0; expected labels 0 … K−1"),
        ({"x": X, "y": Y * 10**9}, "test", "y runs from 0 to 1000000000"),
        ({"x": X, "y": Y[:3]}, "test", "(3,); expected int64, (4,)"),
        ({"x": X, "y": np.eye(4, dtype=int)}, "test", "y is int64 of shape (4, 4)"),
        ({"x": X[:0], "y": Y[:0]}, "test", "has no inputs"),
        ({"x": np.array([{}]), "y": Y}, "test", "is not a readable .npz file"),
    ],
)
def test_bad_npz_files(tmp_path, arrays, split, message):
    name = saved(tmp_path / "a.npz", **arrays)
    found = complaint(lambda: load_images(name, split))
    assert message in found
    assert name in found


def test_rows_that_are_no_images(tmp_path):
    rng = np.random.default_rng(3)
    for x in (rng.normal(size=(4, 3)), rng.normal(size=(4, 3)).astype(np.float16), np.arange(12).reshape(4, 3)):
        found = load_data(saved(tmp_path / "rows.npz", x=x, y=Y)).test
        np.testing.assert_array_equal(found.inputs, x.astype(np.float32))
        np.testing.assert_array_equal(found.rows([1]), found.inputs[[1]])
        assert (found.shape, found.inputs.dtype) == ((3,), np.float32)
    pixels = load_data(saved(tmp_path / "rows.npz", x=np.full((4, 3), 51, np.uint8), y=Y)).test
    assert pixels.inputs.dtype == np.uint8
    assert (pixels.rows() == np.float32(0.2)).all()
    for bad, message in [
        (np.full((4, 3), np.nan), "inputs run from nan to nan; expected finite numbers"),
        (np.full((4, 3), np.inf), "run from inf"),
        (np.full((4, 3), 1j), "x is complex128; expected real numbers"),
        (np.zeros(4), "x has shape (4,); expected (m, H, W), (m, C, H, W) or (m, H, W, C), or rows (m, dim)"),
    ]:
        assert message in complaint(lambda bad=bad: load_data(saved(tmp_path / "rows.npz", x=bad, y=Y)))


def test_a_file_without_training_inputs(tmp_path):
    assert load_data(saved(tmp_path / "a.npz", x=X, y=Y)).train is None
    assert load_data(saved(tmp_path / "a.npz", x=X, y=Y, train_x=X, train_y=1 - Y)).train.labels.tolist() == [
        1,
        0,
        1,
        0,
    ]
    assert "lacks x (or" in complaint(lambda: load_data(saved(tmp_path / "a.npz", train_x=X, train_y=Y)))


def test_files_that_are_no_npz(tmp_path):
    path = tmp_path / "a.npz"
    assert f"no file {path}" in complaint(lambda: load_images(str(path), "test"))
    whole = Path(saved(path, x=X, y=Y)).read_bytes()
    np.save(tmp_path / "a.npy", X)
    for body in (
        b"",
        b"PK\x03\x04 no",
        b"text",
        whole[:-30],
        whole[:200] + b"\xff" + whole[201:],
        (tmp_path / "a.npy").read_bytes(),
    ):
        path.write_bytes(body)
        assert str(path) in complaint(lambda: read_npz(path, "test"))
