"""SmoothedClassifier among scikit-learn's tools, and against what it must be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from noiseaug.certification import SmoothedClassifier, certified_accuracy_scorer, certify
from noiseaug.errors import InvalidInputError
from noiseaug.records import read_log
from noiseaug.regions import HalfSpace


@parametrize_with_checks([SmoothedClassifier(votes=50)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(300, centers=[[0, 0], [2, 0], [0, 2]], cluster_std=0.4, random_state=0)


class Remembering(LogisticRegression):
    """Keeps what it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = np.array(X)
        return super().fit(X, y)


def test_fit_makes_new_noise_for_each_copy(blobs):
    x, y = blobs
    model = SmoothedClassifier(Remembering(), train_sigma=0.3, copies=4).fit(x, y)
    noise = model.base_.seen_.reshape(4, *x.shape) - x
    assert len({copy.tobytes() for copy in noise}) == 4
    assert np.std(noise) == pytest.approx(0.3, rel=0.06)  # 2 400 draws: six standard errors
    plain = SmoothedClassifier(Remembering(), train_sigma=0.0, copies=4).fit(x, y)
    assert np.array_equal(plain.base_.seen_, x)


def test_predictions_are_the_votes_of_the_base(blobs):
    x, y = blobs
    model = SmoothedClassifier(smooth_sigma=0.5, votes=2000).fit(x, y)
    shares = model.predict_proba(x[:5])
    noise = np.random.default_rng(0).standard_normal((20_000, 2))
    for point, share in zip(x[:5], shares, strict=True):
        votes = np.bincount(model.base_.predict(point + 0.5 * noise), minlength=3) / 20_000
        assert np.allclose(share, votes, atol=6 * np.sqrt(0.25 / 2000))  # six standard errors
    assert np.array_equal(model.predict(x), model.classes_[model.predict_proba(x).argmax(axis=1)])


def test_string_labels_and_seeds(blobs):
    x, y = blobs
    names = np.array(["ant", "bee", "cat"])[y]
    model = SmoothedClassifier(smooth_sigma=0.4, random_state=3).fit(x, names)
    assert set(model.predict(x)) <= set(names)
    again = clone(model).fit(x, names)
    assert np.array_equal(model.predict_proba(x[:50]), again.predict_proba(x[:50]))
    frame = model.certify(x[:20], names[:20], n=200)
    assert frame["correct"].mean() > 0.8
    with pytest.raises(InvalidInputError, match="labels hold 'dog'; expected one of the classifier's classes"):
        model.certify(x[:2], ["ant", "dog"])


def test_labels_of_a_log_keep_their_names(blobs, tmp_path):
    x, y = blobs
    for names in (np.array(["ant", "bee", "cat"]), np.array([1, 2, 7])):
        forest = RandomForestClassifier(5, max_depth=3, random_state=0).fit(x, names[y])
        options = {"smooth_sigma": 0.4, "n": 100, "n0": 10}
        log = tmp_path / f"{names[0]}.jsonl"
        frame = certify(forest, x[:30], labels=names[y[:30]], log=log, **options)
        assert frame["label"].tolist() == y[:30].tolist()
        assert frame["correct"].mean() > 0.7
        assert read_log(log)[0]["classes"] == names.tolist()
        with pytest.raises(InvalidInputError, match=r"labels hold (5|'dog'); expected one of the classifier's classes"):
            certify(forest, x[:1], labels=[5 if names[0] == 1 else "dog"], **options)
    places = RandomForestClassifier(5, max_depth=3, random_state=0).fit(x, y)
    certify(places, x[:3], labels=y[:3], log=tmp_path / "places.jsonl", **options)
    assert "classes" not in read_log(tmp_path / "places.jsonl")[0]


