"""Classifiers by name."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from noiseaug.certification import SmoothedClassifier
from noiseaug.data import DataSource, load_data
from noiseaug.errors import InvalidInputError
from noiseaug.subjects import load_classifier
from noiseaug.subjects.classifiers import BASES


@pytest.mark.parametrize("train_sigma", [0.0, 0.3])
def test_a_named_classifier_is_the_base_of_a_smoothed_one(train_sigma):
    data = load_data("digits:3,8")
    own = load_classifier("logistic", data, train_sigma, 2, 7)
    smoothed = SmoothedClassifier(BASES["logistic"](), train_sigma, copies=2, random_state=7)
    smoothed.fit(data.train.rows(), data.train.labels)
    assert np.array_equal(own.coef_, smoothed.base_.coef_)


def test_what_cannot_be_loaded_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "brokenclassifier.py").write_text("def f(:\n")
    path = list(sys.path)
    one = DataSource.from_arrays("one", np.eye(3), [1, 1, 1], np.eye(3), [1, 1, 1])
    alone = DataSource.from_arrays("alone", np.eye(3), [0, 1, 1])
    for name, data, more, message in [
        ("brokenclassifier:f", alone, (0.0, 1, 0), "cannot import brokenclassifier: "),
        (".relative:f", alone, (0.0, 1, 0), "classifier is '.relative:f'; expected logistic"),
        ("neighbours", alone, (0.1, 1, 0), "alone has no train_x and train_y"),
        ("neighbours", one, (0.1, 1, 0), "one has a single class to train on"),
        ("neighbours", load_data("digits"), (0.1, 0, 0), "copies is 0"),
        ("neighbours", load_data("digits"), (0.1, 1, -1), "seed is -1"),
    ]:
        with pytest.raises(InvalidInputError) as caught:
            load_classifier(name, data, *more)
        assert str(caught.value).startswith(message)
        assert "\n" not in str(caught.value)
    assert sys.path == path
