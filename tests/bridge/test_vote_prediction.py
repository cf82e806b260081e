"""The curve of a run, predicted from other votes of the same classifier."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from noiseaug.bridge import predict_run, predict_second_log, split_log, study, two_logs
from noiseaug.bridge.study import log_overlays
from noiseaug.certificates import CertificationSetting, VoteBudget
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from tests.helpers.statistics import FALSE_ALARM


@pytest.mark.parametrize(("seen", "votes", "radius"), [(40, 40, 0.0), (60, 30, 0.3), (200, 50, 0.5), (64, 63, 0.2)])
def test_prediction_of_a_run_is_unbiased(seen, votes, radius):
    """Exact: averaged over all counts that could have been seen, for every share."""
    run = CertificationSetting(0.5, VoteBudget(votes, 0.01), 2)
    needed = next(k for k in range(votes + 2) if stats.binom.sf(k - 1, votes, special.ndtr(radius / 0.5)) <= 0.01)
    guesses = np.array([predict_run([own], seen, run, [radius])[0] for own in range(seen + 1)])
    for share in (0.3, 0.6, 0.8, 0.95, 0.999):
        truth = stats.binom.sf(needed - 1, votes, share)
        assert float(stats.binom.pmf(np.arange(seen + 1), seen, share) @ guesses) == pytest.approx(truth, abs=1e-10)
    assert 0 < guesses.max() <= 1


def test_predicted_curve_lies_in_the_interval_at_every_radius(half_space_logs):
    one, other = (read_log(path) for path in half_space_logs)
    radii = np.linspace(0, 1.2, 41)
    table = two_logs(other, one, radii)
    assert (table["votes"].iloc[0], table["predicted_from"].iloc[0]) == (600, 1000)
    assert table["inside"].all()
    assert table["value"].iloc[0] > 0.8
    assert table["value"].iloc[-1] < 0.2
    # given the inputs the gap is a mean of 200 independent terms in [−1, 1] without bias (Hoeffding, all radii)
    assert table["gap"].abs().max() <= np.sqrt(2 * np.log(2 * 41 / FALSE_ALARM) / 200)
    split = split_log(one, radii)
    assert (split["votes"].iloc[0], split["predicted_from"].iloc[0]) == (500, 500)
    assert split["inside"].all()
    assert (split["predicted"] != table["predicted"]).any()


def test_no_vote_is_used_twice(half_space_logs):
    """First votes all right, the rest all wrong: the run sees the former alone, the prediction the latter alone."""
    description, frame = read_log(half_space_logs[0])
    counts = [
        (*((0, look) if label else (look, 0) for look in looks[:-1]), (500, 500))
        for label, looks in zip(frame["label"], frame["looks"], strict=True)
    ]
    right = [(0, 100) if label else (100, 0) for label in frame["label"]]
    assert set(frame["looks"]) == {(100, 200, 500, 1000)}
    table = split_log((description, frame.assign(counts=counts, selection=right)), [0.0, 0.5])
    assert table["value"].tolist() == [1, 1]
    assert table["predicted"].tolist() == [0, 0]


def test_the_choice_of_the_class_is_predicted_too(half_space_logs):
    one, other = (read_log(path) for path in half_space_logs)
    wrong = [(100, 0) if label else (0, 100) for label in one[1]["label"]]
    table = predict_second_log((one[0], one[1].assign(selection=wrong)), other, [0.0])
    assert table["predicted"].tolist() == [0]


def changed(log, **facts):
    return {**log[0], **facts}, log[1]


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"seed": 1}, "one seed"),
        ({"weights": "v"}, "differ in weights"),
        ({"smooth_sigma": 0.25}, "differ in smooth_sigma"),
        ({"certificate": {"name": "multi-look"}}, "may stop early"),
        ({"n": 400}, "400 votes cannot predict a run of 600"),
    ],
)
def test_logs_that_cannot_predict_are_refused(half_space_logs, first, message):
    one, other = (read_log(path) for path in half_space_logs)
    log = changed(one, **first)
    if "n" in first:
        log = log[0], one[1].assign(looks=[(100, 400, 500)] * 200)
    with pytest.raises(InvalidInputError, match=message):
        predict_second_log(log, other, [0.0])


def test_more_logs_that_are_refused(half_space_logs):
    one, other = (read_log(path) for path in half_space_logs)
    with pytest.raises(InvalidInputError, match="different inputs"):
        predict_second_log((one[0], one[1].iloc[1:]), other, [0.0])
    with pytest.raises(InvalidInputError, match="does not say"):
        predict_second_log(({"n": 1000}, one[1]), other, [0.0])
    trained = [changed(log, classifier="logistic", train_sigma=0.5) for log in (one, other)]
    with pytest.raises(InvalidInputError, match="trained with the seed"):
        predict_second_log(*trained, [0.0])
    with pytest.raises(InvalidInputError, match="keeps no look"):
        split_log((one[0], one[1].assign(looks=[(600, 1000)] * 200)), [0.0])


def test_logs_find_their_partners(half_space_logs):
    together = log_overlays(half_space_logs)
    assert list(together) == ["1.jsonl"]
    assert len(together["1.jsonl"]) == 41
    assert list(log_overlays(half_space_logs[:1], [0.0])) == ["0.jsonl"]
    with pytest.raises(InvalidInputError, match="3 logs are of one classifier"):
        log_overlays([*half_space_logs, half_space_logs[0]])


def test_the_curve_ends_at_the_largest_radius(half_space_logs, monkeypatch):
    top = next(r for r in np.random.default_rng(0).random(1000) if r * 40 / 40 > r)
    description, frame = read_log(half_space_logs[0])
    monkeypatch.setattr(
        study, "read_log", lambda path: (description, frame.assign(radius=np.where(frame["prediction"] < 0, 0, top)))
    )
    radii = log_overlays(half_space_logs[:1])["0.jsonl"]["radius"]
    assert (len(radii), radii.iloc[0], radii.iloc[-1]) == (41, 0, top)
