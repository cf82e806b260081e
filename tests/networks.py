"""Small networks that tests of the vision part share."""

from __future__ import annotations

import torch
from torch import nn


class Camera(nn.Module):
    """Passes batches on and keeps what it saw."""

    def __init__(self, model):
        super().__init__()
        self.model, self.batches = model, []

    def forward(self, x):
        self.batches.append(x.detach().clone(memory_format=torch.preserve_format))
        return self.model(x)
