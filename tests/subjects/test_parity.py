"""Every command sees the same data, however they are brought."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noiseaug.bridge.samples import training_part  # noqa: E402
from noiseaug.certification import certify  # noqa: E402
from noiseaug.data import DataSource, load_data, load_images  # noqa: E402
from noiseaug.subjects import load_subject  # noqa: E402
from noiseaug.vision.grid import Grid, GridSpec  # noqa: E402
from noiseaug.vision.models import build_model, save_checkpoint  # noqa: E402
from noiseaug.vision.objectives import make_objective  # noqa: E402
from noiseaug.vision.training import Job, default_recipe  # noqa: E402
from tests.helpers.library import IMAGES, LABELS, Library  # noqa: E402

RNG = np.random.default_rng(5)
GREY = RNG.random((12, 8, 8))
COLOUR = RNG.integers(0, 256, (12, 3, 8, 8), np.uint8)
Y = np.arange(12) % 3

STYLES = {
    "scikit-learn": ("x", "y", "train_x", "train_y"),
    "images": ("images", "labels", "train_images", "train_labels"),
    "Keras": ("x_test", "y_test", "x_train", "y_train"),
    "MedMNIST": ("test_images", "test_labels", "train_images", "train_labels"),
}
LAYOUTS = {
    "doubles": (GREY, GREY[:, None].astype(np.float32)),
    "floats": (GREY.astype(np.float32)[..., None], GREY[:, None].astype(np.float32)),
    "bytes": (COLOUR, COLOUR),
    "channels last": (COLOUR.transpose(0, 2, 3, 1), COLOUR),
}
FILES = [(style, layout, picks) for style in STYLES for layout in LAYOUTS for picks in ("", ":0,2")]


def written(path, style, x, y):
    np.savez(path, **dict(zip(STYLES[style], (x[:5], y[:5], x[5:], y[5:, None]), strict=True)))
    return str(path)


def assert_equal(one, other):
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.inputs.dtype == other.inputs.dtype
    assert one.labels.dtype == other.labels.dtype == np.int64
    assert (one.name, one.split, one.classes, one.digest) == (other.name, other.split, other.classes, other.digest)


def everywhere(name, folder, root=None):
    """The test and the training set, after a look at what every command makes of the name."""
    data = load_data(name, root)
    for split, own in (("test", data.test), ("train", data.train)):
        assert_equal(load_images(name, split, root=root), own)
    grid = Grid(GridSpec(name, (0.0,), (0.5,)), folder / "grid", root)
    assert_equal(data.train, grid.train)
    assert_equal(data.test, grid.test)
    save_checkpoint(folder / "net.safetensors", build_model("linear", data.test.shape, 10), {"data": name})
    for classifier in ("neighbours", folder / "net.safetensors"):
        subject = load_subject(str(classifier), name, root=root)
        assert_equal(subject.data, data.test)
        assert subject.description["data_digest"] == data.test.digest
    loss = make_objective("clean", 0.0)
    job = Job(default_recipe("linear", data.train.shape, loss), data.train)
    assert job.description()["data_digest"] == data.train.digest
    rows, labels = training_part(data, None, 0)
    np.testing.assert_array_equal(rows, data.train.floats().reshape(len(rows), -1))
    np.testing.assert_array_equal(labels, data.train.labels)
    assert rows.dtype == np.float32
    return data


@pytest.mark.parametrize(("style", "layout", "picks"), FILES)
def test_npz_files(tmp_path, style, layout, picks):
    x, expected = LAYOUTS[layout]
    data = everywhere(written(tmp_path / "n.npz", style, x, Y) + picks, tmp_path)
    kept = np.isin(Y, [0, 2]) if picks else Y >= 0
    for own, rows in ((data.test, slice(5)), (data.train, slice(5, None))):
        np.testing.assert_array_equal(own.inputs, expected[rows][kept[rows]])
        np.testing.assert_array_equal(own.labels, np.searchsorted([0, 2] if picks else [0, 1, 2], Y[rows][kept[rows]]))
        assert own.inputs.dtype == expected.dtype
        assert own.classes == (("0", "2") if picks else ("0", "1", "2"))


@pytest.mark.parametrize("name", ["digits", "digits:3,8", "mnist", "mnist:3,8"])
def test_published_sets(tmp_path, monkeypatch, name):
    Library(monkeypatch).fill(tmp_path)
    data = everywhere(name, tmp_path, tmp_path)
    if name == "mnist":
        np.testing.assert_array_equal(data.test.inputs, IMAGES["test"][:, None])
        np.testing.assert_array_equal(data.train.labels, LABELS["train"])


def test_arrays_are_taken_as_a_file_of_them(tmp_path):
    name = written(tmp_path / "n.npz", "scikit-learn", GREY, Y)
    one, other = load_data(name), DataSource.from_arrays(name, GREY[:5], Y[:5], GREY[5:], Y[5:])
    assert_equal(one.test, other.test)
    assert_equal(one.train, other.train)
    assert DataSource.from_arrays("rows", GREY[:, 0], Y).train is None


def test_votes_do_not_depend_on_how_images_are_stored(tmp_path):
    """The noise has the precision of the inputs, so that one set in two precisions would get other votes."""
    counts = []
    for number, x in enumerate((GREY, GREY.astype(np.float32)[..., None])):
        subject = load_subject("neighbours", written(tmp_path / f"{number}.npz", "MedMNIST", x, Y))
        frame = certify(subject.base, subject.data.inputs, smooth_sigma=0.5, n=300)
        counts.append(np.stack(frame["counts"].to_numpy()))
    np.testing.assert_array_equal(*counts)
