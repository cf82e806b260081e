"""Whether training with noise helps: tables of values set against the one without training noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from noiseaug.tables import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NOTICEABLE", "SUMMARY_COLUMNS", "best_levels", "summary", "with_benefit"]

NOTICEABLE = 5e-4
"""Gains and losses below half a tenth of a percentage point count as none."""

SUMMARY_COLUMNS = (
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


def _curve_numbers(table: pd.DataFrame) -> pd.Series:
    """A number for each curve over train_sigma, in the order of the table; sampled values are curves of their own."""
    along = ("train_sigma", "value", "lower", "upper", "seed", "n", "failure_prob", "method")
    keys = [table[column] for column in table.columns if column not in along]
    return table.groupby([*keys, table["method"] == "sampled"], sort=False, dropna=False).ngroup()


def with_benefit(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the gain over train_sigma 0 in the quantity's good direction, and an interval for it.

    The column ``benefit`` is Pal & Sulam's Δ_{0,β} − Δ_{α,β} for quantities where less is better, the increase for
    accuracies and radii; ``benefit_lower`` and ``benefit_upper`` bound it where both values lie in their intervals. NaN
    on curves without a row at train_sigma 0.
    """
    curve = _curve_numbers(table)
    at_zero = table["train_sigma"] == 0
    base = table[at_zero].groupby(curve[at_zero])[["value", "lower", "upper"]].first().reindex(curve)
    value, lower, upper = (table[name].to_numpy(float) for name in ("value", "lower", "upper"))
    value_0, lower_0, upper_0 = (base[name].to_numpy(float) for name in ("value", "lower", "upper"))
    falls = table["quantity"].isin([name for name, kind in QUANTITIES.items() if kind.less_is_better]).to_numpy()
    certain = at_zero.to_numpy()  # a value gains nothing over itself
    return table.assign(
        without_noise=value_0,
        benefit=np.where(falls, _minus(value_0, value), _minus(value, value_0)),
        benefit_lower=np.where(certain, 0.0, np.where(falls, _minus(lower_0, upper), _minus(lower, upper_0))),
        benefit_upper=np.where(certain, 0.0, np.where(falls, _minus(upper_0, lower), _minus(upper, lower_0))),
    ).reset_index(drop=True)


def _minus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The difference; 0 where both are infinite, as the average radii of two constant classifiers."""
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, first - second)


def best_levels(table: pd.DataFrame) -> pd.DataFrame:
    """For each curve over train_sigma the row with the largest benefit; the smallest such level on ties."""
    gains = with_benefit(table)
    # ties within rounding go to the smallest noise
    ranked = gains.assign(curve=_curve_numbers(table).to_numpy(), rounded=gains["benefit"].round(9))
    ranked = ranked.sort_values(["curve", "rounded", "train_sigma"], ascending=[True, False, True])
    return ranked.drop_duplicates("curve").drop(columns=["curve", "rounded"])


def _verdicts(gains: pd.DataFrame, curve: pd.Series) -> np.ndarray:
    """For each curve what training noise does, as far as the intervals let one say."""
    by_curve = gains.groupby(curve.to_numpy())
    surely_gained, surely_lost = by_curve["benefit_lower"].max(), by_curve["benefit_upper"].min()
    seen = by_curve["benefit"].max()
    never = (by_curve["benefit_upper"].max() <= NOTICEABLE) & (by_curve["benefit_lower"].min() >= -NOTICEABLE)
    return np.select(
        [surely_gained > NOTICEABLE, seen > NOTICEABLE, surely_lost < -NOTICEABLE, never],
        ["helps", "unclear", "hurts", "no effect"],
        "unclear",
    )


def summary(table: pd.DataFrame, setting: Sequence[str], label: str) -> pd.DataFrame:
    """One line for each curve: value without noise, with the best noise, and whether noise helps.

    The verdict is ``helps`` where some level surely gains, ``hurts`` where none is seen to gain and some level surely
    loses, ``no effect`` where no level does either, and ``unclear`` where the intervals of sampled values are too wide
    to say. Curves without a row at train_sigma 0 are left out.

    Args:
        table: tidy rows of one or more curves over train_sigma.
        setting: columns that are named in the line besides quantity, smooth_sigma and radius.
        label: what to call the family.
    """
    import pandas as pd

    table = table[with_benefit(table)["without_noise"].notna().to_numpy()]
    if table.empty:
        return pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    best = best_levels(table)
    noise = _verdicts(with_benefit(table), _curve_numbers(table))

    def describe(row: pd.Series) -> str:
        return ", ".join([label, *(f"{name.removeprefix('task_')}={row[name]:g}" for name in setting)])

    if "task_prior" in best:
        # a classifier that always gives the likelier answer certifies its share at every radius
        constant = np.maximum(best["task_prior"], 1 - best["task_prior"])
        short = (best["quantity"] == "certified_accuracy") & (best["value"] <= constant + 1e-9)
        noise = np.where(short & (noise == "helps"), "helps, short of a constant", noise)
    # an infinite average radius is had by giving one answer everywhere
    noise = np.where(np.isinf(best["value"]) & (noise == "helps"), "helps, as a constant", noise)
    lines = best.assign(setting=best.apply(describe, axis=1), noise=noise)
    lines = lines.rename(columns={"value": "with_best_noise", "train_sigma": "best_train_sigma", "benefit": "gain"})
    return lines[list(SUMMARY_COLUMNS)].reset_index(drop=True)
