"""What a certification run with n votes reports, predicted from other votes for the same inputs (docs/math.md 1.5).

With K of V ≥ n independent votes for the true class, P(Hypergeometric(V, K, n) ≥ k) is an unbiased estimate of
P(Bin(n, s) ≥ k) for every s: it is the chance that n of the V votes, drawn without replacement, are enough. So the
prediction is right on average, whatever the classifier; the measured curve differs from it by the luck of votes alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug import validation
from noiseaug.certificates import CertificationSetting, Cohen
from noiseaug.certification import recertify
from noiseaug.errors import InvalidInputError
from noiseaug.records.checking import setting_of
from noiseaug.report import certified_accuracy
from noiseaug.subjects import BASES
from noiseaug.validation import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    Log = tuple[Mapping[str, Any], pd.DataFrame]

__all__ = ["predict_run", "predict_second_log", "same_seed_trains", "split_log", "two_logs"]


def predict_run(
    own: ArrayLike, seen: int, setting: CertificationSetting, radii: ArrayLike, picked: ArrayLike | None = None
) -> FloatArray:
    """Certified accuracy that a run reports on average on these inputs, from independent votes for them.

    Args:
        own: votes for the true class, shape (inputs,).
        seen: V, the votes they are of; at least ``setting.votes``.
        setting: of the run to be predicted, with Cohen et al.'s rule.
        radii: ℓ₂ radii ≥ 0, shape (k,).
        picked: whether a selection sample of the predicted size, of votes that are not among the V, picked the true
            class. Without it the choice of the class is taken to be right, which is too much at small radii.

    Returns:
        Shape (k,).

    Raises:
        InvalidInputError: for fewer votes than the run has; there is no unbiased estimate then.
    """
    if seen < setting.votes:
        raise InvalidInputError(f"{seen} votes cannot predict a run of {setting.votes}; expected at least as many")
    counts = np.asarray(own, dtype=np.int64)
    weight = np.ones(len(counts)) if picked is None else np.asarray(picked, dtype=float)
    curve = []
    for radius in validation.array("radii", np.atleast_1d(np.asarray(radii, dtype=float)), 1):
        needed = setting.budget.needed(validation.nonnegative("radii", radius), setting.smooth_sigma)
        distinct, places = np.unique(counts, return_inverse=True)
        curve.append(float(np.mean(weight * _enough(distinct, seen, setting.votes, needed)[places])))
    return np.array(curve)


def _enough(own: np.ndarray, seen: int, votes: int, needed: int) -> FloatArray:
    """P(Hypergeometric(seen, own, votes) ≥ needed)."""
    from scipy import stats

    if needed > votes:
        return np.zeros(len(own))
    # what is certain needs no sum: too few in all, or too few others to spoil it
    chance = np.where(votes - (seen - own) >= needed, 1.0, 0.0)
    open_ = (own >= needed) & (chance == 0)
    chance[open_] = stats.hypergeom.sf(needed - 1, seen, own[open_], votes)
    return chance


def _level(description: Mapping[str, Any], name: str) -> CertificationSetting:
    """The run of a log, if it had a fixed number of votes."""
    keys = ("smooth_sigma", "n", "failure_prob", "num_classes", "certificate", "seed")
    missing = [key for key in keys if key not in description]
    if missing:
        raise InvalidInputError(f"{name} does not say {', '.join(missing)}; expected a log of noiseaug certify")
    rule = description["certificate"]
    if (rule.get("name") if isinstance(rule, Mapping) else rule) != Cohen.name:
        raise InvalidInputError(f"{name} was certified by a rule that may stop early; certify with --certificate cohen")
    return setting_of(description)


def _own(frame: pd.DataFrame, look: int) -> np.ndarray:
    """Votes for the true class among the first ``look``."""
    return np.array(
        [
            counts[looks.index(look)][label]
            for counts, looks, label in zip(frame["counts"], frame["looks"], frame["label"], strict=True)
        ]
    )


def _overlay(frame: pd.DataFrame, radii: ArrayLike, predicted: FloatArray, **facts: Any) -> pd.DataFrame:
    """The measured curve with the prediction beside it."""
    table = certified_accuracy(frame, radii).assign(predicted=predicted)
    table["gap"] = table["predicted"] - table["value"]
    table["inside"] = (table["predicted"] >= table["lower"]) & (table["predicted"] <= table["upper"])
    return table.assign(**facts)


def split_log(log: Log, radii: ArrayLike, name: str = "log") -> pd.DataFrame:
    """One log against itself, no vote used twice: its first votes are the run, the rest of them predict it.

    The run is the longest kept look of at most half of the votes, certified anew; the selection sample belongs to it,
    so that the prediction takes the choice of the class to be right.

    Args:
        log: its description and its rows, with labels, as :func:`noiseaug.records.read_log` gives them.
        radii: ℓ₂ radii ≥ 0.
        name: of the log, for errors.

    Returns:
        The rows of :func:`noiseaug.report.certified_accuracy` for the run, with predicted, gap, inside (whether the
        prediction lies in the interval), votes (of the run) and predicted_from (votes).

    Raises:
        InvalidInputError: where no look is kept, or for a rule that may stop early.
    """
    description, frame = log
    setting = _level(description, name)
    looks = [set(kept) for kept in frame["looks"]]
    halves = [look for look in set.intersection(*looks) if 2 * look <= setting.votes] if looks else []
    if not halves:
        raise InvalidInputError(
            f"{name} keeps no look at half of its {setting.votes} votes or fewer; give it a second log"
        )
    look = max(halves)
    short = replace(setting, budget=replace(setting.budget, votes=look))
    measured = recertify(frame, short, Cohen())
    predicted = predict_run(_own(frame, setting.votes) - _own(frame, look), setting.votes - look, short, radii)
    return _overlay(measured, radii, predicted, votes=look, predicted_from=setting.votes - look)


def predict_second_log(first: Log, second: Log, radii: ArrayLike) -> pd.DataFrame:
    """A run predicted from another one, of the same classifier on the same inputs with another seed.

    Args:
        first: description and frame of the log that predicts, with at least as many votes as the second.
        second: of the log that is predicted.
        radii: ℓ₂ radii ≥ 0.

    Returns:
        As :func:`split_log`.

    Raises:
        InvalidInputError: for logs of other classifiers, levels or inputs, for equal seeds (the same votes twice), and
            for fewer votes in the first.
    """
    setting, other = _level(second[0], "the second log"), _level(first[0], "the first log")
    for key in ("data", "classifier", "weights", "train_sigma", "copies", "smooth_sigma", "noise", "precision"):
        if first[0].get(key) != second[0].get(key):
            raise InvalidInputError(f"the logs differ in {key}: {first[0].get(key)!r} and {second[0].get(key)!r}")
    if same_seed_trains(first[0]):
        raise InvalidInputError(
            f"{first[0].get('classifier')} was trained with the seed of its votes, so logs with different seeds are of "
            "different classifiers; give one log alone"
        )
    if first[0]["seed"] == second[0]["seed"]:
        raise InvalidInputError("the logs have one seed, so the same votes; certify again with another --seed")
    a, b = (frame.sort_values("index", ignore_index=True) for _, frame in (first, second))
    if not (a["index"].equals(b["index"]) and a["label"].equals(b["label"])):
        raise InvalidInputError("the logs are on different inputs or labels; certify the same ones")
    # selection and estimation votes are independent, in both runs
    picked = np.array([int(np.argmax(sample)) for sample in a["selection"]]) == a["label"].to_numpy()
    same_size = first[0].get("n0") == second[0].get("n0")
    predicted = predict_run(_own(a, other.votes), other.votes, setting, radii, picked if same_size else None)
    return _overlay(b, radii, predicted, votes=setting.votes, predicted_from=other.votes)


def same_seed_trains(description: Mapping[str, Any]) -> bool:
    """Whether the seed of a log drew the training noise of its classifier as well."""
    classifier = description.get("classifier")  # a run from Python may describe it by more than a name
    return isinstance(classifier, str) and classifier in BASES and bool(description.get("train_sigma"))


def two_logs(one: Log, other: Log, radii: ArrayLike) -> pd.DataFrame:
    """:func:`predict_second_log`, with the longer run predicting the shorter one."""
    first, second = sorted((one, other), key=lambda log: -int(log[0].get("n", 0)))
    return predict_second_log(first, second, radii)
