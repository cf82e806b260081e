"""Data sets by name: what is loaded, and from where."""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from noiseaug import data
from noiseaug.data import DATASETS, data_root, describe, fetch, load_images
from tests.helpers.errors import complaint
from tests.helpers.library import IMAGES, LABELS
from tests.helpers.running import content as everything
from tests.helpers.running import start

# --- what is loaded


@pytest.mark.parametrize(
    ("name", "folder", "first"), [("mnist", "MNIST", "0"), ("fashion_mnist", "FashionMNIST", "T-shirt/top")]
)
def test_mnist_is_read_from_torchvisions_layout(library, tmp_path, name, folder, first):
    library.set_idx(name=name, folder=folder)
    root = library.fill(tmp_path / "root")
    before = everything(root)
    for split in ("train", "test"):
        found = load_images(name, split, root=root, download=False)
        np.testing.assert_array_equal(found.inputs, IMAGES[split][:, None])
        np.testing.assert_array_equal(found.labels, LABELS[split])
        assert (found.inputs.dtype, found.labels.dtype) == (np.uint8, np.int64)
        assert (found.name, found.split, found.shape, found.num_classes) == (name, split, (1, 28, 28), 10)
        assert found.classes[0] == first
        assert found.inputs.flags.writeable
    assert everything(root) == before


def test_cifar_is_read_in_the_order_of_its_batches(root, library):
    train, test = (load_images("cifar10", split, root=root, download=False) for split in ("train", "test"))
    np.testing.assert_array_equal(train.inputs, library.colour[:5].reshape(20, 3, 32, 32))
    np.testing.assert_array_equal(train.labels, library.kinds[:5].ravel())
    np.testing.assert_array_equal(test.inputs, library.colour[5])
    np.testing.assert_array_equal(test.labels, library.kinds[5])
    assert (train.inputs.dtype, train.labels.dtype) == (np.uint8, np.int64)
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


@pytest.mark.parametrize(("name", "kept"), [("digits", range(10)), ("digits:3,8", (3, 8)), ("digits:8,3", (3, 8))])
def test_digits_are_split_into_every_other_one(name, kept):
    """Other images, or in another order, and a certification's indices would mean something else."""
    x, y = load_digits(return_X_y=True)
    chosen = np.isin(y, kept)
    for split, rows in (("train", slice(0, None, 2)), ("test", slice(1, None, 2))):
        found = load_images(name, split)
        expected = (x[chosen][rows] / 16).astype(np.float32).reshape(-1, 1, 8, 8)
        np.testing.assert_array_equal(found.inputs, expected)
        np.testing.assert_array_equal(found.labels, np.searchsorted(kept, y[chosen][rows]))
        assert (found.inputs.dtype, found.labels.dtype) == (np.float32, np.int64)
        assert (found.name, found.split, found.classes) == (name, split, tuple(map(str, kept)))


def test_classes_are_chosen_by_number_or_name_and_relabelled_in_order(root, library):
    whole = load_images("cifar10", "train", root=root)
    for name in ("cifar10:5,3", "cifar10:cat,dog", "cifar10: dog ,3"):
        found = load_images(name, "train", root=root)
        assert (found.name, found.classes) == (name, ("cat", "dog"))
        kept = np.isin(whole.labels, [3, 5])
        np.testing.assert_array_equal(found.inputs, whole.inputs[kept])
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
        assert train.inputs.shape == (60_000, 1, 28, 28)
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
        assert train.inputs.shape == (50_000, 3, 32, 32)
        assert np.bincount(train.labels).tolist() == [5000] * 10
        assert np.bincount(test.labels).tolist() == [1000] * 10
        assert test.labels[:4].tolist() == [3, 8, 8, 0]
        means = train.inputs.mean((0, 2, 3)) / 255
        np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=5e-5)


# --- names and folders


def test_unknown_names(root):
    for call in (lambda: load_images("minst", "test"), lambda: fetch("minst"), lambda: describe("minst", root)):
        message = complaint(call)
        assert message.startswith("data is 'minst'; expected one of digits, mnist, fashion_mnist, cifar10")
    assert message.endswith("cifar10")
    assert complaint(lambda: load_images("minst", "test")).endswith(".parquet, .bin, or a folder of images")
    assert "data is 'minst:3,8'" in complaint(lambda: load_images("minst:3,8", "test"))
    assert "split is 'val'; expected one of train, test" in complaint(lambda: load_images("digits", "val"))


def test_the_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("NOISEAUG_DATA", str(tmp_path))
    assert data_root("/else") == Path("/else")
    assert data_root() == tmp_path
    assert data_root("~/data") == Path.home() / "data"
    pooch = pytest.importorskip("pooch")  # downloads of before were put where it has its caches
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
    assert describe("mnist").root == data_root()
    message = complaint(lambda: load_images("mnist", "test", root=tmp_path / "new"))
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(library.archive)
    assert len(load_images("cifar10", "test", root=tmp_path)) == 4
    assert "pip install 'noiseaug[vision]', or put t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz into" in message


def test_loading_stays_light():
    heavy = "('torch', 'pooch', 'requests', 'sklearn')"
    code = f"import sys; from noiseaug.data.loading import *; print([m for m in {heavy} if m in sys.modules])"
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
