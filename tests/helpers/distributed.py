"""Running a module in two processes of torchrun, and images to give them."""

from __future__ import annotations

import subprocess

import numpy as np

from noiseaug.data import LabelledSet
from tests.helpers.running import PATIENCE, Outcome, start


def pictures(count: int, split: str = "train") -> LabelledSet:
    """Grey images whose class is the brightest third."""
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 3
    images = rng.integers(0, 150, (count, 1, 9, 9), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] += 60
    return LabelledSet("pictures", split, images, labels, ("top", "middle", "bottom"))


def together(*command: object, limit: float = 2 * PATIENCE) -> Outcome:
    """Runs a module in two processes of torchrun; a test that waits for ever fails, and leaves none of them behind.

    The two hyphens keep torchrun from taking --n for an option of its own.
    """
    with start("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "--", *command) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.terminate()  # torchrun then ends what it has started
            process.wait(60)
            raise
    return Outcome(process.returncode, out, err)


def errors(outcome: Outcome) -> list[str]:
    """The lines that the processes have said to the user; the one traceback is torchrun's own."""
    assert outcome.err.count("Traceback") <= 1, outcome.err
    assert "ChildFailedError" in outcome.err
    return [line.removeprefix("error: ") for line in outcome.err.splitlines() if line.startswith("error: ")]
