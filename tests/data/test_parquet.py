"""Parquet as data sets of Hugging Face come, and as tables."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from noiseaug.data import load_data, load_images
from tests.helpers.errors import complaint

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
from pyarrow import parquet  # noqa: E402

RNG = np.random.default_rng(9)
IMAGES = RNG.integers(0, 256, (6, 8, 8, 3), np.uint8)


def encoded(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def table(images, labels, names=("cat", "dog")):
    info = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    found = pyarrow.table({"img": [encoded(image) for image in images], "label": labels})
    return found.replace_schema_metadata({"huggingface": json.dumps(info)} if names else {})


def test_a_data_set_of_hugging_face(tmp_path):
    (tmp_path / "data").mkdir()
    parquet.write_table(table(IMAGES[:2], [0, 1]), tmp_path / "data" / "train-00000-of-00002.parquet")
    parquet.write_table(table(IMAGES[2:4], [1, 1]), tmp_path / "data" / "train-00001-of-00002.parquet")
    parquet.write_table(table(IMAGES[4:], [1, 0]), tmp_path / "data" / "test-00000-of-00001.parquet")
    found = load_data(str(tmp_path))
    pixels = np.concatenate([found.train.inputs, found.test.inputs])
    np.testing.assert_array_equal(pixels, IMAGES.transpose(0, 3, 1, 2))
    assert (found.train.labels.tolist(), found.test.labels.tolist()) == ([0, 1, 1, 1], [1, 0])
    assert found.test.classes == ("cat", "dog")
    assert load_data(str(tmp_path), centre_crop="4").test.shape == (3, 4, 4)
    alone = load_images(str(tmp_path / "data" / "test-00000-of-00001.parquet"), "test")
    assert alone.digest == found.test.digest
    parquet.write_table(table(IMAGES[:2], [0, 4], names=()), tmp_path / "plain.parquet")
    assert load_data(str(tmp_path / "plain.parquet")).test.num_classes == 5


def test_a_table(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {"size": [1.0, 2.0, 3.0], "kind": ["b", "a", "b"], "split": ["train", "train", "test"]}
    parquet.write_table(pyarrow.table(columns), path)
    found = load_data(str(path), label="kind", scale="standard")
    assert (found.train.inputs.tolist(), found.test.inputs.tolist()) == ([[-1], [1]], [[3]])
    assert found.test.classes == ("a", "b")


def test_bad_files(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no")
    assert f"{path} is not a readable parquet file" in complaint(lambda: load_data(str(path)))
    parquet.write_table(table(IMAGES[:1], [None]), path)
    assert "column label has gaps" in complaint(lambda: load_data(str(path)))
    parquet.write_table(table(IMAGES[:1], [0]).drop_columns("label"), path)
    assert "Give it as label=...; the columns are img" in complaint(lambda: load_data(str(path)))
    parquet.write_table(pyarrow.table({"img": [{"bytes": b"no", "path": "x"}], "label": [0]}), path)
    assert "image in row 0 cannot be taken" in complaint(lambda: load_data(str(path)))
