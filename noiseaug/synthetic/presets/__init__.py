"""The presets: each module describes one study, draws its table, and sums it up."""

from __future__ import annotations

from noiseaug.errors import InvalidInputError
from noiseaug.synthetic.presets import (
    agreement,
    boundary,
    circle,
    discs,
    isolated,
    minority,
    mixtures,
    moons,
    optimal,
    phase,
    rules,
    spheres,
)
from noiseaug.synthetic.presets.preset import Preset

__all__ = ["DEFAULT", "PRESETS", "Preset", "find"]

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        phase.PRESET,
        optimal.PRESET,
        minority.PRESET,
        spheres.PRESET,
        boundary.PRESET,
        circle.PRESET,
        discs.PUBLISHED,
        discs.FAIR,
        isolated.PRESET,
        agreement.PRESET,
        rules.PRESET,
        moons.MOONS,
        moons.DIGITS,
        mixtures.PRESET,
    )
}
"""Every preset by name; a new one is one module and one line here."""

DEFAULT = tuple(name for name, preset in PRESETS.items() if preset.default)
"""The presets that make up the default study."""


def find(name: str) -> Preset:
    """The preset of this name.

    Raises:
        InvalidInputError: where there is none.
    """
    if name not in PRESETS:
        raise InvalidInputError(f"no preset {name!r}; expected one of {', '.join(PRESETS)}, or a .toml file")
    return PRESETS[name]
