"""Networks that return something else than a tensor of logits, as networks that do."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.votes.logits import described, find_logits, in_eval_mode, logits_of

__all__ = ["LogitsOf", "count_logits"]


class LogitsOf(nn.Module):
    """A network whose output holds the logits somewhere (:func:`noiseaug.votes.logits.logits_of`).

    Attributes:
        network: from inputs to its own kind of output.
        num_classes: number of classes.
    """

    def __init__(self, network: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.network, self.num_classes = network, num_classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (m, num_classes).

        Raises:
            InvalidInputError: where the output holds none, or several tensors could be the logits.
        """
        logits: torch.Tensor = logits_of(self.network(x), len(x), self.num_classes, "the network")
        return logits


def count_logits(network: nn.Module, shape: tuple[int, ...], name: str, likely: int | None = None) -> tuple[int, bool]:
    """How many classes a network tells apart, found out with two grey inputs; and whether its output is the logits.

    Args:
        network: any; its mode stays.
        shape: of one input.
        name: of the network, for messages.
        likely: number of classes by which logits are told from other tensors in an output.

    Raises:
        InvalidInputError: for a network that does not take inputs of this shape or returns no logits.
    """
    weight = next((each for each in network.parameters() if each.is_floating_point()), torch.zeros(()))
    inputs = torch.full((2, *shape), 0.5, device=weight.device, dtype=weight.dtype)
    try:
        with in_eval_mode(network), torch.no_grad():
            output: Any = network(inputs)
    except Exception as error:  # a network of the user's own can raise anything
        raise InvalidInputError(
            f"{name} does not take inputs of shape {'×'.join(map(str, shape))}: {first_line(error)}"
        ) from None
    logits = find_logits(output, 2)
    if logits is None:
        logits = find_logits(output, 2, likely)
    if logits is None:
        raise InvalidInputError(f"{name} returned {described(output)} for two inputs; expected logits of shape (2, K)")
    width = logits.shape[1] if logits.ndim == 2 else 1
    return max(2, width), logits is output and width > 1
