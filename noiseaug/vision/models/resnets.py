"""Residual networks: those of the certification literature, and a small modern one."""

from __future__ import annotations

import math

import torch
from torch import nn

from noiseaug.vision.models.registry import Shape

__all__ = ["CifarResNet", "SmallResNet", "resnet", "resnet20", "resnet110", "resnet_narrow"]


class CifarResNet(nn.Module):
    """ResNet-20, 32, …, 110 for CIFAR (He et al. 2016, section 4.2), in the variant that Cohen et al. 2019 released.

    Three stages of n = (depth − 2)/6 basic blocks at 16, 32 and 64 channels; where the number of channels changes, the
    short cut is a 1×1 convolution with batch normalisation. The names of the parameters (``conv1``, ``bn1``,
    ``layer1.0.conv1``, ``layer2.0.downsample.0``, ``fc`` …) are those of the released checkpoints.

    Args:
        depth: number of layers, 6n + 2.
        shape: channels, height, width of an input; (3, 32, 32) in the papers.
        num_classes: number of logits.
    """

    def __init__(self, depth: int, shape: Shape, num_classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        # over all that two strides leave: 8×8 for CIFAR. Not adaptive pooling, which rounds differently
        self.avgpool = nn.AvgPool2d((math.ceil(height / 4), math.ceil(width / 4)))
        self.fc = nn.Linear(64, num_classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: torch.Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


class _BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a short cut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module | None = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += shortcut
        result: torch.Tensor = self.relu(x)
        return result


def _stage(inside: int, outside: int, blocks: int, stride: int) -> nn.Sequential:
    first = _BasicBlock(inside, outside, stride)
    return nn.Sequential(first, *(_BasicBlock(outside, outside, 1) for _ in range(blocks - 1)))


class SmallResNet(nn.Module):
    """A residual network of nine layers that trains in few epochs, after the DAWNBench networks of D. Page (2018).

    Wide and shallow: a convolution, three stages that each double the channels and halve the image, the first and the
    last of them with a residual block of two convolutions, then the maximum over the image. Every convolution is
    followed by batch normalisation and ReLU, in this order, so that the normalisation can be folded into it.

    Args:
        shape: channels, height, width of an input.
        num_classes: number of logits.
        width: channels of the first convolution; 64 gives 6.6 million parameters, 32 a quarter of that.
    """

    def __init__(self, shape: Shape, num_classes: int, width: int) -> None:
        super().__init__()
        self.stem = _convolution(shape[0], width)
        self.stage1 = nn.Sequential(_convolution(width, 2 * width), _halving(), _Residual(2 * width))
        self.stage2 = nn.Sequential(_convolution(2 * width, 4 * width), _halving())
        self.stage3 = nn.Sequential(_convolution(4 * width, 8 * width), _halving(), _Residual(8 * width))
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(8 * width, num_classes)
        with torch.no_grad():
            # a maximum over positive features is large: without this the first logits are, and training starts badly
            self.head.weight.mul_(0.125)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        logits: torch.Tensor = self.head(self.pool(x).flatten(1))
        return logits


class _Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.body(x)
        return result


def _convolution(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
    )


def _halving() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, ceil_mode=True)  # so that an image of one pixel stays one


def resnet(shape: Shape, num_classes: int) -> SmallResNet:
    """The small network with 64 channels for colour images, 32 for grey ones."""
    return SmallResNet(shape, num_classes, width=64 if shape[0] > 1 else 32)


def resnet_narrow(shape: Shape, num_classes: int) -> SmallResNet:
    """The small network with 16 channels."""
    return SmallResNet(shape, num_classes, width=16)


def resnet20(shape: Shape, num_classes: int) -> CifarResNet:
    """ResNet-20 for CIFAR."""
    return CifarResNet(20, shape, num_classes)


def resnet110(shape: Shape, num_classes: int) -> CifarResNet:
    """ResNet-110 for CIFAR."""
    return CifarResNet(110, shape, num_classes)
