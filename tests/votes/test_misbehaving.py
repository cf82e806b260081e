"""Classifiers that misbehave are told of in one line, and work that nobody can wait for is not begun."""

from __future__ import annotations

import numpy as np
import pytest

from noiseaug.certificates import CertificationSetting, VoteBudget
from noiseaug.certification import certify, predict
from noiseaug.errors import InvalidInputError
from noiseaug.votes import GaussianNoise, VoteCounter

X = np.zeros((2, 4), np.float32)


def raising(error):
    def classifier(batch):
        raise error

    return classifier


@pytest.mark.parametrize("error", [StopIteration(), ValueError("no\nmore"), SystemExit(3), KeyError("x")])
@pytest.mark.parametrize("use", [predict, certify])
def test_an_error_of_a_classifier_is_the_cause_of_one_line(use, error):
    with pytest.raises(InvalidInputError, match="the classifier fails on inputs of shape") as caught:
        use(raising(error), X, smooth_sigma=0.5, n=20, num_classes=2)
    assert f"with {type(error).__name__}: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda batch: np.zeros((len(batch), 1), int), "returned shape (10, 1); expected one label each, (10,)"),
        (lambda batch: [[1], [1, 2]], "the classifier returned list: "),
        (lambda batch: None, "returned shape ()"),
        (lambda batch: [2**70] * len(batch), "returned labels of type object"),
        (lambda batch: ["a"] * len(batch), "returned labels of type <U1"),
    ],
)
def test_answers_that_are_no_labels(answer, message):
    with pytest.raises(InvalidInputError) as caught:
        predict(answer, X, smooth_sigma=0.5, n=10, num_classes=2)
    assert message in str(caught.value)


def test_labels_may_be_part_of_a_graph():
    torch = pytest.importorskip("torch")
    weight = torch.ones((), requires_grad=True)
    counts = predict(lambda batch: weight * torch.ones(len(batch)), X, smooth_sigma=0.5, n=10, num_classes=2)["counts"]
    assert counts.tolist() == [(0, 10)] * 2


@pytest.mark.parametrize("use", [predict, certify])
def test_votes_that_nobody_can_wait_for(use):
    with pytest.raises(
        InvalidInputError, match=r"n is 9223372036854775807; at some .* 2\.9 million years|at most 9007"
    ):
        use(raising(AssertionError("it was asked")), X, smooth_sigma=0.5, n=2**63 - 1, num_classes=2)


def test_limits_of_a_run():
    with pytest.raises(InvalidInputError, match="n is 2000000000; at some 100000 votes a second"):
        CertificationSetting(0.5, VoteBudget(2 * 10**9))
    with pytest.raises(InvalidInputError, match="n0 is 2000000000; at some"):
        CertificationSetting(0.5, VoteBudget(100, n0=2 * 10**9))
    with pytest.raises(InvalidInputError, match="batch is 1000000000; expected an integer of at most"):
        VoteCounter(lambda batch: batch, noise=GaussianNoise(1.0), num_classes=2, batch=10**9)
    for sigma in (1e-40, 1e308):
        with pytest.raises(InvalidInputError, match="expected 1e-30 to 1e"):
            GaussianNoise(sigma)
