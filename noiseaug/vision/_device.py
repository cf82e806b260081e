"""Devices by name."""

from __future__ import annotations

import torch

from noiseaug.errors import InvalidInputError

__all__ = ["as_device"]


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
