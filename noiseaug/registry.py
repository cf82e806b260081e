"""Registries: what can be chosen by name, each with a line of help, its parameters, and where its code is.

A registry imports none of the code that it lists, so that help texts cost nothing. A new certificate, objective,
architecture, … is one file and one :class:`Entry`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

from noiseaug.errors import InvalidInputError

__all__ = ["REQUIRED", "Entry", "Parameter", "Registry", "either"]

T = TypeVar("T")

REQUIRED: Final = object()
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an entry.

    Attributes:
        default: its value unless another is given, or :data:`REQUIRED`.
        line: what it is, for help texts.
    """

    default: Any
    line: str


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One choice.

    Attributes:
        code: the object itself, or where it is, as ``package.module:name``.
        line: what it is, for help texts.
        parameters: by name.
    """

    code: str | T
    line: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def load(self) -> T:
        """The object, imported when it is needed."""
        if not isinstance(self.code, str):
            return self.code
        module, _, name = self.code.partition(":")
        return cast(T, getattr(importlib.import_module(module), name))


class Registry(dict[str, Entry[T]]):
    """Entries by name, in the order in which help texts list them.

    Args:
        kind: what the entries are, for messages.
        entries: by name.
    """

    def __init__(self, kind: str, entries: Mapping[str, Entry[T]]) -> None:
        super().__init__(entries)
        self.kind = kind

    def entry(self, name: Any) -> Entry[T]:
        """The entry of this name.

        Raises:
            InvalidInputError: where there is none, with all names.
        """
        if name not in self:
            raise InvalidInputError(f"{self.kind} is {name!r}; expected one of {', '.join(self)}")
        return self[name]

    def load(self, name: Any) -> T:
        """The object of this name; raises as :meth:`entry` does."""
        return self.entry(name).load()

    def parameters(self) -> str:
        """Every parameter with its default, by entry; for help texts."""
        return "; ".join(f"{name}: {_takes(each.parameters)}" for name, each in self.items() if each.parameters)

    def settings(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters of an entry: those given, and the defaults of the others.

        Raises:
            InvalidInputError: for an unknown name or parameter, or one that is required and not given.
        """
        known = self.entry(name).parameters
        if unknown := [key for key in given if key not in known]:
            raise InvalidInputError(f"{name} has no parameter {', '.join(unknown)}; it takes {_takes(known)}")
        values = {key: given.get(key, each.default) for key, each in known.items()}
        if missing := [f"{key} ({known[key].line})" for key, value in values.items() if value is REQUIRED]:
            raise InvalidInputError(f"{name} needs {', '.join(missing)}")
        return values


def _takes(parameters: Mapping[str, Parameter]) -> str:
    defaults = {key: "required" if each.default is REQUIRED else each.default for key, each in parameters.items()}
    return ", ".join(f"{key} ({default})" for key, default in defaults.items()) or "no parameters"


def either(names: Iterable[str]) -> str:
    """``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
