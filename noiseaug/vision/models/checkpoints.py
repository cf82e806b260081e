"""Trained classifiers as files: safetensors with a description and a checksum; published checkpoints are read too.

A checkpoint is one safetensors file. Its header holds, as JSON, what ``build_model`` needs (arch, shape, num_classes)
and whatever the training run adds (data set, objective, train_sigma …), with a checksum over that and the weights,
which the format itself lacks. Nothing in it is executed, and an arch ``module:attribute`` is imported only where the
caller has named it as trusted: a file must not choose what code runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import msgspec
import safetensors.torch
import torch
from torch import nn

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import files
from noiseaug.runs.decoding import convert, decode
from noiseaug.vision.models import released
from noiseaug.vision.models.build import Classifier, build_model
from noiseaug.vision.models.registry import ARCHITECTURES
from noiseaug.vision.models.weights import check_finite, check_fit

__all__ = ["FILE_NAME", "checkpoint_file", "load_checkpoint", "read_metadata", "save_checkpoint", "weights_digest"]

FILE_NAME = "model.safetensors"
"""Name of the checkpoint in the directory of a run."""

Normalisation = Literal["standardised", "centred"]

_UNSUSPECTED_BYTES = 1 << 28  # that a network may take whatever the size of its file
_ENTRY = "noiseaug"
_SUPPORTED = "a checkpoint of noiseaug (.safetensors), or one by Cohen et al. or Salman et al. (.pth.tar)"


class _Entries(msgspec.Struct):
    noiseaug: str | None = None


class _Header(msgspec.Struct):
    """What of a safetensors header is no tensor."""

    metadata: _Entries | None = msgspec.field(name="__metadata__", default=None)


class _Description(msgspec.Struct):
    """What noiseaug writes into a header, as JSON."""

    metadata: dict[str, Any]
    weights: str
    checksum: str


class _Known(msgspec.Struct):
    """What any metadata must hold."""

    arch: str
    shape: tuple[int, ...]
    num_classes: int


def save_checkpoint(path: str | Path, model: Classifier, metadata: dict[str, Any]) -> None:
    """Writes a classifier, whole or not at all: an older file stays as it is until the new one is complete.

    Args:
        path: the file, by custom ``model.safetensors`` in the directory of a run, which exists.
        model: its state is saved in its own precision; where it is and its memory layout are not.
        metadata: what JSON can hold, under keys of text: data set, objective, train_sigma … arch, shape and num_classes
            are added, and must agree with the model where they are given.

    Raises:
        InvalidInputError: for metadata that JSON cannot hold or that contradicts the model, weights that are not
            finite, or a directory that is not there.
        OSError: where the file could not be written, such as on a full disk.
    """
    path = Path(path)
    if not isinstance(model, Classifier):
        raise InvalidInputError(f"model is {type(model).__name__}; expected a Classifier, as build_model makes them")
    if not path.parent.is_dir():
        raise InvalidInputError(f"no directory {path.parent} to save {path.name} in")
    own = {"arch": model.arch, "shape": list(model.shape), "num_classes": model.num_classes}
    text = _as_json({**metadata, **own})
    for key, value in own.items():
        given = metadata.get(key, value)
        if (list(given) if isinstance(given, tuple) else given) != value:
            raise InvalidInputError(f"metadata says {key} is {given!r}; the model's is {value!r}")
    # copies of their own, in plain order: safetensors takes neither shared memory nor channels-last
    state = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in model.state_dict().items()}
    check_finite(state, "the model", "training may have diverged; a smaller learning rate may help")
    weights = _digest(state)
    # one entry, because safetensors writes several in random order: the same model makes the same file
    entry = json.dumps({"metadata": json.loads(text), "weights": weights, "checksum": _checksum(text, weights)})
    files.write_atomically(path, safetensors.torch.save(state, {_ENTRY: entry}))


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The description in a checkpoint; of a .safetensors file, without reading the weights.

    Args:
        path: as for ``load_checkpoint``.

    Returns:
        arch, shape (a tuple), num_classes and what was saved beside them.

    Raises:
        InvalidInputError: as ``load_checkpoint``, as far as the header tells.
    """
    path = checkpoint_file(path)
    with files.open_file(path) as stream:
        start = stream.read(9)
        if released.is_torch_file(start):
            return released.read(path).metadata
        size = int.from_bytes(start[:8], "little")
        # a damaged length is no reason to read more than there is
        return _header(path, start + stream.read(min(size, path.stat().st_size)))[0]


