"""Trained networks as the vote engine takes them."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import nn

from noiseaug.errors import InvalidInputError
from noiseaug.vision.engine.counter import TorchBase
from noiseaug.vision.models import load_checkpoint, weights_digest
from noiseaug.vision.models.outputs import LogitsOf, count_logits

__all__ = ["load_network", "own_network"]


def load_network(
    path: Path,
    device: str,
    precision: str,
    normalisation: str | None = None,
    compiled: bool = False,
    trusted: Collection[str] = (),
) -> tuple[TorchBase, dict[str, Any], dict[str, Any]]:
    """A network from the directory of a training run, or from a checkpoint.

    Args:
        path: the directory or file.
        device: where it is to run.
        precision: in which it is to run.
        normalisation: of the inputs of a published checkpoint whose file does not record it: ``standardised`` or
            ``centred``.
        compiled: whether it goes through torch.compile, on a device that is no CPU.
        trusted: architectures of your own that may be imported, as of :func:`~noiseaug.vision.models.load_checkpoint`.

    Returns:
        The network, ready to vote; the metadata of its checkpoint; and its provenance for a log, which identifies the
        network by its content, not by its path.

    Raises:
        InvalidInputError: for a file that is no checkpoint, or a device that is not there.
    """
    if normalisation not in (None, "standardised", "centred"):
        raise InvalidInputError(f"normalisation is {normalisation!r}; expected standardised or centred")
    model, metadata = load_checkpoint(path, normalisation=normalisation, trusted=trusted)  # type: ignore[arg-type]
    provenance: dict[str, Any] = {"classifier": model.arch, "weights": weights_digest(model)[:16]}
    provenance |= {key: metadata[key] for key in ("objective", "normalisation") if key in metadata}
    classes = model.num_classes
    base = TorchBase(model.float(), device=device, precision=precision, num_classes=classes, compiled=compiled)
    model.to(base.device)  # for attacks, which need gradients
    return base, metadata, provenance


def own_network(
    network: nn.Module,
    name: str,
    shape: tuple[int, ...],
    *,
    device: str,
    precision: str,
    compiled: bool = False,
    num_classes: int | None = None,
    likely: int | None = None,
) -> tuple[TorchBase, dict[str, Any]]:
    """A network of the user's own, ready to vote.

    Args:
        network: from inputs of this shape, or flattened ones, to logits, alone or within another output.
        name: of the network, for messages.
        shape: of one input.
        device: where it is to run.
        precision: in which it is to run.
        compiled: whether it goes through torch.compile, on a device that is no CPU.
        num_classes: number of classes, where it was given.
        likely: number of classes by which logits are told from other tensors in an output; those of the data.

    Returns:
        The network, and its provenance for a log.

    Raises:
        InvalidInputError: for a network that does not take the inputs, returns no logits, or logits of another number
            of classes.
    """
    try:
        count, plain = count_logits(network, shape, name, num_classes or likely)
    except InvalidInputError as error:
        shape = (math.prod(shape),)
        try:
            count, plain = count_logits(network, shape, name, num_classes or likely)
        except InvalidInputError:
            raise error from None
    if num_classes is not None and num_classes != count:
        raise InvalidInputError(f"num_classes is {num_classes}; {name} has {count} classes")
    model = network if plain else LogitsOf(network, count)
    base = TorchBase(model, shape=shape, device=device, precision=precision, num_classes=count, compiled=compiled)
    model.to(base.device)  # for attacks, which need gradients
    return base, {"weights": weights_digest(network)[:16]}
