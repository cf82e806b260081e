"""Objectives by name, and a smooth model and images to apply them to."""

from __future__ import annotations

import torch
from torch import nn

from noiseaug.vision.objectives import OBJECTIVES, make_objective

NAMES = list(OBJECTIVES)


def objective_of(name, train_sigma=0.25, **parameters):
    known = {key: value for key, value in parameters.items() if key in OBJECTIVES[name].parameters}
    return make_objective(name, 0.0 if name == "clean" else train_sigma, **known)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth_model(classes=4, dim=6, dtype=torch.float64, seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(dim, 8), nn.Tanh(), nn.Linear(8, classes)).to(dtype)


def images(b=5, dim=6, classes=4, dtype=torch.float64, seed=2):
    generator = seeded(seed)
    x = torch.rand(b, dim, generator=generator, dtype=dtype)
    return x, torch.arange(b) % classes


def loss_and_gradient(objective, model, x, y, seed=3, **options):
    model.zero_grad()
    loss, logits = objective.loss(model, x, y, generator=seeded(seed), **options)
    loss.backward()
    return loss.detach(), torch.cat([weight.grad.flatten() for weight in model.parameters()]), logits
