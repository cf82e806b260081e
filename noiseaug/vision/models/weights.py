"""Weights for networks of the user's own, from a safetensors file or a state dict of torch; nothing in them is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.runs import read_file
from noiseaug.vision.models import released

__all__ = ["check_finite", "check_fit", "load_weights"]

_HOLDERS = ("state_dict", "model_state_dict", "model", "net", "weights", "module")
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.|model\.|net\.)")  # of DataParallel, torch.compile, Lightning


def load_weights(network: nn.Module, path: Path, name: str) -> None:
    """Puts weights into a network, in place.

    Args:
        network: of the architecture that the weights are of.
        path: a ``.safetensors`` file, or a file of ``torch.save`` with a state dict, alone or under a name such as
            ``state_dict``. Prefixes of DataParallel, torch.compile and Lightning are taken off where they do not fit.
        name: of the network, for messages.

    Raises:
        InvalidInputError: for a file that is not there or holds something else, and weights that do not fit.
    """
    state = _state(path)
    expected = network.state_dict()
    while not (state.keys() & expected.keys()) and state and all(_WRAPPERS.match(key) for key in state):
        state = {_WRAPPERS.sub("", key): value for key, value in state.items()}
    # older versions of torch did not count batches
    state |= {key: each for key, each in expected.items() if key.endswith("num_batches_tracked") and key not in state}
    check_fit(state, expected, path, name)
    check_finite(state, str(path))
    network.load_state_dict(state)


def check_fit(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], path: Path, name: str) -> None:
    """Refuses weights that are not those of a network.

    Args:
        state: the weights.
        expected: a state of the network.
        path: where the weights come from, for messages.
        name: of the network, for messages.

    Raises:
        InvalidInputError: for a weight that is missing, that the network has not, or that has another shape.
    """
    for key in [*expected, *state]:
        if key not in state:
            raise InvalidInputError(f"{path} lacks {key}; expected the weights of {name}")
        if key not in expected:
            raise InvalidInputError(f"{path} holds {key}, which {name} has not")
        if state[key].shape != expected[key].shape:
            raise InvalidInputError(
                f"{path}: {key} has shape {tuple(state[key].shape)}; {name} has {tuple(expected[key].shape)}"
            )


def check_finite(
    state: Mapping[str, torch.Tensor], whose: str, remedy: str = "expected a model whose training did not diverge"
) -> None:
    """Refuses weights that are not finite, of a file or of a model; ``remedy`` ends the message.

    Raises:
        InvalidInputError: with the name of one.
    """
    for key, value in state.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InvalidInputError(f"{whose} holds NaN or infinite weights in {key}; {remedy}")


def _state(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise InvalidInputError(f"no file {path}")
    if path.suffix == ".safetensors":
        try:
            found: Any = safetensors.torch.load(read_file(path))
        except Exception as error:  # of several kinds, none of them public
            raise InvalidInputError(f"{path} is truncated or damaged: {first_line(error)}") from None
    else:
        found = released.unpickled(path)
    for key in _HOLDERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if (
        not isinstance(found, Mapping)
        or not found
        or not all(isinstance(each, torch.Tensor) for each in found.values())
    ):
        held = ", ".join(list(map(str, found))[:4]) if isinstance(found, Mapping) else type(found).__name__
        raise InvalidInputError(f"{path} holds {held or 'nothing'}; expected a state dict: tensors by name")
    return {str(key): value for key, value in found.items()}
