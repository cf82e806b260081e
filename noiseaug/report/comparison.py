"""Two certification runs on the same images: a paired test of certified accuracy, a paired interval of ACR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from noiseaug import validation
from noiseaug.confidence import sign_test_p_value
from noiseaug.errors import InvalidInputError
from noiseaug.validation import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "certified", "check_labelled", "compare", "earned_radii"]

_CHUNK = 4_000_000  # images drawn at a time in the bootstrap: 32 MB


@dataclass(frozen=True)
class Comparison:
    """The second run against the first, image by image; differences are second − first.

    Attributes:
        images: images that both runs certified.
        radius: where certified accuracy is compared, in input units.
        both: images certified by both at the radius.
        first_only: images certified by the first run alone.
        second_only: images certified by the second run alone.
        ca_first: certified accuracy of the first run at the radius.
        ca_second: certified accuracy of the second run at the radius.
        ca_difference: their difference.
        p_value: exact two-sided McNemar test of equal certified accuracy.
        acr_first: average certified radius of the first run.
        acr_second: average certified radius of the second run.
        acr_difference: their difference.
        acr_difference_lower: lower end of its bootstrap interval.
        acr_difference_upper: upper end.
        failure_prob: nominal probability that the interval misses; the bootstrap keeps it approximately.
        resamples: resamples of the bootstrap.
        seed: seed of the bootstrap.
    """

    images: int
    radius: float
    both: int
    first_only: int
    second_only: int
    ca_first: float
    ca_second: float
    ca_difference: float
    p_value: float
    acr_first: float
    acr_second: float
    acr_difference: float
    acr_difference_lower: float
    acr_difference_upper: float
    failure_prob: float
    resamples: int
    seed: int

    def frame(self) -> pd.DataFrame:
        """One row, for :func:`noiseaug.report.render`."""
        import pandas as pd

        return pd.DataFrame([asdict(self)])


def check_labelled(frame: pd.DataFrame, columns: Sequence[str] = ("index", "label", "prediction", "radius")) -> None:
    """Refuses runs from which no accuracy can be had.

    Args:
        frame: a run.
        columns: that it must have.

    Raises:
        InvalidInputError: for a frame without the columns, without rows, without labels, or with an index twice.
    """
    missing = [name for name in columns if name not in frame]
    if missing:
        raise InvalidInputError(f"the frame lacks {', '.join(missing)}; expected a run as read_any gives it")
    if frame.empty:
        raise InvalidInputError("the run holds no finished input yet")
    if (frame["label"] < 0).any():
        raise InvalidInputError("the run has no labels; certify with labels to report accuracies")
    if frame["index"].duplicated().any():
        twice = frame["index"][frame["index"].duplicated()].iloc[0]
        raise InvalidInputError(f"the frame holds input {twice} twice")


def certified(frame: pd.DataFrame, radius: float) -> np.ndarray:
    """Whether each image is certified for its true class at the radius; shape (images,)."""
    right = (frame["prediction"] == frame["label"]) & (frame["prediction"] >= 0)
    return (right & (frame["radius"] >= radius)).to_numpy()


def earned_radii(frame: pd.DataFrame) -> FloatArray:
    """What each image adds to the ACR: its radius where it is classified right, else 0; shape (images,)."""
    return np.where(certified(frame, 0.0), frame["radius"].to_numpy(dtype=float), 0.0)


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    radius: float,
    seed: int = 0,
    *,
    failure_prob: float = 0.05,
    resamples: int = 10_000,
) -> Comparison:
    """Compares two runs on the same images.

    McNemar 1947 in its exact form: the images that one run alone certifies are fair coin flips if the two are equally
    accurate. The interval of the ACR difference is the percentile bootstrap over images (Efron 1979), both runs
    resampled together.

    Args:
        first: a run.
        second: another one; rows in any order.
        radius: where to compare certified accuracy, in input units.
        seed: seed of the bootstrap.
        failure_prob: nominal probability that the interval misses.
        resamples: resamples of the bootstrap.

    Raises:
        InvalidInputError: for runs on different images or with different labels.
    """
    for name, frame in (("first", first), ("second", second)):
        try:
            check_labelled(frame)
        except InvalidInputError as error:
            raise InvalidInputError(f"the {name} run: {error}") from None
    radius, level = validation.nonnegative("radius", radius), validation.probability("failure_prob", failure_prob)
    resamples, seed = validation.integer("resamples", resamples), validation.integer("seed", seed, at_least=0)
    first, second = first.sort_values("index"), second.sort_values("index")
    _check_paired(first, second)
    images = len(first)
    a, b = certified(first, radius), certified(second, radius)
    first_only, second_only = int((a & ~b).sum()), int((b & ~a).sum())
    gains = earned_radii(second) - earned_radii(first)
    means = _resampled_means(gains, resamples, seed)
    return Comparison(
        images=images,
        radius=radius,
        both=int((a & b).sum()),
        first_only=first_only,
        second_only=second_only,
        ca_first=int(a.sum()) / images,
        ca_second=int(b.sum()) / images,
        ca_difference=(second_only - first_only) / images,
        p_value=float(sign_test_p_value(first_only, second_only, two_sided=True)),
        acr_first=math.fsum(earned_radii(first)) / images,
        acr_second=math.fsum(earned_radii(second)) / images,
        acr_difference=math.fsum(gains) / images,
        acr_difference_lower=float(np.quantile(means, 0.5 * level, method="lower")),
        acr_difference_upper=float(np.quantile(means, 1 - 0.5 * level, method="higher")),
        failure_prob=level,
        resamples=resamples,
        seed=seed,
    )


def _check_paired(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Both sorted by index."""
    a, b = first["index"].to_numpy(), second["index"].to_numpy()
    for name, alone in (("first", np.setdiff1d(a, b)), ("second", np.setdiff1d(b, a))):
        if len(alone):
            raise InvalidInputError(
                f"the runs are on different images: {len(alone)} are in the {name} alone, input {alone[0]} for one"
            )
    different = first["label"].to_numpy() != second["label"].to_numpy()
    if different.any():
        raise InvalidInputError(
            f"the runs are on different data: the labels of {int(different.sum())} images differ, "
            f"of input {a[different][0]} for one"
        )


def _resampled_means(values: FloatArray, resamples: int, seed: int) -> FloatArray:
    """Means of resamples of the values; memory is bounded whatever their number."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // len(values))
    means = [
        values[rng.integers(len(values), size=(min(step, resamples - done), len(values)))].mean(axis=1)
        for done in range(0, resamples, step)
    ]
    return np.concatenate(means)
