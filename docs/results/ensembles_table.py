"""The table of ensembles.sh: certified accuracy, votes, and networks asked, against the members of an ensemble.

    python docs/results/ensembles_table.py FOLDER [--out docs/results/ensembles.csv]

Every 100th test image of MNIST. All ensembles see the same noise, so each network is asked about each noisy copy once,
and the ensembles' votes are made from its logits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from noiseaug.certificates import Certificate, CertificationSetting, Cohen, MultiLook, VoteBudget
from noiseaug.data import load_images
from noiseaug.runs import write_atomically
from noiseaug.vision.models import load_checkpoint

SIGMA, EVERY, BUDGET = 0.5, 100, VoteBudget(1000, 0.001)
SETTING = CertificationSetting(SIGMA, BUDGET, 10)
RADII, TARGET = (0.0, 0.5, 1.0), 0.5
ENSEMBLES = {  # members in the order in which they are asked, and how many are asked first
    **{f"network {seed}": ((seed,), 1) for seed in range(3)},
    **{f"networks {a} and {b}": ((a, b), 2) for a, b in ((0, 1), (0, 2), (1, 2))},
    "all three": ((0, 1, 2), 3),
    "all three, consensus of 2": ((0, 1, 2), 2),
}


def labels(logits: torch.Tensor, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Class and number of members asked for each copy; logits of shape (members, copies, classes)."""
    named = logits[:first].argmax(2)
    same = (named == named[0]).all(0)
    asked = torch.where(same, first, len(logits))
    return torch.where(same, named[0], logits.mean(0).argmax(1)).numpy(), asked.numpy()


def decided(rule: Certificate, voted: np.ndarray) -> tuple[int, float, int]:
    """Class (−1: none), radius and votes used; the first n₀ votes pick the class."""
    selection, rest = np.bincount(voted[: BUDGET.n0], minlength=10), voted[BUDGET.n0 :]
    top, rows = int(selection.argmax()), []
    for look in rule.looks(SETTING):
        rows.append(np.bincount(rest[:look], minlength=10))
        decision = rule.decide(SETTING, top, selection, np.array(rows))
        if decision.done:
            break
    return (top if decision.certified else -1), decision.radius, look


def table(folder: Path) -> pd.DataFrame:
    """A row for each ensemble."""
    models = [load_checkpoint(folder / f"mnist-{seed}")[0].eval() for seed in range(3)]
    test = load_images("mnist", "test")
    rows = []
    for index in range(0, len(test), EVERY):
        image = torch.from_numpy(test.floats(np.array([index]))).float()
        noise = torch.randn(
            (BUDGET.n0 + BUDGET.votes, *image.shape[1:]), generator=torch.Generator().manual_seed(index)
        )
        with torch.inference_mode():
            logits = torch.stack([model(image + SIGMA * noise) for model in models])
        for name, (members, first) in ENSEMBLES.items():
            voted, asked = labels(logits[list(members)], first)
            (top, radius, _), (_, _, used) = (decided(rule, voted) for rule in (Cohen(), MultiLook((TARGET,))))
            right = top == test.labels[index]
            row = {"ensemble": name, "members": len(members), "right": right, "radius": radius * right}
            rows.append({**row, "votes": used, "asked": asked.mean(), "evaluations": asked[: BUDGET.n0 + used].sum()})
    frame = pd.DataFrame(rows)
    for radius in RADII:
        frame[f"ca_{radius:g}"] = frame["right"] & (frame["radius"] >= radius)
    found = frame.drop(columns="right").groupby(["ensemble", "members"], sort=False).mean().reset_index()
    return found.rename(columns={"radius": "acr"}).round(4).assign(images=len(frame) // len(ENSEMBLES), n=BUDGET.votes)


def main() -> None:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = table(options.folder)
    print(found.to_string(index=False))
    if options.out is not None:
        write_atomically(options.out, found.to_csv(index=False))


if __name__ == "__main__":
    main()
