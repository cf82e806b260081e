"""The errors that noiseaug raises on purpose; each carries one line meant for the user."""

from __future__ import annotations

__all__ = ["InvalidInputError", "NoClosedFormError", "NoiseaugError", "UndecidedError", "first_line"]


class NoiseaugError(Exception):
    """Base of every error that noiseaug raises on purpose."""


class InvalidInputError(NoiseaugError, ValueError):
    """An argument, a file or a directory that cannot be used; says what was wrong and what was expected."""


class NoClosedFormError(NoiseaugError, NotImplementedError):
    """A quantity was asked for by a method that the task does not have; names the methods that it has."""


class UndecidedError(NoiseaugError, ArithmeticError):
    """A result that double precision cannot tell, such as a boundary that lies absurdly far out."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
