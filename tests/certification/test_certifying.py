"""Certification of classifiers whose smoothed probability is known, and what must not depend on anything else."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from scipy import special

from noiseaug import risk
from noiseaug.certificates import (
    STANDARD_LOOKS,
    CertificationSetting,
    Cohen,
    ConfidenceSequence,
    FullRadius,
    MultiLook,
    OptimalStopping,
    RunnerUp,
    TCertify,
    TCertifyPostHoc,
    largest_radius,
)
from noiseaug.certification import Certifier, certify, predict, recertify
from noiseaug.errors import InvalidInputError
from noiseaug.predictors import augmented, smoothed
from noiseaug.regions import Ball, HalfSpace, IntervalUnion
from noiseaug.risk import VoteBudget
from noiseaug.tasks import ConcentricGaussians, GaussianPair, Intervals
from tests.helpers.statistics import FALSE_ALARM, assert_frequency

RULES = [
    Cohen(),
    MultiLook((0.2, 0.5)),
    FullRadius(),
    ConfidenceSequence(0.2),
    TCertify(),
    OptimalStopping(0.2),
    RunnerUp(),
]
TASKS = [
    (GaussianPair([1.0, 0.0], [-1.0, 0.0], 0.6), 0.5, 0.3),
    (ConcentricGaussians(10, 0.3, 0.4), 0.25, 0.1),
    (Intervals([[1.0, 2.0], [2.5, 3.0], [6.0, 8.0]], (0.0, 10.0)), 0.4, 0.3),
]


def labelled(region):
    return lambda x: region.contains(x).astype(int)


@pytest.mark.parametrize(("task", "sigma", "radius"), TASKS, ids=lambda v: type(v).__name__)
def test_measured_accuracy_is_the_finite_sample_prediction(task, sigma, radius):
    """A run with 500 votes on 400 points against E P(Bin ≥ k_min); false alarm 1e-9."""
    base = augmented(task, 0.2)
    x, y = task.sample(400, np.random.default_rng(3))
    frame = certify(labelled(base), x, labels=y, smooth_sigma=sigma, n=500, n0=100, num_classes=2, seed=1)
    model = smoothed(base, sigma)
    certified = int((frame["correct"] & (frame["radius"] >= radius)).sum())
    predicted = risk.finite_sample_certified_accuracy(task, model, radius, budget=VoteBudget(500, 1e-3)).value
    assert_frequency(certified, 400, predicted)
    # and a prediction that is wrong by a tenth is caught
    with pytest.raises(AssertionError):
        assert_frequency(certified, 400, predicted - 0.2)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("region", [HalfSpace(np.array([1.0, 0.5]), 0.2), Ball(2, 1.2)], ids=["half-space", "ball"])
def test_no_radius_is_false_more_often_than_allowed(rule, region):
    """300 points at failure probability .05: false certificates against the true radius β|Φ⁻¹(s)|."""
    x = np.random.default_rng(5).normal(size=(300, 2))
    frame = certify(labelled(region), x, smooth_sigma=0.5, n=2000, failure_prob=0.05, num_classes=2, certificate=rule)
    margin = region.margin(x, 0.5)
    own = np.where(frame["prediction"] == 1, margin, -margin)
    said = frame["prediction"] >= 0
    wrong = int((said & (frame["radius"] > 0.5 * own)).sum())
    assert said.sum() > 100
    # rules are conservative: only more failures than allowed are an error
    assert special.bdtrc(wrong - 1, 300, 0.05) > FALSE_ALARM if wrong else True
    # the certified ball is within the true distance wherever the radius is true
    distance = region.smoothed(0.5).distance_to_boundary(x)
    assert (
        frame["radius"][said & (frame["radius"] <= 0.5 * own)] <= distance[said & (frame["radius"] <= 0.5 * own)]
    ).all()


def test_votes_do_not_depend_on_batches_shards_or_order():
    region = IntervalUnion(np.array([[0.0, 1.0], [1.5, 4.0]]))
    x = np.linspace(-1, 5, 8)[:, None]
    options = {"smooth_sigma": 0.4, "n": 3000, "num_classes": 2, "seed": 3}
    whole = certify(labelled(region), x, **options)
    drop = ["seconds"]
    for batch in (1, 7, 1000):
        few = certify(labelled(region), x[2:4], indices=[2, 3], batch=batch, **options)
        assert few.drop(columns=drop).equals(whole.iloc[2:4].reset_index(drop=True).drop(columns=drop))
    order = [5, 0, 7, 1, 2, 3, 4, 6]
    shuffled = certify(labelled(region), x[order], indices=order, **options)
    assert shuffled.drop(columns=drop).equals(whole.drop(columns=drop))
    other = certify(labelled(region), x, **{**options, "seed": 4})
    assert not other["counts"].equals(whole["counts"])


def test_log_resume_and_stored_votes(tmp_path):
    region, path = Ball(3, 1.5), tmp_path / "run.jsonl"
    x = np.random.default_rng(0).normal(size=(12, 3))
    y = region.contains(x).astype(int)
    options = {"smooth_sigma": 0.5, "n": 2500, "num_classes": 2, "labels": y}
    whole = certify(labelled(region), x, **options)
    calls = []

    def dying(points):
        calls.append(len(points))
        if len(calls) > 15:
            raise KeyboardInterrupt
        return region.contains(points).astype(int)

    with pytest.raises(KeyboardInterrupt):
        certify(dying, x, log=path, **options)
    with pytest.raises(InvalidInputError, match="resume"):
        certify(labelled(region), x, log=path, **options)
    with pytest.raises(InvalidInputError, match="smooth_sigma"):
        certify(labelled(region), x, log=path, resume=True, **{**options, "smooth_sigma": 0.6})
    resumed = certify(labelled(region), x, log=path, resume=True, **options)
    assert resumed.drop(columns="seconds").equals(whole.drop(columns="seconds"))


def test_recertify_needs_no_votes():
    region = HalfSpace(np.array([1.0, 0.0]), 0.0)
    x = np.random.default_rng(1).normal(size=(30, 2))
    options = {"smooth_sigma": 0.5, "n": 2000, "num_classes": 2}
    stored = certify(labelled(region), x, **options)
    for rule in (Cohen(), MultiLook((0.3,), (100, 500, 2000), (0.1, 0.2, 0.7)), TCertify(), TCertifyPostHoc()):
        for level in (0.001, 0.05):
            fresh = certify(labelled(region), x, failure_prob=level, certificate=rule, **options)
            again = recertify(stored, CertificationSetting(0.5, VoteBudget(2000, level)), rule)
            columns = ["index", "prediction", "radius"]
            assert again[columns].equals(fresh[columns])
    assert (
        recertify(stored, CertificationSetting(0.5, VoteBudget(2000, 0.05)), Cohen())["radius"] >= stored["radius"]
    ).all()


def test_votes_that_a_rule_stopped_on_are_not_a_fixed_sample():
    region = HalfSpace(np.array([1.0]), 0.0)
    options = {"smooth_sigma": 0.5, "n": 2000, "num_classes": 2}
    early = certify(labelled(region), np.array([[2.0]]), certificate=MultiLook((0.2,)), **options)
    assert early["n"][0] < 2000
    with pytest.raises(InvalidInputError, match="2000"):
        recertify(early, CertificationSetting(0.5, VoteBudget(2000, 0.001)), Cohen())


def test_rules_with_shares_leave_out_looks_that_were_not_kept():
    """What an unkept look could have certified is lost, and its share of the level with it; nothing else changes."""
    region = HalfSpace(np.array([1.0]), 0.0)
    options = {"smooth_sigma": 0.5, "n": 2000, "num_classes": 2}
    stored = certify(labelled(region), np.linspace(-1, 1, 12)[:, None], **options)
    setting = CertificationSetting(0.5, VoteBudget(2000, 0.001))
    again = recertify(stored, setting, MultiLook((0.3,), (100, 300, 1000, 2000), (0.1, 0.2, 0.3, 0.4)))
    # the same without the look at 300, whose share goes to a look after the last one
    kept = recertify(stored, setting, MultiLook((0.3,), (100, 1000, 2000), (0.1, 0.3, 0.6)))
    assert set(again["looks"].map(len)) > {1}
    assert again["prediction"].equals(kept["prediction"])
    assert (again["radius"] <= kept["radius"]).all()
    with pytest.raises(InvalidInputError, match="looks at 10 votes"):
        recertify(stored, setting, ConfidenceSequence(0.3))


def test_standard_looks_are_kept():
    frame = certify(labelled(Ball(1, 1.0)), np.zeros((1, 1)), smooth_sigma=0.5, n=3000, num_classes=2)
    assert frame["looks"][0] == (*(k for k in STANDARD_LOOKS if k < 3000), 3000)
    assert [sum(row) for row in frame["counts"][0]] == list(frame["looks"][0])


def test_the_ceiling_of_a_run():
    run = CertificationSetting(0.5, VoteBudget(1000, 0.001))
    frame = certify(lambda x: np.ones(len(x), int), np.zeros((1, 2)), smooth_sigma=0.5, n=1000, num_classes=2)
    assert frame["radius"][0] <= largest_radius(run)
    assert frame["radius"][0] == pytest.approx(largest_radius(run), rel=1e-9)
    assert largest_radius(CertificationSetting(1.0, VoteBudget(100_000, 0.001))) == pytest.approx(3.811, abs=1e-3)


def test_predict_abstains_with_its_level():
    region = HalfSpace(np.array([1.0]), 0.0)
    frame = predict(labelled(region), np.array([[-1.0], [0.0], [1.0]]), smooth_sigma=0.5, n=500, num_classes=2)
    assert frame["prediction"].tolist() == [0, -1, 1]
    # at a point where both classes are equally likely an answer is a failure
    answers = predict(labelled(region), np.zeros((400, 1)), smooth_sigma=0.5, n=200, num_classes=2, failure_prob=0.05)[
        "prediction"
    ]
    assert special.bdtrc(int((answers >= 0).sum()) - 1, 400, 0.05) > FALSE_ALARM


def test_discrete_noise_pays_for_its_error():
    x = np.full((2, 4), 128, dtype=np.uint8)
    frame = certify(
        lambda z: (z.mean(axis=1) > 0.45).astype(int), x, smooth_sigma=0.25, n=1000, num_classes=2, noise="discrete"
    )
    assert (frame["prediction"] == 1).all()
    with pytest.raises(InvalidInputError, match="failure_prob"):
        certify(
            labelled(Ball(4, 1.0)), x, smooth_sigma=0.25, n=1000, num_classes=2, noise="discrete", failure_prob=1e-13
        )


def test_finite_sample_budget_matches_the_rule():
    """k_min of the prediction is the count at which Cohen's rule certifies."""
    budget = VoteBudget(1000, 0.001)
    run = CertificationSetting(0.5, budget)
    for radius in (0.0, 0.3, 0.9):
        k = budget.needed(radius, 0.5)
        at, below = (Cohen().decide(run, 0, np.array([1, 0]), np.array([[j, 1000 - j]])) for j in (k, k - 1))
        assert at.certified
        assert at.radius >= radius * (1 - 1e-9)
        assert not (below.certified and below.radius >= radius)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"smooth_sigma": 0.0}, "smooth_sigma"),
        ({"smooth_sigma": float("nan")}, "smooth_sigma"),
        ({"n": 5}, "10 votes"),
        ({"n0": 0}, "n0"),
        ({"failure_prob": 1.0}, "failure_prob"),
        ({"labels": np.array([0, 5])}, "labels"),
        ({"labels": np.array([0])}, "labels"),
        ({"indices": [1, 1]}, "indices"),
        ({"noise": "pink"}, "noise"),
        ({"certificate": MultiLook((5.0,))}, "reach"),
        ({"certificate": ConfidenceSequence(5.0)}, "reach"),
        ({"num_classes": None}, "num_classes"),
        ({"batch": 0}, "batch"),
    ],
)
def test_bad_input(changes, word):
    options = {"smooth_sigma": 0.5, "n": 1000, "num_classes": 2, **changes}
    with pytest.raises(InvalidInputError, match=word) as caught:
        certify(labelled(Ball(2, 1.0)), np.zeros((2, 2)), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        lambda x: np.full(len(x), 2),
        lambda x: np.full(len(x), -1),
        lambda x: np.full(len(x), np.nan),
        lambda x: np.zeros(len(x) + 1, int),
        lambda x: np.zeros((len(x), 3)),  # two classes would have two scores each
    ],
)
def test_bad_classifiers(bad):
    with pytest.raises(InvalidInputError):
        certify(bad, np.zeros((1, 2)), smooth_sigma=0.5, n=100, num_classes=2)


