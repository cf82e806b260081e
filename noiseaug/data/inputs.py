"""Inputs in the form that all of the package takes: images with the channels first, or rows of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noiseaug.errors import InvalidInputError

__all__ = ["IMAGE_SHAPES", "SCALING", "to_floats", "to_inputs"]

IMAGE_SHAPES = "(m, H, W), (m, C, H, W) or (m, H, W, C)"
SCALING = "scaling"
"""The note that says how inputs were scaled; a radius is in units of the scaled ones."""

_RGBA = 4
_BYTES, _SHORTS = 255, 65535
_BRIGHT = 128  # no set of 8-bit photographs stays below


def to_inputs(name: str, x: ArrayLike) -> tuple[np.ndarray, dict[str, Any]]:
    """Inputs as :class:`~noiseaug.data.LabelledSet` has them, and what was done to get there.

    Args:
        name: of the array, for messages.
        x: images of shape (m, H, W), (m, C, H, W), or (m, H, W, C) where C is 1 or 3 and the second axis is neither;
            uint8, uint16, integers in 0 … 255, booleans, or floats in [0, 1] or [0, 255]. Or rows of shape (m, dim),
            any real numbers; uint8 ones are taken for pixels.

    Returns:
        Shape (m, C, H, W) or (m, dim), uint8 or float32; and notes: ``scaling`` where images are neither uint8 nor
        floats in [0, 1].

    Raises:
        InvalidInputError: for another shape, type or range, and for images with transparency.
    """
    inputs = np.asarray(x)
    if inputs.ndim not in (2, 3, 4):
        raise InvalidInputError(f"{name} has shape {inputs.shape}; expected {IMAGE_SHAPES}, or rows (m, dim)")
    if inputs.dtype.kind not in "fiub":
        expected = "uint8, uint16, bool, or floats in [0, 1]" if inputs.ndim > 2 else "real numbers"
        raise InvalidInputError(f"{name} is {inputs.dtype}; expected {expected}")
    if inputs.ndim == 2:
        with np.errstate(over="ignore"):  # numbers beyond float32 become infinite, and are refused as such
            return np.ascontiguousarray(inputs if inputs.dtype == np.uint8 else inputs.astype(np.float32)), {}
    pixels, scaling = _pixels(name, _channels_first(name, inputs))
    return np.ascontiguousarray(pixels), {SCALING: scaling} if scaling else {}


def _channels_first(name: str, inputs: np.ndarray) -> np.ndarray:
    if inputs.ndim == 3:
        return inputs[:, None]
    if inputs.shape[1] in (1, 3):
        return inputs
    if inputs.shape[3] == _RGBA:
        raise InvalidInputError(
            f"{name} has shape {inputs.shape}, images with transparency (RGBA); what stands behind them is not known: "
            "lay them over a background, or keep the first three channels"
        )
    return inputs.transpose(0, 3, 1, 2) if inputs.shape[3] in (1, 3) else inputs


def _pixels(name: str, images: np.ndarray) -> tuple[np.ndarray, str]:
    """Images as uint8, or float32 in [0, 1]; and what was done, empty for what needs no word."""
    kind = images.dtype
    if kind == np.uint8 or not images.size:
        return images if kind == np.uint8 else images.astype(np.float32), ""
    if kind == np.uint16:
        return (images / np.float32(_SHORTS)).astype(np.float32), f"uint16 divided by {_SHORTS}"
    if kind == np.bool_:
        return images.astype(np.float32), "booleans as 0 and 1"
    low, high = images.min(), images.max()
    if low >= 0 and high <= 1:
        return images.astype(np.float32), "" if kind.kind == "f" else f"{kind} as 0 and 1"
    # NaN fails the comparison
    if not (low >= 0 and _BRIGHT <= high <= _BYTES):
        raise InvalidInputError(
            f"{name} runs from {low:g} to {high:g}; expected [0, 1], or [0, 255] and more than {_BRIGHT} somewhere"
        )
    if kind.kind == "f":
        return (images / _BYTES).astype(np.float32), f"{kind} in [0, 255] divided by {_BYTES}"
    return images.astype(np.uint8), f"{kind} in 0 … 255 divided by {_BYTES}"


def to_floats(inputs: np.ndarray) -> np.ndarray:
    """Inputs as float32, 8-bit ones scaled to [0, 1] exactly as the vote engine scales them; a copy only if needed."""
    if inputs.dtype == np.uint8:
        return np.divide(inputs, np.float32(255), dtype=np.float32)
    return np.ascontiguousarray(inputs, dtype=np.float32)
