"""What certification runs say: certified accuracy by radius, average certified radius, bounds on p_A; as tables.

Frames are those of :mod:`noiseaug.records`; a description is the dictionary that came with a frame, empty for a log in
the format of Cohen et al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.certificates import CERTIFICATES
from noiseaug.confidence import binomial_lower, binomial_upper, rounded_down
from noiseaug.errors import InvalidInputError
from noiseaug.report.comparison import certified, check_labelled, earned_radii
from noiseaug.validation import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["average_certified_radius", "certified_accuracy", "p_lower", "summarise"]

_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles of the lower bound p_A in a summary."""


def certified_accuracy(frame: pd.DataFrame, radii: ArrayLike, failure_prob: float = 0.05) -> pd.DataFrame:
    """Share of the images that are certified for the true class at each radius: CA(r) of Cohen et al. 2019.

    The intervals are exact (Clopper–Pearson) for the accuracy over the distribution that the images are drawn from,
    each by itself; they do not speak about another n, which changes the accuracy itself.

    Args:
        frame: a run, a row an image; abstentions count as wrong.
        radii: ℓ₂ radii ≥ 0, in input units, shape (k,).
        failure_prob: probability that an interval misses, at most.

    Returns:
        A row for each radius: radius, value, lower, upper, certified (a count), images, failure_prob.

    Raises:
        InvalidInputError: for an empty run, one without labels, or bad radii.
    """
    import pandas as pd

    check_labelled(frame)
    asked = validation.array("radii", np.atleast_1d(np.asarray(radii, dtype=float)), 1)
    if (asked < 0).any():
        raise InvalidInputError(f"radii hold {asked.min():g}; expected numbers of at least 0")
    half = 0.5 * validation.probability("failure_prob", failure_prob)
    reached = np.sort(frame["radius"].to_numpy()[certified(frame, 0.0)])
    counts = len(reached) - np.searchsorted(reached, asked, side="left")
    return pd.DataFrame(
        {
            "radius": asked,
            "value": counts / len(frame),
            "lower": binomial_lower(counts, len(frame), half),
            "upper": binomial_upper(counts, len(frame), half),
            "certified": counts,
            "images": len(frame),
            "failure_prob": float(failure_prob),
        }
    )


def average_certified_radius(frame: pd.DataFrame) -> float:
    """ACR: the radii of the correctly classified images, summed and divided by the number of *all* images.

    Zhai et al. 2020 (MACER). It grows with n, the more the surer the classifier is: never give it
    without n, n₀, the failure probability and the number of images.

    Args:
        frame: a run, a row an image.

    Raises:
        InvalidInputError: for an empty run or one without labels.
    """
    check_labelled(frame)
    return math.fsum(earned_radii(frame)) / len(frame)


def p_lower(description: Mapping[str, Any], frame: pd.DataFrame) -> FloatArray:
    """Lower bound on the probability p_A of the class that the selection sample picked, for each input of a run.

    Where the certificate used a fixed number of votes, Clopper–Pearson; where it could stop early, the confidence
    sequence of the Beta(½, ½) mixture, which holds whatever made it stop. Each bound by itself fails with probability
    at most the run's failure_prob.

    Args:
        description: with failure_prob, n and certificate.
        frame: with selection and counts.

    Returns:
        Bounds, rounded down, shape (inputs,); 0 for an input without estimation votes.

    Raises:
        InvalidInputError: where the run has no counts or does not tell its failure_prob.
    """
    if not {"selection", "counts", "n"} <= set(frame.columns) or description.get("failure_prob") is None:
        raise InvalidInputError("the run has no counts of votes or no failure_prob; p_A cannot be bounded")
    top = [int(np.argmax(selection)) for selection in frame["selection"]]
    votes = frame["n"].to_numpy()
    wins = np.array([rows[-1][best] if rows else 0 for rows, best in zip(frame["counts"], top, strict=True)], dtype=int)
    bound = binomial_lower if _is_fixed(description, votes) else _sequence_lower
    safe = np.maximum(votes, 1)
    return np.where(votes > 0, bound(wins, safe, description["failure_prob"]), 0.0)


