"""Labelled sets."""

from __future__ import annotations

import numpy as np
import pytest

from noiseaug.data import LabelledSet
from noiseaug.errors import InvalidInputError
from tests.helpers.errors import complaint

# --- sets of images


def small(m=6, **changes):
    images = (np.arange(m * 8, dtype=np.uint8) * 5).reshape(m, 2, 2, 2)
    return LabelledSet(
        **{"name": "s", "split": "test", "inputs": images, "labels": np.arange(m) % 3, "classes": tuple("abc")}
        | changes
    )


def test_floats_are_exact_fractions():
    every = small(inputs=np.arange(256, dtype=np.uint8).reshape(-1, 1, 16, 16), labels=np.zeros(1, np.int64))
    expected = np.array([np.float32(v / 255) for v in range(256)], np.float32)
    assert every.floats().dtype == np.float32
    np.testing.assert_array_equal(every.floats().ravel(), expected)
    np.testing.assert_array_equal(small().floats([4, 1]), small().floats()[[4, 1]])
    plain = small(inputs=small().floats())
    np.testing.assert_array_equal(plain.floats(slice(2)), small().floats()[:2])
    plain.floats()[:] = 0
    assert plain.inputs.max() > 0


def test_take():
    whole = small()
    for indices in ([3, 0, 3], np.array([5]), slice(1, None, 2), whole.labels == 2, -1, range(2)):
        part = whole.take(indices)
        np.testing.assert_array_equal(part.inputs, np.atleast_1d(whole.inputs[indices]).reshape(-1, 2, 2, 2))
        np.testing.assert_array_equal(part.labels, np.atleast_1d(whole.labels[indices]))
        assert (part.classes, part.name, len(part)) == (whole.classes, "s", len(part.labels))
    assert "has 6 inputs" in complaint(lambda: whole.take([6]))
    assert "has no inputs" in complaint(lambda: whole.take([]))


def test_the_digest_knows_the_data():
    digest = small().digest
    assert digest == small(name="t", split="train").digest
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    other = small().inputs.copy()
    other[5, 1, 1, 1] ^= 1
    labels = small().labels.copy()
    labels[0] = 1
    reshaped = small().inputs.reshape(6, 1, 2, 4)
    changed = [{"inputs": other}, {"labels": labels}, {"inputs": reshaped}, {"classes": ("a", "b", "d")}]
    digests = {small(**change).digest for change in changed} | {digest, small().take([1, 0, 2, 3, 4, 5]).digest}
    assert len(digests) == 6
    turned = small(inputs=np.asfortranarray(small().inputs))
    assert turned.digest == digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "validation"}, "split is 'validation'; expected one of train, test"),
        ({"inputs": np.zeros((6, 2, 2), np.uint8)}, r"uint8 of shape \(6, 2, 2\)"),
        ({"inputs": np.zeros((6, 1, 2, 2))}, "inputs are float64"),
        ({"inputs": np.full((6, 1, 2, 2), 1.5, np.float32)}, "run from 1.5 to 1.5"),
        ({"inputs": np.full((6, 1, 2, 2), np.nan, np.float32)}, "run from nan"),
        ({"inputs": np.zeros((0, 1, 2, 2), np.uint8), "labels": np.zeros(0, int)}, "has no inputs"),
        ({"labels": np.zeros(5, int)}, r"\(5,\); expected int64, \(6,\)"),
        ({"labels": np.zeros(6)}, "labels are float64"),
        ({"labels": np.full(6, 3)}, "from 3 to 3; expected 0 … 2"),
        ({"labels": np.full(6, -1)}, "from -1"),
    ],
)
def test_bad_sets(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        small(**changes)
