"""Checkpoints that the authors of Cohen et al. 2019 and Salman et al. 2019 released, and those of code built on theirs.

A file is a torch pickle {epoch, arch, state_dict, optimizer}. The model is Sequential(normalisation, network), either
of them possibly in a DataParallel, so a weight is called ``1.conv1.weight``, ``1.module.conv1.weight`` or
``module.1.conv1.weight``. The normalisation keeps its numbers outside of the state, and so the file does not hold them:
Cohen et al. subtract the mean and divide by the standard deviation of CIFAR-10 or of ImageNet; Salman et al.'s code
first subtracted the mean alone and later did both (their architectures.py, where a comment warns not to mix them up).
"""

from __future__ import annotations

import codecs
import io
import math
import re
import warnings
import zipfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.runs import read_file
from noiseaug.vision.models.build import CIFAR10_MEAN, CIFAR10_STD

__all__ = ["NORMALISATIONS", "Released", "is_torch_file", "read", "unpickled"]

NORMALISATIONS = ("standardised", "centred")

_ARCHITECTURES = {
    "cifar_resnet20": "resnet20",
    "cifar_resnet110": "resnet110",
    "imagenet32_resnet110": "resnet110",
    "resnet50": "resnet50",
}
_IMAGENET = "resnet50"  # which has images of 224×224 pixels, and statistics of its own
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as in Cohen et al.'s datasets.py
_LARGEST_NOISE = 1.25  # of training; the authors go up to 1
_GOOD_FIT, _POOR_FIT = 0.4, 0.6  # of the logarithm of a variance; the normalisations differ by ln 25 = 3.2
_PREFIX = re.compile(r"^(?:module\.)?(?:1\.)?(?:module\.)?")
_NORMALISATION_KEY = re.compile(r"^(?:module\.)?0\.(?:module\.)?(means|sds)$")


