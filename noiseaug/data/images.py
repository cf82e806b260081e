"""Encoded images (PNG, JPEG, …) as arrays of one shape, decoded by Pillow in worker processes."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import run_all

__all__ = ["Picture", "Sizes", "decode_images"]

_CHUNK = 64  # images handed to a worker at a time
_MANY = 2000  # images from which on worker processes are worth their start
_MOST_PIXELS = 1 << 26  # of one image; a small file can claim to hold any number
_CONVERTED = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
_TRANSPARENT = ("RGBA", "LA", "PA", "La", "RGBa")

Picture = tuple[str, Path | bytes]
"""The name of an image, for messages, and its file or its bytes."""


@dataclass(frozen=True)
class Sizes:
    """What is done to the size of images before they are taken.

    Attributes:
        resize: empty, the length of the shorter side, or width and height as ``64x48``. Bilinear.
        centre_crop: empty, the side of the square that is cut from the centre, or width and height.

    Raises:
        InvalidInputError: for other texts.
    """

    resize: str = ""
    centre_crop: str = ""

    def __post_init__(self) -> None:
        for name in ("resize", "centre_crop"):
            text = getattr(self, name)
            if text and _lengths(text) is None:
                raise InvalidInputError(
                    f"{name} is {text!r}; expected a number of pixels, or width and height as 64x48"
                )

    def apply(self, image: Any) -> Any:
        """A resized and cropped image of Pillow."""
        from PIL import Image

        if lengths := _lengths(self.resize):
            if len(lengths) == 1:  # the shorter side, as torchvision has it
                width, height = image.size
                side, short = lengths[0], min(width, height)
                lengths = (max(1, side * width // short), max(1, side * height // short))
            image = image.resize(lengths, Image.Resampling.BILINEAR)
        if lengths := _lengths(self.centre_crop):
            width, height = lengths if len(lengths) == 2 else lengths * 2
            if width > image.size[0] or height > image.size[1]:
                found = "×".join(map(str, image.size))
                raise ValueError(f"it is {found}, smaller than centre_crop {self.centre_crop}; resize it first")
            left, top = round((image.size[0] - width) / 2), round((image.size[1] - height) / 2)
            image = image.crop((left, top, left + width, top + height))
        return image


def _lengths(text: str) -> tuple[int, ...] | None:
    """``64`` or ``64x48`` as numbers; None for anything else."""
    if not re.fullmatch(r"[1-9]\d{0,4}([x×][1-9]\d{0,4})?", text):
        return None
    return tuple(int(part) for part in re.split("[x×]", text))


def decode_images(what: str, pictures: Sequence[Picture], sizes: Sizes) -> np.ndarray:
    """Images as one array.

    Args:
        what: the folder or file, for messages.
        pictures: at least one. Grey images among colour ones become colour; palettes and CMYK too.
        sizes: what is done to their sizes.

    Returns:
        uint8, shape (m, C, H, W) with one or three channels.

    Raises:
        InvalidInputError: for images that cannot be decoded, have transparency or other than 8 bits, or differ in size.
    """
    chunks = [pictures[first : first + _CHUNK] for first in range(0, len(pictures), _CHUNK)]
    many = len(pictures) >= _MANY
    work = [(chunk, sizes) for chunk in chunks]
    found: list[list[np.ndarray]] = [[] for _ in chunks]
    for index, arrays in run_all(_decoded, work, jobs=-1 if many else 1, progress=f"read {what}" if many else None):
        found[index] = arrays
    images = [image for arrays in found for image in arrays]
    for (name, _), image in zip(pictures, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            first, other = ("×".join(map(str, each.shape[1::-1])) for each in (images[0], image))
            raise InvalidInputError(
                f"{what}: {pictures[0][0]} is {first}, {name} is {other}; expected images of one size: "
                "give resize=... or centre_crop=..."
            )
    channels = max(image.shape[2] for image in images)
    result = np.empty((len(images), channels, *images[0].shape[:2]), np.uint8)
    for place, image in enumerate(images):
        result[place] = image.transpose(2, 0, 1)  # a grey one fills all channels
    return result


def _decoded(work: tuple[Sequence[Picture], Sizes]) -> list[np.ndarray]:
    """Arrays of shape (H, W, 1) or (H, W, 3); in a worker process."""
    from PIL import Image

    pictures, sizes = work
    arrays = []
    for name, source in pictures:
        try:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                arrays.append(_array(sizes, image))
        except Exception as error:  # Pillow's plugins raise anything on damaged files
            raise InvalidInputError(f"image {name} cannot be taken: {first_line(error)}") from None
    return arrays


def _array(sizes: Sizes, image: Any) -> np.ndarray:
    if image.size[0] * image.size[1] > _MOST_PIXELS:
        raise ValueError(f"it claims to be {image.size[0]}×{image.size[1]} pixels")
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        raise ValueError(
            f"it has transparency ({image.mode}), and what stands behind it is not known; convert it to RGB"
        )
    mode = _CONVERTED.get(image.mode, image.mode)
    if mode not in ("L", "RGB"):
        raise ValueError(f"its mode is {image.mode}; expected 8-bit grey or colour")
    array = np.asarray(sizes.apply(image if mode == image.mode else image.convert(mode)))
    return array[..., None] if array.ndim == 2 else array
