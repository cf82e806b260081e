"""ResNet-50 for ImageNet (He et al. 2016) with torchvision's names of weights, as in Cohen et al.'s checkpoints.

As in torchvision, a block's stride is in its 3×3 convolution.
"""

from __future__ import annotations

import torch
from torch import nn

from noiseaug.vision.models.registry import Shape

__all__ = ["ResNet50", "resnet50"]

_BLOCKS, _EXPANSION = (3, 4, 6, 3), 4


class _Bottleneck(nn.Module):
    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        outside = _EXPANSION * width
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outside, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride > 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        result: torch.Tensor = self.relu(self.bn3(self.conv3(x)) + short)
        return result


class ResNet50(nn.Module):
    """From normalised images, shape (m, C, H, W), to logits, shape (m, num_classes).

    Args:
        channels: of an image.
        num_classes: number of logits.
        width: channels of the first layer; 64 in the published networks.
    """

    def __init__(self, channels: int, num_classes: int, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inside = width
        for number, blocks in enumerate(_BLOCKS):
            wide, stride = width << number, 1 if number == 0 else 2
            parts = [
                _Bottleneck(inside if block == 0 else _EXPANSION * wide, wide, stride if block == 0 else 1)
                for block in range(blocks)
            ]
            inside = _EXPANSION * wide
            setattr(self, f"layer{number + 1}", nn.Sequential(*parts))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inside, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(len(_BLOCKS)):
            x = self.get_submodule(f"layer{number + 1}")(x)
        logits: torch.Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet50(shape: Shape, num_classes: int) -> nn.Module:
    """ResNet-50."""
    return ResNet50(shape[0], num_classes)
