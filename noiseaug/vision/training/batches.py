"""Batches of a training set: their order, augmentation on the device, and a random generator for each of them.

All randomness is keyed by what it is for (seed, epoch, batch), so that no state of a generator has to be saved for an
interrupted run to go on exactly.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from noiseaug.vision.device import Share

__all__ = ["TrainingSet", "augmented", "epoch_batches", "key_of", "keyed_generator", "to_floats"]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Images to learn from, on a device.

    Attributes:
        images: shape (n, channels, height, width); uint8, or floats in [0, 1].
        labels: shape (n,), int64; a teacher's for images without labels of their own.
        labelled: how many have labels of their own; they come first.
        pseudo_weight: weight of the loss of the others.
    """

    images: Tensor
    labels: Tensor
    labelled: int
    pseudo_weight: float = 1.0


def key_of(*parts: object) -> int:
    """A seed of 63 bits from anything that prints."""
    return int.from_bytes(hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest(), "big") >> 1


def keyed_generator(device: torch.device, *parts: object) -> torch.Generator:
    """A generator whose seed is a hash of the parts."""
    return torch.Generator(device).manual_seed(key_of(*parts))


def _cut(order: Tensor, batch: int) -> list[Tensor]:
    """Pieces of ``batch``; a last one of a single image, which batch-norm cannot take, joins the one before."""
    pieces = list(order.split(batch))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


def epoch_batches(training: TrainingSet, batch: int, seed: int, epoch: int) -> list[tuple[Tensor, float]]:
    """Indices and loss weight of each batch of an epoch.

    Where there are images without labels, their batches alternate with labelled ones (self-training, Salman et al.
    2019, section 4.2). The epoch lasts until the larger part was gone through once; the smaller is gone through as
    often as it takes.
    """

    def shuffled(count: int, *parts: object) -> Tensor:
        return torch.randperm(count, generator=keyed_generator(torch.device("cpu"), seed, "order", epoch, *parts))

    pseudo = len(training.labels) - training.labelled
    if not pseudo:
        return [(piece, 1.0) for piece in _cut(shuffled(training.labelled), batch)]

    def endless(count: int, first: int, kind: str) -> Iterator[Tensor]:
        for turn in itertools.count():
            yield from (piece + first for piece in _cut(shuffled(count, kind, turn), batch))

    parts = (training.labelled, 0, "labelled"), (pseudo, training.labelled, "pseudo")
    pairs = max(len(_cut(torch.arange(count), batch)) for count, *_ in parts)
    own, others = (itertools.islice(endless(*part), pairs) for part in parts)
    return [each for a, b in zip(own, others, strict=True) for each in ((a, 1.0), (b, training.pseudo_weight))]


def to_floats(images: Tensor) -> Tensor:
    """Images in [0, 1], float32."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()


def augmented(images: Tensor, crop: int, flip: bool, generator: torch.Generator, share: Share | None = None) -> Tensor:
    """Images shifted by up to ``crop`` pixels both ways (black comes in) and mirrored at random.

    Args:
        images: shape (b, channels, height, width).
        crop: largest shift in pixels.
        flip: whether half of them are mirrored.
        generator: on the device of the images.
        share: of which batch the images are a share.
    """
    count, _, height, width = images.shape
    device = images.device
    drawn, mine = (count, slice(None)) if share is None else (share.count, share.images)
    if crop:
        padded = functional.pad(images, (crop, crop, crop, crop))
        shift = torch.randint(2 * crop + 1, (2, drawn, 1), generator=generator, device=device)[:, mine]
        rows = shift[0] + torch.arange(height, device=device)
        columns = shift[1] + torch.arange(width, device=device)
        each = torch.arange(count, device=device)
        # advanced indices around a slice put the channels last
        images = padded[each[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(drawn, generator=generator, device=device)[mine] < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    return images
