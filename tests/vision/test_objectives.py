"""Training objectives: hand-computed values, finite differences, and how they contain one another."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from tests.helpers.statistics import FALSE_ALARM

torch = pytest.importorskip("torch")

from noiseaug.vision.attacks import DDN, PGD, draw_noise  # noqa: E402
from noiseaug.vision.objectives import (  # noqa: E402
    OBJECTIVES,
    Adre,
    Consistency,
    Macer,
    Objective,
    Stability,
    make_objective,
    penalties,
)
from tests.helpers.networks import Camera  # noqa: E402
from tests.helpers.objectives import NAMES, images, loss_and_gradient, objective_of, seeded, smooth_model  # noqa: E402

nn, F = torch.nn, torch.nn.functional


ATTACKED = [name for name in NAMES if "attack" in OBJECTIVES[name].parameters]


class Fixed(nn.Module):
    """Logits that do not depend on the input."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.as_tensor(logits, dtype=torch.float64))

    def forward(self, x):
        assert len(x) == len(self.logits)
        return self.logits


# --- values by hand: two copies of one image, three classes


P = np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4]])
G = np.array([0.6, 0.15, 0.25])
Q = np.array([0.2, 0.5, 0.3])  # of the clean image
CE = -(math.log(0.7) + math.log(0.5)) / 2


def loss_by_hand(objective, y=0, p=P):
    model = Fixed(np.log(p) + [[7.0], [-3.0], [100.0]][: len(p)])
    loss, logits = objective.loss(model, torch.rand(1, 2), torch.tensor([y]), generator=seeded())
    assert logits.shape == (2, 1, 3)
    assert not logits.requires_grad
    return loss.item()


def test_values_by_hand():
    approx = lambda value: pytest.approx(value, rel=1e-12)  # noqa: E731
    assert loss_by_hand(Objective("", 0.5, 2)) == approx(CE)
    assert loss_by_hand(Objective("", 0.5, 2, fit="soft")) == approx(-math.log(0.6))
    assert loss_by_hand(Objective("", 0.5, 2, penalty=Adre(0.3))) == approx(CE + 0.3 * math.log(0.25))
    assert loss_by_hand(Objective("", 0.5, 2, penalty=Adre(0.3)), y=2) == approx(
        -(math.log(0.1) + math.log(0.4)) / 2 + 0.3 * math.log(0.6)
    )
    divergence = (G * np.log(G / P)).sum() / 2
    entropy = -(G * np.log(G)).sum()
    assert loss_by_hand(Objective("", 0.5, 2, penalty=Consistency(3, 0.7))) == approx(
        CE + 3 * divergence + 0.7 * entropy
    )
    stability = Objective("", 0.5, 2, penalty=Stability(2), fit="clean")
    cross = -(Q * np.log(P)).sum() / 2
    assert loss_by_hand(stability, p=np.vstack([Q, P])) == approx(-math.log(0.2) + 2 * cross)


def test_macer_by_hand():
    gap = stats.norm.ppf(0.6) - stats.norm.ppf(0.25)
    soft = Objective("", 0.5, 2, penalty=Macer(1, 8, 12), fit="soft")
    assert loss_by_hand(soft) == pytest.approx(-math.log(0.6) + 12 * 0.25 * (8 - gap), rel=1e-12)
    wrong, beyond = (
        loss_by_hand(soft, y=2),
        loss_by_hand(Objective("", 0.5, 2, penalty=Macer(1, 0.9 * gap, 12), fit="soft")),
    )
    assert wrong == pytest.approx(-math.log(0.25), rel=1e-12)
    assert beyond == pytest.approx(-math.log(0.6), rel=1e-12)
    tempered = (P**2 / (P**2).sum(1, keepdims=True)).mean(0)
    gap = stats.norm.ppf(tempered[0]) - stats.norm.ppf(np.sort(tempered)[-2])
    twice = Objective("", 0.5, 2, penalty=Macer(2, 8, 12), fit="soft")
    assert loss_by_hand(twice) == pytest.approx(-math.log(0.6) + 3 * (8 - gap), rel=1e-12)


def test_macers_quantiles_do_not_saturate():
    """Where single precision has p = 1, the radius is still right; the second road is scipy's ndtri_exp."""
    for margin, logit in [(30, -60.0), (100, -300.0)]:
        logits = torch.tensor([[[0.0, logit]]], requires_grad=True)
        value = Macer(1, margin, 1)(logits, None, torch.tensor([0]), 1.0)
        assert value.item() == pytest.approx((margin + 2 * special.ndtri_exp(logit)) / 2, rel=1e-6)
        (slope,) = torch.autograd.grad(value.sum(), logits)
        step = special.ndtri_exp(logit + 1e-4) - special.ndtri_exp(logit - 1e-4)
        assert slope[0, 0, 1].item() == pytest.approx(step / 2e-4, rel=1e-4)
    log_prob = torch.linspace(-600, -1e-3, 50, dtype=torch.float64)
    quantiles = penalties._normal_quantile(log_prob).numpy()
    np.testing.assert_allclose(quantiles, special.ndtri_exp(log_prob.numpy()), rtol=1e-9)


