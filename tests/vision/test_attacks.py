"""Attacks on half-spaces, whose answers are known; the soft smoothed module; attacked accuracy beside certificates."""

from __future__ import annotations

import copy
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from noiseaug import certify
from noiseaug.errors import InvalidInputError
from noiseaug.votes import DiscreteNoise, GaussianNoise, VoteCounter
from tests.helpers.statistics import assert_frequency, assert_mean

torch = pytest.importorskip("torch")

from noiseaug.vision.attacks import (  # noqa: E402
    ATTACKS,
    DDN,
    PGD,
    SmoothedModule,
    attack_frame,
    attack_summary,
    draw_noise,
    log_odds,
    noisy_logits,
    robustness,
    soft_log_prob,
)
from noiseaug.vision.attacks import soft as attacks  # noqa: E402
from noiseaug.vision.engine import TorchBase  # noqa: E402
from tests.helpers.networks import Camera  # noqa: E402

nn = torch.nn
DIM = 16
W = torch.tensor([1.0, -2.0, 0.5, 1.5] * 4, dtype=torch.float64)
UNIT = W / W.norm()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class HalfSpace(nn.Module):
    """Class 1 where (x − ½)·w > 0, with logits of any steepness; the distance of x to the boundary is (x − ½)·unit."""

    num_classes = 2

    def __init__(self, scale=5.0, dtype=torch.float64):
        super().__init__()
        self.weight = nn.Parameter(scale * UNIT.to(dtype))

    def forward(self, x):
        margin = (x.flatten(1) - 0.5) @ self.weight
        return torch.stack([torch.zeros_like(margin), margin], dim=1)


def at_distance(*distances, dtype=torch.float64):
    return torch.stack([0.5 + distance * UNIT for distance in distances]).to(dtype)


def smooth_model(classes=4, dim=6, dtype=torch.float64, seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(dim, 8), nn.Tanh(), nn.Linear(8, classes)).to(dtype)


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


# --- attacked accuracy beside certificates: of a half-space the radius is the distance

SIGMA = 0.1
DISTANCES = (0.1, -0.15, 0.2, 0.12)
LABELS = [1, 0, 1, 0]  # the last is wrong


def counter_of(base, **options):
    return VoteCounter(base, noise=GaussianNoise(SIGMA), seed=5, **options)


def attacked(radii, *, certified=None, x=None, labels=LABELS, base=None, n=1500, **options):
    base = HalfSpace(dtype=torch.float32) if base is None else base
    x = at_distance(*DISTANCES, dtype=torch.float32) if x is None else x
    options = {"samples": 8, "steps": 10, "indices": range(10, 10 + len(x)), **options}
    return attack_frame(base, counter_of(base), x, labels, radii=radii, n=n, certified=certified, **options)


def claims(inflated=0.0, predictions=(1, 0, 1, 1)):
    radii = np.abs(DISTANCES) * (1 - 1e-6) + inflated
    return pd.DataFrame({"index": range(10, 14), "prediction": predictions, "radius": radii})


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
def test_attacks_succeed_beyond_the_true_radius_alone(attack):
    frame = attacked([0.05, 0.145, 0.26], attack=attack, certified=claims(), steps=40)
    assert frame["index"].tolist() == np.repeat([10, 11, 12, 13], 3).tolist()
    assert frame["succeeded"].tolist() == [False, True, True] + [False, False, True] * 2 + [True] * 3
    assert frame["clean_prediction"].tolist() == np.repeat([1, 0, 1, 1], 3).tolist()
    assert not frame["violation"].any()
    assert (frame["norm"] <= frame["radius"]).all()
    if attack == "pgd":
        assert (frame["norm"] > 0.999 * frame["radius"]).all()
        assert frame["attacked_prediction"].tolist() == [1, 0, 0, 0, -1, 1, 1, 1, 0, 1, 0, 0]
        assert attack_summary(frame)["abstained"].tolist() == [0, 0.25, 0]
    summary = attack_summary(frame)
    assert summary["n"].tolist() == [4, 4, 4]
    assert summary["accuracy_under_attack"].tolist() == [0.75, 0.5, 0]
    assert summary["certified_accuracy"].tolist() == [0.75, 0.5, 0]
    assert summary["violations"].tolist() == [0, 0, 0]
    assert summary["violations_expected"].tolist() == pytest.approx([0.008] * 3)


