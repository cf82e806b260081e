"""All objectives by name; loads none of them, and no torch, before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.registry import Entry, Parameter, Registry, either
from noiseaug.vision.attacks.registry import ATTACKS

if TYPE_CHECKING:
    from noiseaug.vision.objectives.objective import Objective

__all__ = ["OBJECTIVES", "describe", "make_objective"]

_CODE = "noiseaug.vision.objectives.builders"


def _copies(default: int) -> dict[str, Parameter]:
    return {"copies": Parameter(default, "noisy copies of each image (m)")}


_ATTACK = {
    "attack": Parameter("pgd", f"attack on the soft smoothed classifier: {either(ATTACKS)}"),
    "radius": Parameter(1.0, "ℓ₂ radius of the attack (ε)"),
    "steps": Parameter(2, "steps of the attack (T)"),
    "warm_up": Parameter(10, "epochs over which the radius grows from 0"),
}
_CONSISTENCY = _copies(2) | {
    "weight": Parameter(10.0, "weight of the divergence from the mean prediction (λ); 5 for large noise"),
    "entropy_weight": Parameter(0.5, "weight of the entropy of the mean prediction (η)"),
}
_ADRE = _copies(8) | {"weight": Parameter(0.1, "weight of the runner-up's log-probability (λ)")}

OBJECTIVES: Registry[Callable[..., Objective]] = Registry(
    "objective",
    {
        "clean": Entry(f"{_CODE}:clean", "cross-entropy without noise"),
        "gaussian": Entry(f"{_CODE}:gaussian", "cross-entropy on noisy copies (Cohen et al. 2019)", _copies(1)),
        "smoothadv": Entry(
            f"{_CODE}:gaussian",
            "cross-entropy on noisy copies of attacked images (Salman et al. 2019)",
            _copies(4) | _ATTACK,
        ),
        "adre": Entry(f"{_CODE}:adre", "gaussian and the log-probability of the runner-up (Feng et al. 2020)", _ADRE),
        "adreadv": Entry(f"{_CODE}:adre", "adre on attacked images (Feng et al. 2020)", _ADRE | _ATTACK),
        "stability": Entry(
            f"{_CODE}:stability",
            "clean cross-entropy and that between clean and noisy predictions (Zheng et al. 2016, Li et al. 2019)",
            _copies(1) | {"weight": Parameter(2.0, "weight of the second (λ)")},
        ),
        "macer": Entry(
            f"{_CODE}:macer",
            "cross-entropy of the mean prediction and a hinge on the soft certified radius (Zhai et al. 2020)",
            _copies(16)
            | {
                "weight": Parameter(12.0, "weight of the hinge (λ)"),
                "margin": Parameter(8.0, "margin of the hinge, in units of half the noise level (γ)"),
                "temperature": Parameter(16.0, "inverse temperature of the softmax in the hinge"),
            },
        ),
        "consistency": Entry(
            f"{_CODE}:consistency",
            "gaussian and the spread of the predictions over the copies (Jeong & Shin 2020)",
            _CONSISTENCY,
        ),
        "smoothadv-consistency": Entry(
            f"{_CODE}:consistency", "consistency on attacked images (Jeong & Shin 2020)", _CONSISTENCY | _ATTACK
        ),
    },
)
"""Every objective by name, with what builds it: called with the name, ``train_sigma`` and all parameters."""


def make_objective(name: str, train_sigma: float, **parameters: Any) -> Objective:
    """An objective of the registry.

    Args:
        name: one of ``OBJECTIVES``.
        train_sigma: α ≥ 0, in input units; 0 for ``clean``.
        parameters: those of the objective; its defaults for what is not given.

    Raises:
        InvalidInputError: for an unknown name or parameter, or a bad value, with what there is.
    """
    values = OBJECTIVES.settings(name, parameters)
    train_sigma = validation.nonnegative("train_sigma", train_sigma)
    try:
        return OBJECTIVES.load(name)(name, train_sigma, **values)
    except InvalidInputError as error:
        raise InvalidInputError(f"objective {name}: {error}") from None


def describe(objective: Objective) -> dict[str, Any]:
    """Plain values from which ``make_objective(**values)`` makes the objective again.

    Raises:
        InvalidInputError: for an objective that was put together by hand and is none of the registry.
    """
    if objective.name in OBJECTIVES:
        values: dict[str, Any] = {"name": objective.name, "train_sigma": objective.train_sigma}
        values |= {key: _value(objective, key) for key in OBJECTIVES[objective.name].parameters}
        if None not in values.values() and make_objective(**values) == objective:
            return values
    raise InvalidInputError(
        f"{objective.name} was put together by hand and has no description; add it to OBJECTIVES, or use make_objective"
    )


def _value(objective: Objective, key: str) -> Any:
    """A parameter of the registry by name, wherever the objective keeps it."""
    if key == "attack":
        return next((name for name in ATTACKS if isinstance(objective.attack, ATTACKS.load(name))), None)
    owner = next((part for part in (objective, objective.attack, objective.penalty) if hasattr(part, key)), None)
    return getattr(owner, key, None)