# --- gradients


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ATTACKED])
def test_gradients_agree_with_finite_differences(name):
    objective, (x, y) = objective_of(name, copies=3, temperature=2.0), images()
    model = smooth_model()
    if name == "macer":  # has something to say of images that are right
        y = model(x).argmax(1)
    _, gradient, _ = loss_and_gradient(objective, model, x, y)
    if name == "macer":
        _, without, _ = loss_and_gradient(objective_of(name, copies=3, weight=0.0), model, x, y)
        assert (gradient - without).norm() > 0.1 * gradient.norm()
    start = nn.utils.parameters_to_vector(model.parameters()).detach()
    for seed in range(3):
        along = torch.randn(start.shape, generator=seeded(seed), dtype=start.dtype)
        values = []
        for step in (1e-6, -1e-6):
            nn.utils.vector_to_parameters(start + step * along, model.parameters())
            values.append(objective.loss(model, x, y, generator=seeded(3))[0].item())
        nn.utils.vector_to_parameters(start, model.parameters())
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(float(gradient @ along), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
@pytest.mark.parametrize(
    ("name", "inner"), [("smoothadv", "gaussian"), ("adreadv", "adre"), ("smoothadv-consistency", "consistency")]
)
def test_attacked_objectives_are_the_others_at_the_attacked_point(name, inner, attack):
    """With the same noise in the attack and in the loss."""
    (x, y), model = images(), smooth_model()
    y = model(x).argmax(1)
    objective = objective_of(name, copies=3, attack=attack, radius=1.5, steps=5)
    noise = draw_noise(x, 3, 0.25, seeded(3))
    point = objective.attack.perturb(model, x, y, noise)
    assert (point != x).any()
    got = loss_and_gradient(objective, model, x, y)
    expected = loss_and_gradient(objective_of(inner, copies=3), model, point, y)
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)


# --- objectives within one another


WITHIN = [
    ("smoothadv", {"radius": 0.0}, "gaussian", {}),
    ("adre", {"weight": 0.0}, "gaussian", {}),
    ("adreadv", {"weight": 0.0, "radius": 0.5}, "smoothadv", {"radius": 0.5}),
    ("adreadv", {"radius": 0.0}, "adre", {}),
    ("consistency", {"weight": 0.0, "entropy_weight": 0.0}, "gaussian", {}),
    ("smoothadv-consistency", {"radius": 0.0}, "consistency", {}),
]


@pytest.mark.parametrize(("name", "parameters", "other", "others"), WITHIN)
def test_one_contains_another_bit_for_bit(name, parameters, other, others):
    model, (x, y) = smooth_model(), images()
    for copies in (1, 3):
        one = loss_and_gradient(objective_of(name, copies=copies, **parameters), model, x, y)
        two = loss_and_gradient(objective_of(other, copies=copies, **others), model, x, y)
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_without_noise_attack_and_penalty_all_are_clean(name):
    model, (x, y) = smooth_model(), images()
    off = {"weight": 0.0, "entropy_weight": 0.0, "radius": 0.0, "copies": 3}
    value, gradient, logits = loss_and_gradient(objective_of(name, 0.0, **off), model, x, y)
    expected, slope, clean = loss_and_gradient(make_objective("clean", 0), model, x, y)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(logits, clean.expand_as(logits))
    torch.testing.assert_close(expected, F.cross_entropy(model(x), y).detach())


def test_copies_are_averaged_and_go_through_the_model_at_once():
    model, (x, y) = Camera(smooth_model()), images()
    loss, logits = make_objective("gaussian", 0.25, copies=3).loss(model, x, y, generator=seeded(5))
    (batch,) = model.batches
    noise = 0.25 * torch.randn((3, *x.shape), generator=seeded(5), dtype=x.dtype)
    torch.testing.assert_close(batch, torch.cat([x + each for each in noise]))
    losses = [F.cross_entropy(model.model(x + each), y) for each in noise]
    torch.testing.assert_close(loss, sum(losses) / 3)
    torch.testing.assert_close(logits, torch.stack([model.model(x + each) for each in noise]).detach())


