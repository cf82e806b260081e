"""Every preset runs, draws figures that can be read, and says nothing that its own table does not say."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.lines import Line2D

from noiseaug import InvalidInputError, tasks
from noiseaug.sweeps import run_cell
from noiseaug.synthetic.benefit import SUMMARY_COLUMNS
from noiseaug.synthetic.presets import DEFAULT, PRESETS, custom, find
from noiseaug.synthetic.runs import run_study
from noiseaug.synthetic.study import TASKS
from noiseaug.tables import read_table
from tests.helpers.figures import canvas, check_figure  # noqa: F401  (a fixture that all tests here use)

LESS_IS_BETTER = {"risk", "excess_risk", "disagreement"}
NOTICEABLE = 5e-4
ALONG = {"train_sigma", "value", "lower", "upper", "method", "n", "failure_prob", "seed"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The small version of each preset, computed when it is first asked for."""
    known = {}

    def table(name):
        if name not in known:
            path = tmp_path_factory.mktemp(name) / "run"
            known[name] = run_study(PRESETS[name].build(True), path, jobs=1, progress=False)
            # what is drawn after --resume is drawn from the file
            assert read_table(path / "table.csv").equals(known[name])
        return known[name]

    return table


def curves(table):
    """Rows of each curve over train_sigma by what tells it apart, in plain Python: {key: {train_sigma: row}}."""
    found = defaultdict(dict)
    for row in table.to_dict("records"):
        key = tuple("" if row[name] != row[name] else row[name] for name in row if name not in ALONG)
        key = (*key, row["method"] == "sampled")
        assert row["train_sigma"] not in found[key]
        found[key][row["train_sigma"]] = row
    return dict(found)


def gain(quantity, before, after):
    return before - after if quantity in LESS_IS_BETTER else after - before


def best_row(curve):
    """The row with the largest gain over train_sigma 0; the first of those equal up to rounding."""
    rows = [curve[level] for level in sorted(curve)]
    zero = curve[0.0]["value"]
    gains = [gain(row["quantity"], zero, row["value"]) for row in rows]
    return next(row for row, value in zip(rows, gains, strict=True) if value >= max(gains) - 1e-9)


def test_presets_are_found_by_name():
    for name, preset in PRESETS.items():
        assert find(name) is preset
    with pytest.raises(InvalidInputError, match=r"no preset 'phases'; expected one of phase, .*, or a \.toml file"):
        find("phases")
    assert set(DEFAULT) == {name for name, preset in PRESETS.items() if preset.default}
    with pytest.raises(InvalidInputError):
        custom.PRESET.build(True)


@pytest.mark.parametrize("name", PRESETS)
def test_the_full_version_can_be_built(name):
    study = PRESETS[name].build(False)
    described = study.describe()
    assert described["name"] == name
    cells = study.cells()
    small = PRESETS[name].build(True).cells()
    assert len(cells) >= len(small)
    assert len({cell.key for _, cell in cells}) == len(cells)
    # the same columns and quantities, on a finer grid
    assert [part.task for part in study.parts] == [part.task for part in PRESETS[name].build(True).parts]
    assert {q for part in study.parts for q in part.grid.quantities} == {
        q for part in PRESETS[name].build(True).parts for q in part.grid.quantities
    }
    for part in study.parts:
        assert 0.0 in part.grid.train_sigma


@pytest.mark.parametrize("name", PRESETS)
def test_the_small_version_is_a_whole_table(name, tables):
    table, study = tables(name), PRESETS[name].build(True)
    rows = sum(
        len(cell.grid.smooth_sigma) * len(cell.grid.method) * len(cell.grid.measures) for _, cell in study.cells()
    )
    assert len(table) == rows
    assert table["value"].notna().all()
    assert (table["lower"] <= table["value"]).all()
    assert (table["value"] <= table["upper"]).all()
    # the first cell by itself
    first = run_cell(study.cells()[0][1])
    assert [row["value"] for row in first] == table["value"].iloc[: len(first)].tolist()


