"""A task from class densities and a sampler: what one has who knows a law but no formula for its risks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.numerics import Grid, log_gaussian_blur
from noiseaug.tasks.densities import DensityRule, DensityTask, shares
from noiseaug.validation import FloatArray

__all__ = ["AveragedRule", "FromDensities"]

_TRIAL = 20_000  # draws that show where X lies
_MARGIN = 0.35  # of their range, on either side
_BLOCK_FLOATS = 1 << 20  # distances held at a time: 8 MiB
_FALSE_ALARM = 1e-9  # with which a sampler that follows the priors is refused


class FromDensities(DensityTask):
    """X given Y = c has the density exp(log_densities[c]).

    In one to three dimensions everything comes from lattices, with their error. In more, and for votes, the noised
    density of a class is the average of the noise's density over draws of the class; where its standard error leaves
    open which class wins, a vote counts for none of them when an interval is made.

    Args:
        log_densities: for each class a function of points of shape (n, dim) that returns ln of its density, shape (n,);
            −∞ off its support. Densities of single classes: each integrates to 1.
        sample: a function of (n, rng) that draws n points, shape (n, dim), and their labels 0, …, K − 1, shape (n,).
        dim: dimension.
        priors: P(Y = c), shape (K,); equal by default. They are checked against the sampler.
        draws: draws of each class behind an averaged density.
        tolerance: largest error of an answer from a lattice, for probabilities; relative for radii.
        name: what to call the task in tables.

    Raises:
        InvalidInputError: for functions that return other shapes, or labels that do not follow the priors.
    """

    def __init__(
        self,
        log_densities: Sequence[Callable[[FloatArray], Any]],
        sample: Callable[[int, np.random.Generator], tuple[Any, Any]],
        dim: int,
        *,
        priors: ArrayLike | None = None,
        draws: int = 4000,
        tolerance: float = 1e-3,
        name: str | None = None,
    ) -> None:
        self.log_densities = tuple(log_densities)
        if len(self.log_densities) < 2:
            raise InvalidInputError(
                f"{len(self.log_densities)} log_densities given; expected one for each of 2 classes or more"
            )
        self.num_classes = len(self.log_densities)
        self.dim = validation.integer("dim", dim)
        self.priors = shares("priors", priors, self.num_classes)
        self.draws = validation.integer("draws", draws)
        self.tolerance = validation.positive("tolerance", tolerance)
        self.name = name
        self._sample = sample
        self._check_priors()

    def _check_priors(self) -> None:
        counts = np.bincount(self._trial[1], minlength=self.num_classes)
        for label, (count, prior) in enumerate(zip(counts, self.priors, strict=True)):
            law = stats.binom(_TRIAL, prior)
            if min(law.cdf(count), law.sf(count - 1)) < 0.5 * _FALSE_ALARM:
                raise InvalidInputError(
                    f"sample draws class {label} with a share of {count / _TRIAL:.3g}, priors say {prior:.3g}; give "
                    "priors that it follows"
                )

    @cached_property
    def _trial(self) -> tuple[FloatArray, np.ndarray]:
        return self.sample(_TRIAL, np.random.default_rng(0))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, np.ndarray]:
        x, y = self._sample(n, rng)
        x, y = validation.points(x, self.dim), np.asarray(y)
        if len(x) != n or y.shape != (n,) or (n and (y.min() < 0 or y.max() >= self.num_classes)):
            raise InvalidInputError(
                f"sample({n}) returned points of shape {x.shape} and labels of shape {y.shape}; expected "
                f"({n}, {self.dim}) and ({n},), labels 0 to {self.num_classes - 1}"
            )
        return x, y.astype(np.int64)

    @cached_property
    def class_draws(self) -> list[FloatArray]:
        """``draws`` draws of each class, always the same ones."""
        rng, found = np.random.default_rng(1), [np.empty((0, self.dim))] * self.num_classes
        while min(map(len, found)) < self.draws:
            x, y = self.sample(self.draws * self.num_classes, rng)
            found = [np.concatenate([part, x[y == label]]) for label, part in enumerate(found)]
        return [part[: self.draws] for part in found]

    def log_density(self, x: ArrayLike, label: int, noise_sigma: float = 0.0) -> FloatArray:
        places = validation.points(x, self.dim)
        if noise_sigma == 0:
            return self._exact(places, label)
        return self.averaged(places, label, validation.nonnegative("noise_sigma", noise_sigma))[0]

    def _exact(self, places: FloatArray, label: int) -> FloatArray:
        logs = np.asarray(self.log_densities[label](places), dtype=float)
        if logs.shape != (len(places),):
            raise InvalidInputError(f"log_densities[{label}] returned shape {logs.shape}; expected ({len(places)},)")
        if np.isnan(logs).any() or np.isposinf(logs).any():
            raise InvalidInputError(f"log_densities[{label}] returned NaN or +∞; expected finite numbers or −∞")
        return logs

    def averaged(self, places: FloatArray, label: int, sigma: float) -> tuple[FloatArray, FloatArray]:
        """ln of E p_σ(x − X) over the class's draws, and its standard error, shape (n,) each."""
        draws = self.class_draws[label]
        middle = draws.mean(axis=0)
        centred, squares = draws - middle, np.sum((draws - middle) ** 2, axis=1)
        out = np.empty((2, len(places)))
        rows = max(1, _BLOCK_FLOATS // len(draws))
        for start in range(0, len(places), rows):
            block = places[start : start + rows] - middle
            logs = block @ centred.T
            logs *= 2
            logs -= squares
            logs -= np.sum(block**2, axis=1)[:, None]
            logs *= 0.5 / sigma**2
            top = logs.max(axis=1)
            weights = np.exp(logs - top[:, None])
            total, second = weights.sum(axis=1), np.einsum("ij,ij->i", weights, weights)
            out[0, start : start + rows] = top + np.log(total / len(draws))
            out[1, start : start + rows] = np.sqrt(np.maximum(second / total**2 - 1 / len(draws), 0.0))
        return out[0] - self.dim * np.log(np.sqrt(2 * np.pi) * sigma), out[1]

    def log_scores_on(self, axes: Sequence[FloatArray], noise_sigma: float) -> FloatArray:
        scores = super().log_scores_on(axes, 0.0)
        if noise_sigma == 0:
            return scores
        shape = tuple(len(axis) for axis in axes)
        grid = Grid(shape, float(max(axis[1] - axis[0] for axis in axes if len(axis) > 1)))
        tops = [score.max() for score in scores]
        return np.stack(
            [top + log_gaussian_blur(np.exp(s - top), grid, noise_sigma) for s, top in zip(scores, tops, strict=True)]
        )

    def augmented_rule(self, train_sigma: float) -> DensityRule:
        """The Bayes rule of the noised law; with noise from averages, so that single decisions may be open."""
        alpha = validation.nonnegative("train_sigma", train_sigma)
        return AveragedRule(self, alpha) if alpha > 0 else DensityRule(self, alpha)

    def box(self) -> tuple[FloatArray, FloatArray]:
        x, _ = self._trial
        low, high = x.min(axis=0), x.max(axis=0)
        return low - _MARGIN * (high - low), high + _MARGIN * (high - low)

    def __str__(self) -> str:
        names = ",".join(getattr(f, "__name__", type(f).__name__) for f in self.log_densities)
        return f"FromDensities({self.name or f'log_densities=({names}), dim={self.dim}'})"


@dataclass(frozen=True, eq=False)
class AveragedRule(DensityRule):
    """The class with the largest prior × averaged noised density."""

    task: FromDensities
    train_sigma: float

    errors: float = 4.0
    """Standard errors by which the best class must lead the next one for its vote to be settled."""

    least: float = 10.0
    """Draws that the average of the best class must rest on in effect."""

    def predict_openly(self, x: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """The class of each point, and whether the error of the averages leaves it open; shape (n,) each."""
        places = validation.points(x, self.task.dim)
        parts = [self.task.averaged(places, label, self.train_sigma) for label in range(self.num_classes)]
        scores = np.stack([logs for logs, _ in parts], axis=1) + np.log(self.task.priors)
        errors = np.stack([error for _, error in parts], axis=1)
        rows, best = np.arange(len(places)), np.argmax(scores, axis=1)
        lead = scores[rows, best][:, None] - scores
        needed = self.errors * (errors + errors[rows, best][:, None])
        open_pairs = lead <= needed
        open_pairs[rows, best] = False
        return best, open_pairs.any(axis=1) | (errors[rows, best] ** 2 > 1 / self.least)
