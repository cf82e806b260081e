"""Closed forms in arrays: half-spaces and balls at all smoothing levels and radii of a study at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from noiseaug.regions import RegionBatch
from noiseaug.regions.batches import Ends
from noiseaug.tasks.base import ProfileTask
from noiseaug.tasks.laws import AtomLaw
from noiseaug.validation import FloatArray

__all__ = ["UNPROVEN", "BatchStudy"]

UNPROVEN = 1e-9
"""Masses of what a quadrature or an unresolved touching point may hide."""

Found = tuple[FloatArray, FloatArray | float, np.ndarray | bool]
"""Values, their errors, and where these count: there the value is numeric. All broadcast to (bases, levels, radii)."""


class BatchStudy:
    """The base classifiers of a batch at several smoothing levels.

    Args:
        task: the law of (X, Y).
        batch: the base classifiers.
        smooth_sigmas: β ≥ 0, shape (levels,).
    """

    def __init__(self, task: ProfileTask, batch: RegionBatch, smooth_sigmas: FloatArray) -> None:
        self._task, self._batch, self._sigmas = task, batch, smooth_sigmas
        self._proven = batch.proven[:, None, None]
        self._laws = {label: task.laws(label, batch.regions) for label in (0, 1)}

    def find(self, quantity: str, radii: FloatArray) -> Found | None:
        """A quantity at its radii, NaN where it takes none; None where it has no form for arrays."""
        evaluate = _BATCH.get(quantity)
        return None if evaluate is None else evaluate(self, radii)

    @cached_property
    def _decision(self) -> FloatArray:
        """Ends of the smoothed classifiers' regions, shape (bases or 1, levels, 1)."""
        return self._batch.level_ends(self._sigmas, np.zeros((self._sigmas.size, 1)))

    def _mass(self, where_1: Ends, where_0: Ends) -> FloatArray:
        """π q₁ of the first intervals + (1 − π) q₀ of the second."""
        prior = self._task.prior
        return prior * self._laws[1].interval_mass(*where_1) + (1 - prior) * self._laws[0].interval_mass(*where_0)

    def _closed(self, masses: FloatArray) -> Found:
        return masses, UNPROVEN, ~self._proven

    def _risk(self, radii: FloatArray) -> Found:
        ends = self._decision
        return self._closed(self._mass(self._batch.outside(ends), self._batch.inside(ends)))

    def _certified_accuracy(self, radii: FloatArray) -> Found:
        batch, sigmas = self._batch, self._sigmas[:, None]
        levels = radii / np.where(sigmas > 0, sigmas, np.inf)
        ends = batch.level_ends(self._sigmas, np.concatenate([levels, -levels], axis=1))
        count = radii.size
        values = self._mass(batch.inside(ends[..., :count]), batch.outside(ends[..., count:]))
        # without smoothing nothing above radius 0 is certified, whatever the region
        nothing = (sigmas == 0) & (radii > 0)
        sure = self._proven | nothing.all(axis=1, keepdims=True)
        return np.where(nothing, 0.0, values), UNPROVEN, ~sure

    def _adversarial_accuracy(self, radii: FloatArray) -> Found:
        batch, ends = self._batch, self._decision
        inside, outside = batch.inside(batch.moved(ends, radii)), batch.outside(batch.moved(ends, -radii))
        return self._closed(self._mass(inside, outside))

    def _differences(self) -> tuple[Ends, np.ndarray] | None:
        """The coordinates where smoothed and Bayes classifier differ, and whether the Bayes classifier predicts 1."""
        bayes = self._batch.end_of(self._task.bayes_region())
        if bayes is None:
            return None
        ends = self._decision
        return (np.minimum(ends, bayes), np.maximum(ends, bayes)), ends < bayes

    def _disagreement(self, radii: FloatArray) -> Found:
        between = self._differences()
        if between is None:
            # half-spaces are their own smoothed classifiers
            bayes = self._task.bayes_region()
            each = [self._task.disagreement_mass(bayes, region) for region in self._batch.regions]
            return self._closed(np.array(each)[:, None, None])
        (low, high), _ = between
        return self._closed(np.where(high > low, self._mass((low, high), (low, high)), 0.0))

    def _excess_risk(self, radii: FloatArray) -> Found:
        between = self._differences()
        if between is None:
            values = np.array([self._task.excess_mass(region) for region in self._batch.regions])[:, None, None]
        else:
            (low, high), lost = between
            prior = self._task.prior
            mass_1, mass_0 = (self._laws[label].interval_mass(low, high) for label in (1, 0))
            gap = prior * mass_1 - (1 - prior) * mass_0
            values = np.where(high > low, np.where(lost, gap, -gap), 0.0)
        # a difference of masses: what rounding leaves of it is known absolutely, not relatively
        return values, np.where(self._proven, 1e-15, UNPROVEN), True

    def _acr(self, radii: FloatArray) -> Found | None:
        smooth = self._sigmas[:, None] > 0
        closed = [self._task.closed_acr(region) for region in self._batch.regions]
        if all(value is not None for value in closed):
            return np.where(smooth, np.array(closed, dtype=float)[:, None, None], 0.0), 0.0, False
        return self._acr_of_atoms(smooth)

    def _acr_of_atoms(self, smooth: np.ndarray) -> Found | None:
        """Each class lies at one coordinate, whose margin is all there is to know."""
        value = error = np.zeros(1)
        sigmas = np.where(smooth, self._sigmas[:, None], 1.0)
        for label, share, sign in ((1, self._task.prior, 1.0), (0, 1 - self._task.prior, -1.0)):
            law = self._laws[label]
            if not isinstance(law, AtomLaw):
                return None
            margins = sign * self._batch.margins_at(law.at, sigmas[:, 0])
            part = share * np.maximum(margins, 0.0)[..., None]
            value, error = value + part, error + np.where(np.isfinite(part), 1e-13 * part, 0.0)
        return np.where(smooth, sigmas * value, 0.0), sigmas * error, smooth


_BATCH: dict[str, Callable[[BatchStudy, FloatArray], Found | None]] = {
    "risk": BatchStudy._risk,
    "excess_risk": BatchStudy._excess_risk,
    "disagreement": BatchStudy._disagreement,
    "certified_accuracy": BatchStudy._certified_accuracy,
    "adversarial_accuracy": BatchStudy._adversarial_accuracy,
    "acr": BatchStudy._acr,
}
