"""Predicted beside measured: the gap at every training noise, the best level of both, and what trusting it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseaug.bridge.choice import best_level, recommended_level
from noiseaug.errors import InvalidInputError
from noiseaug.tables import QUANTITIES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_votes", "choices", "gap_table", "measured_rows", "overlay"]

_KEYS = ["smooth_sigma", "quantity", "radius"]
_FINITE = "finite_sample_certified_accuracy"
_DIGITS = 9  # to which levels and radii of two tables are the same


def overlay(predicted: pd.DataFrame, measured: pd.DataFrame, *, split: str = "test") -> pd.DataFrame:
    """Rows of the two tables that speak about the same (α, β, quantity, radius), side by side.

    Measured values of several seeds are averaged, and so are the ends of their intervals. What a measured table calls
    ``certified_accuracy`` and gives a ``vote_failure_prob`` is what a run with its votes reports, so it is set against
    the prediction of that (``finite_sample_certified_accuracy``) where there is one. A prediction without
    ``smooth_sigma`` (a half-space's) holds for every β.

    Args:
        predicted: tidy, with the columns of ``noiseaug.sweeps``; ``plausible`` is kept where it is there.
        measured: tidy, such as the table.csv of ``noiseaug grid``.
        split: of the measured table, where it has the column.

    Returns:
        predictor, smooth_sigma, quantity, radius, train_sigma, predicted, measured, measured_lower, measured_upper, gap
        (predicted − measured), inside (whether the prediction lies in the measured interval), plausible.

    Raises:
        InvalidInputError: where nothing matches, or the votes differ.
    """
    import pandas as pd

    truth = measured_rows(measured, split)
    truth = truth.assign(
        **{key: truth[key].astype(float).round(_DIGITS) for key in ("train_sigma", "smooth_sigma", "radius")}
    )
    ours = predicted.assign(
        **{key: predicted[key].astype(float).round(_DIGITS) for key in ("train_sigma", "smooth_sigma", "radius")},
        # what a run reports goes by the name that it has where it is measured
        of_run=predicted["quantity"] == _FINITE,
        quantity=predicted["quantity"].replace(_FINITE, "certified_accuracy"),
    )
    if "plausible" not in ours:
        ours["plausible"] = pd.NA
    parts = []
    for name, lines in ours.groupby("predictor", sort=False):
        by_run, runs = _is_run(truth), lines[lines["of_run"]]
        if runs.empty:
            by_run &= False
        if by_run.any():
            check_votes(
                truth[by_run], {name: set(runs[name].dropna().astype(float)) for name in ("votes", "vote_failure_prob")}
            )
        parts.append(_joined(str(name), lines, truth.assign(of_run=by_run)))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if table.empty:
        raise InvalidInputError(
            "prediction and measurement share no (train_sigma, smooth_sigma, quantity, radius); predict at the "
            "measured levels"
        )
    return table


def measured_rows(measured: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of a split, all where the table has no splits.

    Raises:
        InvalidInputError: for missing columns, and where there are no such rows.
    """
    rows = measured[measured["split"] == split] if "split" in measured else measured
    missing = [name for name in ("train_sigma", *_KEYS, "value", "lower", "upper") if name not in rows]
    if missing:
        raise InvalidInputError(
            f"the measured table lacks {', '.join(missing)}; expected a tidy table of noiseaug grid"
        )
    if rows.empty:
        raise InvalidInputError(f"the measured table has no rows of the {split} split")
    return rows


def _is_run(measured: pd.DataFrame) -> Any:
    """Which rows are what a run reports."""
    runs = measured["quantity"] == "certified_accuracy"
    return runs & measured["vote_failure_prob"].notna() if "vote_failure_prob" in measured else runs & False


def check_votes(measured: pd.DataFrame, predicted: Mapping[str, set[float]]) -> None:
    """Whether the predicted run has the votes and the failure probability of the measured one.

    Args:
        measured: rows of a run.
        predicted: the values of ``votes`` and ``vote_failure_prob`` of the prediction.

    Raises:
        InvalidInputError: where it has not.
    """
    runs = measured[_is_run(measured) & (measured["smooth_sigma"] > 0)]  # without smoothing there is one vote, or none
    for name, ours in predicted.items():
        theirs = set(runs[name].dropna().astype(float)) if name in runs else set()
        if len(theirs) > 1 or not theirs <= ours:
            raise InvalidInputError(
                f"measured with {name} {sorted(theirs)}, predicted with {sorted(ours)}; predict with the measured one"
            )


def _joined(name: str, lines: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    known = lines["smooth_sigma"].notna().any()
    keys = ["train_sigma", "of_run", *(_KEYS if known else _KEYS[1:])]
    truth = measured.groupby(["train_sigma", "of_run", *_KEYS], dropna=False, as_index=False)[
        ["value", "lower", "upper"]
    ].mean()
    own = lines[[*keys, "value", "plausible"]].rename(columns={"value": "predicted"})
    table = own.merge(truth, on=keys)
    table = table.rename(columns={"value": "measured", "lower": "measured_lower", "upper": "measured_upper"})
    table["gap"] = table["predicted"] - table["measured"]
    table["inside"] = (table["predicted"] >= table["measured_lower"]) & (table["predicted"] <= table["measured_upper"])
    table["predictor"] = name
    order = ["predictor", *_KEYS, "train_sigma", "predicted", "measured", "measured_lower", "measured_upper", "gap"]
    return table[[*order, "inside", "plausible"]].sort_values(["predictor", *_KEYS, "train_sigma"], ignore_index=True)


def gap_table(table: pd.DataFrame) -> pd.DataFrame:
    """Each curve over α in a row: how far the prediction is off, and what following it costs.

    The predicted level is the recommended one (:func:`~noiseaug.bridge.recommended_level`), of a prediction that
    does not say which levels are plausible the best one; of equal ones the middle one. Regret is what the
    measured curve loses at that level against its own best one, never negative. Where the measured best is chosen on
    the inputs that it is measured on, regret is too large by what that choice gains by luck.

    Args:
        table: from :func:`overlay`.

    Returns:
        predictor, smooth_sigma, quantity, radius, levels, mean_abs_gap, max_abs_gap, worst_train_sigma (where the gap
        is largest), inside (share of levels), predicted_train_sigma with the predicted and the measured value there,
        measured_train_sigma, measured_best (the value there), regret, and regret_of_equal_noise, that of the level
        closest to α = β.
    """
    import pandas as pd

    rows = []
    groups: Any = table.groupby(["predictor", *_KEYS], dropna=False, sort=False)
    for key, line in groups:
        sign = QUANTITIES[key[2]].sign
        levels, truth = line["train_sigma"].to_numpy(), sign * line["measured"].to_numpy()
        sizes = line["gap"].abs().to_numpy()
        beta = float(key[1])
        chosen = _predicted_level(line, sign, beta)
        best = best_level(levels, truth)
        row: dict[str, Any] = dict(zip(["predictor", *_KEYS], key, strict=True))
        row |= {"levels": len(line), "mean_abs_gap": float(sizes.mean()), "max_abs_gap": float(sizes.max())}
        row |= {"worst_train_sigma": float(levels[sizes.argmax()]), "inside": float(line["inside"].mean())}
        row |= {"predicted_train_sigma": chosen, "measured_train_sigma": best}
        there = line[levels == chosen].iloc[0]
        row |= {name: float(there[name]) for name in ("predicted", "measured")}
        row["measured_best"] = float(sign * truth.max()) + 0.0
        row["regret"] = round(float(truth.max() - truth[levels == chosen][0]), _DIGITS)
        # the sorted levels: of two equally close ones the smaller
        habit = truth[int(np.argmin(np.abs(levels - beta).round(_DIGITS)))] if np.isfinite(beta) else np.nan
        row["regret_of_equal_noise"] = float(truth.max() - habit)
        rows.append(row)
    return pd.DataFrame(rows)


def choices(gaps: pd.DataFrame) -> pd.DataFrame:
    """The curves on which α has to be chosen: risk, and certified accuracy at radii above 0, each smoothed.

    Where no model certified anything (a radius out of the votes' reach) there is no best level to be close to.

    Args:
        gaps: from :func:`~noiseaug.bridge.gap_table`.
    """
    smooth = gaps[gaps["smooth_sigma"] > 0]
    certified = (smooth["quantity"] == "certified_accuracy") & (smooth["radius"] > 0) & (smooth["measured_best"] > 0)
    return smooth[((smooth["quantity"] == "risk") | certified).to_numpy()]


def _predicted_level(line: pd.DataFrame, sign: float, beta: float) -> float:
    levels, values = line["train_sigma"].to_numpy(), sign * line["predicted"].to_numpy()
    if line["plausible"].notna().all() and np.isfinite(beta):
        return recommended_level(str(line["predictor"].iloc[0]), levels, values, line["plausible"].astype(bool), beta)
    return best_level(levels, values)
