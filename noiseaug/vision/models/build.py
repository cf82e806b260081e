"""Base classifiers: networks by name for images of any shape, with the normalisation of their inputs inside.

    model = build_model("lenet", shape=(1, 28, 28), num_classes=10)
    logits = model(x)  # x: (m, 1, 28, 28) or (m, 784), values in [0, 1] plus noise; logits: (m, 10)

Noise is added to images in [0, 1] before they are normalised, so a radius is in units of these images (Cohen et al.
2019, section 4): hence the normalisation is the first layer of the model, and is saved with it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from noiseaug import validation
from noiseaug.errors import InvalidInputError, first_line
from noiseaug.vision.models.registry import ARCHITECTURES, Shape
from noiseaug.votes.logits import in_eval_mode

__all__ = [
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "Classifier",
    "build_model",
    "default_arch",
    "replace_last_layer",
]

CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
"""Of each channel, as rounded by Cohen et al. 2019 and most papers since."""

_MOST = 1 << 20  # classes, and pixels along a side


class Classifier(nn.Module):
    """A network behind the normalisation of its inputs; made by ``build_model``.

    Attributes:
        network: from normalised images, shape (m, C, H, W), to logits, shape (m, num_classes).
        arch: the name that ``build_model`` built the network by.
        shape: channels, height, width of an image.
        num_classes: number of logits.
        mean: what is subtracted from each channel, shape (C, 1, 1); a buffer, part of the state.
        std: what the difference is divided by, shape (C, 1, 1); likewise.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, network: nn.Module, arch: str, shape: Shape, num_classes: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.network = network
        self.arch, self.shape, self.num_classes = arch, shape, num_classes
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (m, num_classes).

        Args:
            x: images in [0, 1], with or without noise, shape (m, C, H, W) or (m, C·H·W), floating point.

        Raises:
            InvalidInputError: for another shape or type.
        """
        if x.shape[1:] != self.shape:
            channels, height, width = self.shape
            size = channels * height * width
            if x.ndim != 2 or x.shape[1] != size:
                raise InvalidInputError(
                    f"inputs have shape {tuple(x.shape)}; this {self.arch} expects (m, {channels}, {height}, {width}) "
                    f"or (m, {size})"
                )
            x = x.reshape(-1, *self.shape)
        if not x.is_floating_point():
            raise InvalidInputError(f"inputs are {x.dtype}; expected floating point in [0, 1]: divide bytes by 255")
        logits: torch.Tensor = self.network((x - self.mean) / self.std)
        return logits

    def extra_repr(self) -> str:
        return f"arch={self.arch!r}, shape={self.shape}, num_classes={self.num_classes}"


def build_model(
    arch: str,
    shape: Sequence[int],
    num_classes: int,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> Classifier:
    """A classifier with fresh weights, drawn from torch's global generator.

    Args:
        arch: one of ``ARCHITECTURES``, or ``module:attribute``: a function (or class) of your own that maps (shape,
            num_classes) to a torch module from normalised images to logits. It is imported from the current directory
            first.
        shape: channels, height, width of an image.
        num_classes: number of classes, at least 2.
        mean: subtracted from the images, a number or one for each channel. By default CIFAR-10's (.4914, .4822, .4465)
            for three channels, as in Cohen et al. 2019, and 0 otherwise: Pal & Sulam 2023 and the users of LeNet do not
            normalise MNIST.
        std: the difference is divided by it; by default CIFAR-10's (.2023, .1994, .2010) for three channels, else 1.

    Raises:
        InvalidInputError: for an unknown architecture, one that does not fit the shape, or arguments out of range.
    """
    shape = _checked_shape(shape)
    num_classes = validation.integer("num_classes", num_classes, at_least=2, at_most=_MOST)
    colour = shape[0] == 3
    means = _channels("mean", (CIFAR10_MEAN if colour else 0.0) if mean is None else mean, shape[0])
    stds = _channels("std", (CIFAR10_STD if colour else 1.0) if std is None else std, shape[0])
    if min(stds) <= 0:
        raise InvalidInputError(f"std holds {min(stds):g}; expected numbers above 0")
    builder = _builder(arch)
    try:
        network = builder(shape, num_classes)
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:  # torch's words for sizes that do not fit
        raise _misfit(arch, shape, error) from None
    if not isinstance(network, nn.Module):
        raise InvalidInputError(f"{arch} returned {type(network).__name__}; expected a torch module")
    model = Classifier(network, arch, shape, num_classes, means, stds)
    _try_out(model)
    return model


def default_arch(shape: Sequence[int]) -> str:
    """The architecture to start with: ``resnet`` for colour, ``lenet`` for grey images, ``mlp`` below 16×16 pixels.

    Raises:
        InvalidInputError: for something else than three positive integers.
    """
    channels, height, width = _checked_shape(shape)
    if min(height, width) < 16:
        return "mlp"
    return "lenet" if channels == 1 else "resnet"


def replace_last_layer(model: Classifier, num_classes: int) -> None:
    """Puts a fresh last layer in a trained classifier, for other classes (pre-training, Salman et al. 2019, section 4).

    The last ``nn.Linear`` or 1×1 ``nn.Conv2d`` of the network is swapped for one of the same input, drawn from torch's
    global generator, on the same device and in the same precision. All else stays.

    Args:
        model: changed in place, ``num_classes`` too.
        num_classes: number of classes from now on, at least 2.

    Raises:
        InvalidInputError: where the network has no such layer, or its output is not the logits; the model is unchanged.
    """
    num_classes = validation.integer("num_classes", num_classes, at_least=2)
    names = [name for name, part in model.named_modules() if _may_give_logits(part)]
    if not names:
        raise InvalidInputError(f"{model.arch} has no linear layer or 1×1 convolution to replace")
    within, _, name = names[-1].rpartition(".")
    parent: nn.Module = model.get_submodule(within)
    old: Any = model.get_submodule(names[-1])
    like: dict[str, Any] = {"device": old.weight.device, "dtype": old.weight.dtype, "bias": old.bias is not None}
    fresh = (
        nn.Linear(old.in_features, num_classes, **like)
        if isinstance(old, nn.Linear)
        else nn.Conv2d(old.in_channels, num_classes, 1, **like)
    )
    before = model.num_classes
    try:
        setattr(parent, name, fresh)
        model.num_classes = num_classes
        _try_out(model)
    except InvalidInputError:
        setattr(parent, name, old)
        model.num_classes = before
        raise InvalidInputError(f"the last layer of {model.arch} does not give its logits; cannot replace it") from None


def _may_give_logits(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1))


def _try_out(model: Classifier) -> None:
    """Sends a black image through, so that a network that does not fit is refused now and in one line."""
    # two, so that a network that loses the batch is found out
    images = torch.zeros(2, *model.shape, device=model.mean.device, dtype=model.mean.dtype)
    try:
        with in_eval_mode(model), torch.no_grad():
            logits = model(images)
    except (RuntimeError, ValueError) as error:
        raise _misfit(model.arch, model.shape, error) from None
    found = tuple(getattr(logits, "shape", ()))
    if found != (2, model.num_classes):
        raise InvalidInputError(
            f"{model.arch} maps two images to shape {found}; expected logits of shape (2, {model.num_classes})"
        )


def _misfit(arch: str, shape: Shape, error: Exception) -> InvalidInputError:
    return InvalidInputError(f"{arch} does not fit images of shape {'×'.join(map(str, shape))}: {first_line(error)}")


def _builder(arch: str) -> Callable[[Shape, int], Any]:
    if arch in ARCHITECTURES:
        return ARCHITECTURES.load(arch)
    otherwise = (
        f"architecture is {arch!r}; expected {', '.join(ARCHITECTURES)} or a function of your own, module:attribute"
    )
    found = validation.attribute(str(arch), otherwise)
    try:
        if isinstance(found, nn.Module) or not callable(found):
            raise TypeError
        inspect.signature(found).bind((1, 1, 1), 2)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"{arch} is no function of (shape, num_classes); expected one that returns a module"
        ) from None
    built: Callable[[Shape, int], Any] = found
    return built


def _checked_shape(shape: Any) -> Shape:
    try:
        channels, height, width = (validation.integer("shape", size, at_most=_MOST) for size in shape)
    except (TypeError, ValueError):
        raise InvalidInputError(f"shape is {shape!r}; expected (channels, height, width), each at least 1") from None
    return channels, height, width


def _channels(name: str, value: Any, channels: int) -> list[float]:
    """One number for each channel."""
    numbers = validation.array(name, value if np.iterable(value) else [value], 1)
    if len(numbers) not in (1, channels):
        raise InvalidInputError(
            f"{name} holds {len(numbers)} numbers; expected one, or one for each of {channels} channels"
        )
    return [float(number) for number in np.broadcast_to(numbers, (channels,))]
