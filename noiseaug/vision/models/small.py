"""Small networks: fully connected, and with few convolutions; on normalised images of any shape.

Each takes a shape (channels, height, width) and a number of classes, and has fresh weights.
"""

from __future__ import annotations

import torch
from torch import nn

from noiseaug.vision.models.registry import Shape

__all__ = ["cnn", "lenet", "linear", "mlp"]


def linear(shape: Shape, num_classes: int) -> nn.Module:
    """Logistic regression on the pixels."""
    return _with_head(nn.Sequential(nn.Flatten()), shape, num_classes)


def mlp(shape: Shape, num_classes: int) -> nn.Module:
    """Two hidden layers of 256."""
    return _with_head(nn.Sequential(nn.Flatten()), shape, 256, 256, num_classes)


def cnn(shape: Shape, num_classes: int) -> nn.Module:
    """The MNIST network of Pal & Sulam 2023."""
    features = nn.Sequential(
        nn.Conv2d(shape[0], 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    return _with_head(features, shape, 128, num_classes)


def lenet(shape: Shape, num_classes: int) -> nn.Module:
    """LeNet-5 with ReLU and max-pooling."""
    side = min(shape[1:])
    # LeNet-5 reads 32×32: smaller images get a border, and very small ones a second one
    first, second = 0 if side >= 32 else 2, 0 if side >= 12 else 2
    features = nn.Sequential(
        *(nn.Conv2d(shape[0], 6, 5, padding=first), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5, padding=second), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
    )
    return _with_head(features, shape, 120, 84, num_classes)


def _with_head(features: nn.Sequential, shape: Shape, *widths: int) -> nn.Sequential:
    """Fully connected layers behind features of images, with ReLU between them."""
    with torch.no_grad():
        inside = features(torch.zeros(1, *shape)).shape[1]
    layers: list[nn.Module] = []
    for outside in widths:
        layers += [nn.Linear(inside, outside), nn.ReLU()]
        inside = outside
    return features.extend(layers[:-1])
