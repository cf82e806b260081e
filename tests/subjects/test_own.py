"""Classifiers of the user's own, of every kind that users bring, on the command line's way to them."""

from __future__ import annotations

import sys
import textwrap

import joblib
import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noiseaug.certification import certify
from noiseaug.data import load_data
from noiseaug.subjects import load_subject
from tests.helpers.errors import complaint
from tests.helpers.running import call_root

RNG = np.random.default_rng(4)
X = RNG.normal(size=(60, 2)) + np.repeat([[3, 0], [-3, 0], [0, 5]], 20, axis=0)
ROWS = slice(None, None, 6)

MODULE = """
    import numpy as np

    CENTRES = np.array([[3, 0], [-3, 0], [0, 5.0]])

    def scores(rows):
        return -np.square(rows[:, None] - CENTRES).sum(-1)

    def labels(rows):
        return scores(rows).argmax(1)

    class Classifier:
        num_classes = 3

        def predict(self, rows):
            return labels(rows)

    def factory():
        return Classifier()

    def sized(num_classes, in_features):
        assert (num_classes, in_features) == (3, 2)
        return labels

    def four(rows):
        return labels(rows) * 2

    class Hidden:
        def __init__(self, width):
            self.width = width

    def broken():
        raise OSError("no luck")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's in the current folder, and points of three classes by numbers and by names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_classifier.py").write_text(textwrap.dedent(MODULE))
    y = np.repeat([0, 1, 2], 20)
    np.savez("places.npz", x=X, y=y)
    np.savez("numbers.npz", x=X, y=np.array([1, 2, 7])[y])
    np.savez("names.npz", x=X, y=np.array(["ant", "bee", "cat"])[y])
    np.savez("some.npz", x=X[20:], y=y[20:])
    yield tmp_path
    sys.modules.pop("own_classifier", None)


def accuracy(classifier, data, **options):
    subject = load_subject(classifier, data, **options)
    test = subject.data
    frame = certify(
        subject.base, test.inputs[ROWS], smooth_sigma=0.5, labels=test.labels[ROWS], n=50, n0=10, failure_prob=0.05
    )
    return frame["correct"].mean(), subject


@pytest.mark.parametrize("name", ["scores", "labels", "Classifier", "factory", "sized"])
@pytest.mark.parametrize("data", ["places", "numbers", "names"])
def test_functions_classes_and_factories(own, name, data):
    right, subject = accuracy(f"own_classifier:{name}", f"{data}.npz")
    assert right > 0.8
    assert subject.data.num_classes == 3


@pytest.mark.parametrize("kind", [LogisticRegression, RandomForestClassifier])
@pytest.mark.parametrize("trained", ["places", "numbers", "names"])
def test_fitted_classifiers_meet_the_classes_of_the_data(own, kind, trained):
    raw = load_data(f"{trained}.npz").test
    own_labels = np.array(raw.classes)[raw.labels]
    model = make_pipeline(StandardScaler(), kind()).fit(X, own_labels if trained == "names" else own_labels.astype(int))
    joblib.dump(model, "model.joblib")
    assert accuracy("model.joblib", f"{trained}.npz")[0] > 0.8
    if trained == "places":  # places mean the same for all three
        assert accuracy("model.joblib", "names.npz")[0] > 0.8
        assert accuracy("model.joblib", "some.npz")[0] > 0.8
    if trained == "numbers":
        assert accuracy("model.joblib", "numbers.npz:2,7")[0] > 0.8
    if trained == "names":
        assert "model.joblib knows the classes ant, bee, cat; places.npz has 0, 1, 2" in complaint(
            lambda: load_subject("model.joblib", "places.npz")
        )


def test_a_classifier_of_more_classes_than_the_data_have(own):
    """Labels 1 and 2 are classes 1 and 2 of a classifier that knows three, though the data have only two."""
    right, subject = accuracy("own_classifier:labels", "some.npz", num_classes=3)
    assert right > 0.8
    assert subject.data.labels[[0, -1]].tolist() == [1, 2]
    # the description is that of the data as they were read
    assert subject.description["classes"] == ["1", "2"]
    right, subject = accuracy("own_classifier:four", "numbers.npz:1,2", num_classes=5)
    assert subject.data.labels[[0, -1]].tolist() == [1, 2]
    assert "which of those class ant is, is not known" in complaint(
        lambda: load_subject("own_classifier:four", "names.npz", num_classes=5)
    )


def test_columns_by_name_and_sparse_input(own):
    """A pipeline that was fitted on a frame gets the arrays that the vote engine makes."""
    import pandas as pd
    from scipy.sparse import csr_matrix

    y = np.repeat(["ant", "bee", "cat"], 20)
    frame = pd.DataFrame(X, columns=["size", "weight"])
    joblib.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y), "frame.joblib")
    assert accuracy("frame.joblib", "names.npz")[0] > 0.8
    by_name = make_column_transformer((StandardScaler(), ["weight"]), remainder="passthrough")
    joblib.dump(make_pipeline(by_name, LogisticRegression()).fit(frame, y), "columns.joblib")
    assert accuracy("columns.joblib", "names.npz")[0] > 0.8
    joblib.dump(LogisticRegression().fit(csr_matrix(X), y), "sparse.joblib")
    assert accuracy("sparse.joblib", "names.npz")[0] > 0.8


def test_what_cannot_be_made_is_one_line(own):
    for name, options, message in [
        ("own_classifier:Hidden", {}, "own_classifier:Hidden needs width; expected a class or factory that needs"),
        ("own_classifier:broken", {}, "own_classifier:broken cannot be made: no luck"),
        ("own_classifier:labels", {"weights": own / "w.pt"}, "own_classifier:labels needs rows"),
        ("own_classifier:factory", {"weights": own / "w.pt"}, "own_classifier:factory is no torch module"),
        ("logistic", {"weights": own / "w.pt"}, "logistic takes no file of weights; leave out --weights"),
    ]:
        assert message in complaint(lambda name=name, options=options: load_subject(name, "names.npz", **options))


def test_onnx(own):
    onnx = pytest.importorskip("onnx", reason="needs onnx, to make a file")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    from onnx import TensorProto, helper

    weight = np.array([[3, -3, 0], [0, 0, 5]], np.float32)
    offset = np.array([-4.5, -4.5, -12.5], np.float32)

    def save(path, matrix, shift, batch="n", extra=()):
        nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"]), *extra]
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, len(shift)])]
        graph = helper.make_graph(
            nodes,
            "linear",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2])],
            outputs,
            [onnx.numpy_helper.from_array(each, name) for each, name in ((matrix, "w"), (shift, "b"))],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        onnx.save(model, path)

    save("three.onnx", weight, offset)
    right, subject = accuracy("three.onnx", "names.npz")
    assert right > 0.8
    assert len(subject.description["content"]) == 16
    save("fixed.onnx", weight, offset, batch=7)  # of a batch of seven only
    assert accuracy("fixed.onnx", "names.npz")[0] == right
    save("one.onnx", weight[:, 1:2], offset[1:2])
    np.savez("two.npz", x=X[:40], y=np.repeat(["ant", "bee"], 20))
    assert accuracy("one.onnx", "two.npz")[0] > 0.8
    np.savez("wide.npz", x=np.zeros((4, 3)), y=[0, 1, 2, 0])
    (own / "bad.onnx").write_bytes(b"no")
    for name, data, message in [
        ("three.onnx", "wide.npz", "three.onnx does not take inputs of shape 3"),
        ("bad.onnx", "names.npz", "bad.onnx is no network for onnxruntime"),
        ("none.onnx", "names.npz", "no file none.onnx"),
    ]:
        assert message in complaint(lambda name=name, data=data: load_subject(name, data))


def test_named_classifiers_meet_classes_that_are_not_trained_on(own):
    np.savez("gap.npz", x=X, y=np.repeat([0, 1, 2], 20), train_x=X[np.r_[:20, 40:60]], train_y=np.repeat([0, 2], 20))
    right, subject = accuracy("logistic", "gap.npz")
    assert (right > 0.5, subject.base.num_classes) == (True, 3)


def test_the_data_of_every_kind_reach_a_classifier(own):
    """One point of a table, by name and by its columns."""
    lines = [
        "size,weight,kind",
        *(f"{a},{b},{kind}" for (a, b), kind in zip(X, np.repeat(["a", "b", "c"], 20), strict=True)),
    ]
    (own / "points.csv").write_text("\n".join(lines))
    right, subject = accuracy("own_classifier:labels", "points.csv?label=kind")
    assert right > 0.8
    assert subject.description["data"] == "points.csv?label=kind"
    assert subject.description["classes"] == ["a", "b", "c"]
    assert load_data("points.csv", label="kind").test.digest == subject.description["data_digest"]
    options = (
        "--classifier",
        "own_classifier:labels",
        "--label",
        "kind",
        "--smooth-sigma",
        0.5,
        "--n",
        20,
        "--every",
        30,
    )
    done = call_root("predict", "--data", "points.csv", "--scale", "standard", *options)
    assert (done.status, done.out.count("\n")) == (0, 3)
    assert "points.csv?label=kind&scale=standard: scaled column by column; radii are in these units" in done.err
