"""Attacks on half-spaces, whose answers are known, and the soft smoothed module."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from scipy import stats

from noiseaug.errors import InvalidInputError
from tests.helpers.statistics import assert_frequency, assert_mean

torch = pytest.importorskip("torch")

from noiseaug.vision.attacks import (  # noqa: E402
    ATTACKS,
    DDN,
    PGD,
    SmoothedModule,
    draw_noise,
    log_odds,
    noisy_logits,
    soft_log_prob,
)
from noiseaug.vision.attacks import soft as attacks  # noqa: E402
from tests.helpers.half_spaces import UNIT, HalfSpace, at_distance  # noqa: E402
from tests.helpers.networks import Camera  # noqa: E402
from tests.helpers.objectives import seeded, smooth_model  # noqa: E402

nn = torch.nn


# --- the direction


def test_log_odds_have_the_gradient_of_finite_differences_and_the_direction_of_j():
    model, x, y = smooth_model(), torch.rand(3, 6, generator=seeded(), dtype=torch.float64), torch.tensor([0, 1, 3])
    noise = draw_noise(x, 5, 0.7, seeded(1))
    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(log_odds(soft_log_prob(model, point, noise), y).sum(), point)
    step = 1e-6 * torch.eye(6, dtype=torch.float64)
    with torch.no_grad():
        for i in range(6):
            up, down = (log_odds(soft_log_prob(model, x + sign * step[i], noise), y) for sign in (1, -1))
            torch.testing.assert_close(slope[:, i], (up - down) / 2e-6, rtol=1e-6, atol=1e-8)
    soft = torch.stack([model(point + each).softmax(1) for each in noise]).mean(0)
    j = -soft[torch.arange(3), y].log()
    torch.testing.assert_close(soft_log_prob(model, point, noise), soft.log())
    (of_j,) = torch.autograd.grad(j.sum(), point)
    _, direction = attacks._ascent(model, x, y, noise)
    torch.testing.assert_close(direction, of_j / of_j.norm(dim=1, keepdim=True), rtol=1e-9, atol=1e-12)


# --- half-spaces


@pytest.mark.parametrize(("steps", "sigma"), [(1, 0.0), (2, 0.5), (10, 0.5)])
def test_pgd_reaches_the_optimum_of_a_half_space(steps, sigma):
    x, y = at_distance(0.1, -0.05, 0.3), torch.tensor([1, 0, 0])
    noise = draw_noise(x, 4, sigma, seeded())
    point = PGD(0.3, steps).perturb(HalfSpace(), x, y, noise)
    away = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)[:, None]
    torch.testing.assert_close(point, x + 0.3 * away * UNIT, rtol=0, atol=1e-9)
    assert not point.requires_grad


def test_steps_have_the_length_that_was_asked_for():
    x, y = at_distance(0.0), torch.tensor([1])
    for attack, expected in [(PGD(0.4, 10), 0.08), (PGD(0.4, 10, step=0.01), 0.01), (PGD(0.4, 10, step=3.0), 0.4)]:
        model = Camera(HalfSpace())
        attack.perturb(model, x, y, None)
        moved = [float((batch - x).norm()) for batch in model.batches]
        assert len(moved) == 10
        assert moved[:2] == pytest.approx([0.0, expected], abs=1e-12)
        assert max(moved) <= 0.4 + 1e-12


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e4, 1e7, 1e25])
def test_attacks_do_not_stall_where_the_classifier_is_sure(scale):
    """In single precision the gradient of −log G_y is 0 here, or its square is; or the square of that of the odds ∞."""
    model, x, y = HalfSpace(scale, torch.float32), at_distance(0.3, dtype=torch.float32), torch.tensor([1])
    noise = draw_noise(x, 3, 0.01, seeded())
    torch.testing.assert_close(PGD(0.4, 5).perturb(model, x, y, noise), (x - 0.4 * UNIT).float(), rtol=0, atol=1e-6)
    if scale >= 1:
        assert model(DDN(0.4, 20).perturb(model, x, y, noise)).argmax() == 0


def test_ddn_finds_the_smallest_perturbation():
    """The boundary of the smoothed half-space is that of the half-space; the norm ends within γ of the distance."""
    x, y = at_distance(0.1, -0.2, 0.3), torch.tensor([1, 0, 1])
    noise = draw_noise(x, 4, 0.1, seeded())
    noise = torch.cat([noise, -noise])  # so that G is ½ on the boundary
    point = DDN(0.5, 60, gamma=0.03).perturb(HalfSpace(), x, y, noise)
    norms = (point - x).norm(dim=1)
    distances = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    assert (norms > distances).all()
    assert (norms < 1.06 * distances).all()


def test_ddns_endings():
    """Wrong already: stays; success beyond the radius: on the sphere; no success: stays."""
    x = at_distance(-0.1, 0.1, 0.3)
    point = DDN(0.08, 8).perturb(HalfSpace(), x, torch.tensor([1, 1, 1]), None)
    norms = (point - x).norm(dim=1).tolist()
    assert norms == [0, pytest.approx(0.08, rel=1e-9), 0]
    grown = Camera(HalfSpace())
    DDN(0.08, 8).perturb(grown, x[1:2], torch.tensor([1]), None)
    looked_at = [float((batch - x[1:2]).norm()) for batch in grown.batches]
    expected = [0, 0.08 * 1.05, 0.08 * 1.05**2, 0.08 * 1.05**3, 0.08 * 1.05**4, 0.08 * 1.05**5]
    assert looked_at == pytest.approx([*expected, expected[-1] * 0.95, expected[-1] * 0.95 * 1.05])


def test_ddn_looks_no_farther_than_the_box():
    """Else clipping would turn every perturbation into the corner."""
    model, x = Camera(HalfSpace()), at_distance(0.1)
    DDN(50.0, 2).perturb(model, x, torch.tensor([1]), None)
    farthest = torch.maximum(x, 1 - x).norm()
    torch.testing.assert_close(model.batches[1], (x - farthest * UNIT).clamp(0, 1))


def test_ddns_step_falls_along_a_cosine():
    class Turning(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            margin = x[:, 0] if self.calls == 1 else x[:, 1]
            return torch.stack([torch.zeros_like(margin) - 9, -margin], dim=1)

    model = Camera(Turning())
    x = torch.full((1, 2), 0.5, dtype=torch.float64)
    DDN(0.1, 5, step=0.5).perturb(model, x, torch.tensor([1]), None)
    third = model.batches[2] - x
    second = 0.01 + 0.49 * (1 + math.cos(math.pi / 4)) / 2
    assert float(third[0, 1] / third[0, 0]) == pytest.approx(second / 0.105)


# --- ball and box


@pytest.mark.parametrize("attack", [PGD(1, 4), PGD(1, 2, random_start=True), PGD(1, 3, step=9.0), DDN(1, 6)], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f4", "f8"])
def test_the_attacked_point_is_in_ball_and_box(attack, dtype):
    model = smooth_model(dim=3072, dtype=dtype)
    x = torch.rand(6, 3, 32, 32, generator=seeded(), dtype=dtype)
    x = torch.where(x < 0.1, 0.0, torch.where(x > 0.9, 1.0, x)).to(memory_format=torch.channels_last)
    y = model(x).argmax(1)
    noise = draw_noise(x, 2, 0.1, seeded(1))
    for radius in (1e-9, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e3):
        point = attack.scaled(radius).perturb(model, x, y, noise, generator=seeded(2))
        assert point.dtype == dtype
        assert point.is_contiguous(memory_format=torch.channels_last)
        assert 0 <= point.min() <= point.max() <= 1
        norms = (point.double() - x.double()).flatten(1).norm(dim=1)
        assert (norms <= radius).all()
        if isinstance(attack, PGD) and 1e-3 <= radius <= 1:
            assert (norms > 0.9 * radius).all()


def test_radius_0_costs_nothing():
    model, x = Camera(HalfSpace()), at_distance(0.1)
    for entry in ATTACKS.values():
        assert torch.equal(entry.load()(0.0).perturb(model, x, torch.tensor([1]), None), x)
    assert not model.batches


def test_the_random_start_is_uniform_in_the_ball():
    class Flat(nn.Module):
        def forward(self, x):
            return 0 * x[:, :2]

    x = torch.full((4000, 3), 0.5, dtype=torch.float64)
    y = torch.zeros(4000, dtype=torch.long)
    assert torch.equal(PGD(0.3).perturb(Flat(), x, y, None), x)  # no gradient, no way
    shift = (PGD(0.3, random_start=True).perturb(Flat(), x, y, None, generator=seeded(9)) - x).numpy() / 0.3
    assert_mean(np.linalg.norm(shift, axis=1) ** 3, 0.5, 1.0)
    corner = Camera(Flat())
    PGD(0.3, random_start=True).perturb(corner, torch.zeros_like(x), y, None, generator=seeded(9))
    assert all(0 <= batch.min() < batch.max() <= 0.3 for batch in corner.batches)
    for i in range(3):
        assert_mean(shift[:, i], 0.0, 2.0)
        assert_mean(shift[:, i] ** 2, 0.2, 1.0)


# --- the model meanwhile and afterwards


def test_modes_return_even_after_an_error():
    class Fails(nn.Module):
        def forward(self, x):
            assert not self.training
            raise RuntimeError("no")

    model = nn.Sequential(Fails(), nn.Linear(2, 2))
    model[1].eval()
    with pytest.raises(RuntimeError, match="no"):
        PGD(0.1).perturb(model, torch.rand(2, 2), torch.tensor([0, 1]), None)
    assert [part.training for part in model.modules()] == [True, True, False]
    assert all(weight.requires_grad for weight in model.parameters())


def test_attacks_work_without_gradients_around():
    x, y = at_distance(0.1), torch.tensor([1])
    with torch.no_grad():
        for attack in (PGD(0.3), DDN(0.3, 20)):
            point = attack.perturb(HalfSpace(), x, y, None)
            assert HalfSpace()(point).argmax() == 0


def test_bad_attacks():
    for make, message in [
        (lambda: PGD(-1.0), "radius is -1"),
        (lambda: PGD(1.0, 0), "steps is 0"),
        (lambda: PGD(1.0, step=0.0), "step is 0"),
        (lambda: DDN(1.0, 1), "steps is 1; expected an integer of at least 2"),
        (lambda: DDN(1.0, gamma=1.0), "gamma is 1"),
        (lambda: DDN(1.0, step=0.001), "step is 0.001; expected at least 0.01"),
        (lambda: PGD(1.0).perturb(HalfSpace(), at_distance(5), torch.tensor([1]), None), "expected inputs in .0, 1."),
        (lambda: DDN(1.0).perturb(HalfSpace(), at_distance(math.nan), torch.tensor([1]), None), "from nan to nan"),
        (lambda: noisy_logits(nn.Flatten(0), at_distance(0), None), r"returned shape \(16,\)"),
        (lambda: noisy_logits(lambda x: [x], at_distance(0), None), "returned list; expected logits"),
    ]:
        with pytest.raises(InvalidInputError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)


# --- the soft smoothed classifier


def test_the_module_smooths_a_half_space():
    """With steep logits G is the share of copies on either side, Φ(distance/β) on average."""
    module = SmoothedModule(HalfSpace(1e9), 0.25, samples=5000, seed=3)
    distances = (-0.2, 0.0, 0.3)
    share = module(at_distance(*distances)).exp()
    torch.testing.assert_close(share.sum(1), torch.ones(3, dtype=torch.float64))
    for distance, value in zip(distances, share[:, 1].tolist(), strict=True):
        assert_frequency(round(5000 * value), 5000, stats.norm.cdf(distance / 0.25))


def test_the_module_has_the_gradient_of_finite_differences():
    x = torch.rand(2, 6, generator=seeded(), dtype=torch.float64)
    for batch in (1024, 6, 1):
        module = SmoothedModule(smooth_model(), 0.5, samples=7, batch=batch, num_classes=4)
        assert torch.autograd.gradcheck(module, x.clone().requires_grad_(), eps=1e-6, atol=1e-7)


def test_batches_change_neither_values_nor_gradients():
    x = torch.rand(4, 6, generator=seeded(), dtype=torch.float64)
    results = []
    for batch in (1024, 8, 1):
        base = Camera(smooth_model())
        module, point = SmoothedModule(base, 0.5, samples=9, batch=batch, num_classes=4), x.clone().requires_grad_()
        value = module(point)
        (gradient,) = torch.autograd.grad((value * torch.arange(4)).sum(), point)
        results.append((value.detach(), gradient))
        assert max(map(len, base.batches)) == min(max(batch, 4), 36)
        assert sum(map(len, base.batches)) == 36 * (1 if batch == 1024 else 2)  # the second time in the backward pass
        with torch.no_grad():
            torch.testing.assert_close(module(point), value)
            torch.testing.assert_close(module(point[2:3]), value[2:3])  # whatever else is in the batch
    for value, gradient in results[1:]:
        torch.testing.assert_close(value, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


def test_the_modules_noise_is_fixed_unless_asked():
    x, make = at_distance(0.1), lambda **options: SmoothedModule(HalfSpace(), 0.5, samples=4, **options)
    module, fresh = make(), make(fresh=True)
    assert torch.equal(module(x), module(x))
    assert torch.equal(module(x), copy.deepcopy(module)(x))
    assert not torch.equal(module(x), make(seed=1)(x))
    first, second = fresh(x), fresh(x)
    assert not torch.equal(first, second)
    assert torch.equal(first, make(fresh=True)(x))
    assert module.num_classes == 2
    assert not SmoothedModule(HalfSpace().train(), 0.5).base.training


def test_the_module_lets_attacks_in():
    """From outside it is a classifier like any other, and attacking it is SmoothAdv."""
    module, x, y = SmoothedModule(HalfSpace(), 0.25, samples=16), at_distance(0.1), torch.tensor([1])
    torch.testing.assert_close(PGD(0.2).perturb(module, x, y, None), x - 0.2 * UNIT, rtol=0, atol=1e-9)


def test_bad_modules():
    for make, message in [
        (lambda: SmoothedModule(nn.Identity(), 0.5), "number of classes is not known"),
        (lambda: SmoothedModule(HalfSpace(), 0.5, num_classes=3), "num_classes is 3; the classifier has 2"),
        (lambda: SmoothedModule(HalfSpace(), -0.5), "smooth_sigma is -0.5"),
        (lambda: SmoothedModule(HalfSpace(), 0.5, 0), "samples is 0"),
        (lambda: SmoothedModule(HalfSpace(), 0.5, batch=0), "batch is 0"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            make()
