"""Weights for networks of the user's own, from a safetensors file or a state dict of torch; nothing in them is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from noiseaug.errors import InvalidInputError
from noiseaug.runs import read_file
from noiseaug.vision.models import released

__all__ = ["load_weights"]

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
    for key in [*expected, *state]:
        if key not in state:
            if key.endswith("num_batches_tracked"):  # which older versions of torch did not count
                state[key] = expected[key]
                continue
            raise InvalidInputError(f"{path} lacks {key}; expected the weights of {name}")
        if key not in expected:
            raise InvalidInputError(f"{path} holds {key}, which {name} has not")
        if state[key].shape != expected[key].shape:
            raise InvalidInputError(
                f"{path}: {key} has shape {tuple(state[key].shape)}; {name} has {tuple(expected[key].shape)}"
            )
        if state[key].is_floating_point() and not bool(state[key].isfinite().all()):
            raise InvalidInputError(f"{path} holds NaN or infinite weights in {key}")
    network.load_state_dict(state)


def _state(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise InvalidInputError(f"no file {path}")
    if path.suffix == ".safetensors":
        try:
            found: Any = safetensors.torch.load(read_file(path))
        except Exception as error:  # of several kinds, none of them public
            raise InvalidInputError(f"{path} is truncated or damaged: {str(error).splitlines()[0]}") from None
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
