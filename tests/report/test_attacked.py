"""Runs of predictions: accuracies by hand, attacked predictions beside certified radii."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from noiseaug.confidence import binomial_interval
from noiseaug.errors import InvalidInputError
from noiseaug.report import confront, is_prediction, render, summarise_predictions

# five images of class 1, certified right with these radii; the fourth is certified for class 2, the fifth abstains
CERTIFIED = pd.DataFrame(
    {
        "index": [0, 20, 40, 60, 80],
        "label": 1,
        "prediction": [1, 1, 1, 2, -1],
        "radius": [0.2, 0.5, 1.0, 0.7, 0.0],
    }
)


def predictions(*predicted, index=(0, 20, 40, 60, 80), label=1):
    frame = pd.DataFrame({"index": list(index), "label": label, "prediction": list(predicted)})
    return frame.assign(correct=frame["prediction"] == frame["label"], seconds=math.nan)


def test_predictions_side_by_side():
    runs = {
        "strong": ({"n": 100, "attack": "pgd", "attack_radius": 0.5}, predictions(1, 2, -1, 2, 2)),
        "none": ({}, predictions(1, 1, 1, 2, -1)),
        "weak": ({"n": 100, "attack": "pgd", "attack_radius": 0.25}, predictions(1, 1, -1, 2, -1)),
    }
    table = summarise_predictions(runs)
    assert table["run"].tolist() == ["weak", "strong", "none"]
    assert table["accuracy"].tolist() == [0.4, 0.2, 0.6]
    assert table["abstained"].tolist() == [2, 1, 1]
    assert table["n"].astype(object).tolist() == [100, 100, pd.NA]
    assert tuple(table[["accuracy_lower", "accuracy_upper"]].iloc[0]) == binomial_interval(2, 5, 0.05)
    text = render(table, "text")
    assert "40.0 [5.2, 85.4]" in text
    assert "An abstention counts as wrong." in text
    assert is_prediction(runs["weak"][1])
    assert not is_prediction(CERTIFIED)


def test_attacked_predictions_beside_certified_radii():
    # at ε = .5 the second and third are certified: the attack takes the second to class 2, the third to nothing
    attacked = {
        "b": ({"attack_radius": 0.5}, predictions(2, 2, -1, 1, 2)),
        "a": ({"attack_radius": 0.1}, predictions(1, 1, 1, 2, -1)),
    }
    table = confront(CERTIFIED, attacked)
    assert table["attack_radius"].tolist() == [0.1, 0.5]
    assert table["certified_accuracy"].tolist() == [0.6, 0.4]
    assert table["accuracy_under_attack"].tolist() == [0.6, 0.2]
    assert table["violations"].tolist() == [0, 1]
    assert table["abstained_within"].tolist() == [0, 1]
    # what an attack must leave right: all that is certified, but for violations and abstentions
    left = table["certified_accuracy"] * 5 - table["violations"] - table["abstained_within"]
    assert (table["accuracy_under_attack"] * 5 >= left - 1e-9).all()
    assert "CA(ε) %" in render(table, "text")


def test_only_images_of_both_count():
    few = predictions(1, 2, index=(40, 60))
    more = predictions(2, 1, 1, index=(0, 40, 100))
    table = confront(CERTIFIED, {"few": ({"attack_radius": 0.5}, few), "more": ({"attack_radius": 0.6}, more)})
    assert table["images"].tolist() == [2, 2]
    assert table["certified_accuracy"].tolist() == [0.5, 0.5]
    assert table["accuracy_under_attack"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("description", "frame", "complaint"),
    [
        ({}, predictions(1, 1, 1, 1, 1), "x: the radius of the attack is not known"),
        ({"attack_radius": 1.0}, predictions(1, index=(7,)), "x and the certified run have no image in common"),
        ({"attack_radius": 1.0}, predictions(1, 1, 1, 1, 1, label=2), "x and the certified run are on different data"),
        ({"attack_radius": 1.0}, predictions(1, 1, index=(0, 0)), "x: the frame holds input 0 twice"),
        ({"attack_radius": 1.0}, predictions(index=()), "x: the run holds no"),
    ],
)
def test_runs_that_cannot_be_confronted(description, frame, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        confront(CERTIFIED, {"x": (description, frame)})
