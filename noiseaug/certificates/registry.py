"""All certificates by name; loads none of them before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from noiseaug.registry import REQUIRED, Entry, Parameter, Registry

if TYPE_CHECKING:
    from noiseaug.certificates.base import Certificate

__all__ = ["CERTIFICATES", "make_certificate"]

_FIXED, _SEQUENTIAL = "noiseaug.certificates.fixed", "noiseaug.certificates.sequential"

CERTIFICATES: Registry[type[Certificate]] = Registry(
    "certificate",
    {
        "cohen": Entry(f"{_FIXED}:Cohen", "one Clopper–Pearson bound after all votes (Cohen et al. 2019)"),
        "t-certify": Entry(
            f"{_FIXED}:TCertify", "bounds for the top class and the others, the split chosen beforehand"
        ),
        "t-certify-post-hoc": Entry(
            f"{_FIXED}:TCertifyPostHoc", "the best split on the votes themselves (Feng et al. 2020); not sound"
        ),
        "class-partition": Entry(
            "noiseaug.certificates.partition:ClassPartition",
            "bounds for the top class and for buckets of the others, chosen beforehand (Delattre et al. 2025)",
        ),
        "runner-up": Entry(
            "noiseaug.certificates.runner_up:RunnerUp",
            "bounds for the top class and the runner-up; the number of classes costs nothing",
        ),
        "multi-look": Entry(
            f"{_SEQUENTIAL}:MultiLook",
            "a few looks; stops when the largest target radius is certified or out of reach",
            {"radii": Parameter(REQUIRED, "target ℓ₂ radii, in input units")},
        ),
        "confidence-sequence": Entry(
            f"{_SEQUENTIAL}:ConfidenceSequence",
            "one target radius, tested after every few votes",
            {"radius": Parameter(REQUIRED, "target ℓ₂ radius, in input units")},
        ),
        "optimal-stopping": Entry(
            "noiseaug.certificates.stopping:OptimalStopping",
            "one target radius with the fewest votes: stops on a boundary computed beforehand",
            {
                "radius": Parameter(REQUIRED, "target ℓ₂ radius, in input units"),
                "miss_cost": Parameter(5.0, "cost of not certifying what has the radius, in units of n votes"),
            },
        ),
        "full-radius": Entry(
            f"{_SEQUENTIAL}:FullRadius",
            "the full radius; stops when more votes would hardly raise it",
            {"tolerance": Parameter(0.05, "smallest gain in radius that is worth more votes, in units of β")},
        ),
    },
)
"""Every rule by name; a new one is one class and one entry here."""


def make_certificate(name: str, **parameters: Any) -> Certificate:
    """A certificate of the registry.

    Args:
        name: one of ``CERTIFICATES``.
        parameters: those of the rule; its defaults for what is not given.

    Raises:
        InvalidInputError: for an unknown name or parameter, a missing one, or a bad value.
    """
    values = CERTIFICATES.settings(name, parameters)
    return CERTIFICATES.load(name)(**values)
