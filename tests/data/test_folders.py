"""Folders of images, one folder a class."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from noiseaug.data import images as decoding
from noiseaug.data import load_data, load_images
from tests.helpers.errors import complaint

RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (6, 10, 8, 3), np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array, **options).save(path)


@pytest.fixture
def photos(tmp_path):
    for number, image in enumerate(COLOUR):
        save(tmp_path / "photos" / ("dog", "cat")[number % 2] / f"{number}.png", image)
    return tmp_path / "photos"


def test_classes_are_folders(photos):
    found = load_data(str(photos))
    assert found.train is None
    assert (found.test.classes, found.test.labels.tolist()) == (("cat", "dog"), [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(found.test.inputs, COLOUR[[1, 3, 5, 0, 2, 4]].transpose(0, 3, 1, 2))
    assert found.test.description["classes"] == ["cat", "dog"]
    assert load_data(f"{photos}:dog,cat").test.labels.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("test", ["test", "val"])
def test_splits_are_folders(tmp_path, test):
    for split, number, name in [("train", 0, "cat"), ("train", 1, "dog"), (test, 2, "dog"), (test, 3, "eel")]:
        save(tmp_path / split / name / "deep" / "a.PNG", COLOUR[number])
    (tmp_path / split / "eel" / "notes.txt").write_text("no image")
    train, found = (load_images(str(tmp_path), split) for split in ("train", "test"))
    assert train.classes == found.classes == ("cat", "dog", "eel")
    assert (train.labels.tolist(), found.labels.tolist()) == ([0, 1], [1, 2])
    np.testing.assert_array_equal(found.inputs, COLOUR[2:4].transpose(0, 3, 1, 2))


def test_sizes_on_request(photos):
    whole = load_data(str(photos)).test.inputs
    cut = load_data(str(photos), centre_crop="6x4")
    np.testing.assert_array_equal(cut.test.inputs, whole[:, :, 3:7, 1:7])
    assert load_data(cut.name).test.digest == cut.test.digest
    assert load_data(str(photos), resize="4").test.shape == (3, 5, 4)
    assert load_data(str(photos), resize="12x9", centre_crop="5").test.shape == (3, 5, 5)
    flat = np.full((10, 8), 77, np.uint8)
    save(photos / "cat" / "flat.png", flat)
    assert (load_data(str(photos), resize="3").test.inputs[3] == 77).all()  # a grey one among colour ones
    save(photos / "cat" / "wide.png", COLOUR[0].transpose(1, 0, 2))
    assert "cat/wide.png is 10×8; expected images of one size: give resize=... or centre_crop=..." in complaint(
        lambda: load_data(str(photos))
    )
    assert load_data(str(photos), centre_crop="8").test.shape == (3, 8, 8)


def test_other_modes(tmp_path):
    save(tmp_path / "a" / "0.png", COLOUR[0, :, :, 0])
    assert load_data(str(tmp_path)).test.shape == (1, 10, 8)
    Image.fromarray(COLOUR[0]).quantize(256).save(tmp_path / "a" / "1.png")
    Image.fromarray(COLOUR[0]).convert("CMYK").save(tmp_path / "a" / "2.tif")
    Image.fromarray(COLOUR[0, :, :, 0] > 99).save(tmp_path / "a" / "3.png")
    found = load_data(str(tmp_path)).test.inputs
    assert np.abs(found[2].astype(int) - COLOUR[0].transpose(2, 0, 1)).max() <= 1
    np.testing.assert_array_equal(found[3, 1], np.where(COLOUR[0, :, :, 0] > 99, 255, 0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((4, 4, 4), np.uint8), "a/0.png cannot be taken: it has transparency (RGBA), and what stands behind"),
        (np.zeros((4, 4), np.uint16), "its mode is I;16; expected 8-bit grey or colour"),
        (b"no image", "a/0.png cannot be taken: cannot identify"),
        (b"", "a/0.png cannot be taken: cannot identify"),
    ],
)
def test_bad_images(tmp_path, content, message):
    path = tmp_path / "a" / "0.png"
    if isinstance(content, bytes):
        path.parent.mkdir()
        path.write_bytes(content)
    else:
        save(path, content)
    assert message in complaint(lambda: load_data(str(tmp_path)))


def test_bad_requests(photos, tmp_path):
    for options, message in [
        ({"resize": "big"}, "resize is 'big'; expected a number of pixels"),
        ({"centre_crop": "0"}, "centre_crop is '0'"),
        ({"centre_crop": "9"}, "it is 8×10, smaller than centre_crop 9; resize it first"),
        ({"label": "x"}, "folder has no parameter label; it takes resize"),
    ]:
        assert message in complaint(lambda options=options: load_data(str(photos), **options))
    (tmp_path / "none" / "a").mkdir(parents=True)
    assert "holds no images; expected CLASS/IMAGE" in complaint(lambda: load_data(str(tmp_path / "none")))
    assert "has no folder train" in complaint(lambda: load_images(str(photos), "train"))


def test_worker_processes_read_the_same(photos, monkeypatch):
    alone = load_data(str(photos)).test.digest
    monkeypatch.setattr(decoding, "_MANY", 1)
    monkeypatch.setattr(decoding, "_CHUNK", 2)
    assert load_data(str(photos)).test.digest == alone


def test_a_claim_of_size_is_not_believed(photos, monkeypatch):
    monkeypatch.setattr(decoding, "_MOST_PIXELS", 79)
    assert "it claims to be 8×10 pixels" in complaint(lambda: load_data(str(photos)))
