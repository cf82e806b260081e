"""Rules and logs that several test files share."""

from __future__ import annotations

import numpy as np
import pytest

from noiseaug.bridge import KernelFamily
from noiseaug.bridge.samples import training_part
from noiseaug.certification import certify
from noiseaug.data import load_data
from tests.helpers.bridge import LEVELS


@pytest.fixture(scope="session")
def digits():
    return load_data("digits")


@pytest.fixture(scope="session")
def family(digits):
    return KernelFamily(*training_part(digits, 400, 0), LEVELS)


def half_space(x):
    return (x.reshape(len(x), -1)[:, 0] > 0).astype(int)


@pytest.fixture(scope="session")
def half_space_logs(tmp_path_factory):
    """Two runs on 200 inputs at distances around the boundary."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 0.6, (200, 2))
    folder, logs = tmp_path_factory.mktemp("logs"), []
    for seed, n in ((0, 1000), (1, 600)):
        path = folder / f"{seed}.jsonl"
        certify(
            half_space,
            x,
            smooth_sigma=0.5,
            labels=(x[:, 0] > 0).astype(int),
            n=n,
            num_classes=2,
            seed=seed,
            log=path,
            description={"data": "line", "classifier": "half-space", "weights": "w"},
        )
        logs.append(path)
    return logs