@pytest.mark.parametrize("name", PRESETS)
def test_figures_can_be_read(name, tables):
    figures = PRESETS[name].draw(tables(name))
    assert figures
    for file, figure in figures.items():
        assert file.replace("_", "").replace("-", "").isalnum()
        check_figure(file, figure)


@pytest.mark.parametrize("name", PRESETS)
def test_any_table_can_be_drawn_as_that_of_a_file(name, tables):
    for file, figure in custom.draw(tables(name)).items():
        check_figure(file, figure)
    assert list(custom.summarise(tables(name)).columns) == list(SUMMARY_COLUMNS)


def test_the_figure_check_fires():
    figure, axes = plt.subplots(figsize=(3, 3))
    figure.subplots_adjust(left=0.3, bottom=0.3, right=0.9, top=0.8)
    with pytest.raises(AssertionError):
        check_figure("untitled", figure)
    figure.suptitle("x")
    with pytest.raises(AssertionError, match="an empty panel"):
        check_figure("bare", figure)
    axes.plot([0, 1], [math.nan, math.nan])
    with pytest.raises(AssertionError, match="without a value"):
        check_figure("nan", figure)
    axes.plot([0, 1], [0, 1])
    with pytest.raises(AssertionError, match="no label below"):
        check_figure("bare", figure)
    axes.set(xlabel="x")
    with pytest.raises(AssertionError, match="no label on the left"):
        check_figure("bare", figure)
    axes.set(ylabel="y")
    check_figure("good", figure)
    figure.suptitle("a title that is far too long for a figure of so few inches")
    with pytest.raises(AssertionError, match="cut off"):
        check_figure("long", figure)


@pytest.mark.parametrize(("name", "mark"), [("minority", "risk"), ("isolated", "disagreement")])
def test_dots_lie_where_the_table_has_its_best(name, mark, tables):
    table = tables(name)
    (figure,) = PRESETS[name].draw(table).values()
    axes = figure.axes[:1] if name == "minority" else figure.axes
    dots = [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for panel in axes
        for line in panel.lines
        if isinstance(line, Line2D) and len(line.get_xdata()) == 1 and line.get_marker() == "o"
    ]
    wanted = [best_row(curve) for curve in curves(table[table["quantity"] == mark]).values()]
    assert sorted(dots) == sorted((row["train_sigma"], row["value"]) for row in wanted)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"discs", "discs-fair"}))
def test_summaries_agree_with_their_tables(name, tables):
    table = tables(name)
    summary = PRESETS[name].summarise(table)
    assert list(summary.columns) == list(SUMMARY_COLUMNS)
    assert len(summary)
    assert summary["setting"].str.len().between(3, 60).all()
    told = [*SUMMARY_COLUMNS[1:]]
    recomputed = defaultdict(list)
    for curve in curves(table).values():
        zero, best = curve[0.0], best_row(curve)
        quantity = zero["quantity"]
        surely = [
            gain(
                quantity, *((zero["lower"], r["upper"]) if quantity in LESS_IS_BETTER else (zero["upper"], r["lower"]))
            )
            for level, r in curve.items()
            if level > 0
        ]
        lost = [
            gain(
                quantity, *((zero["upper"], r["lower"]) if quantity in LESS_IS_BETTER else (zero["lower"], r["upper"]))
            )
            for level, r in curve.items()
            if level > 0
        ]
        top = gain(quantity, zero["value"], best["value"])
        if max(surely) > NOTICEABLE:
            noise = "helps"
        elif top > NOTICEABLE:
            noise = "unclear"
        elif min(lost) < -NOTICEABLE:
            noise = "hurts"
        else:
            noise = "no effect" if max(lost) <= NOTICEABLE and min(surely) >= -NOTICEABLE else "unclear"
        radius = None if math.isnan(zero["radius"]) else zero["radius"]
        recomputed[quantity, zero["smooth_sigma"], radius].append(
            (zero["value"], best["value"], best["train_sigma"], top, noise)
        )
    for line in summary[told].to_dict("records"):
        radius = None if math.isnan(line["radius"]) else line["radius"]
        claim = line["without_noise"], line["with_best_noise"], line["best_train_sigma"], line["gain"]
        candidates = recomputed[line["quantity"], line["smooth_sigma"], radius]
        verdict = line["noise"].split(",")[0]
        assert any(
            np.allclose(claim, candidate[:4], rtol=0, atol=1e-15) and verdict == candidate[4]
            for candidate in candidates
        ), line


