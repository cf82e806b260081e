"""A certification rule as options, for the commands that take one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from noiseaug.certificates import CERTIFICATES
from noiseaug.cli.options import VOTES, choice, settings
from noiseaug.cli.parsing import parameters
from noiseaug.errors import InvalidInputError

if TYPE_CHECKING:
    from noiseaug.certificates import Certificate

__all__ = ["Radius", "Rule", "Settings", "make_router_rule", "make_rule"]

Rule = Annotated[str, choice("--certificate", "Certification rule", CERTIFICATES, VOTES)]
Radius = Annotated[
    list[float] | None,
    typer.Option(
        "--radius",
        help="Target radius of multi-look (repeatable), confidence-sequence and optimal-stopping.",
        rich_help_panel=VOTES,
    ),
]
Settings = Annotated[list[str] | None, settings(CERTIFICATES, VOTES)]


def make_rule(name: str, radii: list[float] | None, settings_text: list[str] | None) -> Certificate:
    """A rule of the registry; ``--radius`` is its parameter ``radii`` or ``radius``, whichever it has."""
    from noiseaug.certificates import make_certificate

    given, known = parameters(settings_text), CERTIFICATES.entry(name).parameters
    if radii and "radii" in known:
        given["radii"] = tuple(radii)
    elif radii and "radius" in known:
        if len(radii) > 1:
            raise InvalidInputError(f"{name} tests one radius; give one --radius")
        given["radius"] = radii[0]
    elif radii:
        raise InvalidInputError(f"{name} has no target radius; leave out --radius")
    return make_certificate(name, **given)


def make_router_rule(name: str | None, radii: list[float] | None) -> Certificate | None:
    """The router's rule, where it has one of its own; it takes the target radii too, where it knows any."""
    if name is None:
        return None
    return make_rule(name, radii if {"radii", "radius"} & set(CERTIFICATES.entry(name).parameters) else None, None)
