"""A router and its experts by name, together with the inputs to certify."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noiseaug.certificates import Certificate
from noiseaug.certification import RoutedBase
from noiseaug.data import DataSource, LabelledSet
from noiseaug.errors import InvalidInputError
from noiseaug.runs import read_file
from noiseaug.subjects.classifiers import BASES, Subject, is_checkpoint, is_network, load_classifier, load_subject

__all__ = ["load_routed"]


def load_routed(
    router: str,
    experts: Mapping[float, str],
    data: str | None = None,
    *,
    certificate: Certificate | None = None,
    n: int | None = None,
    **options: Any,
) -> Subject:
    """A router and the experts that it chooses from, by name, with the inputs to certify.

    Args:
        router: as a classifier of :func:`~noiseaug.subjects.load_subject`, but none that would be trained here.
        experts: the classifier at each smoothing level β.
        data: as of :func:`~noiseaug.subjects.load_subject`; by default what the experts learned from.
        certificate: as of :class:`~noiseaug.certification.RoutedBase`.
        n: as of :class:`~noiseaug.certification.RoutedBase`.
        **options: of :func:`~noiseaug.subjects.load_subject`, for all of them.

    Raises:
        InvalidInputError: as there, for experts of different data, and for a router that does not fit them.
    """
    subjects = {level: load_subject(name, data, **options) for level, name in sorted(experts.items())}
    first, *others = subjects.values()
    for other in others:
        if other.data.name != first.data.name or other.data.digest != first.data.digest:
            raise InvalidInputError(
                f"the experts are for {first.data.name} and {other.data.name}; give the inputs to certify as --data"
            )
    base, provenance = _router(router, first.data, len(experts), options)
    bases = {level: subject.base for level, subject in subjects.items()}
    shared = {
        key: value
        for key, value in first.description.items()
        if all(key in other.description and other.description[key] == value for other in others)
    }
    own = [{k: v for k, v in each.description.items() if k not in shared} for each in subjects.values()]
    description = {**shared, "router_classifier": provenance, "expert_classifiers": own}
    return Subject(RoutedBase(base, bases, certificate, n), first.data, description)


def _router(name: str, data: LabelledSet, levels: int, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A router, ready to vote, and its provenance for a log."""
    if name in BASES:
        raise InvalidInputError(
            f"router is {name}, which is trained on the data's labels; expected one that names levels"
        )
    device, precision = options.get("device", "cpu"), options.get("precision", "float32")
    compiled = options.get("compiled", False)
    if is_checkpoint(name):
        from noiseaug.vision.engine import load_network

        normalisation, trusted = options.get("normalisation"), options.get("trusted", ())
        base, _, provenance = load_network(Path(name), device, precision, normalisation, compiled, trusted)
        if base.shape is not None and tuple(base.shape) != data.shape:
            raise InvalidInputError(f"{name} takes inputs of shape {tuple(base.shape)}; {data.name} has {data.shape}")
        return base, provenance
    found = load_classifier(name, DataSource(data), 0.0, 1, 0, num_classes=levels)
    if is_network(found):
        from noiseaug.vision.engine import own_network

        network, provenance = own_network(
            found, name, data.shape, device=device, precision=precision, compiled=compiled, num_classes=levels
        )
        return network, {"classifier": name, **provenance}
    content = {"content": hashlib.sha256(read_file(Path(name))).hexdigest()[:16]} if Path(name).is_file() else {}
    return found, {"classifier": name, **content}