@dataclass(frozen=True, eq=False)
class Released:
    """What a released file holds.

    Attributes:
        path: where it lies.
        arch: the architecture's name in the authors' code.
        epoch: number of epochs that the model was trained for, or None.
        weights: of the network, by the names that ``CifarResNet`` or ``ResNet50`` has for them.
        settings: ``means`` and ``sds``, where the normalisation was saved after all.
    """

    path: Path
    arch: str
    epoch: int | None
    weights: dict[str, torch.Tensor]
    settings: dict[str, torch.Tensor]

    @property
    def metadata(self) -> dict[str, Any]:
        """arch, shape and num_classes as ``build_model`` takes them; released_arch and epoch."""
        for key, ndim in (("conv1.weight", 4), ("fc.weight", 2)):
            if key not in self.weights or self.weights[key].ndim != ndim:
                raise InvalidInputError(f"{self.path} lacks {key}; expected the weights of {self.arch}")
        return {
            "arch": _ARCHITECTURES[self.arch],
            "shape": (self.weights["conv1.weight"].shape[1], *((224, 224) if self.arch == _IMAGENET else (32, 32))),
            "num_classes": self.weights["fc.weight"].shape[0],
            "released_arch": self.arch,
            "epoch": self.epoch,
        }

    def as_classifier(self, normalisation: str | None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """The state of the Classifier, and the metadata with the normalisation that was settled on.

        Raises:
            InvalidInputError: where that is neither given, nor saved, nor to be inferred.
        """
        if normalisation is not None:
            validation.choice("normalisation", normalisation, NORMALISATIONS)
        metadata = self.metadata
        if self.settings:
            settled = "saved"
            mean = self.settings.get("means", torch.zeros(3))
            std = self.settings.get("sds", torch.ones(3))
        else:
            settled = normalisation or self._inferred_normalisation()
            large = self.arch == _IMAGENET
            mean = torch.tensor(_IMAGENET_MEAN if large else CIFAR10_MEAN)
            std = torch.tensor(_IMAGENET_STD if large else CIFAR10_STD)
            if settled != "standardised":
                std = torch.ones(3)
        state = {f"network.{key}": value for key, value in self.weights.items()}
        for key in list(state):  # which torch counts since version 0.4.1
            if key.endswith("running_mean"):
                state.setdefault(key.replace("running_mean", "num_batches_tracked"), torch.tensor(0))
        state |= {"mean": mean.reshape(-1, 1, 1), "std": std.reshape(-1, 1, 1)}
        return state, {**metadata, "normalisation": settled}

    def _inferred_normalisation(self) -> str:
        """What the first layer saw, from the variance of its outputs that batch normalisation kept.

        A filter w, in units of the image, gives variance wᵀCw + σ²|w|² on images whose patches have covariance C and
        noise of level σ. C is much the same for all sets of natural images; σ is fitted. Of the two normalisations, the
        wrong one is off by the factor 25 or so that lies between them.
        """
        if self.arch.startswith("imagenet32"):
            return "standardised"  # the code has no other for this data set
        misfits = {
            name: self._misfit(torch.tensor(std, dtype=torch.float64))
            for name, std in zip(NORMALISATIONS, (CIFAR10_STD, (1.0, 1.0, 1.0)), strict=True)
        }
        best, other = sorted(misfits, key=lambda name: misfits[name])
        if not (misfits[best] < _GOOD_FIT and misfits[other] > _POOR_FIT):
            raise InvalidInputError(
                f"{self.path} does not say how its inputs were normalised, and its statistics do not tell; "
                f"give normalisation=... as one of {', '.join(NORMALISATIONS)}"
            )
        return best

    def _misfit(self, std: torch.Tensor) -> float:
        """Root mean square over the filters of ln (expected / kept variance), at the best noise level."""
        weight, kept = self.weights["conv1.weight"].double(), self.weights.get("bn1.running_var")
        if weight.shape[1:] != (3, 3, 3) or kept is None or kept.shape != weight.shape[:1]:
            return math.inf
        filters = (weight / std.reshape(3, 1, 1)).flatten(1)
        image = ((filters @ _patch_covariance()) * filters).sum(1, keepdim=True)
        noise = (filters**2).sum(1, keepdim=True)
        levels = torch.linspace(0, _LARGEST_NOISE, 126, dtype=torch.float64)
        errors = ((image + noise * levels**2) / kept.double().reshape(-1, 1)).log()
        misfit = float(errors.square().mean(0).sqrt().min())
        return misfit if math.isfinite(misfit) else math.inf


def _patch_covariance() -> torch.Tensor:
    """Of 3×3 patches of natural colour images in [0, 1], in the order of a filter's weights, shape (27, 27).

    .06 · .9^(steps between two places, along channels, rows and columns); within about a fifth of CIFAR-10's.
    """
    places = torch.cartesian_prod(*[torch.arange(3)] * 3)
    steps = (places[:, None] - places[None]).abs().sum(-1)
    return 0.06 * 0.9 ** steps.double()


def is_torch_file(start: bytes) -> bool:
    """Whether a file that begins so (its first nine bytes) is a zip archive or a pickle, as torch.save writes them."""
    # the header of a safetensors file, too, may have a length that begins like one of these; its ninth byte tells
    return start.startswith((b"PK\x03\x04", b"\x80")) and start[8:9] != b"{"


def read(path: Path) -> Released:
    """Reads a released file without executing anything that is in it.

    Raises:
        InvalidInputError: for a file that is damaged, holds something else, or is of an unknown architecture.
    """
    content = unpickled(path)
    if not isinstance(content, dict) or not {"arch", "state_dict"} <= content.keys():
        held = ", ".join(list(map(str, content))[:4]) if isinstance(content, dict) else type(content).__name__
        raise InvalidInputError(f"{path} holds {held or 'nothing'}; expected arch and state_dict, as Cohen et al. save")
    arch, state = content["arch"], content["state_dict"]
    if not isinstance(arch, str) or arch not in _ARCHITECTURES:
        raise InvalidInputError(f"{path} is of architecture {arch!r}; expected one of {', '.join(_ARCHITECTURES)}")
    if not isinstance(state, dict) or not all(_is_plain_tensor(value) for value in state.values()):
        raise InvalidInputError(f"{path} has no weights in its state_dict; expected tensors by name")
    weights: dict[str, torch.Tensor] = {}
    settings: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if found := _NORMALISATION_KEY.match(str(key)):
            settings[found[1]] = value
            continue
        name = _PREFIX.sub("", str(key))
        if name in weights:
            raise InvalidInputError(f"{path} holds {name} twice; expected the weights of one {arch}")
        weights[name] = value
    epoch = content.get("epoch")
    return Released(path, arch, epoch if isinstance(epoch, int) else None, weights, settings)


def _is_plain_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized


def unpickled(path: Path) -> Any:
    """What a file of ``torch.save`` holds, where that is tensors and plain values alone; runs nothing that is in it.

    Raises:
        InvalidInputError: for a file that is damaged, or asks for anything else.
    """
    content = io.BytesIO(read_file(path))  # so that every error from here on is one of the content
    try:
        if zipfile.is_zipfile(content):  # torch itself does not compare the checksums
            with zipfile.ZipFile(content) as archive:
                if (bad := archive.testzip()) is not None:
                    raise ValueError(bad)
        content.seek(0)
        with warnings.catch_warnings(), _numpy_scalars():
            warnings.simplefilter("ignore")
            return torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        if asked := re.search(r"GLOBAL (\S+)", str(error)):
            raise InvalidInputError(
                f"{path} is not loaded: it asks for {asked[1]}; expected tensors and plain values, as in a state_dict"
            ) from None
        raise InvalidInputError(f"{path} is truncated, damaged or no checkpoint of torch") from None


def _numpy_scalars() -> Any:
    """Lets numbers of NumPy through, such as a best accuracy; they are data, but torch does not know them."""
    allow = getattr(torch.serialization, "safe_globals", None)
    if allow is None:  # before torch 2.5
        return nullcontext()
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    return allow([scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *kinds, codecs.encode])
