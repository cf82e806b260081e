"""Fixtures that several tests of the vision part share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noiseaug.vision.grid import run as grids
from tests.helpers.distributed import pictures


@pytest.fixture
def threads():
    """Lets a test choose the threads of torch."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def one_thread(threads):
    threads(1)


@pytest.fixture
def no_pictures(monkeypatch):
    """For grids whose pictures are not looked at; drawing takes longer than they do."""
    monkeypatch.setattr(grids, "draw", lambda *arguments: {})


@pytest.fixture
def npz(tmp_path):
    """A file of images to train on and to certify."""
    train, test = pictures(60), pictures(25, "test")
    np.savez(tmp_path / "d.npz", train_x=train.inputs, train_y=train.labels, x=test.inputs, y=test.labels)
    return tmp_path / "d.npz"