def _is_fixed(description: Mapping[str, Any], votes: np.ndarray) -> bool:
    """Whether the number of votes was fixed beforehand."""
    rule = description.get("certificate")
    name = rule.get("name") if isinstance(rule, dict) else rule
    adaptive = name not in CERTIFICATES or CERTIFICATES.load(name).adaptive
    return not adaptive and bool((votes == description.get("n")).all())


def _sequence_lower(wins: np.ndarray, votes: np.ndarray, failure_prob: float) -> FloatArray:
    """The largest p that the Beta(½, ½) mixture rejects: Robbins 1970; valid at every number of votes at once."""
    level = -np.log(validation.probability("failure_prob", failure_prob)) + 1e-9  # above all rounding
    losses = votes - wins
    mixture = special.betaln(wins + 0.5, losses + 0.5) - special.betaln(0.5, 0.5)
    low, high = np.zeros(len(wins)), wins / votes
    for _ in range(60):  # halvings: to the last bit
        middle = 0.5 * (low + high)
        rejected = mixture - special.xlogy(wins, middle) - special.xlog1py(losses, -middle) >= level
        low, high = np.where(rejected, middle, low), np.where(rejected, high, middle)
    return rounded_down(low)


def summarise(
    runs: Mapping[str, tuple[Mapping[str, Any], pd.DataFrame]], radii: Sequence[float], failure_prob: float = 0.05
) -> pd.DataFrame:
    """Several runs side by side.

    Args:
        runs: description and frame by name.
        radii: where to state the certified accuracy.
        failure_prob: that of each interval over images; not the certificates' own.

    Returns:
        A row for each run: run, images (that are finished), inputs (that the run has, where it says so), abstained,
        smooth_sigma, certificate, n, n0 and failure_prob as the run describes them (missing where it does not), votes
        (mean number used), clean_accuracy (CA(0)) and ``ca_r`` for each radius, each followed by its ``_lower`` and
        ``_upper``, acr, and quantiles ``p_lower_10`` … of the lower bound on p_A over all inputs, missing where there
        are no counts; interval_failure_prob is that of the intervals.

    Raises:
        InvalidInputError: for no runs, empty runs, runs without labels, or bad radii.
    """
    import pandas as pd

    if not runs:
        raise InvalidInputError("no runs to report on")
    rows = []
    for name, (description, frame) in runs.items():
        try:
            rows.append({"run": name, **_summary(description, frame, list(radii), failure_prob)})
        except InvalidInputError as error:
            raise InvalidInputError(f"{name}: {error}") from None
    table = pd.DataFrame(rows)
    for column in ("inputs", "n", "n0"):
        table[column] = table[column].astype("Int64")
    return table.assign(interval_failure_prob=float(failure_prob))


def _mean_votes(frame: pd.DataFrame) -> float:
    """Estimation votes for an input, the router's too."""
    names = [name for name in ("n", "router_n") if name in frame]
    return float(frame[names].sum(axis=1).mean()) if names else math.nan


def _summary(
    description: Mapping[str, Any], frame: pd.DataFrame, radii: list[float], failure_prob: float
) -> dict[str, Any]:
    accuracies = certified_accuracy(frame, [0.0, *radii], failure_prob)
    rule = description.get("certificate")
    name = rule.get("name") if isinstance(rule, dict) else rule
    row: dict[str, Any] = {
        "images": len(frame),
        "inputs": description.get("inputs"),
        "abstained": int((frame["prediction"] < 0).sum()),
        "smooth_sigma": description.get("smooth_sigma"),
        "certificate": f"{name}, randomised" if description.get("randomised") else name,
        "n": description.get("n"),
        "n0": description.get("n0"),
        "failure_prob": description.get("failure_prob"),
        "votes": _mean_votes(frame),
    }
    names = ["clean_accuracy", *(f"ca_{float(radius):.12g}" for radius in radii)]
    for column, accuracy in zip(names, accuracies.to_dict("records"), strict=True):
        row |= {column: accuracy["value"], f"{column}_lower": accuracy["lower"], f"{column}_upper": accuracy["upper"]}
    row["acr"] = average_certified_radius(frame)
    try:
        # an order statistic, not a value between two of them
        quantiles = np.quantile(p_lower(description, frame), _LEVELS, method="lower")
    except InvalidInputError:
        quantiles = np.full(len(_LEVELS), math.nan)
    return row | {f"p_lower_{level * 100:g}": float(q) for level, q in zip(_LEVELS, quantiles, strict=True)}
