from .build import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    Classifier,
    build_model,
    default_arch,
    replace_last_layer,
)
from .checkpoints import FILE_NAME, checkpoint_file, load_checkpoint, read_metadata, save_checkpoint, weights_digest
from .ensemble import Ensemble
from .registry import ARCHITECTURES, Shape
from .resnets import CifarResNet, SmallResNet

__all__ = [
    "ARCHITECTURES",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "FILE_NAME",
    "CifarResNet",
    "Classifier",
    "Ensemble",
    "Shape",
    "SmallResNet",
    "build_model",
    "checkpoint_file",
    "default_arch",
    "load_checkpoint",
    "read_metadata",
    "replace_last_layer",
    "save_checkpoint",
    "weights_digest",
]
