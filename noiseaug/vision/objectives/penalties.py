"""Penalties on noisy logits that objectives add to a cross-entropy: one value an image.

Each is called with the logits of the noisy copies, shape (m, b, K), those of the clean images, shape (b, K), where the
objective has them, labels y, shape (b,), and the noise level; and returns shape (b,). All of it stays in log space, so
that logits of any size give finite values and gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from noiseaug import validation
from noiseaug.vision.attacks import mean_log_prob

__all__ = ["Adre", "Consistency", "Macer", "Penalty", "Stability", "cross_entropy"]

_LEAST_LOG_PROB = -690.0  # its normal quantile is −37; double precision ends at −708


class Penalty(Protocol):
    """What an objective asks of a penalty."""

    def __call__(self, noisy: Tensor, clean: Tensor | None, y: Tensor, train_sigma: float) -> Tensor:
        """Values of shape (b,)."""
        ...


def cross_entropy(log_prob: Tensor, y: Tensor) -> Tensor:
    """−log p_y from log-probabilities of shape (…, b, K), shape (…, b)."""
    return -log_prob.gather(-1, y.expand(log_prob.shape[:-1])[..., None]).squeeze(-1)


@dataclass(frozen=True)
class Adre:
    """weight · log G^c, c the largest wrong class of the mean softmax G (Feng et al. 2020, ADRE).

    It has no lower bound: it rewards every further factor by which the runner-up falls.

    Attributes:
        weight: λ ≥ 0.
    """

    weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", validation.nonnegative("weight", self.weight))

    def __call__(self, noisy: Tensor, clean: Tensor | None, y: Tensor, train_sigma: float) -> Tensor:
        wrong = mean_log_prob(noisy).scatter(1, y[:, None], -torch.inf)
        return self.weight * wrong.amax(1)


@dataclass(frozen=True)
class Stability:
    """weight · mean over copies of the cross-entropy −Σ_c softmax_c F(x) log softmax_c F(x̃) (Li et al. 2019).

    Zheng et al. (2016) take the Kullback–Leibler divergence, less by the entropy of softmax F(x). Gradients flow
    through both sides.

    Attributes:
        weight: ≥ 0.
    """

    weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", validation.nonnegative("weight", self.weight))

    def __call__(self, noisy: Tensor, clean: Tensor | None, y: Tensor, train_sigma: float) -> Tensor:
        if clean is None:
            raise TypeError('needs the clean logits: an objective with fit "clean"')
        return -self.weight * (clean.softmax(-1) * noisy.log_softmax(-1)).sum(-1).mean(0)


@dataclass(frozen=True)
class Macer:
    """weight · (α/2) · max(0, margin − [Φ⁻¹(p_y) − Φ⁻¹(p_2)]), for images that G gets right (Zhai et al. 2020).

    p is the mean softmax of the logits times ``temperature``, p_2 its second largest entry; other images get 0. Their
    code drops images where Φ⁻¹ overflows, which lie beyond the margin; here the quantiles come from log-probabilities
    and 1 − p from the sum of the others, so that nothing overflows and the hinge alone decides.

    Attributes:
        temperature: inverse temperature of the softmax, > 0.
        margin: γ > 0, in units of α/2.
        weight: λ ≥ 0.
    """

    temperature: float
    margin: float
    weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", validation.positive("temperature", self.temperature))
        object.__setattr__(self, "margin", validation.positive("margin", self.margin))
        object.__setattr__(self, "weight", validation.nonnegative("weight", self.weight))

    def __call__(self, noisy: Tensor, clean: Tensor | None, y: Tensor, train_sigma: float) -> Tensor:
        log_prob = mean_log_prob(self.temperature * noisy)
        right = log_prob.detach().argmax(1) == y
        wrong = log_prob.scatter(1, y[:, None], -torch.inf)
        # where an image is wrong, its quantiles and their slopes may be infinite: they must not enter even times 0
        rest, runner_up = (torch.where(right, each, math.log(0.5)) for each in (wrong.logsumexp(1), wrong.amax(1)))
        gap = -_normal_quantile(rest) - _normal_quantile(runner_up)
        hinge = (self.margin - gap).clamp(min=0).to(noisy.dtype)
        return self.weight * train_sigma / 2 * torch.where(right, hinge, 0.0)


def _normal_quantile(log_prob: Tensor) -> Tensor:
    """Φ⁻¹(exp(log_prob)) in double precision, for probabilities below 1."""
    return torch.special.ndtri(log_prob.double().clamp(min=_LEAST_LOG_PROB).exp())


@dataclass(frozen=True)
class Consistency:
    """weight · mean_j KL(G ‖ softmax F(x̃_j)) + entropy_weight · H(G), G the mean softmax (Jeong & Shin 2020).

    Attributes:
        weight: λ ≥ 0.
        entropy_weight: η ≥ 0.
    """

    weight: float
    entropy_weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", validation.nonnegative("weight", self.weight))
        object.__setattr__(self, "entropy_weight", validation.nonnegative("entropy_weight", self.entropy_weight))

    def __call__(self, noisy: Tensor, clean: Tensor | None, y: Tensor, train_sigma: float) -> Tensor:
        log_mean = mean_log_prob(noisy)
        mean = log_mean.exp()
        divergence = (mean * (log_mean - noisy.log_softmax(-1))).sum(-1).mean(0)
        return self.weight * divergence - self.entropy_weight * (mean * log_mean).sum(-1)
