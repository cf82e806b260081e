"""All architectures by name; loads none of them, and no torch, before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from noiseaug.registry import Entry, Registry

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "Shape"]

Shape = tuple[int, int, int]
"""Channels, height, width of an image."""

_SMALL, _RESNETS = "noiseaug.vision.models.small", "noiseaug.vision.models.resnets"

ARCHITECTURES: Registry[Callable[[Shape, int], nn.Module]] = Registry(
    "architecture",
    {
        "linear": Entry(f"{_SMALL}:linear", "logistic regression on the pixels"),
        "mlp": Entry(f"{_SMALL}:mlp", "two hidden layers of 256, for very small images"),
        "cnn": Entry(f"{_SMALL}:cnn", "MNIST network of Pal & Sulam 2023: conv 32, conv 64, max-pool, fc 128"),
        "lenet": Entry(
            f"{_SMALL}:lenet", "LeNet-5 with ReLU and max-pooling, as MACER and Consistency use it on MNIST"
        ),
        "resnet": Entry(f"{_RESNETS}:resnet", "wide residual network of nine layers; trains in few epochs"),
        "resnet-narrow": Entry(
            f"{_RESNETS}:resnet_narrow",
            "the same with a quarter of the channels or, for grey images, half; for training on a CPU",
        ),
        "resnet20": Entry(f"{_RESNETS}:resnet20", "ResNet-20 for CIFAR as in Cohen et al. 2019"),
        "resnet110": Entry(
            f"{_RESNETS}:resnet110", "ResNet-110 for CIFAR as in Cohen et al. 2019 and most later papers; slow"
        ),
        "resnet50": Entry(
            "noiseaug.vision.models.imagenet:resnet50", "ResNet-50 for ImageNet as in Cohen et al. 2019; very slow"
        ),
    },
)
"""The architectures by name: from a shape and a number of classes to a fresh network on normalised images."""
