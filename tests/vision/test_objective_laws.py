"""Laws of every training objective, and what building one or computing its loss refuses."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from noiseaug.errors import InvalidInputError

torch = pytest.importorskip("torch")

from noiseaug.vision.attacks import DDN  # noqa: E402
from noiseaug.vision.objectives import OBJECTIVES, Adre, Objective, describe, make_objective  # noqa: E402
from tests.helpers.networks import Camera  # noqa: E402
from tests.helpers.objectives import NAMES, images, loss_and_gradient, objective_of, seeded, smooth_model  # noqa: E402

nn = torch.nn


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f4", "f8"])
@pytest.mark.parametrize("copies", [1, None])
@pytest.mark.parametrize("name", NAMES)
def test_training_lowers_the_loss(name, copies, dtype):
    objective = objective_of(name, 0.1, radius=0.1, **({} if copies is None else {"copies": copies}))
    y = torch.arange(40) % 2
    x = 0.5 + torch.where(y[:, None] == 1, 0.3, -0.3) * torch.tensor([1.0, 0.5]).expand(40, 2)
    model = smooth_model(2, 2, dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses, generator = [], seeded(4)
    for _ in range(30):
        optimizer.zero_grad()
        loss, logits = objective.loss(model, x.to(dtype), y, generator=generator)
        assert loss.dtype == dtype
        assert logits.shape == (objective.copies, 40, 2)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_alone_decides(name):
    model, (x, y) = smooth_model(), images()
    objective = objective_of(name)
    first, again, other = (loss_and_gradient(objective, model, x, y, seed=seed)[0] for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "clean")
    generator = seeded(7)
    losses = {objective.loss(model, x, y, generator=generator)[0].item() for _ in range(3)}
    assert len(losses) == (1 if name == "clean" else 3)  # noise is drawn anew


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e6])
@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_are_finite(name, scale):
    model = smooth_model(dtype=torch.float32)
    with torch.no_grad():
        model[-1].weight.mul_(scale)
    x, y = images(b=8, dtype=torch.float32)
    for labels in (y, model(x).argmax(1)):
        loss, gradient, _ = loss_and_gradient(objective_of(name), model, x, labels)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_are_summed_in_single(name):
    model, (x, y) = smooth_model(dtype=torch.float32), images(dtype=torch.float32)
    exact, _, _ = loss_and_gradient(objective_of(name), model, x, y)
    with torch.autocast("cpu", torch.bfloat16):
        loss, logits = objective_of(name).loss(model, x, y, generator=seeded(3))
    assert loss.dtype == logits.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
@pytest.mark.parametrize("name", NAMES)
def test_evaluations_are_counted(name, attack):
    x, y = images()
    for parameters in ({}, {"copies": 3, "steps": 5}, {"radius": 0.0}):
        objective, model = objective_of(name, attack=attack, **parameters), Camera(smooth_model())
        objective.loss(model, x, y, generator=seeded())
        assert sum(map(len, model.batches)) == objective.evaluations * len(x)


@pytest.mark.parametrize("name", NAMES)
def test_descriptions_round_trip(name):
    kind = OBJECTIVES[name]
    for changed in ({}, {key: 0.5 for key in kind.parameters if "weight" in key}, {"attack": "ddn"}):
        objective = objective_of(name, 0.75, **changed)
        described = json.loads(json.dumps(describe(objective)))
        assert make_objective(**described) == objective
        assert list(described) == ["name", "train_sigma", *kind.parameters]
    assert all(entry.line for entry in kind.parameters.values())
    assert kind.line
    with pytest.raises(InvalidInputError, match="by hand"):
        describe(Objective(name, 0.0, 2, penalty=Adre(1), fit="soft"))


def test_objectives_by_hand_have_no_description():
    for objective in (Objective("mine", 0.1), Objective("smoothadv", 0.1, 4), Objective("gaussian", 0.1, fit="clean")):
        with pytest.raises(InvalidInputError, match="by hand"):
            describe(objective)
    odd = Objective("smoothadv", 0.1, 4, attack=DDN(1.0, 2, gamma=0.2), warm_up=10)
    with pytest.raises(InvalidInputError, match="by hand"):
        describe(odd)


@pytest.mark.parametrize(
    ("name", "sigma", "parameters", "message"),
    [
        ("gausian", 0.1, {}, "objective is 'gausian'; expected one of clean, gaussian, smoothadv, adre"),
        ("gaussian", 0.1, {"radius": 1.0}, "gaussian has no parameter radius; it takes copies .1."),
        ("clean", 0.0, {"copies": 2}, "clean has no parameter copies; it takes no parameters"),
        ("clean", 0.1, {}, "train_sigma is 0.1; clean takes 0 alone"),
        ("gaussian", -0.1, {}, "train_sigma is -0.1"),
        ("gaussian", 0.1, {"copies": 0}, "objective gaussian: copies is 0; expected an integer of at least 1"),
        ("gaussian", 0.1, {"copies": "two"}, "copies is 'two'"),
        ("smoothadv", 0.1, {"attack": "fgsm"}, "attack is 'fgsm'; expected one of pgd, ddn"),
        ("smoothadv", 0.1, {"radius": -1}, "radius is -1"),
        ("smoothadv", 0.1, {"steps": 0}, "steps is 0"),
        ("smoothadv", 0.1, {"attack": "ddn", "steps": 1}, "steps is 1; expected an integer of at least 2"),
        ("smoothadv", 0.1, {"warm_up": 0.5}, "warm_up is 0.5"),
        ("adre", 0.1, {"weight": -1}, "objective adre: weight is -1"),
        ("macer", 0.1, {"temperature": 0}, "temperature is 0"),
        ("macer", 0.1, {"margin": math.nan}, "margin is nan"),
        ("consistency", 0.1, {"entropy_weight": -1}, "entropy_weight is -1"),
        ("stability", 0.1, {"weight": math.inf}, "weight is inf"),
    ],
)
def test_bad_parameters(name, sigma, parameters, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        make_objective(name, sigma, **parameters)
    assert "\n" not in str(caught.value)


def test_bad_batches():
    model, (x, y) = smooth_model(), images()
    objective = make_objective("gaussian", 0.1)
    with pytest.raises(InvalidInputError, match=r"labels have shape \(4,\); expected \(5,\)"):
        objective.loss(model, x, y[:4], generator=seeded())
    with pytest.raises(InvalidInputError, match=r"weights have shape \(5, 1\); expected \(5,\)"):
        objective.loss(model, x, y, generator=seeded(), weights=torch.ones(5, 1))
    for bad in (nn.Linear(6, 1).double(), nn.Identity(), nn.Flatten(0)):
        with pytest.raises(InvalidInputError, match="expected logits of shape"):
            objective.loss(
                bad, x[..., None].expand(-1, -1, 2) if isinstance(bad, nn.Identity) else x, y, generator=seeded()
            )
    with pytest.raises(InvalidInputError, match="fit is 'hard'"):
        Objective("", 0.1, fit="hard")
