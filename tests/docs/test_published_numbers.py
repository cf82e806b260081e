"""Pages say of released runs what the table of released runs says."""

from __future__ import annotations

import re

import pytest

from noiseaug.literature import published, with_interval
from noiseaug.tables import Measure
from tests.helpers.running import ROOT


def best(smooth_sigma, *, extra=True):
    """The run with the highest ACR on all test images of CIFAR-10."""
    runs = with_interval(published(data="cifar10", smooth_sigma=smooth_sigma, images=10_000), Measure("acr"))
    if not extra:
        runs = runs[~runs["pre_training"] & ~runs["self_training"]]
    return runs.loc[runs["acr"].idxmax()]


def test_the_readme():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    (count,) = re.findall(r"\[([\d ]+) released runs\]", text)
    assert int(count.replace(" ", "")) == len(published())
    said = re.search(r"at σ = 0\.5 the highest ACR on CIFAR-10 is ([\d.]+) .*, and ([\d.]+) without extra data", text)
    assert said.groups() == (f"{best(0.5).acr:.3f}", f"{best(0.5, extra=False).acr:.3f}")


@pytest.mark.parametrize("smooth_sigma", [0.12, 0.25, 0.5, 1])
def test_the_highest_of_each_level(smooth_sigma):
    text = (ROOT / "docs/results/published.md").read_text(encoding="utf-8")
    table = text.partition("without extra data | training |")[2].partition("\n\n")[0]
    (row,) = re.findall(rf"^\| {smooth_sigma:g} \|(.*)\|$", table, re.MULTILINE)
    acr, interval, _, plain, _ = (cell.strip() for cell in row.split("|"))
    run = best(smooth_sigma)
    assert acr == f"{run.acr:.4f}"
    assert interval == f"{run.acr_lower:.4f} to {run.acr_upper:.4f}"
    assert plain == f"{best(smooth_sigma, extra=False).acr:.4f}"


def test_the_effects():
    from paper_figs import published_grid

    text = (ROOT / "docs/results/published.md").read_text(encoding="utf-8")
    rows = published_grid.compute(True).set_index(["panel", "x", "smooth_sigma"])["value"]
    nominal = {"0.25": 0.251, "0.5": 0.498, "1": 1.0, "2": 2.0}
    names = {"ACR at ε": "attack_radius", "gain of pre-training, ε": "pre_training"}
    found = re.findall(r"^\| (ACR at ε|gain of pre-training, ε) = ([\d.]+) \| (.*) \|$", text, re.MULTILINE)
    keys = [(names[name], nominal[radius], cells) for name, radius, cells in found]
    weights = re.findall(r"^\| gain of self-training, weight ([\d.]+) \| (.*) \|$", text, re.MULTILINE)
    keys += [("weight", float(weight), cells) for weight, cells in weights]
    assert len(keys) == 8
    for panel, x, cells in keys:
        for level, cell in zip((0.12, 0.25, 0.5, 1.0), cells.split(" | "), strict=True):
            assert float(cell) == pytest.approx(rows[panel, x, level], abs=5.1e-4)


def test_the_differences_of_500_images():
    from paper_figs import published_images

    text = (ROOT / "docs/results/published.md").read_text(encoding="utf-8")
    table = published_images.compute(True)
    for level, part in table.groupby("smooth_sigma"):
        shifts = part["shift"]
        numbers = [shifts.mean(), shifts.std(), shifts.min(), shifts.max(), 1.96 * part["error"].mean()]
        (cells,) = re.findall(rf"^\| {level:g} \| {len(part)} \| (.*) \|$", text, re.MULTILINE)
        for cell, number in zip(cells.split(" | "), numbers, strict=True):
            assert float(cell) == pytest.approx(number, abs=5.1e-4)