def load_checkpoint(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    normalisation: Normalisation | None = None,
    trusted: Collection[str] = (),
) -> tuple[Classifier, dict[str, Any]]:
    """A saved classifier, in eval mode, and its metadata.

    Args:
        path: a file by ``save_checkpoint``; the directory of a run, which holds one as ``model.safetensors``; or a
            ``.pth.tar`` of a ResNet for 32×32 images, or of ImageNet's ResNet-50, that Cohen et al. 2019 or Salman et
            al. 2019 published, with or without the prefixes of DataParallel. The latter is read without executing
            anything that is in it.
        device: where the classifier goes.
        normalisation: of a published checkpoint, whose file does not hold it: ``standardised`` (mean and standard
            deviation of CIFAR-10: Cohen et al., and the later version of Salman et al.'s code) or ``centred`` (the
            mean alone: the first version of the latter). By default it is inferred from the statistics of the first
            batch normalisation, and where they do not decide, refused.
        trusted: architectures of your own, ``module:attribute``, that may be imported to build the network, which runs
            their code. A checkpoint of another one is refused.

    Returns:
        the classifier, and arch, shape (a tuple), num_classes and what was saved beside them. Of a published one, these
        are ``released_arch``, ``epoch`` and ``normalisation``.

    Raises:
        InvalidInputError: for a file that is not there, of another kind, truncated or damaged, of an architecture that
            is neither known nor trusted, whose weights do not fit it or are not finite; or a device that is not there.
        OSError: where the file cannot be read.
    """
    path = checkpoint_file(path)
    content = files.read_file(path)
    if released.is_torch_file(content[:9]):
        state, metadata = released.read(path).as_classifier(normalisation)
    elif normalisation is not None:
        raise InvalidInputError(f"normalisation is for published .pth.tar checkpoints; {path} holds its own")
    else:
        state, metadata = _verified(path, content)
    arch = metadata["arch"]
    if ":" in arch and arch not in trusted:
        raise InvalidInputError(
            f"{path} asks for the architecture {arch!r}, and loading that would run its module; if you know it, "
            f"name it as trusted (--trust-arch {arch})"
        )
    _refuse_larger(path, metadata, len(content))
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are not used, and are nobody's loss
            model = build_model(arch, metadata["shape"], metadata["num_classes"])
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    _fill(model, state, path)
    try:
        return model.to(device).eval(), metadata
    except (RuntimeError, AssertionError) as error:  # torch's words for a device that is not there
        raise InvalidInputError(f"device is {device}: {first_line(error)}; cpu always works") from None


def _refuse_larger(path: Path, metadata: dict[str, Any], size: int) -> None:
    """Refuses a description of a network whose weights the file cannot hold, before memory is taken for them."""
    if metadata["arch"] not in ARCHITECTURES:
        return
    try:
        with torch.device("meta"):
            network = ARCHITECTURES.load(metadata["arch"])(metadata["shape"], metadata["num_classes"])
    except (RuntimeError, OverflowError, TypeError, ValueError):  # told where the network itself is built
        return
    weights = sum(each.numel() for each in network.parameters())
    if 2 * weights > max(size, _UNSUSPECTED_BYTES):
        raise InvalidInputError(
            f"{path} has {size:.2g} bytes, but describes a network of {weights:.2g} weights; it is damaged"
        )


def _fill(model: Classifier, state: dict[str, torch.Tensor], path: Path) -> None:
    """Puts weights into a model, in the precision that they have, or says which one does not fit."""
    expected = model.state_dict()
    check_fit(state, expected, path, _called(model))
    for key in state:
        if state[key].is_floating_point() != expected[key].is_floating_point():
            raise InvalidInputError(f"{path}: {key} is {state[key].dtype}; expected {expected[key].dtype}")
    check_finite(state, str(path))
    model.to(dtype=state["mean"].dtype).load_state_dict(state)


def _called(model: Classifier) -> str:
    return f"{model.arch} for {model.num_classes} classes of {'×'.join(map(str, model.shape))} images"


def _as_json(metadata: dict[str, Any]) -> str:
    for key in metadata:
        if not isinstance(key, str):
            raise InvalidInputError(f"metadata has the key {key!r}; expected text")
    try:
        return json.dumps(metadata, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"metadata cannot be written as JSON: {error}") from None


def weights_digest(model: nn.Module) -> str:
    """A hash of a model's weights: the same for the same weights, wherever and whenever they were saved."""
    return _digest({key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()})


def _digest(state: dict[str, torch.Tensor]) -> str:
    """A hash of names, types, shapes and values."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(state):
        value = state[key]
        digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}|".encode())
        values: Any = value.reshape(-1).view(torch.uint8).numpy()
        digest.update(values)
    return digest.hexdigest()


def _checksum(text: str, weights: str) -> str:
    return hashlib.blake2b(f"{text}|{weights}".encode(), digest_size=16).hexdigest()


def checkpoint_file(path: str | Path) -> Path:
    """The file that a path means: itself, or ``model.safetensors`` where it is the directory of a run.

    Raises:
        InvalidInputError: where there is none.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / FILE_NAME).is_file():
            raise InvalidInputError(f"{path} holds no {FILE_NAME}; expected a checkpoint or the directory of a run")
        return path / FILE_NAME
    if not path.is_file():
        raise InvalidInputError(f"no file {path}")
    return path


def _header(path: Path, start: bytes) -> tuple[dict[str, Any], str]:
    """The metadata, and the digest of the weights, in the header of a safetensors file that begins so."""
    size = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or len(start) < 8 + size:
        raise InvalidInputError(f"{path} is truncated, damaged or of another kind; expected {_SUPPORTED}")
    header = decode(start[8 : 8 + size], _Header, f"{path}, header", f"; expected {_SUPPORTED}")
    if header.metadata is None or header.metadata.noiseaug is None:
        raise InvalidInputError(f"{path} was not written by noiseaug; expected {_SUPPORTED}")
    where = f"{path}, metadata"
    entry = decode(header.metadata.noiseaug, _Description, where)
    if _checksum(_as_json(entry.metadata), entry.weights) != entry.checksum:
        raise InvalidInputError(f"{path} is damaged: its description does not match its checksum")
    known = convert(entry.metadata, _Known, where)
    return {**entry.metadata, "shape": known.shape}, entry.weights


def _verified(path: Path, content: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The state and the metadata in a safetensors file whose checksums are right."""
    metadata, weights = _header(path, content)
    try:
        state: dict[str, torch.Tensor] = safetensors.torch.load(content)
    except Exception as error:  # of several kinds, none of them public
        raise InvalidInputError(f"{path} is truncated or damaged: {first_line(error)}") from None
    if _digest(state) != weights:
        raise InvalidInputError(f"{path} is damaged: its weights do not match their checksum")
    return state, metadata
