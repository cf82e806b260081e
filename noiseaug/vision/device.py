"""Devices and precisions by name, and the part of a batch that one of several processes takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from noiseaug.errors import InvalidInputError

__all__ = ["PRECISIONS", "Share", "as_device"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def as_device(name: str) -> torch.device:
    """A device by name, after something was computed on it.

    Raises:
        InvalidInputError: where torch has no such device here.
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise InvalidInputError(f"device is {name!r}; expected cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("no CUDA device; leave out --device or use cpu")
    try:
        probe = torch.ones(1, device=device)
        probe.item()
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        line = str(error).strip().split("\n")[0]
        raise InvalidInputError(f"device {name} cannot be used here ({line}); use cpu") from None
    return probe.device  # with its number, which would otherwise be that of the current device of each thread


@dataclass(frozen=True)
class Share:
    """The images ``first`` … ``last`` − 1 of a batch of ``count``: what one of several processes takes of it.

    Random numbers are drawn for the whole batch, so that an image gets the same ones in whichever process it is.
    """

    first: int
    last: int
    count: int

    @property
    def images(self) -> slice:
        """Where they are in the batch."""
        return slice(self.first, self.last)

    @property
    def part(self) -> float:
        """How much of the batch they are."""
        return (self.last - self.first) / self.count
