"""``python -m noiseaug.demo``: a classifier on the bundled digits certified from end to end, and predicted beforehand.

A linear model tells 3 from 8 after training with noise α = 0.5; it is a half-space, so the probability of each of its
votes is known, and with it what a run with n votes will report on average. The picture lays that curve over the run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from noiseaug.certification import certify
from noiseaug.data import load_data
from noiseaug.errors import InvalidInputError
from noiseaug.plotting import finish, new_figure, plot_certified_accuracy
from noiseaug.regions import HalfSpace
from noiseaug.report import certified_accuracy, render, summarise
from noiseaug.risk import VoteBudget, finite_sample_curve
from noiseaug.runs import save_figure, write_atomically
from noiseaug.subjects import load_classifier

__all__ = ["main"]

_TRAIN_SIGMA = _SMOOTH_SIGMA = 0.5
_VOTES, _FAILURE_PROB = 10_000, 1e-3


def main(folder: Path = Path("noiseaug-results/digits")) -> None:
    """Trains, certifies, predicts, draws; the log, the tables and the picture land in the folder."""
    import pandas as pd

    data = load_data("digits:3,8")
    base = load_classifier("logistic", data, _TRAIN_SIGMA, 10, seed=0)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "certify.jsonl"
    log.unlink(missing_ok=True)
    frame = certify(
        base,
        data.test.inputs,
        labels=data.test.labels,
        smooth_sigma=_SMOOTH_SIGMA,
        n=_VOTES,
        failure_prob=_FAILURE_PROB,
        log=log,
        description={"data": data.name, "classifier": "logistic", "train_sigma": _TRAIN_SIGMA},
        progress=True,
    )
    region = HalfSpace(base.coef_[0].astype(float), -float(base.intercept_[0]))
    margin = region.margin(data.test.rows().astype(float), _SMOOTH_SIGMA)
    radii = np.linspace(0, 1.9, 77)
    own = np.where(data.test.labels == 1, margin, -margin)
    predicted = finite_sample_curve(own, _SMOOTH_SIGMA, radii, VoteBudget(_VOTES, _FAILURE_PROB))
    curve = pd.DataFrame({"radius": radii, "value": predicted})
    measured = certified_accuracy(frame, radii)
    write_atomically(folder / "predicted.csv", curve.to_csv(index=False))
    write_atomically(folder / "measured.csv", measured.to_csv(index=False))
    run = {"noise": "gaussian", "smooth_sigma": _SMOOTH_SIGMA, "n": _VOTES, "n0": 100, "failure_prob": _FAILURE_PROB}
    table = summarise({"digits 3/8": ({**run, "certificate": "cohen"}, frame)}, [0.25, 0.5, 0.75, 1.0])
    print(render(table), end="")
    figure, axes = new_figure(width=4.2, height=3.2)
    plot_certified_accuracy(axes[0][0], {"measured": measured}, reference={"predicted, closed form": curve})
    notes = ["band: 95% over images; the prediction averages over votes of a half-space"]
    title = f"Digits 3 and 8, linear model, α = β = {_SMOOTH_SIGMA:g}, {_VOTES} votes"
    save_figure(finish(figure, title, notes), folder / "certified_accuracy.png")
    worst = float(np.abs(measured["value"].to_numpy() - predicted).max())
    print(f"\nlargest gap between prediction and run: {worst:.4f}")
    for name in ("certify.jsonl", "measured.csv", "predicted.csv", "certified_accuracy.png"):
        print(f"written: {folder / name}")


if __name__ == "__main__":
    try:
        main()
    except InvalidInputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
