"""Logits out of what networks return: a tensor, or one within a tuple, a dictionary or an object; or a single logit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from noiseaug.errors import InvalidInputError

__all__ = ["described", "find_logits", "in_eval_mode", "logits_of"]


@contextmanager
def in_eval_mode(module: Any) -> Iterator[None]:
    """A torch module in eval mode; afterwards each of its parts is in the mode in which it was."""
    trained = [part for part in module.modules() if part.training]
    try:
        module.eval()
        yield
    finally:
        for part in trained:
            part.training = True


def find_logits(output: Any, votes: int, num_classes: int | None = None) -> Any:
    """The tensor of logits in an output, shape (votes, K) or, of a single logit, (votes,) or (votes, 1); or None.

    Of an object with ``logits``, or a mapping that has them, it is those. Of another mapping or a tuple it is the only
    tensor of such a shape, where there is only one: no guess is made between several.

    Args:
        output: what a network returned for a batch.
        votes: inputs in the batch.
        num_classes: number of classes, where it is known; a single logit stands for two.
    """
    if _fits(output, votes, num_classes):
        return output
    if isinstance(output, Mapping):
        parts = [output["logits"]] if "logits" in output else list(output.values())
    elif getattr(output, "logits", None) is not None:
        parts = [output.logits]
    elif isinstance(output, tuple | list):
        parts = list(output)
    else:
        return None
    found = [part for part in parts if _fits(part, votes, num_classes)]
    return found[0] if len(found) == 1 else None


def _fits(value: Any, votes: int, num_classes: int | None) -> bool:
    shape = tuple(getattr(value, "shape", ()))
    if not shape or shape[0] != votes or not hasattr(value, "argmax"):
        return False
    single = shape in ((votes,), (votes, 1))
    if num_classes is None:
        return single or len(shape) == 2
    return shape == (votes, num_classes) or (single and num_classes == 2)


def logits_of(output: Any, votes: int, num_classes: int, who: str) -> Any:
    """Logits of shape (votes, num_classes); of a single logit z of class 1 they are (0, z).

    Args:
        output: as for :func:`find_logits`.
        votes: likewise.
        num_classes: number of classes.
        who: what returned the output, for messages.

    Raises:
        InvalidInputError: where there are none, or several tensors could be.
    """
    logits = find_logits(output, votes, num_classes)
    if logits is None:
        raise InvalidInputError(
            f"{who} returned {described(output)}; expected logits of shape ({votes}, {num_classes})"
        )
    if tuple(logits.shape) == (votes, num_classes):
        return logits
    return logits.reshape(-1, 1) * logits.new_tensor([0.0, 1.0])


def described(output: Any) -> str:
    """An output by its shape, or by its type and the shapes of its parts."""
    shape = tuple(getattr(output, "shape", ()))
    if shape:
        return f"shape {shape}"
    if isinstance(output, Mapping):
        return f"a mapping of {', '.join(f'{key} ({described(value)})' for key, value in output.items())}"
    if isinstance(output, tuple | list):
        return f"{type(output).__name__} of {', '.join(map(described, output)) or 'nothing'}"
    return type(output).__name__
