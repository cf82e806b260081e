"""Typed values from what a file holds; a fault is one line that names the file, the place in it and the field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import msgspec

from noiseaug.errors import InvalidInputError

__all__ = ["Int64", "convert", "decode"]

Value = TypeVar("Value")

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer that fits into a column of a table."""


def decode(content: bytes | str, kind: type[Value], where: str, remedy: str = "", *, strict: bool = True) -> Value:
    """Decodes JSON.

    Args:
        content: the text.
        kind: the type to decode into, with its constraints (``msgspec``).
        where: the file, and the line where it has several, for the message.
        remedy: what to do about a fault, as the end of the message.
        strict: whether to refuse NaN and Infinity, which Python writes although JSON does not have them.

    Raises:
        InvalidInputError: where the text is not JSON or does not fit the type.
    """
    with _one_line(where, remedy):
        if strict:
            return msgspec.json.decode(content, type=kind)
        return msgspec.convert(json.loads(content), kind)


def convert(value: Any, kind: type[Value], where: str, remedy: str = "", *, from_text: bool = False) -> Value:
    """Converts plain values, such as those of a TOML file; arguments and errors as for :func:`decode`.

    ``from_text``: whether numbers may be given as text, as in a CSV file.
    """
    with _one_line(where, remedy):
        return msgspec.convert(value, kind, strict=not from_text)


@contextmanager
def _one_line(where: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        fault = _plain(str(error))
    except RecursionError:
        fault = "nested too deeply"
    except ValueError:  # of msgspec, of json, for bytes that are not text, for an integer of too many digits
        fault = "not readable as JSON"
    else:
        return
    raise InvalidInputError(f"{where}: {fault}{remedy}")


def _plain(message: str) -> str:
    """What msgspec says, such as ``Expected `int`, got `str` - at `$.n```, as ``n: expected int, got str``."""
    fault, _, path = message.replace("`", "").partition(" - at $")
    for start, verdict in (
        ("Object missing required field ", "missing"),
        ("Object contains unknown field ", "not a known key"),
    ):
        if fault.startswith(start):
            fault, path = verdict, f"{path}.{fault.removeprefix(start)}"
    return f"{path.removeprefix('.')}: {fault[0].lower()}{fault[1:]}" if path else fault
