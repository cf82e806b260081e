"""Published and measured numbers are drawn as they are committed."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from noiseaug.literature import published
from paper_figs import find, tables
from tests.helpers.figures import canvas, check_figure  # noqa: F401  (a fixture that all tests here use)
from tests.helpers.paper_figs import CERTIFIED, DATA, OPTIONAL, check_units, points, raw
from tests.helpers.running import ROOT

# ---- published numbers


def diagonal(row):
    return row["train_sigma"] == row["smooth_sigma"] and row["images"] == "10000" and row["quantity"] == CERTIFIED


PUBLISHED = {
    "mnist_risk": [("pal_sulam_2023_mnist_risk.csv", "risk", lambda row: True)],
    "cifar10_risk": [("pal_sulam_2023_cifar10_risk.csv", "risk", lambda row: True)],
    "figure4_published": [("pal_sulam_2023_figure4.csv", "value", lambda row: True)],
    "cohen_sigma": [("cohen_2019_cifar10.csv", "value", diagonal)],
    "train_test_noise": [("cohen_2019_cifar10.csv", "value", lambda row: row["images"] == "500")],
    "cohen_bounds": [("cohen_2019_cifar10.csv", "value", lambda row: diagonal(row) and row["smooth_sigma"] == "0.5")],
    "smoothadv": [
        ("salman_2019_cifar10.csv", "value", lambda row: row["method"] in {"Cohen et al.", "SmoothAdv"}),
        ("cohen_2019_cifar10.csv", "value", lambda row: diagonal(row) and row["smooth_sigma"] == "0.25"),
    ],
}
KEYS = ("train_sigma", "smooth_sigma", "task_separation", "radius", "method", "quantity")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_are_unchanged(name, table):
    rows = table(name)
    told = rows[rows["origin"] != tables.OURS].to_dict("records")
    wanted = []
    for file, column, kept in PUBLISHED[name]:
        for row in filter(kept, raw(DATA + file)):
            keys = {key: row[key] for key in KEYS if row.get(key) and key in rows}
            wanted.append(
                ({k: v if k in {"method", "quantity"} else float(v) for k, v in keys.items()}, float(row[column]))
            )
    assert len(told) == len(wanted) > 3
    for keys, value in wanted:
        found = [
            row["value"]
            for row in told
            if all(
                row[key] == want or (pd.isna(row[key]) and key in {"method", "train_sigma"})
                for key, want in keys.items()
            )
        ]
        assert value in found, (keys, value)


def test_the_copies_are_those_of_the_papers():
    # typed from the papers' tables, not from the files
    def value(file, column="value", **keys):
        (row,) = [row for row in raw(DATA + file) if all(row[key] == want for key, want in keys.items())]
        return float(row[column])

    cohen = {"file": "cohen_2019_cifar10.csv", "images": "10000"}
    assert value(**cohen, smooth_sigma="0.5", radius="0.5") == 0.428
    assert value(**cohen, smooth_sigma="1", radius="2.25") == 0.043
    assert value(**cohen, smooth_sigma="0.25", quantity="acr") == 0.424
    assert value("cohen_2019_cifar10.csv", train_sigma="0.12", images="500") == 0.091
    salman = {"file": "salman_2019_cifar10.csv", "choice": "best"}
    assert value(**salman, method="+ both", radius="0.25") == 0.81
    assert value(**salman, method="+ semi-supervision", radius="2.25") == 0.17
    mnist = {"file": "pal_sulam_2023_mnist_risk.csv", "column": "risk"}
    assert value(**mnist, train_sigma="0.0", smooth_sigma="0.9") == 0.6217
    assert value(**mnist, train_sigma="0.5", smooth_sigma="0.5") == 0.0084
    cifar = {"file": "pal_sulam_2023_cifar10_risk.csv", "column": "risk"}
    assert value(**cifar, train_sigma="0.45", smooth_sigma="0.6") == 0.375


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("mnist_risk", "train_sigma"),
        ("cifar10_risk", "train_sigma"),
        ("cohen_sigma", "radius"),
        ("cohen_bounds", "radius"),
        ("smoothadv", "radius"),
    ],
)
def test_published_numbers_are_drawn_hollow_and_named(name, x, table):
    rows = table(name)
    told = rows[rows["origin"] != tables.OURS]
    figure = find(name).draw(rows)
    drawn = points(figure, hollow=True)
    if x == "train_sigma":
        shown = {float(axes.get_title().removeprefix("β = ")) for axes in figure.axes}
        assert len(shown) >= 4
        told = told[told["smooth_sigma"].isin(shown)]
    wanted = {(round(a, 9), round(b, 9)) for a, b in told[[x, "value"]].to_numpy()}
    assert drawn == wanted
    texts = [text.get_text() for axes in figure.axes for legend in legends(axes) for text in legend.get_texts()]
    assert any("2019" in text or "2023" in text or "published" in text for text in texts)


def legends(axes):
    return [child for child in axes.get_children() if isinstance(child, mpl.legend.Legend)]


# ---- measured numbers


@pytest.mark.parametrize(
    ("name", "path"), [("mnist_risk", "docs/results/mnist_grid.csv"), ("cifar10_risk", "docs/results/cifar10_grid.csv")]
)
def test_risks_are_those_that_were_measured(name, path, table):
    ours = table(name)[lambda rows: rows["origin"] == tables.OURS]
    if not (ROOT / path).is_file():
        assert ours.empty
        return
    known = {}
    for row in raw(path):
        if row["split"] == "test" and row["quantity"] == "risk":
            known.setdefault((float(row["train_sigma"]), float(row["smooth_sigma"])), []).append(float(row["value"]))
    found = {(a, b): value for a, b, value in ours[["train_sigma", "smooth_sigma", "value"]].to_numpy()}
    assert found == pytest.approx({key: sum(values) / len(values) for key, values in known.items()}, abs=1e-12)


def test_a_grid_of_cifar10_is_drawn_as_soon_as_it_is_there(tmp_path, monkeypatch):
    from paper_figs import cifar10_risk, cohen_sigma, train_test_noise

    for path in {*cifar10_risk.COMMITTED, *cohen_sigma.COMMITTED, *train_test_noise.COMMITTED} - OPTIONAL:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    modules = {"cifar10_risk": cifar10_risk, "cohen_sigma": cohen_sigma, "train_test_noise": train_test_noise}
    without = {name: module.compute(True) for name, module in modules.items()}
    grid = tmp_path / "docs/results/cifar10_grid.csv"
    # levels that no other table has
    frame = pd.read_csv(tmp_path / "docs/results/mnist_grid.csv")
    frame[frame["smooth_sigma"].isin([0.2, 0.4, 0.5])].to_csv(grid, index=False)
    for name, module in modules.items():
        rows = module.compute(True)
        assert len(rows) > len(without[name])
        for found in (rows, without[name]):
            figure = module.draw(found)
            check_figure(name, figure)
            check_units(name, figure)


@pytest.mark.parametrize("name", ["adre", "smoothadv"])
def test_objectives_are_those_that_were_measured(name, table):
    rows = table(name)
    gaussian = [row for row in raw("docs/results/mnist_objectives.csv") if row["run"].startswith("gaussian-")]
    (acr,) = [column for column in gaussian[0] if column.startswith("acr")]
    ours = rows[(rows["origin"] == tables.OURS) & (rows["objective"] == "gaussian")]
    assert sorted(ours.loc[ours["quantity"] == "acr", "value"]) == sorted(float(row[acr]) for row in gaussian)
    at_one = ours[(ours["quantity"] == CERTIFIED) & (ours["radius"] == 1)]
    assert sorted(at_one["value"]) == sorted(float(row["ca_1"]) for row in gaussian)
    mean = sum(float(row["ca_1"]) for row in gaussian) / len(gaussian)
    figure = find(name).draw(rows)
    assert (1.0, round(mean, 9)) in points(figure, hollow=False)


@pytest.mark.parametrize("name", ["cohen_sigma", "train_test_noise"])
def test_measured_accuracies_are_those_of_the_grid(name, table):
    rows = table(name)
    ours = rows[(rows["origin"] == tables.OURS) & (rows["data"] == "MNIST") & (rows["quantity"] == CERTIFIED)]
    assert len(ours) > 5
    known = {}
    for row in raw("docs/results/mnist_grid.csv"):
        if row["split"] == "test" and row["quantity"] == CERTIFIED:
            key = float(row["train_sigma"]), float(row["smooth_sigma"]), float(row["radius"])
            known.setdefault(key, []).append(float(row["value"]))
    for row in ours.to_dict("records"):
        values = known[row["train_sigma"], row["smooth_sigma"], row["radius"]]
        assert row["value"] == pytest.approx(sum(values) / len(values), abs=1e-12)
    if name == "cohen_sigma":
        assert (ours["train_sigma"] == ours["smooth_sigma"]).all()
    else:
        assert ours["smooth_sigma"].nunique() == 1
    # nothing is drawn where the votes cannot reach: the 0 there is no measurement
    beyond = ours[ours["radius"] > tables.reach(int(ours["votes"].max()), 0.001) * ours["smooth_sigma"]]
    drawn = points(find(name).draw(rows), hollow=False)
    assert (beyond["value"] == 0).all()
    assert not {(radius, 0.0) for radius in beyond["radius"]} & drawn


def test_smoothadv_table(table):
    rows = table("smoothadv_table")
    paper = rows[rows["origin"] == tables.SALMAN]
    known = [row for row in raw(DATA + "salman_2019_cifar10.csv") if row["choice"] == "best"]
    assert paper[["method", "radius", "value"]].to_numpy().tolist() == [
        [row["method"], float(row["radius"]), float(row["value"])] for row in known
    ]
    gains = {(row["method"], row["radius"]): row["gain"] for row in paper.to_dict("records")}
    assert gains["+ both", 0.25] == pytest.approx(0.20)
    assert gains["SmoothAdv", 1.0] == pytest.approx(0.16)
    # the models certified on all images give the paper's table
    logs = rows[rows["origin"] == tables.RELEASED]
    whole = logs[logs["images"] == 10_000]
    assert np.abs(whole["value"].to_numpy() - paper["value"].to_numpy()).max() <= 0.005 + 1e-9
    runs = logs[logs["method"] != "Cohen et al."].drop_duplicates(["method", "images"])["runs"]
    assert runs.sum() == 1393
    figure = find("smoothadv_table").draw(rows)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == [f"{100 * value:.1f}" for value in whole["value"]]


def test_released_grid(table):
    rows = table("published_grid")
    pgd = published(data="cifar10", paper="Salman", method="smoothadv-pgd", smooth_sigma=0.5, images=500)
    plain = pgd[~pgd["pre_training"] & ~pgd["self_training"]]
    at = rows[(rows["smooth_sigma"] == 0.5) & (rows["x"] == 1)].set_index("panel")
    assert at.loc["attack_radius", "value"] == pytest.approx(plain.loc[plain["attack_radius"] == 1, "acr"].median())
    # one by one: what pre-training adds to a model with the same ε, T and m
    gains = []
    for row in pgd[pgd["pre_training"] & ~pgd["self_training"] & (pgd["attack_radius"] == 1)].to_dict("records"):
        same = (plain["attack_steps"] == row["attack_steps"]) & (plain["attack_radius"] == 1)
        same &= plain["copies"].isna() if pd.isna(row["copies"]) else plain["copies"] == row["copies"]
        gains += (row["acr"] - plain.loc[same, "acr"]).tolist()
    assert len(gains) == 14
    low, high = sorted(gains)[0], sorted(gains)[-1]
    assert low <= at.loc["pre_training", "value"] <= high
    assert (rows["lower"] <= rows["value"]).all()
    assert (rows["value"] <= rows["upper"]).all()


def test_what_500_images_hide(table):
    rows = table("published_images")
    assert len(rows) == 52
    at_one = rows[rows["smooth_sigma"] == 1]
    # what docs/results/published.md says
    assert len(at_one) == 8
    assert round(at_one["shift"].mean(), 3) == 0.053
    assert round(at_one["shift"].std(), 3) == 0.010
    assert (at_one["shift"].abs() < 1.96 * at_one["error"]).all()
    logs = published(data="cifar10", paper="Salman", smooth_sigma=1).set_index("acr")
    for row in at_one.to_dict("records"):
        assert {int(logs.loc[row[name], "images"]) for name in ("acr_500", "value")} == {500, 10_000}


def test_released_frontier(table):
    rows = table("published_frontier")
    assert rows.groupby("smooth_sigma").size().to_dict() == {0.25: 28, 0.5: 47, 1.0: 21}
    half = rows[(rows["smooth_sigma"] == 0.5) & rows["on_frontier"]].sort_values("ca_0")
    assert half["acr"].iloc[0] == 0.7707
    assert half["acr"].is_monotonic_decreasing
    assert half["method"].iloc[-1] == "gaussian"


def test_the_note_counts_released_risks_in_our_intervals():
    from paper_figs import mnist_risk

    ours = pd.read_csv(ROOT / "docs/results/mnist_grid.csv")
    ours = ours[(ours["quantity"] == "risk") & (ours["split"] == "test")].round(6)
    theirs = pd.read_csv(ROOT / "paper_figs/data/pal_sulam_2023_mnist_risk.csv").round(6)
    released = {(row.train_sigma, row.smooth_sigma): row.risk for row in theirs.itertuples()}
    found = [(released.get((row.train_sigma, row.smooth_sigma)), row.lower, row.upper) for row in ours.itertuples()]
    inside = [lower <= risk <= upper for risk, lower, upper in found if risk is not None]
    figure = mnist_risk.draw(mnist_risk.compute(False))
    assert f"{sum(inside)} of {len(inside)} released risks" in " ".join(figure._supxlabel.get_text().split())
    plt.close(figure)


def test_smoothadv_parameters_are_those_of_the_runs():
    from paper_figs import smoothadv_parameters

    raw = pd.read_csv(ROOT / "docs/results/mnist_smoothadv.csv").set_index("run")
    table = smoothadv_parameters.compute(False)
    acr = table[(table["quantity"] == "acr") & (table["objective"] == "smoothadv")]
    column = next(name for name in raw if name.startswith("acr"))
    for row in acr.itertuples():
        run = f"smoothadv-m{row.copies:g}-T{row.steps:g}-e{row.attack_radius:g}.jsonl"
        assert row.value == raw.loc[run, column]
    assert len(acr) == len(raw) - 1  # and one of Gaussian training
    # one parameter at a time: each panel shares a run with the others
    assert ((acr[["copies", "steps", "attack_radius"]] != [2, 2, 1]).sum(axis=1) <= 1).all()
