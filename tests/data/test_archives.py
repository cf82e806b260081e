"""``.npz`` files: the names, layouts and ranges that are taken, and how others are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noiseaug.data import load_data, load_images
from noiseaug.data.archives import Npz
from tests.helpers.errors import complaint


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
        ({"x": X}, "test", "lacks y (or labels, target, y_test, test_labels, test_y); it holds x"),
        ({"x": X, "y": Y}, "train", "lacks train_x (or train_images, x_train, X_train, train_data); it holds x, y"),
        ({}, "test", "it holds nothing"),
        (
            {"x": X.reshape(4, 25), "y": Y},
            "test",
            "has test inputs of shape (4, 25); expected (m, H, W), (m, C, H, W) or (m, H, W, C)",
        ),
        ({"x": X + 16.0, "y": Y}, "test", "x runs from 16 to 16; expected [0, 1], or [0, 255] and more than 128"),
        ({"x": X.astype(int) + 256, "y": Y}, "test", "x runs from 256 to 256"),
        ({"x": X + 1j, "y": Y}, "test", "x is complex128; expected uint8"),
        ({"x": X - 0.5, "y": Y}, "test", "x runs from -0.5"),
        ({"x": X + np.nan, "y": Y}, "test", "x runs from nan"),
        ({"x": X, "y": Y / 2}, "test", "y holds 0.5; expected integer labels"),
        ({"x": X, "y": Y * np.nan}, "test", "y holds nan"),
        ({"x": X, "y": Y * 1j}, "test", "y is complex128 of shape (4,)"),
        ({"x": X, "y": Y, "train_y": np.array(["a", "b"])}, "test", "numbers in one split and text in another"),
        (
            {"x": np.zeros((4, 8, 8, 4), np.uint8), "y": Y},
            "test",
            "images with transparency (RGBA); what stands behind them is not known",
        ),
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
        assert str(path) in complaint(lambda: Npz(path).read("test"))


@pytest.mark.parametrize(
    ("x", "expected", "scaling"),
    [
        (np.full((4, 5, 5), 65535, np.uint16), 1.0, "uint16 divided by 65535"),
        (np.full((4, 5, 5), 13107, np.uint16), 0.2, "uint16 divided by 65535"),
        (np.full((4, 5, 5), True), 1.0, "booleans as 0 and 1"),
        (np.full((4, 5, 5, 3), 255.0), 1.0, "float64 in [0, 255] divided by 255"),
        (np.full((4, 3, 5, 5), 204, np.float32), 0.8, "float32 in [0, 255] divided by 255"),
        (np.full((4, 5, 5), 204), 0.8, "int64 in 0 … 255 divided by 255"),
        (np.ones((4, 5, 5), int), 1.0, "int64 as 0 and 1"),
        (np.full((4, 5, 5), 0.8), 0.8, None),
        (np.full((4, 5, 5), 204, np.uint8), 0.8, None),
    ],
)
def test_what_was_done_with_images_is_remembered(tmp_path, x, expected, scaling):
    found = load_data(saved(tmp_path / "a.npz", x=x, y=Y)).test
    np.testing.assert_allclose(found.floats(), expected, rtol=1e-6)
    assert found.description.get("scaling") == scaling
    assert found.take([0, 1]).description.get("scaling") == scaling


def test_any_keys_can_be_named(tmp_path):
    name = saved(tmp_path / "a.npz", f=X, t=Y, g=X[:2] + 1, u=1 - Y[:2], x=X[:1] + 2, y=Y[:1])
    found = load_data(name, x="f", y="t")
    assert (found.test.inputs.max(), found.test.labels.tolist(), found.train) == (0, Y.tolist(), None)
    assert load_data(found.name).test.digest == found.test.digest
    both = load_data(name, x="f,g", y="t,u")
    assert (both.train.inputs.max(), both.train.labels.tolist()) == (1, [1, 0])
    assert "lacks h; it holds f, t" in complaint(lambda: load_data(name, x="h"))
    assert "npz has no parameter label; it takes x" in complaint(lambda: load_data(name, label="t"))


@pytest.mark.parametrize("keys", [("data", "target"), ("images", "labels"), ("X", "y"), ("X_test", "y_test")])
def test_other_names_in_use(tmp_path, keys):
    assert (
        load_data(saved(tmp_path / "a.npz", **dict(zip(keys, (X, Y), strict=True)))).test.labels.tolist() == [0, 1] * 2
    )


def test_the_classes_of_medmnist_come_from_all_three_splits(tmp_path):
    labels = {"train_labels": [[0], [1]], "val_labels": [[3]], "test_labels": [[2]]}
    arrays = {key: np.array(value, np.uint8) for key, value in labels.items()}
    images = {key.replace("labels", "images"): X[: len(value)] for key, value in labels.items()}
    assert load_data(saved(tmp_path / "a.npz", **arrays, **images)).test.classes == ("0", "1", "2", "3")
