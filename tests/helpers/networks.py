"""Small networks that tests of the vision part share."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from noiseaug.vision.models.registry import ARCHITECTURES

SHAPE = (3, 8, 8)
X = (np.random.default_rng(0).integers(0, 256, SHAPE) / 255).astype(np.float32)


def quick_ones():
    """The architectures as parameters of a test; the large one is slow."""
    return [pytest.param(name, marks=pytest.mark.slow if name == "resnet50" else ()) for name in ARCHITECTURES]


class Camera(nn.Module):
    """Passes batches on and keeps what it saw."""

    def __init__(self, model):
        super().__init__()
        self.model, self.batches = model, []

    def forward(self, x):
        self.batches.append(x.detach().clone(memory_format=torch.preserve_format))
        return self.model(x)


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 5)
    )


class Block(nn.Module):
    """A residual block in one of the ways in which people write it."""

    def __init__(self, inside, outside, stride, style):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=style == 1)
        self.bn2 = nn.BatchNorm2d(outside, affine=style != 2)
        self.relu = nn.ReLU(inplace=style == 0)
        self.style, self.short = style, nn.Sequential()
        if stride > 1 or inside != outside:
            self.short = nn.Sequential(nn.Conv2d(inside, outside, 1, stride), nn.BatchNorm2d(outside))

    def forward(self, x):
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.style == 0:
            inner += self.short(x)
            return self.relu(inner)
        if self.style == 1:
            return functional.relu(self.short(x) + inner)
        return torch.add(inner, self.short(x)).relu()


def small_resnet(style=0):
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *(Block(8, 8, 1, style), Block(8, 8, 1, style), Block(8, 16, 2, style)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)),
    )
    return with_statistics(network)


def with_statistics(network):
    """Random statistics and gains of batch normalisation, as after training; some gains are negative."""
    draw = torch.Generator().manual_seed(1)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and part.track_running_stats:
            part.running_mean.normal_(0, 0.3, generator=draw)
            part.running_var.uniform_(0.3, 3, generator=draw)
            if part.affine:
                part.weight.data.normal_(0.8, 0.8, generator=draw)
                part.bias.data.normal_(0, 0.3, generator=draw)
    return network


class Normalised(nn.Module):
    """A classifier whose own forward cannot be traced, around a network that can."""

    def __init__(self, network, num_classes=5):
        super().__init__()
        self.network, self.shape, self.num_classes = network, SHAPE, num_classes
        self.register_buffer("mean", torch.full((3, 1, 1), 0.4))

    def forward(self, x):
        if x.shape[1:] != self.shape:
            raise ValueError(f"inputs of shape {tuple(x.shape)}")
        return self.network((x - self.mean) / 0.25)


def network(kind="resnet", seed=3):
    """A classifier for which every class is about as likely under noise."""
    torch.manual_seed(seed)
    model = Normalised(small_cnn() if kind == "cnn" else small_resnet()).eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(X) + 0.5 * torch.randn(500, *SHAPE))
        model.network[-1].bias -= logits.mean(0)
    return model


class Waiting(nn.Module):
    """A linear model that waits while the file that WAIT_FOR names is there; an architecture by import path."""

    def __init__(self, shape, num_classes):
        super().__init__()
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], num_classes))

    def forward(self, x):
        while os.path.exists(os.environ.get("WAIT_FOR", "")):
            time.sleep(0.02)
        return self.model(x)
