"""Inputs and labels that do not belong together, and complex numbers, stop every command before it writes."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.running import call_root

SMOOTH = ["--smooth-sigma", 0.5]
COMMANDS = [
    ["certify", *SMOOTH, "--out", "out"],
    ["predict", *SMOOTH, "--out", "out"],
    ["interference", "--out", "out"],
    ["advise", *SMOOTH, "--out", "out"],
    ["bridge", "--out", "out"],
]


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(COMMANDS),
    st.sampled_from([("x", "y"), ("train_x", "train_y")]),
    st.one_of(st.integers(-8, 60).filter(bool), st.sampled_from([np.complex64, np.complex128])),
)
def test_nothing_is_written(command, keys, fault):
    rows = np.random.default_rng(0).random((9, 4))
    arrays = {"x": rows, "y": np.arange(9) % 3, "train_x": rows, "train_y": np.arange(9) % 3}
    if isinstance(fault, int):
        arrays[keys[1]] = np.arange(9 + fault) % 3
        word = f"labels are int64 of shape ({9 + fault},)"
    else:
        arrays[keys[0]] = (rows + 1j).astype(fault)
        word = f"{keys[0]} is {np.dtype(fault)}; expected real numbers"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        np.savez("data.npz", **arrays)
        done = call_root(*command, "--data", "data.npz")
        assert done.status == 2
        assert word in done.complaint
        assert [path.name for path in Path().iterdir()] == ["data.npz"]
