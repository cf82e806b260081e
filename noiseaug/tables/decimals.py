"""Printing numbers so that the decimal never claims more than the number does."""

from __future__ import annotations

import decimal
import math
from fractions import Fraction

from noiseaug import validation

__all__ = ["ceil_decimal", "ceil_significant", "exact_decimal", "floor_decimal", "floor_radius"]


def floor_decimal(value: float | Fraction, digits: int) -> str:
    """The largest decimal with ``digits`` places that is at most the value; compared exactly, not in floating point.

    Args:
        value: a finite number; for a float its exact binary value counts, for a fraction the fraction.
        digits: places after the point.
    """
    scaled = math.floor(Fraction(value) * 10**digits)
    whole, part = divmod(abs(scaled), 10**digits)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def ceil_decimal(value: float | Fraction, digits: int) -> str:
    """The smallest decimal with ``digits`` places that is at least the value."""
    text = floor_decimal(-Fraction(value), digits)
    if text.startswith("-"):
        return text[1:]
    return f"-{text}" if any(digit in "123456789" for digit in text) else text


def ceil_significant(value: float, digits: int) -> str:
    """The smallest decimal with ``digits`` significant digits that is at least the value (p-values)."""
    context = decimal.Context(prec=digits, rounding=decimal.ROUND_CEILING)
    return f"{context.create_decimal(decimal.Decimal(value)):g}"


def floor_radius(radius: float, digits: int = 3) -> str:
    """A radius rounded down to a decimal: what is printed is at most the radius, exactly.

    The decimal read back as a float is at most the radius too, since reading rounds monotonically.

    Args:
        radius: ℓ₂ radius ≥ 0, in input units.
        digits: places after the point.

    Raises:
        InvalidInputError: for a negative or non-finite radius.
    """
    return floor_decimal(validation.nonnegative("radius", radius), validation.integer("digits", digits, at_least=0))


def exact_decimal(radius: float) -> str:
    """The shortest decimal that is at most the radius and reads back as the same float; for storing.

    ``repr`` would not do: the float 0.3 lies below the decimal 0.3.
    """
    value = validation.nonnegative("radius", radius)
    exact = decimal.Decimal(value)
    if decimal.Decimal(repr(value)) <= exact:
        return repr(value)
    precision = 16
    while True:
        precision += 1
        candidate = decimal.Context(prec=precision, rounding=decimal.ROUND_FLOOR).create_decimal(exact)
        if float(candidate) == value:
            return str(candidate)