def test_stability_looks_at_the_clean_images_in_the_same_batch():
    model, (x, y) = Camera(smooth_model()), images()
    loss, logits = make_objective("stability", 0.25, copies=2).loss(model, x, y, generator=seeded(5))
    (batch,) = model.batches
    assert torch.equal(batch[:5], x)
    noisy = model.model((x + draw_noise(x, 2, 0.25, seeded(5))).flatten(0, 1)).unflatten(0, (2, 5))
    torch.testing.assert_close(logits, noisy.detach())
    clean = model.model(x)
    cross = sum(F.cross_entropy(each, clean.softmax(1)) for each in noisy) / 2
    torch.testing.assert_close(loss, F.cross_entropy(clean, y) + 2 * cross)


def test_the_noise_has_the_level_that_was_asked_for():
    x = torch.full((20, 500), 0.5, dtype=torch.float64)
    noise = draw_noise(x, 20, 0.3, seeded(1)) / 0.3
    law = stats.chi2(noise.numel())
    assert law.ppf(FALSE_ALARM / 2) <= float((noise**2).sum()) <= law.isf(FALSE_ALARM / 2)
    mean = float(noise.mean()) * math.sqrt(noise.numel())
    across = float((noise[0] * noise[1]).sum()) / math.sqrt(noise[0].numel())  # variance 1, nearly normal
    assert abs(mean) < stats.norm.isf(FALSE_ALARM / 2)
    assert abs(across) < 1.1 * stats.norm.isf(FALSE_ALARM / 2)


def test_copies_keep_the_memory_format():
    class Pixels(nn.Module):
        def forward(self, x):
            self.was = x.is_contiguous(memory_format=torch.channels_last), x.is_contiguous()
            return x.flatten(1)[:, :3]

    model, x, y = Pixels(), torch.rand(2, 3, 4, 4), torch.tensor([0, 1])
    for name in ("gaussian", "smoothadv", "stability"):
        objective_of(name).loss(model, x.to(memory_format=torch.channels_last), y, generator=seeded())
        assert model.was == (True, False)
        objective_of(name).loss(model, x, y, generator=seeded())
        assert model.was == (False, True)


# --- weights and warm-up


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_weighted_mean(name):
    model, (x, y) = smooth_model(), images()
    weights = torch.tensor([1.0, 0.0, 0.1, 2.0, 0.5], dtype=torch.float64)

    def loss(values):
        return loss_and_gradient(objective_of(name), model, x, y, weights=values)[:2]

    value, gradient = loss(weights)
    parts = [loss(row) for row in torch.eye(5, dtype=torch.float64)]
    torch.testing.assert_close(value, sum(w * part[0] for w, part in zip(weights, parts, strict=True)))
    torch.testing.assert_close(gradient, sum(w * part[1] for w, part in zip(weights, parts, strict=True)))
    torch.testing.assert_close(loss(torch.ones(5, dtype=torch.float64))[0], loss(None)[0])
    assert len({round(float(part[0]), 9) for part in parts}) == 5


@pytest.mark.parametrize(("epoch", "share"), [(0, 0), (2.5, 0.25), (9, 0.9), (10, 1), (300, 1), (math.inf, 1)])
@pytest.mark.parametrize("step", [None, 0.3])
def test_the_radius_warms_up(epoch, share, step):
    model = Camera(nn.Linear(3, 2).double())
    x, y = torch.full((2, 3), 0.5, dtype=torch.float64), torch.tensor([0, 1])
    objective = Objective("", 0.0, attack=PGD(0.2, 4, step=step), warm_up=10)
    objective.loss(model, x, y, generator=seeded(), epoch=epoch)
    moved = (model.batches[-1] - x).norm(dim=1)
    torch.testing.assert_close(moved, torch.full_like(moved, 0.2 * share), rtol=1e-9, atol=0)
    assert DDN(0.4).scaled(0.5).radius == 0.2
    assert PGD(0.4, step=0.1).scaled(0.5) == PGD(0.2, step=0.05)


# --- what an attack leaves behind: nothing


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
def test_the_attack_leaves_the_model_alone(attack):
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.BatchNorm1d(5), nn.Linear(5, 4))
    model.double().train()
    model[3].eval()
    model[0].bias.requires_grad_(False)
    x, y = images()
    objective_of("smoothadv", attack=attack, steps=3).loss(model, x, y, generator=seeded())
    assert [part.training for part in model.modules()] == [True, True, True, True, False, True]
    assert model[1].num_batches_tracked == 1
    assert model[3].num_batches_tracked == 0
    assert all(weight.grad is None for weight in model.parameters())
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == ["0.bias"]