@pytest.mark.parametrize("name", ["discs", "discs-fair"])
def test_summaries_of_many_draws(name, tables):
    table = tables(name)
    summary = PRESETS[name].summarise(table)
    assert list(summary.columns) == list(SUMMARY_COLUMNS)
    draws = defaultdict(lambda: defaultdict(list))
    for curve in curves(table).values():
        for level, row in curve.items():
            key = row["smooth_sigma"], f"separation={row['task_separation']:g}"
            draws[key][level].append((curve[0.0]["value"], curve[0.0]["value"] - row["value"]))
    assert len(summary) == len(draws)
    for line in summary.to_dict("records"):
        levels = draws[line["smooth_sigma"], line["setting"].split(", ")[-1]]
        benefits = {level: np.array([benefit for _, benefit in pairs]) for level, pairs in levels.items()}
        means = {level: found.mean() for level, found in benefits.items()}
        errors = {level: found.std(ddof=1) / np.sqrt(len(found)) for level, found in benefits.items()}
        best = line["best_train_sigma"]
        assert line["gain"] == pytest.approx(max(means.values()), abs=1e-15)
        assert line["gain"] == pytest.approx(means[best], abs=1e-15)
        assert line["without_noise"] == pytest.approx(np.mean([zero for zero, _ in levels[0.0]]), abs=1e-15)
        assert line["with_best_noise"] == pytest.approx(line["without_noise"] - line["gain"], abs=1e-15)
        if means[best] - 2 * errors[best] > NOTICEABLE:
            assert line["noise"] == "helps"
        elif means[best] > NOTICEABLE:
            assert line["noise"].startswith("unclear")
        elif min(means[level] + 2 * errors[level] for level in means) < -NOTICEABLE:
            assert line["noise"] == "hurts"
        else:
            assert line["noise"] == "no effect"


def test_phase_dots_and_hatches_mean_what_the_note_says(tables):
    table = tables("phase")
    figures = PRESETS["phase"].draw(table)
    panel = figures["phase_diagram"].axes[0]
    assert panel.get_title() == "d = 2, r = 0"
    (dots,) = [line for line in panel.lines if line.get_marker() == "."]
    shown = dict(zip(dots.get_xdata(), dots.get_ydata(), strict=True))
    here = table[(table["quantity"] == "certified_accuracy") & (table["task_dim"] == 2) & (table["radius"] == 0)]
    wanted = {}
    for curve in curves(here).values():
        row = best_row(curve)
        if row["value"] - curve[0.0]["value"] > 1e-3:
            wanted[row["smooth_sigma"]] = row["train_sigma"]
    assert shown == wanted


def test_the_limit_is_drawn_where_both_radii_reach_it(tables):
    limit = tasks.ConcentricLimit(0.3, 0.4)
    for name, file, radius in (("phase", "phase_diagram", 0.2), ("boundary", "boundary", 0.0)):
        panel = next(
            axes
            for axes in PRESETS[name].draw(tables(name))[file].axes
            if axes.get_title() in {f"d = 100, r = {radius:g}", "d = 100"}
        )
        lines = [c for c in panel.collections if isinstance(c, mpl.contour.ContourSet) and not c.filled]
        drawn = np.concatenate([path.vertices for path in lines[-1].get_paths()])
        both = np.minimum(*limit.radii(drawn[:, 1], drawn[:, 0]))
        np.testing.assert_allclose(both, radius / 10, atol=1e-3)


