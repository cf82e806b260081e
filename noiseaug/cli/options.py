"""Options that several commands share; names to choose from, and their parameters, come from the registries."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from noiseaug.data import DATASETS, FORMATS, named
from noiseaug.errors import InvalidInputError
from noiseaug.registry import Registry, either
from noiseaug.vision.device import PRECISIONS
from noiseaug.vision.models.registry import ARCHITECTURES
from noiseaug.vision.training.recipe import DEFAULTS, Recipe
from noiseaug.vision.training.registry import OPTIMISERS, SCHEDULES

__all__ = [
    "DATA",
    "EXECUTION",
    "LEVEL",
    "MODEL",
    "OUTPUT",
    "TRAINING",
    "VOTES",
    "Compiled",
    "Data",
    "Device",
    "FailureProb",
    "Images",
    "Model",
    "Normalisation",
    "Precision",
    "Randomised",
    "Resume",
    "Root",
    "Seed",
    "SmoothSigma",
    "TrustArch",
    "Weights",
    "choice",
    "data_options",
    "recipe_options",
    "settings",
]

DATA, MODEL, TRAINING, VOTES, EXECUTION, OUTPUT = "Data", "Model", "Training", "Votes", "Execution", "Output"
"""Panels of the help, in the order in which commands declare their options."""
LEVEL = "Levels"
"""The panel of noise levels and radii, where a command predicts."""

Command = TypeVar("Command", bound=Callable[..., None])


def choice(flag: str, what: str, names: Iterable[str], panel: str, more: str = "") -> Any:
    """An option that takes one of some names, which the help lists and a shell completes; ``more`` ends the list."""
    known = list(names)

    def complete(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    listed = f"{', '.join(known)}, or {more}" if more else either(known)
    return typer.Option(flag, help=f"{what}: {listed}.", rich_help_panel=panel, autocompletion=complete)


def settings(registry: Registry[Any], panel: str) -> Any:
    """``--set`` for the parameters of whatever is chosen from a registry."""
    return typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help=f"Parameter of the {registry.kind}; repeatable. With defaults: {registry.parameters()}.",
        rich_help_panel=panel,
    )


Data = Annotated[
    str,
    choice(
        "--data",
        "Data set",
        DATASETS,
        DATA,
        "mnist:3,8 for some of the classes, or a file (.npz, .csv, .parquet) or folder of images",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="Folder of data sets, in torchvision's layout.",
        show_default="$NOISEAUG_DATA, or a cache folder",
        rich_help_panel=DATA,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help=f"Architecture: {', '.join(ARCHITECTURES)}, or module:attribute for your own.",
        show_default="mlp below 16×16 pixels, lenet for grey images, resnet for colour images",
        rich_help_panel=MODEL,
        autocompletion=lambda incomplete: [name for name in ARCHITECTURES if name.startswith(incomplete)],
    ),
]
Normalisation = Annotated[
    str | None,
    typer.Option(
        "--normalisation",
        help="Input normalisation (standardised or centred) of a published checkpoint whose file does not record it.",
        rich_help_panel=MODEL,
    ),
]
TrustArch = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-arch",
        metavar="MODULE:ATTRIBUTE",
        help="Architecture of your own that a checkpoint may import, which runs its code; repeatable.",
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str, typer.Option("--device", help="Where a network runs: cpu, cuda, cuda:1, …", rich_help_panel=EXECUTION)
]
Consensus = Annotated[
    int | None,
    typer.Option(
        "--consensus",
        help="Of several networks, ask this many first, and the others only where these disagree.",
        show_default="ask all",
        rich_help_panel=MODEL,
    ),
]
Compiled = Annotated[
    bool,
    typer.Option(
        "--compiled",
        help="Run the network through torch.compile (CUDA; slow to start).",
        rich_help_panel=EXECUTION,
    ),
]
Precision = Annotated[
    str,
    choice("--precision", "Precision in which a network votes; each is a classifier of its own", PRECISIONS, VOTES),
]
Images = Annotated[
    int, typer.Option("--images", help="Approximate number of test inputs, evenly spaced.", rich_help_panel=DATA)
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of random choices and of noise.", rich_help_panel=EXECUTION)]
SmoothSigma = Annotated[
    float, typer.Option("--smooth-sigma", help="Smoothing noise β, in input units.", rich_help_panel=VOTES)
]
Randomised = Annotated[
    bool,
    typer.Option(
        "--randomised",
        help="Randomised bounds: fail with exactly the stated probability and certify a little more.",
        rich_help_panel=VOTES,
    ),
]
FailureProb = Annotated[
    float,
    typer.Option(
        "--failure-prob",
        help="Largest probability that the statement about an input is wrong.",
        rich_help_panel=VOTES,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue the run in --out: keep what is finished and do the rest.",
        rich_help_panel=OUTPUT,
    ),
]

Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Weights of a torch module of your own: a .safetensors file, or a state dict that torch.save wrote.",
        rich_help_panel=MODEL,
    ),
]

_FLAGS = {"compiled": "--compile", "flip": "--flip/--no-flip"}
_NAMES: Mapping[str, Iterable[str]] = {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "precision": PRECISIONS}
_KINDS = {"int": int, "float": float, "str": str, "bool": bool}


def data_options(command: Command) -> Command:
    """Gives a command the options of the formats of data, which go into the name that its ``data`` gets."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())
    lines: dict[str, str] = {}
    kinds: dict[str, list[str]] = {}
    for name, entry in FORMATS.items():
        for key, parameter in entry.parameters.items():
            lines.setdefault(key, parameter.line)
            kinds.setdefault(key, []).append(name)
    place = 1 + next(number for number, each in enumerate(own) if each.name == "data")
    for key, line in reversed(lines.items()):
        text = f"Of a file ({either(kinds[key])}): {line}."
        option = typer.Option(f"--{key.replace('_', '-')}", metavar=key.upper(), help=text, rich_help_panel=DATA)
        annotation = Annotated[str | None, option]
        own.insert(place, inspect.Parameter(key, own[place - 1].kind, default=None, annotation=annotation))

    @functools.wraps(command)
    def extended(**given: Any) -> None:
        options = {key: given.pop(key) for key in lines}
        if asked := [f"--{key.replace('_', '-')}" for key, value in options.items() if value is not None]:
            if given["data"] is None:
                raise InvalidInputError(f"{', '.join(asked)} says how a file is read; give the file as --data")
            given["data"] = named(given["data"], options)
        command(**given)

    extended.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    extended.__annotations__ = {each.name: each.annotation for each in own}
    return extended  # type: ignore[return-value]