def test_weights_of_the_training_inputs(blobs):
    x, y = blobs
    heavy = np.where(y == 2, 0.0, 1.0)
    for base, options in [
        (LogisticRegression(), {"train_sigma": 0.3, "copies": 3}),
        (make_pipeline(MinMaxScaler(), LogisticRegression()), {}),
    ]:
        model = SmoothedClassifier(base, **options).fit(x, y, sample_weight=heavy)
        assert 2 not in model.predict(x)
    with pytest.raises(InvalidInputError, match="KNeighborsClassifier takes no sample_weight"):
        SmoothedClassifier(KNeighborsClassifier()).fit(x, y, sample_weight=heavy)
    with pytest.raises(ValueError, match=r"sample_weight\.shape"):
        SmoothedClassifier().fit(x, y, sample_weight=heavy[:5])


def test_sparse_inputs_and_columns_by_name(blobs):
    x, y = blobs
    plain = SmoothedClassifier(train_sigma=0.2, random_state=1).fit(x, y)
    sparse = SmoothedClassifier(train_sigma=0.2, random_state=1).fit(csr_matrix(x), y)
    assert np.array_equal(plain.predict_proba(x[:9]), sparse.predict_proba(csr_matrix(x[:9])))
    assert (
        certify(plain.base_, csr_matrix(x[:9]), smooth_sigma=0.4, n=50, n0=10)["prediction"].tolist()
        == certify(plain.base_, x[:9], smooth_sigma=0.4, n=50, n0=10)["prediction"].tolist()
    )
    frame = pd.DataFrame(x, columns=["east", "north"])
    base = make_pipeline(make_column_transformer((MinMaxScaler(), ["north", "east"])), LogisticRegression())
    named = SmoothedClassifier(base, train_sigma=0.2).fit(frame, y)
    assert named.score(frame, y) > 0.8
    assert named.certify(frame[:9], y[:9], n=50)["correct"].mean() > 0.5


def test_certified_radii_of_a_linear_model():
    """Two classes and a linear base: the region is a half-space, whose true radius is the distance."""
    x, y = make_blobs(120, centers=[[-1, 0, 0], [1, 0, 0]], cluster_std=0.5, random_state=1)
    model = SmoothedClassifier(train_sigma=0.3, smooth_sigma=0.5, copies=3).fit(x, y)
    frame = model.certify(x, y, n=1000)
    distance = HalfSpace(model.base_.coef_[0], -model.base_.intercept_[0]).distance_to_boundary(x)
    said = (frame["prediction"] >= 0).to_numpy()
    # 120 certificates at failure probability .001: four or more failures have probability below 1e-5
    assert (frame["radius"].to_numpy()[said] > distance[said]).sum() <= 3
    assert np.corrcoef(frame["radius"][said], np.minimum(distance[said], 1.2))[0, 1] > 0.95


def test_grid_search_and_pipeline():
    x, y = load_digits(return_X_y=True)
    kept = np.isin(y, (3, 8))
    x, y = x[kept], y[kept]
    pipeline = make_pipeline(MinMaxScaler(), SmoothedClassifier(smooth_sigma=0.5, copies=2))
    search = GridSearchCV(
        pipeline,
        {"smoothedclassifier__train_sigma": [0.0, 0.5], "smoothedclassifier__smooth_sigma": [0.25, 0.5]},
        scoring=certified_accuracy_scorer(0.5, n=100, n0=20),
        cv=2,
    ).fit(x, y)
    assert 0.2 < search.best_score_ <= 1
    # at β = .25 a hundred votes reach .375 at most: radius .5 needs the larger level
    assert search.best_params_["smoothedclassifier__smooth_sigma"] == 0.5
    assert search.best_estimator_.predict(x[:5]).shape == (5,)


def test_any_base(blobs):
    x, y = blobs
    model = SmoothedClassifier(RandomForestClassifier(5, max_depth=3, random_state=0), train_sigma=0.2).fit(x, y)
    assert model.score(x, y) > 0.8


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"train_sigma": -1}, "train_sigma"),
        ({"smooth_sigma": 0}, "smooth_sigma"),
        ({"copies": 0}, "copies"),
        ({"votes": 0}, "votes"),
    ],
)
def test_bad_parameters(blobs, changes, word):
    with pytest.raises(InvalidInputError, match=word):
        SmoothedClassifier(**changes).fit(*blobs)
