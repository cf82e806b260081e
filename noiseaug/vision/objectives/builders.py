"""What makes an objective of the registry out of its name, its noise level and its parameters."""

from __future__ import annotations

from typing import Any

from noiseaug.errors import InvalidInputError
from noiseaug.vision.attacks import ATTACKS
from noiseaug.vision.objectives.objective import Objective
from noiseaug.vision.objectives.penalties import Adre, Consistency, Macer, Stability

__all__ = ["adre", "clean", "consistency", "gaussian", "macer", "stability"]


def clean(name: str, train_sigma: float) -> Objective:
    """Cross-entropy without noise; raises InvalidInputError for any α but 0."""
    if train_sigma != 0:
        raise InvalidInputError(f"train_sigma is {train_sigma:g}; clean takes 0 alone: for noise choose gaussian")
    return Objective(name, train_sigma)


def gaussian(name: str, train_sigma: float, copies: int, **attack: Any) -> Objective:
    """Cross-entropy on noisy copies, attacked first where there are parameters of an attack."""
    return Objective(name, train_sigma, copies, **_attacked(**attack) if attack else {})


def adre(name: str, train_sigma: float, copies: int, weight: float, **attack: Any) -> Objective:
    """Penalises the log-probability of the runner-up, attacked first where there are parameters of an attack."""
    return Objective(name, train_sigma, copies, penalty=Adre(weight), **_attacked(**attack) if attack else {})


def stability(name: str, train_sigma: float, copies: int, weight: float) -> Objective:
    """Clean cross-entropy, and a penalty on how noise changes the prediction."""
    return Objective(name, train_sigma, copies, penalty=Stability(weight), fit="clean")


def macer(name: str, train_sigma: float, copies: int, **penalty: Any) -> Objective:
    """Cross-entropy of the mean prediction, and a hinge on the soft certified radius."""
    return Objective(name, train_sigma, copies, penalty=Macer(**penalty), fit="soft")


def consistency(
    name: str, train_sigma: float, copies: int, weight: float, entropy_weight: float, **attack: Any
) -> Objective:
    """Penalises the spread of the predictions over the copies, attacked first where there is an attack."""
    penalty = Consistency(weight, entropy_weight)
    return Objective(name, train_sigma, copies, penalty=penalty, **_attacked(**attack) if attack else {})


def _attacked(attack: str, radius: float, steps: int, warm_up: int) -> dict[str, Any]:
    """The fields of an objective that the parameters of an attack stand for."""
    return {"attack": ATTACKS.load(attack)(radius, steps), "warm_up": warm_up}