def recipe_options(**flags: str) -> Callable[[Command], Command]:
    """Gives a command an option for each number and name of a training recipe, in place of its ``**recipe``.

    Args:
        flags: those that are not spelt as the field is.
    """

    def extended(command: Command) -> Command:
        own = list(inspect.signature(command, eval_str=True).parameters.values())
        lines, spelt = _attribute_lines(Recipe), _FLAGS | flags
        for each in fields(Recipe):
            if each.name in ("arch", "objective", "seed"):
                continue
            flag, line = spelt.get(each.name, f"--{each.name.replace('_', '-')}"), lines[each.name]
            shown = _default(each.name, each.default)
            if each.name in _NAMES:
                option = choice(flag, line, _NAMES[each.name], TRAINING)
                option.show_default = shown
            else:
                option = typer.Option(flag, help=f"{line}.", show_default=shown, rich_help_panel=TRAINING)
            kind = Annotated[_KINDS[str(each.type)] | None, option]  # type: ignore[valid-type]
            own.insert(-1, inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))
        del own[-1]
        own.sort(key=lambda each: each.kind)
        command.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in own}
        return command

    return extended


def _attribute_lines(kind: type) -> dict[str, str]:
    """What a class's docstring (Google form) says of each attribute, as the start of a sentence."""
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    lines = re.findall(r"^ {4}(\w+): ((?:.+\n?)(?: {8}.+\n?)*)", section, re.MULTILINE)
    texts = {name: " ".join(text.split()).replace("``", "").rstrip(".") for name, text in lines}
    return {name: text[0].upper() + text[1:] for name, text in texts.items()}


def _default(name: str, default: Any) -> str:
    """The default of a field of a recipe in words: by images, and by optimiser."""

    def word(value: Any) -> str:
        if isinstance(value, bool):
            return "on" if value else "off"
        return value if isinstance(value, str) else f"{value:g}"

    differing = {kind: values[name] for kind, values in DEFAULTS.items() if values.get(name, default) != default}
    parts = [f"{word(value)} {kind}" for kind, value in differing.items()]
    if len(differing) < len(DEFAULTS):
        parts.append(f"else {word(default)}" if parts else word(default))
    for optimiser, entry in OPTIMISERS.items():
        if name in entry.parameters:
            parts.append(f"{word(entry.parameters[name].default)} with {optimiser}")
    return ", ".join(parts)
