"""Several networks as one: the mean of their logits (Horváth et al., ICLR 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from noiseaug import validation
from noiseaug.errors import InvalidInputError

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """The mean of the members' logits; with a consensus, of the first K only where these name the same class.

    The class that all of the first K name is also the class of the mean of their logits. So this is a function of one
    input like any other network, and its certificates need no new proof. (The adaptive consensus of Horváth et al.,
    section 5. Theirs may take another class than the mean of all members, and so does this one.)

    With gradients all members are asked, so that an attack sees the mean.

    Args:
        members: networks from the same inputs to logits of the same classes.
        consensus: K, the members that are asked first; None for all of them at once.

    Raises:
        InvalidInputError: for fewer than two members, or a consensus that is not between 1 and their number less one.
    """

    def __init__(self, members: Sequence[nn.Module], consensus: int | None = None) -> None:
        super().__init__()
        if len(members) < 2:
            raise InvalidInputError(f"an ensemble of {len(members)} networks; expected at least two")
        self.members = nn.ModuleList(members)
        if consensus is not None:
            consensus = validation.integer("consensus", consensus, at_most=len(members) - 1)
        self.consensus = consensus

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (m, num_classes)."""
        if self.consensus is None or torch.is_grad_enabled():
            return torch.stack([member(x) for member in self.members]).mean(0)
        first = torch.stack([member(x) for member in self.members[: self.consensus]])
        named = first.argmax(2)
        logits = first.mean(0)
        # NaN is told as NaN: it agrees with nothing
        split = (named != named[0]).any(0) | logits.isnan().any(1)
        if split.any():
            rest = [member(x[split]) for member in self.members[self.consensus :]]
            logits[split] = torch.cat([first[:, split], torch.stack(rest)]).mean(0)
        return logits
