"""Runs that predict without certifying, under attack or not; and attacked predictions beside certified radii.

Accuracy under attack bounds robust accuracy from above, certified accuracy from below. An image that an attack takes to
another class within its certified radius is a violation: a certificate or a prediction was wrong, which happens with
the probability that was granted, or there is a bug.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from noiseaug import validation
from noiseaug.confidence import binomial_interval
from noiseaug.errors import InvalidInputError
from noiseaug.report.comparison import certified, check_labelled

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["confront", "is_prediction", "summarise_predictions"]

Run = tuple[Mapping[str, Any], "pd.DataFrame"]


def is_prediction(frame: pd.DataFrame) -> bool:
    """Whether a run of :func:`~noiseaug.records.read_any` predicts without certifying."""
    return "radius" not in frame


def summarise_predictions(runs: Mapping[str, Run], failure_prob: float = 0.05) -> pd.DataFrame:
    """Runs of predictions side by side, sorted by the strength of the attack.

    Args:
        runs: description (with n, attack and attack_radius where they are known) and frame by name.
        failure_prob: of each interval over images.

    Returns:
        A row for each run: run, images, abstained (a count), n, attack, attack_radius (input units), accuracy with
        ``_lower`` and ``_upper`` (an abstention counts as wrong), interval_failure_prob.

    Raises:
        InvalidInputError: for empty runs, or runs without labels.
    """
    import pandas as pd

    level = validation.probability("failure_prob", failure_prob)
    rows = []
    for name, (description, frame) in runs.items():
        _check(name, frame)
        right = int(frame["correct"].sum())
        low, high = binomial_interval(right, len(frame), level)
        rows.append(
            {
                "run": name,
                "images": len(frame),
                "abstained": int((frame["prediction"] < 0).sum()),
                "n": description.get("n"),
                "attack": description.get("attack"),
                "attack_radius": _attack_radius(description),
                "accuracy": right / len(frame),
                "accuracy_lower": low,
                "accuracy_upper": high,
                "interval_failure_prob": level,
            }
        )
    table = pd.DataFrame(rows).sort_values("attack_radius", kind="stable", ignore_index=True)
    return table.astype({"n": "Int64"})


def confront(run: pd.DataFrame, attacked: Mapping[str, Run], failure_prob: float = 0.05) -> pd.DataFrame:
    """Accuracy under attack beside certified accuracy at the attack's radius, on the images that both logs hold.

    Args:
        run: a certified run.
        attacked: runs of predictions by name; their descriptions tell the attack's radius.
        failure_prob: of each interval over images.

    Returns:
        A row for each of the latter, sorted by the attack's radius: run, attack_radius, images (in both),
        accuracy_under_attack with ``_lower`` and ``_upper``, certified_accuracy, and of the images certified right at
        that radius the counts ``violations`` (another class was predicted) and ``abstained_within`` (none was).

    Raises:
        InvalidInputError: for an unknown radius, runs without a common image, or different labels of one.
    """
    import pandas as pd

    check_labelled(run)
    level = validation.probability("failure_prob", failure_prob)
    rows = []
    for name, (description, frame) in attacked.items():
        _check(name, frame)
        radius = _attack_radius(description)
        if math.isnan(radius):
            raise InvalidInputError(f"{name}: the radius of the attack is not known; give it")
        both = run.merge(frame, on="index", suffixes=("", "_attacked"), validate="one_to_one")
        if both.empty:
            raise InvalidInputError(f"{name} and the certified run have no image in common")
        if (both["label"] != both["label_attacked"]).any():
            raise InvalidInputError(f"{name} and the certified run are on different data: their labels differ")
        right, reached = both["prediction_attacked"] == both["label"], certified(both, radius)
        low, high = binomial_interval(int(right.sum()), len(both), level)
        none = both["prediction_attacked"] < 0
        rows.append(
            {
                "run": name,
                "attack_radius": radius,
                "images": len(both),
                "accuracy_under_attack": int(right.sum()) / len(both),
                "accuracy_under_attack_lower": low,
                "accuracy_under_attack_upper": high,
                "certified_accuracy": int(reached.sum()) / len(both),
                "violations": int((reached & ~right & ~none).sum()),
                "abstained_within": int((reached & none).sum()),
                "interval_failure_prob": level,
            }
        )
    return pd.DataFrame(rows).sort_values("attack_radius", kind="stable", ignore_index=True)


def _attack_radius(description: Mapping[str, Any]) -> float:
    radius = description.get("attack_radius")
    return math.nan if radius is None else float(radius)


def _check(name: str, frame: pd.DataFrame) -> None:
    try:
        check_labelled(frame, ("index", "label", "prediction"))
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error}") from None
