"""Whether training with noise helps: tables of values set against the one without training noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SUMMARY_COLUMNS", "best_levels", "summary", "with_benefit"]

_LESS_IS_BETTER = ("risk", "excess_risk", "disagreement")
_NOTICEABLE = 5e-4  # gains below half a tenth of a percentage point count as none
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


def _curve_columns(table: pd.DataFrame) -> list[str]:
    """The columns that tell one curve over train_sigma from another."""
    fixed = ("train_sigma", "value", "lower", "upper", "seed", "n", "failure_prob", "method")
    return [column for column in table.columns if column not in fixed]


def with_benefit(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``benefit``: the gain over train_sigma 0 in the quantity's good direction.

    Pal & Sulam's benefit Δ_{0,β} − Δ_{α,β} for quantities where less is better, the increase for accuracies and radii.
    """
    keys = _curve_columns(table)
    base = table[table["train_sigma"] == 0].drop_duplicates(keys)[[*keys, "value"]]
    merged = table.merge(base.rename(columns={"value": "without_noise"}), on=keys, how="left", validate="many_to_one")
    sign = np.where(merged["quantity"].isin(_LESS_IS_BETTER), -1.0, 1.0)
    return merged.assign(benefit=sign * (merged["value"] - merged["without_noise"]))


def best_levels(table: pd.DataFrame) -> pd.DataFrame:
    """For each curve over train_sigma the row with the largest benefit; the smallest such level on ties."""
    ranked = with_benefit(table)
    # ties within rounding go to the smallest noise
    ranked = ranked.assign(rounded=ranked["benefit"].round(9)).sort_values(
        ["rounded", "train_sigma"], ascending=[False, True]
    )
    return ranked.drop_duplicates(_curve_columns(table)).drop(columns="rounded").sort_index()


def summary(table: pd.DataFrame, setting: Sequence[str], label: str) -> pd.DataFrame:
    """One line for each curve: value without noise, with the best noise, and whether noise helps.

    Args:
        table: tidy rows of one or more curves over train_sigma.
        setting: columns that are named in the line besides quantity, smooth_sigma and radius.
        label: what to call the family.
    """
    best = best_levels(table)
    worst = with_benefit(table).groupby(_curve_columns(table), dropna=False)["benefit"].min()
    least = worst.reindex(best.set_index(_curve_columns(table)).index).to_numpy()

    def describe(row: pd.Series) -> str:
        return ", ".join([label, *(f"{name.removeprefix('task_')}={row[name]:g}" for name in setting)])

    helps = np.where(best["benefit"] > _NOTICEABLE, "helps", np.where(least < -_NOTICEABLE, "hurts", "no effect"))
    if "task_prior" in best:
        # a classifier that always gives the likelier answer certifies its share at every radius
        constant = np.maximum(best["task_prior"], 1 - best["task_prior"])
        short = (best["quantity"] == "certified_accuracy") & (best["value"] <= constant + 1e-9)
        helps = np.where(short & (helps == "helps"), "helps, short of a constant", helps)
    lines = best.assign(setting=best.apply(describe, axis=1), noise=helps)
    lines = lines.rename(columns={"value": "with_best_noise", "train_sigma": "best_train_sigma", "benefit": "gain"})
    return lines[list(SUMMARY_COLUMNS)].reset_index(drop=True)
