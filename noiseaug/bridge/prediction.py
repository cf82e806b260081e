"""Votes of a family of rules, one for each training noise, at the same noisy inputs; and their table.

A family is what the training inputs alone make of training with noise: a convolutional model
(:mod:`noiseaug.bridge.convolutional`), Gaussian classes (:mod:`noiseaug.bridge.quadratic`) or the kernel rule
(:mod:`noiseaug.bridge.kernel`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from noiseaug import validation
from noiseaug.bridge.choice import plausible_levels
from noiseaug.bridge.convolutional import SMALLEST, ConvolutionalFamily
from noiseaug.bridge.kernel import KernelFamily
from noiseaug.bridge.quadratic import QuadraticFamily
from noiseaug.bridge.registry import PREDICTORS
from noiseaug.bridge.samples import default_components, some
from noiseaug.confidence import binomial_lower, binomial_upper, empirical_bernstein, minimum_votes
from noiseaug.errors import InvalidInputError
from noiseaug.estimates import Estimate
from noiseaug.runs.progress import progress_bar
from noiseaug.tables import Measure, row, to_frame
from noiseaug.validation import FloatArray
from noiseaug.votes import GaussianNoise, noisy_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RuleFamily", "RuleVotes", "make_family", "predictors_for", "rule_table", "rule_votes"]

_FINITE = "finite_sample_certified_accuracy"
_BLOCK_FLOATS = 1 << 22  # numbers held at a time: 16 MiB
_MOST_VOTES = 10**6  # for an input; all its noisy copies are held at a time
_MOST_IMAGES = 50_000  # to solve the convolutional rule on


class RuleFamily(Protocol):
    """Rules of one training set, one for each training noise α."""

    @property
    def name(self) -> str:
        """Name in tables."""

    @property
    def train_sigma(self) -> tuple[float, ...]:
        """The levels α."""

    @property
    def num_classes(self) -> int:
        """K."""

    @property
    def dim(self) -> int:
        """Coordinates of an input."""

    @property
    def width(self) -> int:
        """Numbers held for each input that is classified."""

    @property
    def remark(self) -> str:
        """What the rules are of, for people."""

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class of each of m points by each rule, shape (levels, m)."""


def predictors_for(shape: Sequence[int]) -> tuple[str, ...]:
    """The families that can be had for inputs of a shape, the one closest to networks first."""
    images = len(shape) == 3 and min(shape[1:]) >= SMALLEST
    return tuple(name for name in PREDICTORS if images or name != ConvolutionalFamily.name)


def make_family(
    name: str,
    points: ArrayLike,
    labels: ArrayLike,
    train_sigma: Sequence[float],
    components: int | None = None,
    *,
    shape: Sequence[int] = (),
    seed: int = 0,
    progress: bool = False,
) -> RuleFamily:
    """A family by name.

    Args:
        name: one of ``noiseaug.bridge.PREDICTORS``.
        points: training inputs, shape (n, dim). The convolutional rule takes a random 50 000 of more.
        labels: 0 … K−1, shape (n,).
        train_sigma: the levels α.
        components: principal components of the quadratic rule; by default all of inputs with up to 1000 coordinates,
            else 200.
        shape: of an input; the convolutional rule needs (channels, height, width).
        seed: of what the convolutional rule draws.
        progress: show a bar on standard error where the rule takes its time.

    Raises:
        InvalidInputError: for another name, and as the families do.
    """
    rows, levels = np.asarray(points), tuple(train_sigma)
    PREDICTORS.entry(name)
    if name == KernelFamily.name:
        return KernelFamily(rows, np.asarray(labels), levels)
    if name == ConvolutionalFamily.name:
        part = some(len(rows), _MOST_IMAGES, seed)
        return ConvolutionalFamily(
            rows[part], np.asarray(labels)[part], levels, tuple(shape), seed=seed, progress=progress
        )
    if components is None and rows.ndim == 2:
        components = default_components(rows.shape[1])
    return QuadraticFamily(rows, np.asarray(labels), levels, components)


