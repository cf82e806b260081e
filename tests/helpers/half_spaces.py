"""A half-space as a network, and points at given distances from its boundary."""

from __future__ import annotations

import torch
from torch import nn

DIM = 16
W = torch.tensor([1.0, -2.0, 0.5, 1.5] * 4, dtype=torch.float64)
UNIT = W / W.norm()


class HalfSpace(nn.Module):
    """Class 1 where (x − ½)·w > 0, with logits of any steepness; the distance of x to the boundary is (x − ½)·unit."""

    num_classes = 2

    def __init__(self, scale=5.0, dtype=torch.float64):
        super().__init__()
        self.weight = nn.Parameter(scale * UNIT.to(dtype))

    def forward(self, x):
        margin = (x.flatten(1) - 0.5) @ self.weight
        return torch.stack([torch.zeros_like(margin), margin], dim=1)


def at_distance(*distances, dtype=torch.float64):
    return torch.stack([0.5 + distance * UNIT for distance in distances]).to(dtype)
