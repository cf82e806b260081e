"""Arrays of ``.npz`` files are those of numpy, and a file that lies about its size costs no memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from noiseaug.data.arrays import open_arrays
from noiseaug.errors import InvalidInputError
from tests.helpers import damage


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_of_numpy(save, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "floats": rng.random((3, 4, 5)),
        "big-endian": rng.random(7).astype(">f4"),
        "Fortran": np.asfortranarray(rng.integers(0, 9, (4, 6), np.uint8)),
        "strided": rng.random((6, 8))[::2, ::3],
        "a single number": np.float32(2.5),
        "nothing": np.zeros((0, 3)),
        "words": np.array(["a", "bcd"]),
        "truth": rng.random(5) < 0.5,
        "complex": rng.random(3) + 1j,
        "zeros": np.zeros((1000, 1000), np.uint8),
    }
    save(tmp_path / "a.npz", **arrays)
    with open_arrays(tmp_path / "a.npz") as file:
        assert file.names == tuple(arrays)
        for name, expected in arrays.items():
            found = file[name]
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("10¹² values", "x has 0 bytes; its header says float32 of shape (1000000000000,)"),
        ("values without size", "x has 0 bytes; its header says <U0 of shape"),
        ("a negative shape", "its header says float32 of shape (-12, -9)"),
        ("bomb", "to 3.2e+08 bytes; expected at most 6.9e+10, and 100 times"),
        ("checksum", "is not a readable .npz file: Bad CRC-32"),
        ("method 99", "is not a readable .npz file: That compression method is not supported"),
        ("encrypted", "is encrypted"),
        ("objects", "x is object; expected numbers"),
        ("fields", "expected numbers"),
        ("version 9", "x is of another version of .npy"),
        ("an entry that is no array", "x is no array"),
    ],
)
def test_what_a_file_says_is_checked_before_memory_is_taken(kind, message, tmp_path):
    path = tmp_path / "a.npz"
    damage.BAD_NPZ[kind](path)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError) as caught, open_arrays(path) as file:
            _ = file["x"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
