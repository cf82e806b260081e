"""Image data: what is loaded, that nothing unchecked is read, and how missing files get there."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import sys
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from noiseaug import data
from noiseaug.data import DATASETS, ImageSet, data_root, describe, fetch, load_data, load_images
from noiseaug.data import published as published_sets
from noiseaug.data.downloads import DataFile
from noiseaug.data.formats import parse_cifar, parse_idx, read_npz
from noiseaug.errors import InvalidInputError
from tests.helpers.running import content as everything
from tests.helpers.running import start

RNG = np.random.default_rng(0)
IMAGES = {"train": RNG.integers(0, 256, (30, 28, 28), np.uint8), "test": RNG.integers(0, 256, (12, 28, 28), np.uint8)}
LABELS = {"train": np.arange(30) % 10, "test": np.arange(12)[::-1] % 10}


# --- small copies of the published files


def idx(array):
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def text(value):
    return b"U" + bytes([len(value)]) + value


def array_in_a_pickle(array):
    """As Python 2 and numpy 1 wrote it: names of modules that have moved since, integers where flags are wanted."""
    shape = b"".join(b"M" + struct.pack("<H", length) for length in array.shape)
    kind = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    blank = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    body = b"T" + struct.pack("<I", array.size) + array.tobytes()
    return blank + b"(K\x01(" + shape + b"t" + kind + b"\x89" + body + b"tb"


def batch(images, labels):
    """A batch of CIFAR-10, byte for byte in the style of the published ones."""
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    pixels = array_in_a_pickle(images.reshape(len(images), -1))
    return (
        b"\x80\x02}(" + text(b"data") + pixels + text(b"labels") + numbers + text(b"batch_label") + text(b"x") + b"u."
    )


def published(path, content, plain=None):
    digests = [hashlib.sha256(part).hexdigest() for part in (content, plain) if part is not None]
    return DataFile(path, len(content), *digests)


class Library:
    """Small data sets in the place of the large ones, with the folders that they are published in."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.contents = {}
        self.set_idx()
        self.set_cifar()

    def replace(self, name, **changes):
        self.monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], **changes))

    def set_idx(self, images=IMAGES, labels=LABELS, packed=gzip.compress):
        files = {}
        for split, stem in (("train", "train"), ("test", "t10k")):
            files[split] = []
            for what, array in (
                (f"{stem}-images-idx3-ubyte", images[split]),
                (f"{stem}-labels-idx1-ubyte", labels[split]),
            ):
                plain = array if isinstance(array, bytes) else idx(array)
                path = f"MNIST/raw/{what}.gz"
                self.contents[path] = packed(plain)
                files[split].append(published(path, self.contents[path], plain))
        self.replace("mnist", files={split: tuple(found) for split, found in files.items()}, mirrors=())

    def set_cifar(self, images=None, labels=None):
        rng = np.random.default_rng(1)
        self.colour = rng.integers(0, 256, (6, 4, 3, 32, 32), np.uint8) if images is None else images
        self.kinds = rng.integers(0, 10, (6, 4)) if labels is None else labels
        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        paths = [f"cifar-10-batches-py/{name}" for name in names]
        for path, pixels, kinds in zip(paths, self.colour, self.kinds, strict=True):
            self.contents[path] = batch(pixels, kinds)
        self.contents["cifar-10-batches-py/batches.meta"] = b"meta"
        files = [published(path, self.contents[path]) for path in paths]
        meta = published("cifar-10-batches-py/batches.meta", b"meta")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path in [*reversed(paths), meta.path, "cifar-10-batches-py/readme.html", "../outside"]:
                member = tarfile.TarInfo(path)
                body = self.contents.get(path, b"else")
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
        self.archive = buffer.getvalue()
        self.replace(
            "cifar10",
            files={"train": tuple(files[:5]), "test": (files[5],)},
            archive=published("cifar-10-python.tar.gz", self.archive),
            companions=(meta,),
            mirrors=(),
        )

    def fill(self, root, *names):
        """Puts the files of data sets into a root, those of all by default."""
        for path, body in self.contents.items():
            if not names or path in names:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(body)
        return root