def test_optimal_noise_is_the_closed_form(tables):
    # "each lies at its α(r)", on a grid that holds α(r) for every radius
    table = tables("optimal")
    accuracy = table[table["quantity"] == "certified_accuracy"]
    found = {row["radius"]: best_row(curve) for curve in curves(accuracy).values() for row in [curve[0.0]]}
    assert len(found) == 12
    task = TASKS["GaussianPair"](**PRESETS["optimal"].build(True).parts[0].fixed)
    alphas = [found[radius]["train_sigma"] for radius in sorted(found)]
    assert alphas == [pytest.approx(task.optimal_train_sigma(radius), rel=1e-12) for radius in sorted(found)]
    assert alphas == sorted(alphas)
    assert alphas[0] == 0
    assert isinstance(task, tasks.GaussianPair)


def test_the_minority_is_erased(tables):
    table = tables("minority")
    risk = curves(table[table["quantity"] == "risk"])
    for curve in risk.values():
        prior = curve[0.0]["task_prior"]
        values = [curve[level]["value"] for level in sorted(curve)]
        assert min(values) >= values[0] - 1e-12
        if prior < 0.1:
            # at the end as bad as always predicting the majority
            assert values[-1] == pytest.approx(prior, rel=0.01)


def test_spheres_are_right_or_wrong_as_a_whole(tables):
    table = tables("spheres")
    risk = table[table["quantity"] == "risk"]
    assert set(risk["value"]) <= {0.0, 0.5, 1.0}
    right = risk[risk["value"] == 0]
    # a band around the diagonal
    assert (right["train_sigma"] - right["smooth_sigma"]).abs().max() <= 0.03
    assert set(right["smooth_sigma"]) == set(risk["smooth_sigma"])


def test_isolated_arcs_only_lose(tables):
    table = tables("circle")
    delta = table[table["quantity"] == "disagreement"]
    for curve in curves(delta).values():
        if curve[0.0]["task_separation"] == 3.0:
            assert min(row["value"] for row in curve.values()) >= curve[0.0]["value"] - 1e-12
    near = [curve for curve in curves(delta).values() if curve[0.0]["task_separation"] < 1]
    assert any(best_row(curve)["train_sigma"] > 0 for curve in near)


def test_isolated_balls_start_at_their_minimum(tables):
    table = tables("isolated")
    for curve in curves(table[table["quantity"] == "disagreement"]).values():
        values = [curve[level]["value"] for level in sorted(curve)]
        assert all(after >= before - 1e-12 for before, after in pairwise(values))


def test_closed_forms_lie_in_their_sampled_intervals(tables):
    table = tables("agreement")
    keys = ["task", "train_sigma", "quantity", "radius"]
    exact, sampled = (table[(table["method"] == "sampled") == kind].set_index(keys) for kind in (False, True))
    exact = exact.loc[sampled.index]
    assert len(exact) == len(sampled) > 100
    # 99.9% each, at one seed: a false alarm below 1e-9 allows so many misses
    misses = int(((sampled["lower"] > exact["upper"]) | (sampled["upper"] < exact["lower"])).sum())
    from scipy import stats

    assert stats.binom.sf(misses - 1, len(sampled), 1e-3) > 1e-9
    assert set(sampled["failure_prob"]) == {1e-3}
    assert set(table["votes"].dropna()) == {1000}


def test_the_two_rules_differ(tables):
    table = tables("rules")
    risk = table[table["quantity"] == "risk"]
    for _, rows in risk.groupby("task"):
        wide = rows.pivot(index="train_sigma", columns="rule", values="value")
        assert (wide["augmented"] - wide["convolved"]).abs().max() > 0.01
        assert wide.loc[0.0, "augmented"] == pytest.approx(wide.loc[0.0, "convolved"], abs=1e-12)


@pytest.mark.parametrize("name", ["moons", "digits"])
def test_bands_are_what_the_note_says(name, tables):
    table = tables(name)
    assert set(table["method"]) == {"sampled"}
    assert set(table["failure_prob"]) == {0.05}