def test_false_certificates_are_found_out():
    """Also those of images that were wrong before the attack; but not where the attack had to leave the ball."""
    assert attacked([0.3], certified=claims(0.2))["violation"].all()
    frame = attacked([0.3], certified=claims(0.05))
    assert frame["succeeded"].all()
    assert not frame["violation"].any()
    other = attacked([0.01], certified=claims(predictions=(0, 0, -1, 0)))
    assert other["violation"].tolist() == [True, False, False, True]  # at x itself
    assert other["certified_prediction"].tolist() == [0, 0, -1, 0]


def test_real_certificates_hold():
    base, x = HalfSpace(dtype=torch.float32), at_distance(*DISTANCES, dtype=torch.float32)
    certified = certify(base, x.numpy(), smooth_sigma=SIGMA, n=2000, seed=5, indices=range(10, 14))
    frame = attacked([0.02, 0.06, 0.1, 0.2], certified=certified)
    summary = attack_summary(frame)
    assert summary["violations"].sum() == 0
    assert (summary["accuracy_under_attack"] >= summary["certified_accuracy"]).all()
    assert summary["certified_accuracy"][0] == 0.75
    assert math.isnan(attack_summary(attacked([0.1]))["certified_accuracy"][0])


def test_undecided_votes_count_as_withstood():
    frame = attacked([1e-6], x=at_distance(0.0, dtype=torch.float32), labels=[1])
    row = frame.iloc[0]
    assert (row["clean_prediction"], row["attacked_prediction"], row["succeeded"]) == (-1, -1, False)
    summary = attack_summary(frame).iloc[0]
    assert (summary["abstained"], summary["accuracy_under_attack"]) == (1, 1)


class Scripted:
    """Stands for an assault: answers by point, and moves as far as it is told."""

    def __init__(self, clean, answers):
        self.attacks = tuple(PGD(0.1 * (i + 1)) for i in range(len(answers)))
        self.answers = {"clean": clean} | {
            attack.radius.hex(): answer for attack, answer in zip(self.attacks, answers, strict=True)
        }

    def prediction(self, image, index, *point):
        return self.answers[point[-1]]

    def attacked(self, image, index, away_from, attack):
        self.away_from = away_from
        return image + np.float32(0.9 * attack.radius)


@pytest.mark.parametrize(
    ("clean", "answers", "label", "succeeded", "violations", "away_from"),
    [
        (1, [1, 0, 1], 1, [False, True, True], [False, True, False], 1),  # what fell once stays fallen
        (-1, [-1, 1, -1], 1, [False] * 3, [False] * 3, 1),
        (1, [1, 1, 2], 0, [True] * 3, [False] * 3, 1),
        (0, [0, 0, 0], 0, [False] * 3, [True] * 3, 0),
        (-1, [-1, 0, 0], 0, [False] * 3, [False, True, False], 0),
    ],
)
def test_what_counts_as_success_and_as_violation(clean, answers, label, succeeded, violations, away_from):
    """Certified: class 1 at radius .2; the attacks end at .09, .18 and .27."""
    script = Scripted(clean, answers)
    rows = list(robustness._image_rows(script, np.zeros(1, np.float32), label, 7, (1, 0.2)))
    assert [row["succeeded"] for row in rows] == succeeded
    assert [row["violation"] for row in rows] == violations
    assert script.away_from == away_from
    bare = robustness._image_rows(script, np.zeros(1, np.float32), label, 7, None)
    assert not any(row["violation"] for row in bare)


def test_distances_are_rounded_up():
    rng = np.random.default_rng(0)
    for size in (1, 10, 3072):
        a, b = rng.random((2, size)).astype(np.float32)
        exact = math.fsum((float(u) - float(v)) ** 2 for u, v in zip(a, b, strict=True)) ** 0.5
        assert exact < robustness._distance(a, b) < exact * (1 + 1e-12)


def test_an_image_does_not_depend_on_the_others():
    x = at_distance(*DISTANCES, dtype=torch.float32)
    whole = attacked([0.05, 0.1], certified=claims(), restarts=2)
    options = {"certified": claims(), "restarts": 2}
    parts = [
        attacked([0.1, 0.05], x=x[i : i + 1], labels=LABELS[i : i + 1], indices=[10 + i], **options) for i in range(4)
    ]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_the_engine_for_torch_counts_as_well():
    base, x = HalfSpace(dtype=torch.float32), at_distance(*DISTANCES, dtype=torch.float32)
    counter = TorchBase(base, shape=(DIM,)).vote_counter(noise=GaussianNoise(SIGMA), seed=5)
    frame = attack_frame(base, counter, x, LABELS, range(10, 14), radii=[0.05, 0.26], samples=8, steps=10, n=1500)
    pd.testing.assert_frame_equal(frame, attacked([0.05, 0.26]))
    assert counter.seed == 5