@pytest.fixture
def library(monkeypatch, tmp_path):
    monkeypatch.delenv("NOISEAUG_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Library(monkeypatch)


@pytest.fixture
def root(library, tmp_path):
    return library.fill(tmp_path / "root")


def complaint(call):
    with pytest.raises(InvalidInputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is loaded


def test_mnist_is_read_from_torchvisions_layout(root):
    before = everything(root)
    for split in ("train", "test"):
        found = load_images("mnist", split, root=root, download=False)
        np.testing.assert_array_equal(found.images, IMAGES[split][:, None])
        np.testing.assert_array_equal(found.labels, LABELS[split])
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
        assert (found.name, found.split, found.shape, found.num_classes) == ("mnist", split, (1, 28, 28), 10)
        assert found.classes == tuple("0123456789")
        assert found.images.flags.writeable
    assert everything(root) == before


def test_cifar_is_read_in_the_order_of_its_batches(root, library):
    train, test = (load_images("cifar10", split, root=root, download=False) for split in ("train", "test"))
    np.testing.assert_array_equal(train.images, library.colour[:5].reshape(20, 3, 32, 32))
    np.testing.assert_array_equal(train.labels, library.kinds[:5].ravel())
    np.testing.assert_array_equal(test.images, library.colour[5])
    np.testing.assert_array_equal(test.labels, library.kinds[5])
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    assert train.classes[:4] == ("airplane", "automobile", "bird", "cat")


def test_uncompressed_idx_files_are_taken_too(root):
    for path in (root / "MNIST/raw").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(load_images("mnist", "test", root=root, download=False).labels, LABELS["test"])
    name = root / "MNIST/raw/t10k-labels-idx1-ubyte"
    name.write_bytes(name.read_bytes()[:-1] + b"\x05")
    assert f"{name} does not have its published sha256" in complaint(lambda: load_images("mnist", "test", root=root))


def test_a_good_copy_is_enough(root):
    """The other form of the same file may be damaged."""
    packed = root / "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.write_bytes(b"torn")
    np.testing.assert_array_equal(load_images("mnist", "test", root=root).labels, LABELS["test"])


@pytest.mark.parametrize("name", ["digits", "digits:3,8", "digits:8,3"])
def test_digits_are_those_of_the_command_line(name):
    """Same images in the same order, or a certification's indices would mean something else."""
    source = load_data(name)
    train, test = (load_images(name, split) for split in ("train", "test"))
    np.testing.assert_array_equal(test.images.reshape(-1, 64), source.x)
    np.testing.assert_array_equal(test.labels, source.y)
    np.testing.assert_array_equal(train.images.reshape(-1, 64), source.train_x)
    np.testing.assert_array_equal(train.labels, source.train_y)
    assert train.images.dtype == np.float32
    assert train.shape == (1, 8, 8)
    assert test.classes == (tuple("0123456789") if name == "digits" else ("3", "8"))


def test_classes_are_chosen_by_number_or_name_and_relabelled_in_order(root, library):
    whole = load_images("cifar10", "train", root=root)
    for name in ("cifar10:5,3", "cifar10:cat,dog", "cifar10: dog ,3"):
        found = load_images(name, "train", root=root)
        assert (found.name, found.classes) == (name, ("cat", "dog"))
        kept = np.isin(whole.labels, [3, 5])
        np.testing.assert_array_equal(found.images, whole.images[kept])
        np.testing.assert_array_equal(found.labels, whole.labels[kept] == 5)
        assert found.labels.dtype == np.int64
    assert kept.sum() > 2
    for picks in ("", "3", "3,3", "3,10", "3,kat", "-1,3", "cat,3"):
        message = complaint(lambda picks=picks: load_images(f"cifar10:{picks}", "train", root=root))
        assert "expected different ones of airplane, automobile" in message


def test_the_original_files():
    """The real sets, where a copy is at hand: counts of classes as published, first labels as everybody knows them."""
    folder = os.environ.get("NOISEAUG_DATA")
    if not folder:
        pytest.skip("NOISEAUG_DATA is not set")
    if Path(folder, "MNIST/raw").is_dir():  # not describe(): a wrong hash in the registry must not skip this
        train, test = load_images("mnist", "train", download=False), load_images("mnist", "test", download=False)
        assert train.images.shape == (60_000, 1, 28, 28)
        assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert train.floats().mean(dtype=float) == pytest.approx(0.1307, abs=5e-5)
        assert (train.digest, test.digest) == ("c2cbd7aa0bce722a", "e5d2c18d1732c0a4")
        for file in DATASETS["mnist"].all_files:
            packed = Path(folder, file.path)
            if packed.exists():
                assert packed.stat().st_size == file.size
                assert hashlib.sha256(gzip.decompress(packed.read_bytes())).hexdigest() == file.plain_sha256
    if Path(folder, "cifar-10-batches-py").is_dir():
        train, test = load_images("cifar10", "train", download=False), load_images("cifar10", "test", download=False)
        assert train.images.shape == (50_000, 3, 32, 32)
        assert np.bincount(train.labels).tolist() == [5000] * 10
        assert np.bincount(test.labels).tolist() == [1000] * 10
        assert test.labels[:4].tolist() == [3, 8, 8, 0]
        means = train.images.mean((0, 2, 3)) / 255
        np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=5e-5)


# --- sets of images


def small(m=6, **changes):
    images = (np.arange(m * 8, dtype=np.uint8) * 5).reshape(m, 2, 2, 2)
    return ImageSet(
        **{"name": "s", "split": "test", "images": images, "labels": np.arange(m) % 3, "classes": tuple("abc")}
        | changes
    )


def test_floats_are_exact_fractions():
    every = small(images=np.arange(256, dtype=np.uint8).reshape(-1, 1, 16, 16), labels=np.zeros(1, np.int64))
    expected = np.array([np.float32(v / 255) for v in range(256)], np.float32)
    assert every.floats().dtype == np.float32
    np.testing.assert_array_equal(every.floats().ravel(), expected)
    np.testing.assert_array_equal(small().floats([4, 1]), small().floats()[[4, 1]])
    plain = small(images=small().floats())
    np.testing.assert_array_equal(plain.floats(slice(2)), small().floats()[:2])
    plain.floats()[:] = 0
    assert plain.images.max() > 0


def test_take():
    whole = small()
    for indices in ([3, 0, 3], np.array([5]), slice(1, None, 2), whole.labels == 2, -1, range(2)):
        part = whole.take(indices)
        np.testing.assert_array_equal(part.images, np.atleast_1d(whole.images[indices]).reshape(-1, 2, 2, 2))
        np.testing.assert_array_equal(part.labels, np.atleast_1d(whole.labels[indices]))
        assert (part.classes, part.name, len(part)) == (whole.classes, "s", len(part.labels))
    assert "has 6 images" in complaint(lambda: whole.take([6]))
    assert "has no images" in complaint(lambda: whole.take([]))


def test_the_digest_knows_the_data():
    digest = small().digest
    assert digest == small(name="t", split="train").digest
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    other = small().images.copy()
    other[5, 1, 1, 1] ^= 1
    labels = small().labels.copy()
    labels[0] = 1
    reshaped = small().images.reshape(6, 1, 2, 4)
    changed = [{"images": other}, {"labels": labels}, {"images": reshaped}, {"classes": ("a", "b", "d")}]
    digests = {small(**change).digest for change in changed} | {digest, small().take([1, 0, 2, 3, 4, 5]).digest}
    assert len(digests) == 6
    turned = small(images=np.asfortranarray(small().images))
    assert turned.digest == digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "validation"}, "split is 'validation'; expected one of train, test"),
        ({"images": np.zeros((6, 2, 2), np.uint8)}, r"uint8 of shape \(6, 2, 2\)"),
        ({"images": np.zeros((6, 1, 2, 2))}, "images are float64"),
        ({"images": np.full((6, 1, 2, 2), 1.5, np.float32)}, "run from 1.5 to 1.5"),
        ({"images": np.full((6, 1, 2, 2), np.nan, np.float32)}, "run from nan"),
        ({"images": np.zeros((0, 1, 2, 2), np.uint8), "labels": np.zeros(0, int)}, "has no images"),
        ({"labels": np.zeros(5, int)}, r"\(5,\); expected int64, \(6,\)"),
        ({"labels": np.zeros(6)}, "labels are float64"),
        ({"labels": np.full(6, 3)}, "from 3 to 3; expected 0 … 2"),
        ({"labels": np.full(6, -1)}, "from -1"),
    ],
)
def test_bad_sets(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        small(**changes)


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
        np.testing.assert_array_equal(found.images, expected)
        assert found.images.dtype == expected.dtype
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
        np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), colour)
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
            "x has shape (4, 25); expected (m, H, W), (m, C, H, W) or (m, H, W, C)",
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
        ({"x": X[:0], "y": Y[:0]}, "test", "has no images"),
        ({"x": np.array([{}]), "y": Y}, "test", "is not a readable .npz file"),
    ],
)
def test_bad_npz_files(tmp_path, arrays, split, message):
    name = saved(tmp_path / "a.npz", **arrays)
    found = complaint(lambda: load_images(name, split))
    assert message in found
    assert name in found


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