@dataclass(frozen=True, eq=False)
class RuleVotes:
    """Votes of every rule of a family at the same noisy inputs.

    Attributes:
        train_sigma: α of each rule.
        smooth_sigma: β; at 0 one vote an input, the base classifier's own answer.
        labels: true labels, shape (inputs,).
        counts: votes of each class, shape (levels, inputs, classes).
        predictor: name of the family.
    """

    train_sigma: tuple[float, ...]
    smooth_sigma: float
    labels: np.ndarray
    counts: np.ndarray
    predictor: str

    @property
    def votes(self) -> int:
        """Votes for each input."""
        return int(self.counts[0, 0].sum())

    @property
    def own(self) -> np.ndarray:
        """Votes for the true class, shape (levels, inputs)."""
        return self.counts[:, np.arange(len(self.labels)), self.labels]

    def right(self) -> np.ndarray:
        """Whether the most votes are for the true class (ties go to the smaller label), shape (levels, inputs)."""
        return np.argmax(self.counts, axis=2) == self.labels

    def reaches(self, radius: float) -> np.ndarray:
        """Whether β Φ⁻¹(share of votes for the true class) ≥ radius, shape (levels, inputs).

        An estimate of what unlimited votes would certify; at radius 0 whether the most votes are for it, as CA(0) is
        1 − risk. The votes must be able to tell Φ(radius/β) from 1.
        """
        radius = validation.nonnegative("radius", radius)
        if self.smooth_sigma == 0 or radius == 0:
            return self.right() & (radius == 0)
        return self.own >= special.ndtr(radius / self.smooth_sigma) * self.votes

    def certified(self, radius: float, vote_failure_prob: float) -> np.ndarray:
        """Whether a run with these votes certifies the true class (docs/math.md 1.5), shape (levels, inputs)."""
        radius = validation.nonnegative("radius", radius)
        if self.smooth_sigma == 0:
            return self.right() & (radius == 0)
        return self.own >= int(minimum_votes(self.votes, radius / self.smooth_sigma, vote_failure_prob))

    def certified_radii(self, vote_failure_prob: float) -> FloatArray:
        """β Φ⁻¹ of the Clopper–Pearson bound of the true class, 0 where not certified; shape (levels, inputs)."""
        lower = binomial_lower(self.own, self.votes, vote_failure_prob)
        return self.smooth_sigma * np.maximum(special.ndtri(np.maximum(lower, 0.5)), 0.0)


