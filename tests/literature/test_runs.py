"""The table of released runs says what their logs and their paths say."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pandas as pd
import pytest

import noiseaug
from noiseaug.errors import InvalidInputError
from noiseaug.literature import PAPERS, RADII, column, frontier, parse_measure, published, recipe
from noiseaug.records import read_tsv
from noiseaug.report import average_certified_radius, certified_accuracy
from noiseaug.tables import Measure
from tests.helpers.running import ROOT, python

FILE = ROOT / "noiseaug/literature/published_runs.csv.gz"
ACCURACIES = [f"ca_{radius:g}" for radius in RADII]


def test_the_table_is_small_and_whole():
    assert FILE.stat().st_size < 200_000
    table = published()
    assert len(table) == 1819
    assert not table.duplicated(["repository", "log"]).any()
    assert set(table["paper"]) == set(PAPERS)
    for paper, where in PAPERS.items():
        (repository,) = set(table.loc[table["paper"] == paper, "repository"])
        assert where.endswith(f"https://github.com/{repository}")
    with gzip.open(FILE, "rt", encoding="utf-8") as stream:
        assert stream.readline().strip().split(",") == list(table.columns)
    assert noiseaug.published is published


def test_a_caller_may_change_its_copy():
    mine = published()
    mine["acr"] = 0.0
    assert published()["acr"].max() > 1


def test_importing_is_light():
    code = "import noiseaug, noiseaug.literature, sys; noiseaug.published; print('pandas' in sys.modules)"
    assert python("-c", code).out.split() == ["False"]


def test_paths_say_what_the_columns_say():
    table = published()
    nominal = {"64": 0.251, "127": 0.498, "255": 1.0, "512": 2.0, "1024": 4.0, "2048": 8.0}
    for row in table.to_dict("records"):
        path = row["log"]
        # 30epochs is no radius, and CIFAR-100 is not CIFAR-10
        if radius := re.search(r"/eps_(\d+)/", path):
            assert row["attack_radius"] == nominal[radius[1]], path
        if data := re.search(r"(cifar100?|imagenet|f?mnist)/", path):
            assert row["data"] == re.findall(r"(cifar100?|imagenet|f?mnist)/", path)[0 if "self" in path else -1], data
        if level := re.search(r"sigma_([\d.]+)$", path):
            assert row["smooth_sigma"] == float(level[1])
        if steps := re.search(r"(?:PGD|DDN)_(\d+)step", path):
            assert row["attack_steps"] == int(steps[1])
        if copies := re.search(r"(\d+)-multitrain", path):
            assert row["copies"] == int(copies[1])
        assert row["pre_training"] == ("finetune" in path)
        assert row["self_training"] == ("self_training" in path)


def test_columns_agree_with_one_another():
    table = published()
    accuracies = table[ACCURACIES].to_numpy()
    assert (np.diff(accuracies, axis=1) <= 0).all()
    assert (accuracies[:, 0] <= 1 - table["abstain"] + 1e-4).all()
    # ACR = ∫ CA(r) dr lies between the sums over the steps from the right and from the left
    assert (0.25 * accuracies[:, 1:].sum(axis=1) <= table["acr"] + 1e-3).all()
    assert (table["acr"] <= 0.25 * accuracies.sum(axis=1) + 1e-3).all()
    beyond = np.array(RADII) > table["largest_radius"].to_numpy()[:, None] + 0.005
    assert (accuracies[beyond] == 0).all()
    counts = accuracies * table["images"].to_numpy()[:, None]
    assert np.abs(counts - np.rint(counts)).max() < 0.51e-4 * 10_000


def test_the_logs_give_the_same_numbers(tmp_path):
    """The smallest released log: data/…/cifar_densenet40/noise_0.50_1149 of Jeong & Shin 2020."""
    predicted = [(3, -1, 0), (8, 8, 1.91), (8, 8, 1.91), (0, 8, 1.91), (6, 6, 0.233)]
    predicted += [(6, 6, 1.91), (1, 1, 0.339), (6, 6, 0.841), (3, 5, 1.37)]
    lines = [f"{i}\t{y}\t{c}\t{r}\t{int(y == c)}\t0:00:11.16\n" for i, (y, c, r) in enumerate(predicted)]
    path = tmp_path / "noise_0.50_1149"
    path.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n" + "".join(lines))
    frame, row = read_tsv(path), published(images=9).iloc[0]
    assert row["log"].endswith(path.name)
    assert round(average_certified_radius(frame), 4) == row["acr"] == 0.7937
    assert certified_accuracy(frame, RADII)["value"].round(4).tolist() == row[ACCURACIES].tolist()
    assert round((frame["prediction"] < 0).mean(), 4) == row["abstain"]
    assert frame["radius"].max() == row["largest_radius"]


def test_numbers_of_the_papers():
    # Cohen et al.'s models on all test images, as Salman et al. certified them
    known = pd.read_csv(ROOT / "paper_figs/data/cohen_2019_cifar10.csv")
    whole = known[known["images"] == 10_000]
    ours = published(data="cifar10", method="gaussian", paper="Salman", images=10_000).set_index("smooth_sigma")
    for row in whole.to_dict("records"):
        name = "acr" if row["quantity"] == "acr" else f"ca_{row['radius']:g}"
        assert ours.loc[row["smooth_sigma"], name] == pytest.approx(row["value"], abs=5.1e-4)
    # α ≠ β on 500 images
    half = published(data="cifar10", paper="Cohen", smooth_sigma=0.5).set_index("train_sigma")
    for row in known[known["images"] == 500].to_dict("records"):
        name = "acr" if row["quantity"] == "acr" else f"ca_{row['radius']:g}"
        assert half.loc[row["train_sigma"], name] == pytest.approx(row["value"], abs=5.1e-4)


def test_numbers_of_later_papers():
    """Typed from the papers; most of them have released the log behind it."""
    known = pd.read_csv(ROOT / "paper_figs/data/cifar10_acr.csv")
    runs = published(data="cifar10", architecture="resnet110", images=10_000)
    for row in known.to_dict("records"):
        near = runs[(runs["smooth_sigma"] == row["smooth_sigma"]) & (abs(runs["acr"] - row["acr"]) < 5.1e-4)]
        assert len(near), row
    single = runs[(runs["smooth_sigma"] == 0.25) & (runs["attack_steps"] == 10) & (runs["copies"] == 8)]
    salman = pd.read_csv(ROOT / "paper_figs/data/salman_2019_cifar10.csv")
    for row in salman[salman["choice"] == "single model"].to_dict("records"):
        assert single[f"ca_{row['radius']:g}"].to_numpy() == pytest.approx([row["value"]], abs=5.1e-4)


def test_conditions():
    table = published()
    assert len(published(data="cifar10", paper="salman", method="smoothadv")) == 1393
    assert set(published(method="smoothadv")["method"]) == {"smoothadv-pgd", "smoothadv-ddn"}
    assert set(published(method="smoothadv-pgd + consistency")["method"]) == {"smoothadv-pgd + consistency"}
    both = published(pre_training=True, self_training=True)
    assert len(both) == (table["pre_training"] & table["self_training"]).sum()
    found = published(data="cifar10", smooth_sigma=0.5, images=10_000, split="test", architecture="resnet110")
    assert (
        found[["data", "smooth_sigma", "images", "split"]].drop_duplicates().to_numpy()
        == found.iloc[0][["data", "smooth_sigma", "images", "split"]].to_numpy()
    ).all()
    assert published(data="mnist", smooth_sigma=0.12).empty
    for conditions, complaint in (
        ({"data": "cifar"}, "data is 'cifar'; expected one of cifar10"),
        ({"method": "pgd"}, "method is 'pgd'; expected one of adversarial"),
        ({"paper": "Goodfellow"}, "expected a part of one of Cohen et al. 2019"),
        ({"smooth_sigma": 0.3}, "smooth_sigma is 0.3; released runs have 0.12, 0.25, 0.5, 1"),
        ({"images": float("nan")}, "expected a finite number"),
    ):
        with pytest.raises(InvalidInputError, match=complaint):
            published(**conditions)


def test_the_highest_released_acr():
    """What docs/results/published.md says of σ = .5."""
    found = published(data="cifar10", smooth_sigma=0.5, images=10_000).sort_values("acr", ascending=False)
    first = found.iloc[0]
    assert (first["acr"], first["method"], first["self_training"]) == (0.7707, "smoothadv-pgd", True)
    without = found[~found["self_training"] & ~found["pre_training"]]
    assert without[["acr", "method"]].head(2).to_numpy().tolist() == [[0.7603, "sun-2025"], [0.7571, "cat-rs"]]


def test_measures():
    assert parse_measure("acr") == Measure("acr")
    assert column(parse_measure("ca@1.0")) == "ca_1"
    assert column(parse_measure(" CA@.25 ")) == "ca_0.25"
    for text in ("ca", "acr@1", "ca@x", "ca@-1", "ca@inf", "risk", ""):
        with pytest.raises(InvalidInputError, match="expected acr or ca@r"):
            parse_measure(text)
    with pytest.raises(InvalidInputError, match=r"r is 0\.3; released runs have 0, 0\.25, …, 4"):
        column(Measure("certified_accuracy", 0.3))
    with pytest.raises(InvalidInputError, match="released runs have no risk"):
        column(Measure("risk"))


def test_frontier():
    table = pd.DataFrame({"ca_0": [0.9, 0.8, 0.8, 0.7, 0.6], "acr": [0.2, 0.5, 0.4, 0.5, 0.9]})
    assert frontier(table).to_numpy().tolist() == [[0.6, 0.9], [0.8, 0.5], [0.9, 0.2]]
    found = published(data="cifar10", smooth_sigma=0.5, images=500)
    best = frontier(found)
    for row in found.to_dict("records"):
        beaten = (best["ca_0"] >= row["ca_0"]) & (best["acr"] >= row["acr"])
        assert beaten.any()
    for row in best.to_dict("records"):
        assert not ((found["ca_0"] > row["ca_0"]) & (found["acr"] > row["acr"])).any()


def test_recipes():
    table = published(data="cifar10", smooth_sigma=0.5, images=10_000).sort_values("acr", ascending=False)
    assert recipe(table.iloc[0]) == "smoothadv-pgd ε=1 T=2 λ=0.5 + self-training"
    assert recipe(table.iloc[1].to_dict()) == "sun-2025"
