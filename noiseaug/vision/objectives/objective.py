"""Training objectives as compositions: an attack, noisy copies, a cross-entropy, and a penalty on the logits.

Example::

    objective = make_objective("smoothadv", train_sigma=0.5, radius=1.0, copies=4)
    loss, logits = objective.loss(model, x, y, generator=generator, epoch=3.5)

Write x̃_j = x' + αε_j for the m noisy copies, F for the logits, G = (1/m) Σ_j softmax F(x̃_j) for the soft smoothed
classifier, CE for the cross-entropy. With x' = x unless there is an attack, the objectives are, image by image,

===========  =================================================================  =====================================
name         loss                                                               paper
===========  =================================================================  =====================================
clean        CE(F(x))
gaussian     mean_j CE(F(x̃_j))                                                  Cohen et al. 2019
smoothadv    the same, x' attacked                                              Salman et al. 2019
adre         gaussian + λ log G^c, c the largest wrong class of G               Feng et al. 2020
adreadv      the same, x' attacked                                              Feng et al. 2020
stability    CE(F(x)) + λ mean_j CE(softmax F(x) against F(x̃_j))                Zheng et al. 2016, Li et al. 2019
macer        −log G_y + λ (α/2) max(0, γ − Φ⁻¹(p_y) + Φ⁻¹(p_2)) where right     Zhai et al. 2020
consistency  gaussian + λ mean_j KL(G ‖ softmax F(x̃_j)) + η H(G)                Jeong & Shin 2020
===========  =================================================================  =====================================

and ``smoothadv-consistency`` is consistency with x' attacked (Jeong & Shin 2020).

Weights are by default those of the authors' code where there is any (Stability: of Jeong & Shin's; ADRE: of an
independent one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.vision.attacks import DDN, PGD, draw_noise, mean_log_prob, noisy_logits
from noiseaug.vision.device import Share
from noiseaug.vision.objectives.penalties import Penalty, cross_entropy

__all__ = ["Objective"]

Fit = Literal["noisy", "soft", "clean"]


@dataclass(frozen=True)
class Objective:
    """What training minimises.

    Attributes:
        name: of its entry in ``OBJECTIVES``.
        train_sigma: α ≥ 0, in input units.
        copies: m ≥ 1, noisy copies of each image.
        attack: moves x to x' before the copies are made, with the same noise.
        warm_up: epochs over which the attack's radius grows linearly from 0.
        penalty: added to the cross-entropy.
        fit: whose cross-entropy: of each noisy copy and averaged, of the mean softmax, or of the clean image, which
            then goes through the model in the same batch as its copies.

    Raises:
        InvalidInputError: for numbers out of range.
    """

    name: str
    train_sigma: float
    copies: int = 1
    attack: PGD | DDN | None = None
    warm_up: int = 0
    penalty: Penalty | None = None
    fit: Fit = "noisy"

    def __post_init__(self) -> None:
        object.__setattr__(self, "train_sigma", validation.nonnegative("train_sigma", self.train_sigma))
        object.__setattr__(self, "copies", validation.integer("copies", self.copies))
        object.__setattr__(self, "warm_up", validation.integer("warm_up", self.warm_up, at_least=0))
        validation.choice("fit", self.fit, ("noisy", "soft", "clean"))

    def loss(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        generator: torch.Generator,
        epoch: float = math.inf,
        weights: Tensor | None = None,
        attacked: nn.Module | None = None,
        share: Share | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The loss of a batch. Noise is drawn anew in each call, and not clipped.

        Args:
            model: maps ``(n, *shape)`` to logits (n, K); called once on all copies, and besides by the attack unless
                there is ``attacked``.
            x: images in [0, 1], shape ``(b, *shape)``; the copies keep their memory format.
            y: labels, shape (b,), int64.
            generator: of the noise, on the device of ``x`` or on the CPU.
            epoch: epochs done so far, with fractions; for the warm-up.
            weights: a factor for the loss of each image, shape (b,); the result is the mean over images of
                weight × loss.
            attacked: what the attack differentiates, where ``model`` wraps it for the gradients of its weights alone
                (DistributedDataParallel).
            share: of which batch the images are a share; noise is drawn for all of it.

        Returns:
            The scalar loss, and the logits of the noisy copies, shape (m, b, K), detached.

        Raises:
            InvalidInputError: for shapes that do not fit, and where the model returns no logits.
        """
        for name, values in (("labels", y), ("weights", weights)):
            if values is not None and values.shape != (len(x),):
                raise InvalidInputError(f"the {name} have shape {tuple(values.shape)}; expected ({len(x)},)")
        noise = draw_noise(x, self.copies, self.train_sigma, generator, share)
        attack, victim = self._attack_at(epoch), model if attacked is None else attacked
        point = x if attack is None else attack.perturb(victim, x, y, noise, generator=generator, share=share)
        clean, noisy = None, noisy_logits(model, point, noise if self.fit != "clean" else _with_clean(noise))
        if self.fit == "clean":
            clean, noisy = noisy[0], noisy[1:]
        losses = self._fit(noisy, clean, y)
        if self.penalty is not None:
            losses = losses + self.penalty(noisy, clean, y, self.train_sigma)
        if weights is not None:
            losses = weights * losses
        return losses.mean(), noisy.detach()

    def _attack_at(self, epoch: float) -> PGD | DDN | None:
        if self.attack is None or epoch >= self.warm_up:
            return self.attack
        return self.attack.scaled(max(0.0, epoch / self.warm_up))

    def _fit(self, noisy: Tensor, clean: Tensor | None, y: Tensor) -> Tensor:
        if clean is not None:
            return cross_entropy(clean.log_softmax(-1), y)
        if self.fit == "soft":
            return cross_entropy(mean_log_prob(noisy), y)
        return cross_entropy(noisy.log_softmax(-1), y).mean(0)

    @property
    def evaluations(self) -> int:
        """Forward and backward passes for each image and update, after the warm-up; what training costs."""
        attacked = self.attack is not None and self.attack.radius > 0
        steps = self.attack.steps if self.attack is not None and attacked else 0
        return self.copies * (steps + 1) + (self.fit == "clean")


def _with_clean(noise: Tensor) -> Tensor:
    """Noise with a first copy that has none."""
    return torch.cat([torch.zeros_like(noise[:1]), noise])
