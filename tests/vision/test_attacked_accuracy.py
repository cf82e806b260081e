"""Attacked accuracy beside certificates: of a half-space the radius is the distance."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from noiseaug import certify
from noiseaug.errors import InvalidInputError
from noiseaug.votes import DiscreteNoise, GaussianNoise, VoteCounter

torch = pytest.importorskip("torch")

from noiseaug.vision.attacks import PGD, attack_frame, attack_summary, robustness  # noqa: E402
from noiseaug.vision.engine import TorchBase  # noqa: E402
from tests.helpers.half_spaces import DIM, HalfSpace, at_distance  # noqa: E402

nn = torch.nn


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
