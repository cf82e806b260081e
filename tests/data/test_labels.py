"""Labels of every kind that users have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseaug.data import DataSource
from noiseaug.data.labels import Classes, to_labels
from tests.helpers.errors import complaint


@pytest.mark.parametrize(
    ("y", "classes", "places"),
    [
        ([0, 2, 0], ("0", "1", "2"), [0, 2, 0]),
        ([1, 7, 2], ("1", "2", "7"), [0, 2, 1]),
        ([-1, 1, -1], ("-1", "1"), [0, 1, 0]),
        ([0, 10**9, 0], ("0", "1000000000"), [0, 1, 0]),
        ([1.0, 0.0, 1.0], ("0", "1"), [1, 0, 1]),
        ([True, False, True], ("0", "1"), [1, 0, 1]),
        (["dog", "cat", "dog"], ("cat", "dog"), [1, 0, 1]),
        ([b"dog", b"cat", b"dog"], ("cat", "dog"), [1, 0, 1]),
        (np.array(["dog", "cät", "dog"], object), ("cät", "dog"), [1, 0, 1]),
        (np.array([[2], [1], [2]], np.uint8), ("1", "2"), [1, 0, 1]),
        (np.array([2, 1, 2], object), ("1", "2"), [1, 0, 1]),
        (np.array([np.int64(2), np.int64(1), np.int64(2)], object), ("1", "2"), [1, 0, 1]),
    ],
)
def test_labels_are_mapped_and_their_names_kept(y, classes, places):
    found = DataSource.from_arrays("a", np.eye(3), y).test
    assert (found.classes, found.labels.tolist()) == (classes, places)
    numbered = classes == tuple(map(str, range(len(classes))))
    assert found.description.get("classes") == (None if numbered else list(classes))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6))
def test_no_label_is_lost(labels):
    y = to_labels("y", np.array(labels))
    classes = Classes.of("y", (y,))
    assert [int(classes.names[place]) for place in classes.places(y)] == labels


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array(["2020-01-01"] * 3, "M8[D]"), "y is datetime64[D] of shape (3,)"),
        (np.array(["a", 1, None], object), "y holds 1; expected class names throughout"),
        ([b"\xff", b"a", b"b"], "expected class names in UTF-8"),
        ([0.5, 1, 2], "y holds 0.5"),
        ([np.inf, 1, 2], "y holds inf"),
        (np.array([2**64 - 1, 0, 0], np.uint64), "expected 64-bit integers"),
        (np.eye(3, dtype=int), "y is int64 of shape (3, 3)"),
    ],
)
def test_what_is_no_label_is_refused(y, message):
    assert message in complaint(lambda: DataSource.from_arrays("a", np.eye(3), y))


def test_classes_are_those_of_all_splits():
    data = DataSource.from_arrays("a", np.eye(3), ["b", "c", "b"], np.eye(3), ["a", "b", "c"])
    assert data.test.classes == data.train.classes == ("a", "b", "c")
    assert data.test.labels.tolist() == [1, 2, 1]


def test_integers_beyond_64_bits_are_refused():
    assert "expected 64-bit integers" in complaint(lambda: to_labels("y", np.array([2**70, 1], object)))