def test_votes_differ_from_those_that_certified_and_between_points():
    seen = []

    class Watched(HalfSpace):
        def forward(self, x):
            if torch.is_inference_mode_enabled() and len(x) == 50:
                seen.append(x[:, 0] - x.mean())
            return super().forward(x)

    base = Watched(dtype=torch.float32)
    x = at_distance(0.3, dtype=torch.float32)
    counter_of(base).stream(x[0].numpy(), 10, "estimation").take(50)
    attacked([1e-5, 2e-5], x=x, labels=[1], base=base, n=50)
    assert len(seen) == 4
    assert all(float((a - b).abs().max()) > 0.01 for i, a in enumerate(seen) for b in seen[:i])


def test_restarts_leave_plateaus():
    class Plateau(nn.Module):
        """Flat within .05 of the middle; beyond, class 1 loses."""

        num_classes = 2

        def forward(self, x):
            away = ((x - 0.5).norm(dim=1) - 0.05).relu()
            return torch.stack([100 * away - 1, torch.zeros_like(away)], dim=1)

    base, x = Plateau(), torch.full((1, 2), 0.5)
    counter = VoteCounter(base, noise=GaussianNoise(0.001), seed=1)
    options = {"radii": [0.2], "samples": 4, "steps": 5, "n": 200}
    once, often = (attack_frame(base, counter, x, [1], [0], restarts=k, **options).iloc[0] for k in (1, 6))
    assert (once["norm"], once["succeeded"]) == (0, False)
    assert often["succeeded"]


def test_images_of_all_kinds_are_taken():
    x = (255 * at_distance(0.1, 0.2)).round().to(torch.uint8)
    floats = (x.float() / 255).reshape(2, 4, 4)
    one = attacked([0.05], x=x.numpy(), labels=np.array([1, 1]))
    two = attacked([0.05], x=floats, labels=torch.tensor([1, 1]), progress=False)
    pd.testing.assert_frame_equal(one, two)
    wide = attacked([0.05], x=floats, labels=[1, 1], base=HalfSpace())  # a classifier in double precision
    pd.testing.assert_frame_equal(one.drop(columns="norm"), wide.drop(columns="norm"))


def test_bad_evaluations():
    x, base = at_distance(0.1), HalfSpace()
    discrete = VoteCounter(base, noise=DiscreteNoise(0.1))
    for make, message in [
        (lambda: attacked([0.1], attack="fgsm"), "attack is 'fgsm'; expected one of pgd, ddn"),
        (lambda: attacked([]), "there are no radii"),
        (lambda: attacked([0.0]), "radius is 0"),
        (lambda: attacked([0.1], restarts=0), "restarts is 0"),
        (lambda: attacked([0.1], n=0), "n is 0"),
        (lambda: attacked([0.1], failure_prob=1), "failure_prob is 1"),
        (lambda: attacked([0.1], labels=[0, 1]), "labels are int64 of shape .2,.; expected 4 integers"),
        (lambda: attacked([0.1], labels=[0, 1, 2, 0]), "labels run from 0 to 2; expected 0 to 1"),
        (lambda: attacked([0.1], x=x.long(), labels=[1]), "expected floats or uint8"),
        (lambda: attacked([0.1], certified=claims()[:2]), "2 of 4 images have no certificate, the first of index 12"),
        (lambda: attacked([0.1], certified=claims()[["index"]]), "certificates lack prediction, radius"),
        (lambda: attack_frame(base, discrete, x, [1], [0], radii=[0.1]), "under discrete noise"),
    ]:
        with pytest.raises(InvalidInputError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)


def test_the_level_is_shared_among_the_tests():
    base = HalfSpace()
    assault = robustness._assault(base, counter_of(base), "pgd", [0.1, 0.2, 0.1], 5, 8, 1, 100, 0.003)
    assert assault.level == pytest.approx(0.001)
    assert [attack.radius for attack in assault.attacks] == [0.1, 0.2]
