"""All attacks by name; loads none of them, and no torch, before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noiseaug.registry import Entry, Registry

if TYPE_CHECKING:
    from noiseaug.vision.attacks.soft import DDN, PGD

__all__ = ["ATTACKS"]

ATTACKS: Registry[type[PGD] | type[DDN]] = Registry(
    "attack",
    {
        "pgd": Entry("noiseaug.vision.attacks.soft:PGD", "projected gradient descent in the ℓ₂ ball"),
        "ddn": Entry("noiseaug.vision.attacks.soft:DDN", "decoupled direction and norm, projected to the ℓ₂ ball"),
    },
)
"""Every attack by name, called with its radius and its number of steps."""
