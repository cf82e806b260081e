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

Weights are by default those of the authors' code where there is any (Stability: of Jeong & Shin's; ADRE: of an
independent one). A new objective is one entry of ``OBJECTIVES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.vision.attacks import ATTACKS, DDN, PGD, draw_noise, mean_log_prob, noisy_logits
from noiseaug.vision.device import Share
from noiseaug.vision.objectives.penalties import Adre, Consistency, Macer, Penalty, Stability, cross_entropy

__all__ = ["OBJECTIVES", "Objective", "ObjectiveKind", "Parameter", "describe", "make_objective"]

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


@dataclass(frozen=True)
class Parameter:
    """One parameter of an objective: its default, whose type it has, and a line for help texts."""

    default: float | int | str
    line: str


@dataclass(frozen=True)
class ObjectiveKind:
    """An entry of the registry.

    Attributes:
        line: what it is, for help texts.
        build: takes the name, ``train_sigma`` and all parameters as keywords.
        parameters: by name.
    """

    line: str
    build: Callable[..., Objective]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def _copies(default: int) -> dict[str, Parameter]:
    return {"copies": Parameter(default, "noisy copies of each image (m)")}


_ATTACK = {
    "attack": Parameter("pgd", "attack on the soft smoothed classifier: pgd or ddn"),
    "radius": Parameter(1.0, "ℓ₂ radius of the attack (ε)"),
    "steps": Parameter(2, "steps of the attack (T)"),
    "warm_up": Parameter(10, "epochs over which the radius grows from 0"),
}


def _clean(name: str, train_sigma: float) -> Objective:
    if train_sigma != 0:
        raise InvalidInputError(f"train_sigma is {train_sigma:g}; clean takes 0 alone: for noise choose gaussian")
    return Objective(name, train_sigma)


def _attacked(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of an objective that parameters of an attack stand for."""
    kind = ATTACKS[validation.choice("attack", values["attack"], tuple(ATTACKS))]
    return {"attack": kind(values["radius"], values["steps"]), "warm_up": values["warm_up"]}


def _smoothadv(name: str, train_sigma: float, copies: int, **values: Any) -> Objective:
    return Objective(name, train_sigma, copies, **_attacked(values))


def _adre(name: str, train_sigma: float, copies: int, weight: float) -> Objective:
    return Objective(name, train_sigma, copies, penalty=Adre(weight))


def _adreadv(name: str, train_sigma: float, copies: int, weight: float, **values: Any) -> Objective:
    return Objective(name, train_sigma, copies, penalty=Adre(weight), **_attacked(values))


def _stability(name: str, train_sigma: float, copies: int, weight: float) -> Objective:
    return Objective(name, train_sigma, copies, penalty=Stability(weight), fit="clean")


def _macer(name: str, train_sigma: float, copies: int, **values: Any) -> Objective:
    return Objective(name, train_sigma, copies, penalty=Macer(**values), fit="soft")


def _consistency(name: str, train_sigma: float, copies: int, **values: Any) -> Objective:
    return Objective(name, train_sigma, copies, penalty=Consistency(**values))


OBJECTIVES: dict[str, ObjectiveKind] = {
    "clean": ObjectiveKind("cross-entropy without noise", _clean),
    "gaussian": ObjectiveKind("cross-entropy on noisy copies (Cohen et al. 2019)", Objective, _copies(1)),
    "smoothadv": ObjectiveKind(
        "cross-entropy on noisy copies of attacked images (Salman et al. 2019)", _smoothadv, _copies(4) | _ATTACK
    ),
    "adre": ObjectiveKind(
        "gaussian and the log-probability of the runner-up (Feng et al. 2020)",
        _adre,
        _copies(8) | {"weight": Parameter(0.1, "weight of the runner-up's log-probability (λ)")},
    ),
    "adreadv": ObjectiveKind(
        "adre on attacked images (Feng et al. 2020)",
        _adreadv,
        _copies(8) | {"weight": Parameter(0.1, "weight of the runner-up's log-probability (λ)")} | _ATTACK,
    ),
    "stability": ObjectiveKind(
        "clean cross-entropy and that between clean and noisy predictions (Zheng et al. 2016, Li et al. 2019)",
        _stability,
        _copies(1) | {"weight": Parameter(2.0, "weight of the second (λ)")},
    ),
    "macer": ObjectiveKind(
        "cross-entropy of the mean prediction and a hinge on the soft certified radius (Zhai et al. 2020)",
        _macer,
        _copies(16)
        | {
            "weight": Parameter(12.0, "weight of the hinge (λ)"),
            "margin": Parameter(8.0, "margin of the hinge, in units of half the noise level (γ)"),
            "temperature": Parameter(16.0, "inverse temperature of the softmax in the hinge"),
        },
    ),
    "consistency": ObjectiveKind(
        "gaussian and the spread of the predictions over the copies (Jeong & Shin 2020)",
        _consistency,
        _copies(2)
        | {
            "weight": Parameter(10.0, "weight of the divergence from the mean prediction (λ); 5 for large noise"),
            "entropy_weight": Parameter(0.5, "weight of the entropy of the mean prediction (η)"),
        },
    ),
}


def make_objective(name: str, train_sigma: float, **parameters: Any) -> Objective:
    """An objective of the registry.

    Args:
        name: one of ``OBJECTIVES``.
        train_sigma: α ≥ 0, in input units; 0 for ``clean``.
        parameters: those of the objective; its defaults for what is not given.

    Raises:
        InvalidInputError: for an unknown name or parameter, or a bad value, with what there is.
    """
    kind = OBJECTIVES[validation.choice("objective", name, tuple(OBJECTIVES))]
    unknown = [key for key in parameters if key not in kind.parameters]
    if unknown:
        takes = ", ".join(f"{key} ({entry.default})" for key, entry in kind.parameters.items()) or "no parameters"
        raise InvalidInputError(f"{name} has no parameter {', '.join(unknown)}; it takes {takes}")
    values = {key: parameters.get(key, entry.default) for key, entry in kind.parameters.items()}
    train_sigma = validation.nonnegative("train_sigma", train_sigma)
    try:
        return kind.build(name, train_sigma, **values)
    except InvalidInputError as error:
        raise InvalidInputError(f"objective {name}: {error}") from None


def describe(objective: Objective) -> dict[str, Any]:
    """Plain values from which ``make_objective(**values)`` makes the objective again.

    Raises:
        InvalidInputError: for an objective that was put together by hand and is none of the registry.
    """
    kind = OBJECTIVES.get(objective.name)
    if kind is not None:
        values: dict[str, Any] = {"name": objective.name, "train_sigma": objective.train_sigma}
        values |= {key: _value(objective, key) for key in kind.parameters}
        if None not in values.values() and make_objective(**values) == objective:
            return values
    raise InvalidInputError(
        f"{objective.name} was put together by hand and has no description; add it to OBJECTIVES, or use make_objective"
    )


def _value(objective: Objective, key: str) -> Any:
    """A parameter of the registry by name, wherever the objective keeps it."""
    if key == "attack":
        return next((name for name, kind in ATTACKS.items() if isinstance(objective.attack, kind)), None)
    owner = next((part for part in (objective, objective.attack, objective.penalty) if hasattr(part, key)), None)
    return getattr(owner, key, None)
