"""Networks to save, and what loading a file comes to."""

from __future__ import annotations

import torch

from noiseaug.errors import InvalidInputError
from noiseaug.vision.models import build_model, load_checkpoint


def images(shape, count=3):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def trained(arch="linear", shape=(1, 4, 4), num_classes=3, **options):
    """A model whose state is nowhere what it is at the start."""
    torch.manual_seed(1)
    model = build_model(arch, shape, num_classes, **options)
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # or a network of 110 layers overflows
    with torch.no_grad():
        model(images(shape))
    for value in model.state_dict().values():
        change = torch.rand(value.shape) if value.is_floating_point() else 3
        value.copy_(value * (1 + 0.01 * change) + 0.001 * change if value.is_floating_point() else value + change)
    return model


def same(first, second):
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(
        one[key].dtype == two[key].dtype and torch.equal(one[key], two[key]) for key in one
    )


def attempt(path, **options):
    """What is loaded, or None after an error in one line."""
    try:
        return load_checkpoint(path, **options)
    except InvalidInputError as error:
        if "\n" in str(error):
            raise
        return None