# --- names and folders


def test_unknown_names(root):
    for call in (lambda: load_images("minst", "test"), lambda: fetch("minst"), lambda: describe("minst", root)):
        message = complaint(call)
        assert message == "data is 'minst'; expected one of digits, mnist, fashion_mnist, cifar10, or a .npz file"
    assert "data is 'minst:3,8'" in complaint(lambda: load_images("minst:3,8", "test"))
    assert "split is 'val'; expected one of train, test" in complaint(lambda: load_images("digits", "val"))


def test_the_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("NOISEAUG_DATA", str(tmp_path))
    assert data_root("/else") == Path("/else")
    assert data_root() == tmp_path
    assert data_root("~/data") == Path.home() / "data"
    pooch = pytest.importorskip("pooch")
    for value in ("", None):
        monkeypatch.setenv("NOISEAUG_DATA", value) if value == "" else monkeypatch.delenv("NOISEAUG_DATA")
        assert data_root() == Path(pooch.os_cache("noiseaug"))


def test_the_variable_names_the_root(root, monkeypatch):
    monkeypatch.setenv("NOISEAUG_DATA", str(root))
    assert len(load_images("mnist", "test", download=False)) == 12
    assert describe("mnist").root == root


def test_without_pooch(root, library, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert len(load_images("mnist", "test", root=root)) == 12
    assert len(load_images("digits", "test")) == 898
    assert "pip install 'noiseaug[vision]', or set NOISEAUG_DATA to a folder" in complaint(data_root)
    message = complaint(lambda: load_images("mnist", "test", root=tmp_path / "new"))
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(library.archive)
    assert len(load_images("cifar10", "test", root=tmp_path)) == 4
    assert "pip install 'noiseaug[vision]', or put t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz into" in message


def test_loading_stays_light():
    heavy = "('torch', 'pooch', 'requests', 'sklearn')"
    code = f"import sys; from noiseaug.data.images import *; print([m for m in {heavy} if m in sys.modules])"
    with start("-c", code) as process:
        assert process.communicate(timeout=60)[0].strip() == "[]"


def test_missing_files_are_named(library, tmp_path):
    library.fill(tmp_path, "MNIST/raw/t10k-images-idx3-ubyte.gz")
    message = complaint(lambda: load_images("mnist", "test", root=tmp_path, download=False))
    assert message == (
        f"mnist is not in {tmp_path}: MNIST/raw/t10k-labels-idx1-ubyte.gz missing; run `noiseaug data mnist`"
    )


def test_taking_stock(root, library, tmp_path):
    digits = describe("digits")
    assert (digits.complete, digits.root, digits.download_bytes) == (True, None, 0)
    assert fetch("digits") == []
    before = everything(root)
    stock = describe("cifar10", root)
    assert stock.complete
    assert len(stock.present) == 6
    assert (stock.download_bytes, stock.missing, stock.damaged) == (0, (), ())
    names = [DATASETS["mnist"].files["test"][0].path, DATASETS["mnist"].files["train"][1].path]
    for name in names:
        (root / name).unlink()
    stock = describe("mnist", root)
    assert {str(path.relative_to(root)) for path in stock.missing} == set(names)
    assert len(stock.present) == 2
    assert stock.download_bytes == sum(len(library.contents[name]) for name in names)
    assert not stock.complete
    assert before.keys() - everything(root).keys() == set(names)
    assert describe("cifar10", tmp_path / "none").download_bytes == len(library.archive)
    assert not (tmp_path / "none").exists()


# --- downloads, from servers on this machine


class Server:
    """A mirror; ``files`` maps names to bytes, to a status, or to ``(bytes, promised length)``."""

    def __init__(self, files):
        self.files, self.asked = files, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.removeprefix("/some/folder/")
                mirror.asked.append(name)
                answer = mirror.files.get(name, 404)
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                body, length = answer if isinstance(answer, tuple) else (answer, len(answer))
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/some/folder/"


@contextmanager
def serving(*mirrors):
    servers = [Server(files) for files in mirrors]
    threads = [threading.Thread(target=server.http.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.http.shutdown()
            server.http.server_close()
            thread.join()


@pytest.fixture
def network(monkeypatch, library):
    """Mirrors on this machine instead of those of a data set."""
    pytest.importorskip("pooch")
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)

    @contextmanager
    def use(name, *mirrors):
        with serving(*mirrors) as servers:
            library.replace(name, mirrors=tuple(server.address for server in servers))
            yield servers

    return use


def by_name(library):
    return {path.rpartition("/")[2]: body for path, body in library.contents.items()} | {
        "cifar-10-python.tar.gz": library.archive
    }


def test_only_what_is_missing_is_downloaded(network, library, tmp_path, capfd):
    library.fill(tmp_path, "MNIST/raw/t10k-images-idx3-ubyte.gz")
    with network("mnist", by_name(library), by_name(library)) as (first, second):
        found = load_images("mnist", "test", root=tmp_path)
        np.testing.assert_array_equal(found.labels, LABELS["test"])
        assert first.asked == ["t10k-labels-idx1-ubyte.gz"]
        paths = fetch("mnist", root=tmp_path, progress=False)
        assert first.asked[1:] == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
        assert [path.read_bytes() for path in paths] == [library.contents[str(p.relative_to(tmp_path))] for p in paths]
        assert len(paths) == 4
        load_images("mnist", "train", root=tmp_path)
        fetch("mnist", root=tmp_path)
        assert len(first.asked) == 3
        assert second.asked == []
    assert describe("mnist", tmp_path).complete
    assert len([name for name, kind in everything(tmp_path).items() if kind != "folder"]) == 4  # and nothing besides
    assert "Downloading data from" not in capfd.readouterr().err


@pytest.mark.parametrize("fault", ["missing", "broken", "other bytes", "cut off", "nobody there"])
def test_the_next_mirror_is_tried(network, library, tmp_path, fault):
    good = by_name(library)
    bad = {
        "missing": {},
        "broken": dict.fromkeys(good, 503),
        "other bytes": {name: body[:-1] + b"!" for name, body in good.items()},
        "cut off": {name: (body[:20], len(body)) for name, body in good.items()},
        "nobody there": {},
    }[fault]
    with network("mnist", bad, good) as (first, second):
        if fault == "nobody there":
            with serving({}) as (gone,):
                pass
            library.replace("mnist", mirrors=(gone.address, second.address))
        np.testing.assert_array_equal(load_images("mnist", "test", root=tmp_path).images, IMAGES["test"][:, None])
        assert len(second.asked) == 2
        assert len(first.asked) == (0 if fault == "nobody there" else 2)


def test_where_no_mirror_has_it(network, library, tmp_path):
    good = by_name(library)
    labels = "t10k-labels-idx1-ubyte.gz"
    wrong = dict.fromkeys(good, b"<html>")
    torn = {labels: (good[labels][:9], len(good[labels]))}
    with serving({}) as (gone,):
        pass
    with network("mnist", {}, wrong, torn) as servers:
        mirrors = (*DATASETS["mnist"].mirrors, gone.address)
        library.replace("mnist", mirrors=mirrors)
        library.fill(tmp_path, "MNIST/raw/t10k-images-idx3-ubyte.gz")
        before = everything(tmp_path)
        message = complaint(lambda: load_images("mnist", "test", root=tmp_path))
        assert everything(tmp_path) == before
        assert [len(server.asked) for server in servers] == [1, 1, 1]
    reasons = ("HTTP status 404", "not the published bytes", "cut off", "no connection")
    tried = ", ".join(f"{mirror} ({reason})" for mirror, reason in zip(mirrors, reasons, strict=True))
    assert message == (
        f"{labels} could not be downloaded from {tried}; put {labels} into {tmp_path / 'MNIST/raw'} by hand"
    )


def test_an_archive_is_unpacked_and_nothing_else_of_it(network, library, tmp_path):
    root = tmp_path / "deep" / "root"
    with network("cifar10", by_name(library)) as (mirror,):
        assert len(load_images("cifar10", "train", root=root)) == 20
        assert len(load_images("cifar10", "test", root=root, download=False)) == 4
        assert mirror.asked == ["cifar-10-python.tar.gz"]
        names = {name for name, kind in everything(tmp_path).items() if kind != "folder"}
        batches = {path for path in library.contents if path.startswith("cifar")}
        assert names == {f"deep/root/{path}" for path in batches | {"cifar-10-python.tar.gz"}}
        # a file that is lost comes back from the archive that is there
        (root / "cifar-10-batches-py/data_batch_2").unlink()
        assert describe("cifar10", root).download_bytes == 0
        assert len(load_images("cifar10", "train", root=root)) == 20
        assert mirror.asked == ["cifar-10-python.tar.gz"]


def test_an_archive_that_lies(network, library, tmp_path):
    """Members are checked one by one, whatever the archive's own hash says."""
    for change, message in [
        (b"X", "does not have its published sha256"),
        (None, "lacks cifar-10-batches-py/test_batch"),
    ]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path in (path for path in library.contents if path.startswith("cifar")):
                body = library.contents[path]
                if path.endswith("test_batch"):
                    if change is None:
                        continue
                    body = change + body[1:]
                member = tarfile.TarInfo(path)
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
        library.replace("cifar10", archive=published("cifar-10-python.tar.gz", buffer.getvalue()))
        with network("cifar10", {"cifar-10-python.tar.gz": buffer.getvalue()}):
            assert message in complaint(lambda: load_images("cifar10", "test", root=tmp_path))
        assert not (tmp_path / "cifar-10-batches-py/test_batch").exists()
    for body in (b"no archive", library.archive[:3000]):
        library.replace("cifar10", archive=published("cifar-10-python.tar.gz", body))
        with network("cifar10", {"cifar-10-python.tar.gz": body}):
            assert "cannot be unpacked" in complaint(lambda: load_images("cifar10", "test", root=tmp_path))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_fetch_replaces_what_is_damaged_and_takes_up_where_it_was_killed(network, library, root, name):
    """A download that was killed leaves a temporary file, a copy that was killed half a file."""
    file = DATASETS[name].files["train"][0]
    path = root / file.path
    path.write_bytes(path.read_bytes()[:60])
    stray = path.with_name("tmpabc")
    stray.write_bytes(b"half")
    with network(name, by_name(library)) as (mirror,):
        complaint(lambda: load_images(name, "train", root=root))
        assert mirror.asked == []
        fetch(name, root=root, progress=False)
        assert mirror.asked == ["cifar-10-python.tar.gz" if name == "cifar10" else path.name]
    assert path.read_bytes() == library.contents[file.path]
    assert stray.read_bytes() == b"half"
    assert len(load_images(name, "train", root=root, download=False)) > 10


def test_fetch_keeps_the_damaged_file_until_it_has_a_better_one(network, library, root):
    path = root / DATASETS["mnist"].files["train"][0].path
    path.write_bytes(b"torn")
    with network("mnist", {}):
        assert "HTTP status 404" in complaint(lambda: fetch("mnist", root=root))
    assert path.read_bytes() == b"torn"


def test_what_was_finished_is_kept_and_the_rest_is_named(network, library, tmp_path):
    mirror = by_name(library)
    del mirror["train-labels-idx1-ubyte.gz"]
    with network("mnist", mirror) as (server,):
        message = complaint(lambda: fetch("mnist", root=tmp_path))
        rest = "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"
        assert message.endswith(f"; put {rest} into {tmp_path / 'MNIST/raw'} by hand")
        server.files = by_name(library)
        fetch("mnist", root=tmp_path)
        assert server.asked.count("train-images-idx3-ubyte.gz") == 1


def test_a_full_disk_leaves_no_half_of_a_batch(library, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    (tmp_path / "cifar-10-python.tar.gz").write_bytes(library.archive)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = complaint(lambda: load_images("cifar10", "test", root=tmp_path))
    assert message.startswith(f"cannot write {tmp_path / 'cifar-10-batches-py'}")
    assert "No space left on device" in message
    assert list((tmp_path / "cifar-10-batches-py").iterdir()) == []
    assert len(load_images("cifar10", "test", root=tmp_path)) == 4


def test_a_root_that_cannot_be_written(network, library, tmp_path):
    (tmp_path / "MNIST").write_text("a file where a folder should be")
    (tmp_path / "cifar-10-batches-py").write_text("as well")
    for name in ("mnist", "cifar10"):
        with network(name, by_name(library)):
            message = complaint(lambda name=name: load_images(name, "test", root=tmp_path))
        assert message.startswith(f"cannot write {tmp_path}")
        assert "choose another data root (NOISEAUG_DATA)" in message


def test_an_interrupt_leaves_nothing_half_written(network, library, tmp_path, monkeypatch):
    pooch = pytest.importorskip("pooch")

    def interrupted(self, url, output_file, pooch):
        Path(output_file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.get_logger(), "level", 7)
    with network("mnist", by_name(library)):
        with monkeypatch.context() as patch:
            patch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fetch("mnist", root=tmp_path)
        assert set(everything(tmp_path).values()) == {"folder"}
        assert pooch.get_logger().level == 7
        assert len(fetch("mnist", root=tmp_path, progress=False)) == 4


def test_progress_is_shown_on_standard_error(network, library, tmp_path, capfd):
    with network("mnist", {}, by_name(library)):
        fetch("mnist", root=tmp_path / "a", progress=False)
        quiet = capfd.readouterr()
        fetch("mnist", root=tmp_path / "b", progress=True)
        loud = capfd.readouterr()
    assert (quiet.out, quiet.err, loud.out) == ("", "", "")
    assert "train-images-idx3-ubyte.gz: 100%" in loud.err


def test_two_processes_at_once(network, library, tmp_path):
    """Both get everything, whoever comes first, and what is there afterwards is whole."""
    code = (
        "import pickle, sys; from noiseaug.data import DATASETS, fetch, load_images\n"
        "DATASETS['cifar10'] = pickle.load(sys.stdin.buffer)\n"
        f"fetch('cifar10', root={str(tmp_path / 'root')!r}, progress=False)\n"
        f"print(load_images('cifar10', 'train', root={str(tmp_path / 'root')!r}, download=False).digest)"
    )
    with network("cifar10", by_name(library)) as (mirror,):
        described = pickle.dumps(DATASETS["cifar10"])
        inputs = {"stdin": -1, "text": False, "encoding": None}
        with start("-c", code, **inputs) as one, start("-c", code, **inputs) as two:
            for process in (one, two):
                process.stdin.write(described)
                process.stdin.close()
                process.stdin = None
            outcomes = [process.communicate(timeout=60) for process in (one, two)]
    assert [err for _, err in outcomes] == [b"", b""]
    digest = load_images("cifar10", "train", root=tmp_path / "root", download=False).digest
    assert {out.decode().strip() for out, _ in outcomes} == {digest}
    assert 1 <= len(mirror.asked) <= 2
    leftovers = [path.name for path in (tmp_path / "root").rglob("*") if path.name.startswith((".", "tmp"))]
    assert leftovers == []


def test_the_registry():
    """Every entry has what its downloads need, and folders end in a slash."""
    for name, source in DATASETS.items():
        assert not name.endswith(".npz")
        assert ":" not in name
        assert len(set(source.classes)) == len(source.classes) >= 2
        files = [*source.all_files, *source.companions, *filter(None, [source.archive])]
        assert not files or (set(source.files) == {"train", "test"} and len(source.mirrors) >= 2)
        assert len({file.path for file in files}) == len({file.sha256 for file in files}) == len(files)
        for file in files:
            assert len(file.sha256) == 64
            assert len(file.plain_sha256) in (0, 64)
            assert file.size > 0
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in source.mirrors)
    assert data.SPLITS == ("train", "test")
