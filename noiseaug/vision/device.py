"""Devices and precisions by name, and the part of a batch that one of several processes takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noiseaug.errors import InvalidInputError, first_line

if TYPE_CHECKING:
    import torch

__all__ = ["PRECISIONS", "Share", "as_device", "emulated"]

PRECISIONS = ("float32", "bfloat16", "float16")
"""Types of torch, by name, in which networks may run."""
# by what torch calls them: instructions for products in a precision, any of which will do
_INSTRUCTIONS = {"bfloat16": ("avx512_bf16", "amx_bf16"), "float16": ("avx512_fp16", "amx_fp16")}


def as_device(name: str) -> torch.device:
    """A device by name, after something was computed on it.

    Raises:
        InvalidInputError: where torch has no such device here.
    """
    import torch  # here, because command lines read help texts from what imports this module

    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise InvalidInputError(f"device is {name!r}; expected cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("no CUDA device; leave out --device or use cpu")
    try:
        probe = torch.ones(1, device=device)
        probe.item()
    except Exception as error:  # of several kinds: torch knows devices whose packages are not there
        raise InvalidInputError(f"device {name} cannot be used here ({first_line(error)}); use cpu") from None
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


def emulated(precision: str, device: str) -> str | None:
    """One line where a precision is emulated, which costs time instead of saving it; None where it is not.

    Args:
        precision: ``float32``, ``bfloat16`` …
        device: as torch names it; only the processor is looked at, and only where torch tells what it can do.
    """
    import torch

    wanted = _INSTRUCTIONS.get(precision)
    known = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.11
    if wanted is None or known is None or not device.startswith("cpu"):
        return None
    able = known()
    if able.get("architecture") != "x86_64" or any(able.get(name) for name in wanted):
        return None
    name = able.get("cpu_name") or "this processor"
    return f"{precision} is emulated here ({name} has no instructions for it), so it may well be slower than float32"