class Scripted:
    """A counter that gives the right class a share of the votes by the input, and keeps what it was asked for."""

    num_classes = 2

    def __init__(self):
        self.rounds, self.begun = [], set()

    def stream(self, x, index, purpose):
        self.begun.add(index)
        return SimpleNamespace(index=index, drawn=0, take=None)

    def take_together(self, requests):
        votes = {}
        counts = []
        for stream, size in requests:
            votes[stream.index] = votes.get(stream.index, 0) + size
            share = (1.0, 0.9, 0.56)[stream.index % 3]
            before, stream.drawn = stream.drawn, stream.drawn + size
            right = round(share * stream.drawn) - round(share * before)
            counts.append(np.array([size - right, right]))
        self.rounds.append(list(votes.values()))
        return counts


class Packed(Scripted):
    round_votes = 500


def test_inputs_whose_votes_are_packed_come_out_in_their_order():
    """The outcomes of one input at a time; rounds are full, and hold no more than it takes to fill them."""
    inputs = [(np.zeros(1), index, 1) for index in range(40)]
    found, counters = [], (Scripted(), Packed())
    for counter in counters:
        outcomes = Certifier(
            counter, CertificationSetting(0.5, VoteBudget(5000, 1e-3, 20), 2), MultiLook((0.05,))
        ).outcomes(iter(inputs))
        first = next(outcomes)
        assert first.seconds > 0
        begun = len(counter.begun)
        assert begun == 1 if counter is counters[0] else 1 < begun < 40
        found.append([msgspec.structs.replace(outcome, seconds=0.0) for outcome in [first, *outcomes]])
    assert found[0] == found[1]
    assert [outcome.index for outcome in found[1]] == list(range(40))
    assert len({outcome.looks[-1] for outcome in found[1]}) > 1
    assert all(len(votes) == 1 for votes in counters[0].rounds)
    assert all(sum(votes[:-1]) < 500 for votes in counters[1].rounds)
    assert sum(sum(votes) >= 500 for votes in counters[1].rounds) > 10
