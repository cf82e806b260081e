"""CIFAR-10's binary version."""

from __future__ import annotations

import os

import numpy as np
import pytest

from noiseaug.data import DATASETS, data_root, load_data
from tests.helpers.errors import complaint

RNG = np.random.default_rng(8)


def write(path, images, labels):
    rows = np.concatenate([np.array(labels, np.uint8)[:, None], images.reshape(len(images), -1)], axis=1)
    path.write_bytes(rows.tobytes())


def test_the_binary_version(tmp_path):
    images = RNG.integers(0, 256, (6, 3, 32, 32), np.uint8)
    for number in (1, 2):
        write(tmp_path / f"data_batch_{number}.bin", images[2 * number - 2 : 2 * number], [number, 9])
    write(tmp_path / "test_batch.bin", images[4:], [3, 5])
    found = load_data(str(tmp_path))
    np.testing.assert_array_equal(np.concatenate([found.train.inputs, found.test.inputs]), images)
    assert (found.train.labels.tolist(), found.test.labels.tolist()) == ([1, 9, 2, 9], [3, 5])
    assert found.test.classes == DATASETS["cifar10"].classes
    assert load_data(f"{tmp_path}/test_batch.bin:cat,dog").test.labels.tolist() == [0, 1]
    (tmp_path / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    assert load_data(str(tmp_path / "test_batch.bin")).test.classes == tuple("abcdefghij")
    write(tmp_path / "test_batch.bin", images[4:], [3, 10])
    assert "runs from 3 to 10; expected 0 … 9" in complaint(lambda: load_data(str(tmp_path)))
    (tmp_path / "test_batch.bin").write_bytes(b"\0" * 3072)
    assert "has 3072 bytes; expected 3073 for each image" in complaint(lambda: load_data(str(tmp_path)))
    (tmp_path / "test_batch.bin").unlink()
    assert "has no test batches" in complaint(lambda: load_data(str(tmp_path)))


def test_it_holds_what_the_python_version_holds(tmp_path):
    if not (data_root() / "cifar-10-batches-py" / "test_batch").is_file():
        pytest.skip("CIFAR-10 is not in the data root (NOISEAUG_DATA)")
    published = load_data("cifar10").test
    write(tmp_path / "test_batch.bin", published.inputs, published.labels)
    assert load_data(str(tmp_path / "test_batch.bin")).test.digest == published.digest


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "test_batch.bin")
    assert "is no regular file" in complaint(lambda: load_data(str(tmp_path / "test_batch.bin")))
