"""Several networks as one classifier, with the data that all of them are for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from noiseaug.errors import InvalidInputError

__all__ = ["joined", "member_names"]


def member_names(classifier: str) -> list[str]:
    """The names in ``a,b,c``; the name itself where there is one."""
    return [name.strip() for name in classifier.split(",")]


def joined(
    names: Sequence[str], bases: Sequence[Any], descriptions: Sequence[dict[str, Any]], consensus: int | None
) -> Any:
    """An ensemble of networks, and its description for a log.

    Args:
        names: of the members, for messages.
        bases: the members, as :func:`~noiseaug.subjects.load_subject` gives them.
        descriptions: of the members and their data.
        consensus: members that are asked first, as of :class:`~noiseaug.vision.models.Ensemble`.

    Raises:
        InvalidInputError: for a member that is no network, or networks of different inputs, classes or data.
    """
    for name, base in zip(names, bases, strict=True):
        if not hasattr(base, "vote_counter") or not hasattr(base, "model"):
            raise InvalidInputError(f"{name} is no network; an ensemble averages the logits of networks")
    from noiseaug.vision.engine import TorchBase
    from noiseaug.vision.models import Ensemble

    own = ("classifier", "weights", "objective", "normalisation")
    first, model = descriptions[0], bases[0]
    for name, base, description in zip(names, bases, descriptions, strict=True):
        if base.num_classes != model.num_classes:
            raise InvalidInputError(f"{name} has {base.num_classes} classes; {names[0]} has {model.num_classes}")
        shapes = [tuple(each.shape or each.model.shape) for each in (base, model)]
        if shapes[0] != shapes[1]:
            raise InvalidInputError(f"{name} takes inputs of shape {shapes[0]}; {names[0]} of {shapes[1]}")
        for key in (first.keys() | description.keys()) - set(own):
            if first.get(key) != description.get(key):
                raise InvalidInputError(
                    f"{name} has {key} {description.get(key)!r}, {names[0]} {first.get(key)!r}; give --data"
                )
    told = {key: [str(each[key]) for each in descriptions if key in each] for key in own}
    merged = {**first, **{key: ",".join(dict.fromkeys(values)) for key, values in told.items() if values}}
    merged |= {"classifier": ",".join(told["classifier"]), "weights": ",".join(told["weights"])}
    if consensus is not None:
        merged["consensus"] = consensus
    ensemble = Ensemble([base.model for base in bases], consensus)
    base = TorchBase(
        ensemble,
        shape=shapes[1],
        device=model.device,
        precision=model.precision,
        num_classes=model.num_classes,
        compiled=model.compiled,
    )
    return base, merged
