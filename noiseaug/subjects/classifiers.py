"""Classifiers by name, and each together with its data, for the command line."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseaug import validation
from noiseaug.data import DataName, DataSource, LabelledSet, load_data, load_images
from noiseaug.errors import InvalidInputError, first_line
from noiseaug.registry import Entry, Registry
from noiseaug.runs import read_file
from noiseaug.subjects.ensembles import joined, member_names
from noiseaug.subjects.own import made, over_the_classes_of, placed

__all__ = ["BASES", "SOURCES", "Subject", "is_checkpoint", "is_network", "load_classifier", "load_subject"]

_CHECKPOINTS = (".safetensors", ".pth.tar", ".pth", ".pt")


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=5000)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, random_state=0)


def _neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(5)


BASES = {"logistic": _logistic, "forest": _forest, "neighbours": _neighbours}
"""Classifiers that the command line trains by itself."""


SOURCES: Registry[Callable[[str, tuple[int, ...], int, Path | None], Any]] = Registry(
    "source of networks",
    {
        "timm": Entry("noiseaug.vision.models.hub:timm_network", "networks of timm, as timm:resnet18"),
        "huggingface": Entry(
            "noiseaug.vision.models.hub:huggingface_network", "image classifiers of transformers, by name or folder"
        ),
    },
)
"""Packages whose networks are known by name, as ``source:name``."""


def load_classifier(
    name: str,
    data: DataSource,
    train_sigma: float,
    copies: int,
    seed: int,
    weights: Path | None = None,
    num_classes: int | None = None,
) -> Any:
    """A classifier by name, ready to vote.

    Args:
        name: one of ``BASES`` (trained on the data's training inputs with noise ``train_sigma``); ``module:attribute``
            (a function on batches, a fitted estimator or a torch module, or a class or factory that makes one, imported
            from the current directory too); ``source:name`` with one of ``SOURCES``; an ``.onnx`` file; or a
            ``.joblib`` file of a fitted estimator. Importing a module and loading a ``.joblib`` file run what they say:
            use your own only.
        data: where a named base is trained.
        train_sigma: α, for named bases.
        copies: noisy copies of each training input.
        seed: seed of the training noise.
        weights: a file of weights for a torch module.
        num_classes: number of classes, for a class or factory that asks for it; by default that of the data.

    Raises:
        InvalidInputError: for a name, module, attribute or file that is not there.
    """
    if name in BASES:
        _refuse_weights(name, weights)
        return _trained(name, data, train_sigma, copies, seed)
    if train_sigma:
        raise InvalidInputError(
            f"train_sigma is {train_sigma:g}, but {name} comes trained; expected one of {', '.join(BASES)}"
        )
    if name.endswith(".joblib"):
        _refuse_weights(name, weights)
        return _stored(name)
    shape, count = data.test.shape, num_classes or data.test.num_classes
    if name.endswith(".onnx"):
        from noiseaug.subjects.onnx import OnnxClassifier

        _refuse_weights(name, weights)
        return OnnxClassifier(Path(name), shape)
    source, _, rest = name.partition(":")
    if source in SOURCES:
        return _vision(SOURCES[source].load)(rest, shape, count, weights)
    named = ", ".join(f"{each}:NAME" for each in SOURCES)
    expected = (
        f"{', '.join(BASES)}, a training run, a checkpoint, module:attribute, {named}, or an .onnx or .joblib file"
    )
    found = validation.attribute(name, f"classifier is {name!r}; expected {expected}")
    if weights is None:
        return made(found, name, shape, count)
    return _weighted(found, name, shape, count, weights)


def _weighted(found: Any, name: str, shape: tuple[int, ...], num_classes: int, weights: Path) -> Any:
    """A torch module with weights from a file; with the data's number of classes where they do not fit its own."""
    base = made(found, name, shape, num_classes, factory=True)
    if not is_network(base):
        raise InvalidInputError(f"{name} is no torch module; leave out --weights")
    from noiseaug.vision.models.weights import load_weights

    try:
        load_weights(base, weights, name)
    except InvalidInputError as error:
        if base is found:
            raise
        base = made(found, name, shape, num_classes, factory=True, resized=True)
        try:
            load_weights(base, weights, name)
        except InvalidInputError:
            raise error from None
    return base


def _refuse_weights(name: str, weights: Path | None) -> None:
    if weights is not None:
        raise InvalidInputError(f"{name} takes no file of weights; leave out --weights")


def _trained(name: str, data: DataSource, train_sigma: float, copies: int, seed: int) -> Any:
    if data.train is None:
        raise InvalidInputError(f"{data.name} has no train_x and train_y to train {name} on")
    from noiseaug.certification import augment

    if len(np.unique(data.train.labels)) < 2:
        raise InvalidInputError(f"{data.name} has a single class to train on; expected at least two")
    train_sigma, copies = validation.nonnegative("train_sigma", train_sigma), validation.integer("copies", copies)
    seed = validation.integer("seed", seed, at_least=0)
    return BASES[name]().fit(*augment(data.train.rows(), data.train.labels, train_sigma, copies, seed))


def _stored(name: str) -> Any:
    if not Path(name).is_file():
        raise InvalidInputError(f"no file {name}")
    import joblib

    try:
        return joblib.load(name)
    except Exception as error:  # whatever a file of another kind runs into
        raise InvalidInputError(f"{name} is not a readable .joblib file: {first_line(error)}") from None


def _vision(load: Callable[[], Any]) -> Any:
    """What needs torch, or one line where it is not installed."""
    try:
        return load()
    except ModuleNotFoundError as error:
        raise InvalidInputError(f"{error.name} is not installed; pip install 'noiseaug[vision]'") from None


def is_checkpoint(classifier: str) -> bool:
    """Whether a classifier's name is that of a training run's directory or of a checkpoint."""
    return classifier not in BASES and (Path(classifier).is_dir() or classifier.endswith(_CHECKPOINTS))


def is_network(base: Any) -> bool:
    """Whether it is a torch module."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(base, torch.nn.Module)


@dataclass(frozen=True, eq=False)
class Subject:
    """What is to be certified.

    Attributes:
        base: the classifier, ready to vote; it knows its number of classes.
        data: the inputs to certify or attack, with labels that are numbers of its classes.
        description: both of them for a log; weights by their content.
    """

    base: Any
    data: LabelledSet
    description: dict[str, Any]


def load_subject(
    classifier: str,
    data: str | None = None,
    *,
    train_sigma: float = 0.0,
    copies: int = 10,
    seed: int = 0,
    device: str = "cpu",
    precision: str = "float32",
    root: Path | None = None,
    normalisation: str | None = None,
    compiled: bool = False,
    trusted: Collection[str] = (),
    weights: Path | None = None,
    num_classes: int | None = None,
    consensus: int | None = None,
) -> Subject:
    """A classifier by name, with the inputs to certify.

    Args:
        classifier: as of :func:`load_classifier`; or the directory of a training run, a ``.safetensors`` file of one,
            or a ``.pth.tar`` file of Cohen et al. or Salman et al.; or several networks, ``a,b,c``, whose logits are
            averaged.
        data: as of :func:`~noiseaug.data.load_data`; by default what a training run learned from, else ``digits``.
        train_sigma: α, for named classifiers.
        copies: noisy copies of each training input, for named classifiers.
        seed: seed of their training noise.
        device: where a network runs.
        precision: in which it runs: ``float32``, ``bfloat16``, ``float16`` or, on a CUDA device, ``tf32``.
        root: folder of image sets, where it is not the usual one.
        normalisation: of a published checkpoint whose file does not record it: ``standardised`` or ``centred``.
        compiled: whether a network goes through torch.compile, on a device that is no CPU.
        trusted: architectures of your own, ``module:attribute``, that a checkpoint may import, which runs their code.
        weights: a file of weights for a torch module, ``source:name`` or ``module:attribute``.
        num_classes: number of classes, where the classifier does not say it; by default that of the data.
        consensus: of several networks, how many are asked first; the others only where these disagree.

    Raises:
        InvalidInputError: for names that are not there, or a network that is not for these data.
    """
    names = [classifier] if Path(classifier).exists() else member_names(classifier)
    if len(names) > 1:
        _refuse_weights(classifier, weights)
        members = [
            load_subject(
                name,
                data,
                train_sigma=train_sigma,
                device=device,
                precision=precision,
                root=root,
                normalisation=normalisation,
                compiled=compiled,
                trusted=trusted,
                num_classes=num_classes,
            )
            for name in names
        ]
        base, description = joined(
            names, [each.base for each in members], [each.description for each in members], consensus
        )
        return Subject(base, members[0].data, description)
    if consensus is not None:
        raise InvalidInputError(f"consensus is {consensus}, but {classifier} is one classifier; give several, a,b,c")
    if is_checkpoint(classifier):
        if train_sigma:
            raise InvalidInputError(f"train_sigma is {train_sigma:g}, but {classifier} comes trained")
        _refuse_weights(classifier, weights)
        return _network(classifier, data, device, precision, root, normalisation, compiled, trusted)
    if trusted:
        raise InvalidInputError(f"{classifier} is no checkpoint of a network; leave out --trust-arch")
    source = load_data(data or "digits", root)
    base = load_classifier(classifier, source, train_sigma, copies, seed, weights, num_classes)
    description = {**source.test.description, "classifier": classifier}
    if is_network(base) and normalisation is None:
        from noiseaug.vision.engine import own_network

        network, provenance = own_network(
            base,
            classifier,
            source.test.shape,
            device=device,
            precision=precision,
            compiled=compiled,
            num_classes=num_classes,
            likely=source.test.num_classes,
        )
        return Subject(network, source.test.numbered(network.num_classes or 0), {**description, **provenance})
    if device != "cpu" or precision != "float32" or normalisation is not None or compiled:
        raise InvalidInputError(
            f"{classifier} is no checkpoint of a network; leave out --device, --precision, --normalisation, --compiled"
        )
    if classifier.endswith((".joblib", ".onnx")):
        description["content"] = hashlib.sha256(read_file(Path(classifier))).hexdigest()[:16]
    description |= {"train_sigma": train_sigma, "copies": copies}
    if classifier in BASES and len(base.classes_) < source.test.num_classes:
        base = placed(base, base.classes_, source.test.num_classes)  # some classes are not in the training inputs
    if classifier in BASES or hasattr(base, "vote_counter"):
        return Subject(base, source.test, description)
    predictor, test = over_the_classes_of(source.test, base, classifier, num_classes)
    return Subject(predictor, test, description)


def _network(
    classifier: str,
    data: str | None,
    device: str,
    precision: str,
    root: Path | None,
    normalisation: str | None,
    compiled: bool,
    trusted: Collection[str],
) -> Subject:
    """A trained network with its test images."""
    from noiseaug.vision.engine import load_network

    base, metadata, provenance = load_network(Path(classifier), device, precision, normalisation, compiled, trusted)
    name = data or metadata.get("data")
    if name is None:
        raise InvalidInputError(f"{classifier} does not say what it was trained on; give --data")
    images = load_images(name, "test", root=root)
    _refuse_mismatch(classifier, base, metadata, images)
    # a network that was trained on this very set has its classes by their places
    test = images if metadata.get("data") == name else images.numbered(base.num_classes or 0)
    return Subject(base, test, {**images.description, **provenance})


def _refuse_mismatch(classifier: str, base: Any, metadata: dict[str, Any], images: LabelledSet) -> None:
    """A network for other images, other classes, or trained on another named data set."""
    own, given = metadata.get("data"), images.name
    if own is not None and own != given and all(DataName.parse(name).published for name in (own, given)):
        raise InvalidInputError(f"{classifier} was trained on {own}, not on {given}; leave out --data")
    if tuple(base.shape) != images.shape:
        raise InvalidInputError(f"{classifier} takes images of shape {tuple(base.shape)}; {given} has {images.shape}")
    if images.labels.max() >= base.num_classes:
        raise InvalidInputError(f"{classifier} has {base.num_classes} classes; {given} has label {images.labels.max()}")
