"""What a summary says about hand-made tables, worked out beside each."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from noiseaug.synthetic.benefit import SUMMARY_COLUMNS, best_levels, summary, with_benefit

INFINITE = math.inf


def curve(quantity, values, *, widths=0.0, levels=None, method="exact", radius=math.nan, **columns):
    """Rows of one curve over train_sigma 0, 1, 2, …; ``widths`` is half the width of the intervals."""
    values = np.asarray(values, dtype=float)
    return pd.DataFrame(
        {
            "task": "T()",
            "rule": "augmented",
            "train_sigma": np.arange(len(values), dtype=float) if levels is None else np.asarray(levels, dtype=float),
            "smooth_sigma": 0.5,
            "quantity": quantity,
            "radius": radius,
            "value": values,
            "lower": values - widths,
            "upper": values + widths,
            "method": method,
            "n": 0 if method != "sampled" else 100,
            "failure_prob": 0.0,
            "seed": pd.array([pd.NA if method != "sampled" else 0] * len(values), dtype="Int64"),
            **columns,
        }
    )


def verdict(table, setting=(), label="T"):
    """The one line of a table with one curve."""
    lines = summary(table, list(setting), label)
    assert list(lines.columns) == list(SUMMARY_COLUMNS)
    assert len(lines) == 1
    return lines.iloc[0]


def test_columns_of_a_summary():
    assert SUMMARY_COLUMNS == (
        "setting",
        "quantity",
        "smooth_sigma",
        "radius",
        "without_noise",
        "with_best_noise",
        "best_train_sigma",
        "gain",
        "noise",
    )


@pytest.mark.parametrize(
    ("quantity", "values", "best", "gain", "noise"),
    [
        # less is better
        ("risk", [0.30, 0.25, 0.28], 1, 0.05, "helps"),
        ("excess_risk", [0.10, 0.20, 0.02], 2, 0.08, "helps"),
        ("disagreement", [0.10, 0.09, 0.30], 1, 0.01, "helps"),
        ("risk", [0.30, 0.31, 0.40], 0, 0.0, "hurts"),
        ("disagreement", [0.0, 0.0, 0.2], 0, 0.0, "hurts"),
        # more is better
        ("certified_accuracy", [0.30, 0.25, 0.45], 2, 0.15, "helps"),
        ("adversarial_accuracy", [0.30, 0.31, 0.29], 1, 0.01, "helps"),
        ("finite_sample_certified_accuracy", [0.9, 0.8], 0, 0.0, "hurts"),
        ("acr", [1.0, 3.0, 2.0], 1, 2.0, "helps"),
        ("acr", [1.0, 0.5], 0, 0.0, "hurts"),
        # too little to speak of: half a tenth of a percentage point
        ("risk", [0.30, 0.2996, 0.3004], 1, 0.0004, "no effect"),
        ("risk", [0.30, 0.2994, 0.3004], 1, 0.0006, "helps"),
        ("risk", [0.30, 0.2996, 0.3006], 1, 0.0004, "hurts"),
        ("risk", [0.5, 0.5, 0.5], 0, 0.0, "no effect"),
        # one level alone
        ("risk", [0.30], 0, 0.0, "no effect"),
        # equal up to rounding: the smallest noise is the best
        ("risk", [0.30, 0.20 + 1e-13, 0.20], 1, 0.1, "helps"),
        ("certified_accuracy", [0.5, 0.5 + 1e-13], 0, 0.0, "no effect"),
    ],
)
def test_verdicts_of_exact_values(quantity, values, best, gain, noise):
    line = verdict(curve(quantity, values))
    assert line["best_train_sigma"] == best
    assert line["gain"] == pytest.approx(gain, abs=1e-12)
    assert line["noise"] == noise
    assert line["without_noise"] == values[0]
    assert line["with_best_noise"] == pytest.approx(values[best], abs=1e-12)
    assert (line["quantity"], line["smooth_sigma"]) == (quantity, 0.5)


@pytest.mark.parametrize(
    ("values", "widths", "noise"),
    [
        # the intervals of the best level and of no noise lie apart
        ([0.40, 0.20], 0.09, "helps"),
        # they overlap
        ([0.40, 0.20], 0.11, "unclear"),
        # every level is seen to lose, one of them surely
        ([0.20, 0.21, 0.60], 0.05, "hurts"),
        # every level is seen to lose, none surely
        ([0.20, 0.21, 0.25], 0.05, "unclear"),
        # a gain is seen but not sure, a loss is sure: noise may still help at the right level
        ([0.30, 0.25, 0.90], 0.10, "unclear"),
        # all alike, but the intervals leave room for more than nothing
        ([0.30, 0.30], 0.01, "unclear"),
        ([0.30, 0.30], 1e-4, "no effect"),
    ],
)
def test_verdicts_of_sampled_values_need_intervals_apart(values, widths, noise):
    assert verdict(curve("risk", values, widths=widths, method="sampled"))["noise"] == noise
    flipped = curve("certified_accuracy", [1 - value for value in values], widths=widths, method="sampled")
    assert verdict(flipped)["noise"] == noise


def test_an_accuracy_that_a_constant_has_too():
    table = curve("certified_accuracy", [0.2, 0.6, 0.5], task_prior=0.4)
    assert verdict(table, ["task_prior"])["noise"] == "helps, short of a constant"
    assert verdict(table, ["task_prior"])["setting"] == "T, prior=0.4"
    # 0.6 is what the likelier class alone gives
    assert verdict(curve("certified_accuracy", [0.2, 0.6001], task_prior=0.4))["noise"] == "helps"
    assert verdict(curve("certified_accuracy", [0.2, 0.59], task_prior=0.6))["noise"] == "helps, short of a constant"
    # nothing but a gain is belittled, and only certified accuracy is compared with a constant
    assert verdict(curve("certified_accuracy", [0.4, 0.1], task_prior=0.4))["noise"] == "hurts"
    assert verdict(curve("risk", [0.4, 0.1], task_prior=0.4))["noise"] == "helps"


def test_an_infinite_radius_is_that_of_a_constant():
    line = verdict(curve("acr", [1.0, INFINITE]))
    assert line["noise"] == "helps, as a constant"
    assert line["gain"] == INFINITE
    both = verdict(curve("acr", [INFINITE, INFINITE, 1.0]))
    assert (both["noise"], both["gain"], both["best_train_sigma"]) == ("hurts", 0.0, 0)


def test_an_unbounded_interval_proves_no_gain():
    table = curve("acr", [0.5, 2.0], method="sampled")
    table["upper"] = INFINITE
    assert verdict(table)["noise"] == "unclear"


def test_one_line_for_each_curve_in_the_order_of_the_table():
    table = pd.concat(
        [
            curve("risk", [0.3, 0.1], task_dim=2),
            curve("certified_accuracy", [0.3, 0.1], radius=0.5, task_dim=2),
            curve("certified_accuracy", [0.2, 0.9], radius=0.0, task_dim=2),
            curve("risk", [0.1, 0.3], task_dim=1),
        ],
        ignore_index=True,
    )
    # as sweeps write it: all curves at the first level, then all at the second
    table = table.sort_values("train_sigma", kind="stable", ignore_index=True)
    lines = summary(table, ["task_dim"], "family")
    assert lines["setting"].tolist() == ["family, dim=2", "family, dim=2", "family, dim=2", "family, dim=1"]
    assert lines["quantity"].tolist() == ["risk", "certified_accuracy", "certified_accuracy", "risk"]
    assert lines["radius"].fillna(-1).tolist() == [-1, 0.5, 0.0, -1]
    assert lines["noise"].tolist() == ["helps", "hurts", "helps", "hurts"]


@pytest.mark.parametrize(
    "column", [{"rule": "convolved"}, {"smooth_sigma": 0.7}, {"task": "U()"}, {"votes": 100}, {"task_dim": 3}]
)
def test_curves_are_told_apart(column):
    one, two = curve("risk", [0.3, 0.1]), curve("risk", [0.2, 0.6]).assign(**column)
    lines = summary(pd.concat([one, two], ignore_index=True), [], "T")
    assert lines["noise"].tolist() == ["helps", "hurts"]
    assert lines["without_noise"].tolist() == [0.3, 0.2]


def test_sampled_values_are_set_against_sampled_ones():
    table = pd.concat(
        [curve("risk", [0.30, 0.20]), curve("risk", [0.34, 0.20], widths=0.01, method="sampled")], ignore_index=True
    )
    assert with_benefit(table)["benefit"].round(12).tolist() == [0.0, 0.10, 0.0, 0.14]
    assert summary(table, [], "T")["gain"].round(12).tolist() == [0.10, 0.14]


def test_exact_and_numeric_values_are_one_curve():
    table = curve("acr", [0.0, 2.0])
    table["method"] = ["exact", "numeric"]
    assert verdict(table)["gain"] == 2.0


def test_nothing_is_said_without_a_value_to_compare_with():
    lonely = curve("risk", [0.3, 0.1], levels=[0.5, 1.0])
    assert with_benefit(lonely)["benefit"].isna().all()
    empty = summary(lonely, [], "T")
    assert list(empty.columns) == list(SUMMARY_COLUMNS)
    assert empty.empty
    # a neighbour that has one is not kept from its line
    lines = summary(pd.concat([lonely, curve("risk", [0.2, 0.1]).assign(task="U()")]), [], "T")
    assert lines["without_noise"].tolist() == [0.2]


def test_benefit_keeps_the_table():
    table = pd.concat([curve("risk", [0.3, 0.1]), curve("acr", [1.0, 0.5])], ignore_index=True)
    gains = with_benefit(table)
    assert_frame_equal(gains[list(table.columns)], table)
    assert gains["without_noise"].tolist() == [0.3, 0.3, 1.0, 1.0]
    assert gains["benefit"].round(12).tolist() == [0.0, 0.2, 0.0, -0.5]


def test_benefit_has_an_interval():
    gains = with_benefit(curve("risk", [0.3, 0.1], widths=[0.01, 0.02], method="sampled"))
    assert gains["benefit_lower"].round(12).tolist() == [0.0, 0.17]
    assert gains["benefit_upper"].round(12).tolist() == [0.0, 0.23]
    gains = with_benefit(curve("acr", [0.3, 0.1], widths=[0.01, 0.02], method="sampled"))
    assert gains["benefit_lower"].round(12).tolist() == [0.0, -0.23]
    assert gains["benefit_upper"].round(12).tolist() == [0.0, -0.17]


def test_best_levels_are_rows_of_the_table():
    table = pd.concat(
        [curve("certified_accuracy", [0.1, 0.4, 0.2], radius=r) for r in (0.0, 1.0)], ignore_index=True
    ).sample(frac=1, random_state=0)
    best = best_levels(table)
    assert best["train_sigma"].tolist() == [1.0, 1.0]
    assert sorted(best["radius"]) == [0.0, 1.0]
    assert "curve" not in best
    assert "rounded" not in best
