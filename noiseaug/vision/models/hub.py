"""Networks of other packages by name, with the normalisation of their configuration inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.vision.models.build import Classifier
from noiseaug.vision.models.outputs import LogitsOf, count_logits
from noiseaug.vision.models.registry import Shape
from noiseaug.vision.models.weights import load_weights

__all__ = ["huggingface_network", "timm_network"]


def timm_network(name: str, shape: Shape, num_classes: int, weights: Path | None) -> Classifier:
    """A network of timm, behind the normalisation of its ``pretrained_cfg``.

    Args:
        name: as ``timm.create_model`` takes it, such as ``resnet18``.
        shape: of the images that it is to take.
        num_classes: number of classes of the data, for weights of the user's own.
        weights: a file for :func:`~noiseaug.vision.models.weights.load_weights`; without it timm's own weights are
            taken, which it may download.

    Raises:
        InvalidInputError: where timm is not installed or has no such network, and for weights that do not fit.
    """
    try:
        import timm
    except ImportError:
        raise InvalidInputError("timm is not installed; pip install timm") from None
    options = {"pretrained": True} if weights is None else {"pretrained": False, "num_classes": num_classes}
    try:
        network = timm.create_model(name, **options)
    except Exception as error:  # an unknown name, no network, weights that are not there: each has its own
        raise _unusable(f"timm:{name}", error) from None
    if weights is not None:
        load_weights(network, weights, f"timm:{name}")
    settings = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", {})
    values = [_setting(settings, key) for key in ("mean", "std")]
    return _classifier(network, f"timm:{name}", shape, *values)


def huggingface_network(name: str, shape: Shape, num_classes: int, weights: Path | None) -> Classifier:
    """An image classifier of Hugging Face's transformers, behind the normalisation of its image processor.

    Args:
        name: of the model on the hub, or a folder that ``save_pretrained`` wrote.
        shape: of the images that it is to take.
        num_classes: not used: the model's configuration says it.
        weights: None; the folder holds them.

    Raises:
        InvalidInputError: where transformers is not installed, or the model cannot be had.
    """
    if weights is not None:
        raise InvalidInputError(f"huggingface:{name} brings its own weights; leave out --weights")
    try:
        import transformers
    except ImportError:
        raise InvalidInputError("transformers is not installed; pip install transformers") from None
    try:
        network = transformers.AutoModelForImageClassification.from_pretrained(name)
        processor = transformers.AutoImageProcessor.from_pretrained(name)
    except Exception as error:
        raise _unusable(f"huggingface:{name}", error) from None
    normalised = getattr(processor, "do_normalize", True)
    values = [getattr(processor, key, None) if normalised else None for key in ("image_mean", "image_std")]
    return _classifier(network, f"huggingface:{name}", shape, *values)


def _classifier(network: nn.Module, name: str, shape: Shape, mean: Any, std: Any) -> Classifier:
    """The network as a classifier of images in [0, 1]; mean and std of each channel, or None for 0 and 1."""
    numbers: list[Sequence[float]] = []
    for value, default in ((mean, 0.0), (std, 1.0)):
        given = [default] if value is None else [float(each) for each in value]
        if len(given) not in (1, shape[0]):
            raise InvalidInputError(f"{name} takes images with {len(given)} channels; the data have {shape[0]}")
        numbers.append(given * shape[0] if len(given) == 1 else given)
    count, plain = count_logits(network.eval(), shape, name)
    return Classifier(network if plain else LogitsOf(network, count), name, shape, count, *numbers)


def _setting(settings: Any, key: str) -> Any:
    return settings.get(key) if isinstance(settings, Mapping) else getattr(settings, key, None)


def _unusable(name: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(f"{name} cannot be made: {first_line(error)}")