def rule_votes(
    family: RuleFamily,
    x: ArrayLike,
    y: ArrayLike,
    *,
    smooth_sigma: float,
    votes: int = 100,
    seed: int = 0,
    indices: Sequence[int] | None = None,
    progress: bool = False,
) -> RuleVotes:
    """Votes of all rules on the same noisy copies: those that ``noiseaug certify`` draws for the same seed and index.

    Args:
        family: the rules.
        x: inputs, shape (m, dim), float32.
        y: labels, shape (m,).
        smooth_sigma: β ≥ 0; 0 asks each rule once about the input itself.
        votes: noisy copies of each input.
        seed: of the noise.
        indices: places of the inputs in their data set; 0 … m−1 by default.
        progress: show a bar on standard error.

    Raises:
        InvalidInputError: for shapes that do not fit, bad numbers, or labels that the family lacks.
    """
    inputs, labels = np.asarray(x, dtype=np.float32), np.asarray(y)
    if inputs.ndim != 2 or inputs.shape[1] != family.dim or not len(inputs) or labels.shape != (len(inputs),):
        raise InvalidInputError(
            f"x has shape {inputs.shape}, y {labels.shape}; expected (m, {family.dim}) and (m,) with m ≥ 1"
        )
    if labels.min() < 0 or labels.max() >= family.num_classes:
        raise InvalidInputError(f"y runs from {labels.min()} to {labels.max()}; expected 0 … {family.num_classes - 1}")
    smooth_sigma = validation.nonnegative("smooth_sigma", smooth_sigma)
    votes = validation.affordable("votes", votes, _MOST_VOTES, 1e4, "votes")
    places = np.arange(len(inputs)) if indices is None else np.asarray(indices)
    classes = np.arange(family.num_classes)
    if smooth_sigma == 0:
        counts = (family.predict(inputs)[..., None] == classes).astype(np.int64)
        return RuleVotes(family.train_sigma, 0.0, labels, counts, family.name)
    counts = np.zeros((len(family.train_sigma), len(inputs), family.num_classes), dtype=np.int64)
    noise = GaussianNoise(smooth_sigma)
    group = max(1, min(len(inputs), _BLOCK_FLOATS // (max(family.width, family.dim) * votes)))
    title = f"{family.name} rule, β = {smooth_sigma:g}"
    for start in progress_bar(range(0, len(inputs), group), show=progress, desc=title):
        chosen = range(start, min(start + group, len(inputs)))
        noisy = np.empty((len(chosen), votes, family.dim), dtype=np.float32)
        for place, i in enumerate(chosen):
            noisy_rows(noise, seed, inputs[i], int(places[i]), "estimation").fill(0, noisy[place], None)
        labelled = family.predict(noisy.reshape(-1, family.dim)).reshape(-1, len(chosen), votes)
        for label in classes:
            counts[:, chosen.start : chosen.stop, label] = (labelled == label).sum(axis=2)
    return RuleVotes(family.train_sigma, smooth_sigma, labels, counts, family.name)


def rule_table(
    results: Iterable[RuleVotes],
    radii: Sequence[float],
    *,
    task: str,
    vote_failure_prob: float = 1e-3,
    failure_prob: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Votes as a tidy table with the columns of ``noiseaug.sweeps``.

    For every (α, β): ``risk`` by most votes; ``certified_accuracy`` at each radius, an estimate of CA(r) from the
    shares of votes (docs/math.md 1.4); ``finite_sample_certified_accuracy``, what a run with these votes reports
    (1.5), and its ``acr``. At radius 0 ``certified_accuracy`` is 1 − risk. Intervals are over inputs, each by itself:
    Clopper–Pearson, and for acr empirical Bernstein on [0, the most that these votes certify]. ``plausible`` says which
    levels the paired counts cannot tell from the best one (:func:`~noiseaug.bridge.plausible_levels`).

    Args:
        results: votes, one entry a smoothing level.
        radii: ℓ₂ radii, in input units.
        task: what to call the data.
        vote_failure_prob: failure probability of each certificate.
        failure_prob: of each interval.
        seed: to be recorded.
    """
    levels = [validation.nonnegative("radii", radius) for radius in radii]
    level = validation.probability("vote_failure_prob", vote_failure_prob)
    rows: list[dict[str, Any]] = []
    for result in results:
        facts = {
            "task": task,
            "predictor": result.predictor,
            "smooth_sigma": result.smooth_sigma,
            "votes": result.votes,
        }
        asked = [(Measure("risk"), ~result.right())]
        for radius in levels:
            asked.append((Measure("certified_accuracy", radius), result.reaches(radius)))
            asked.append((Measure(_FINITE, radius), result.certified(radius, level)))
        for measure, hits in asked:
            facts["vote_failure_prob"] = level if measure.quantity == _FINITE else None
            rows += _share_rows(measure, hits, result.train_sigma, failure_prob, seed, facts)
        rows += _acr_rows(result, level, failure_prob, seed, {**facts, "vote_failure_prob": level})
    return to_frame(rows)


def _share_rows(
    measure: Measure,
    hits: np.ndarray,
    train_sigma: Sequence[float],
    failure_prob: float,
    seed: int,
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The share of inputs that each level hits, shape (levels, inputs), with its interval."""
    counted, n = hits.sum(axis=1), hits.shape[1]
    plausible = plausible_levels(~hits if measure.kind.less_is_better else hits, failure_prob)
    lower = binomial_lower(counted, n, 0.5 * failure_prob)
    upper = binomial_upper(counted, n, 0.5 * failure_prob)
    estimates = [
        Estimate(count / n, low, high, "sampled", n, failure_prob, seed)
        for count, low, high in zip(counted, lower, upper, strict=True)
    ]
    return [
        row(measure, estimate, **facts, train_sigma=sigma, plausible=kept)
        for sigma, estimate, kept in zip(train_sigma, estimates, plausible, strict=True)
    ]


def _acr_rows(
    result: RuleVotes, vote_failure_prob: float, failure_prob: float, seed: int, facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    rows = []
    most = max(result.smooth_sigma * float(special.ndtri(vote_failure_prob ** (1 / result.votes))), 0.0)
    for sigma, radii in zip(result.train_sigma, result.certified_radii(vote_failure_prob), strict=True):
        mean, low, high = float(radii.mean()), 0.0, most
        if len(radii) > 1:
            low, high = empirical_bernstein(mean, float(radii.var(ddof=1)), len(radii), most, failure_prob)
        estimate = Estimate(mean, max(low, 0.0), min(high, most), "sampled", len(radii), failure_prob, seed)
        rows.append(row(Measure("acr"), estimate, **facts, train_sigma=sigma))
    return rows
