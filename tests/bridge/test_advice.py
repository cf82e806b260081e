"""Advice before training, its track record, and how far classes are apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import typer
from scipy import special
from scipy.spatial.distance import cdist

from noiseaug.bridge.advice import advise, render_advice
from noiseaug.bridge.interference import Neighbours, draw_interference, nearest, noise_table, pair_distances, study
from noiseaug.bridge.record import RECORD_COLUMNS, add_to_record, band, record_rows, track_record
from noiseaug.cli import advise as advise_command
from noiseaug.cli import bridge
from noiseaug.data import DataSource, load_data
from noiseaug.errors import InvalidInputError
from noiseaug.tasks import GaussianPair
from tests.helpers.running import _inside
from tests.helpers.statistics import assert_frequency


def mislabelled():
    """Two groups on the line; every fifth training point has the other label, alone among its neighbours."""
    places = np.linspace(0, 1, 100)
    train_x = np.concatenate([places, places + 3])[:, None]
    truth = np.repeat([0, 1], 100)
    train_y = np.where(np.arange(200) % 5 == 2, 1 - truth, truth)
    # test inputs sit on the training points, half of them on wrong ones
    rows = [i for i in range(200) if i % 5 in (2, 4)]
    return DataSource.from_arrays("mislabelled", train_x[rows], truth[rows], train_x, train_y)


def rare():
    """A class of three points beside one of sixty: much noise erases it."""
    x = np.concatenate([[[-0.1], [0.0], [0.1]], np.linspace(1, 1.5, 60)[:, None]])
    y = np.repeat([1, 0], [3, 60])
    test_x = np.concatenate([np.linspace(-0.1, 0.1, 20), np.linspace(1, 1.5, 20)])[:, None]
    return DataSource.from_arrays("rare", test_x, np.repeat([1, 0], 20), x, y)


def options(**more):
    return {"radius": 0.0, "images": None, "votes": 50, "predictor": "kernel", **more}


# --- advice


def test_noise_that_outvotes_wrong_labels_is_advised():
    # α = 0 copies the label of the nearest point; β is too small to look beyond it
    advice = advise(mislabelled(), smooth_sigma=0.001, train_sigma=[0, 0.1, 0.2], **options())
    assert advice.curve["value"].tolist() == [0.5, 1, 1]
    assert advice.curve["plausible"].tolist() == [False, True, True]
    assert (advice.train_sigma, advice.lower, advice.upper) == (0.1, 0.1, 0.2)
    assert (advice.points, advice.inputs, advice.votes) == (200, 80, 50)


def test_noise_that_erases_a_rare_class_is_not_advised():
    advice = advise(rare(), smooth_sigma=2.0, train_sigma=[0.1, 3.0], **options(votes=100))
    # at α = 3 all inputs get the larger class
    assert advice.curve["value"].iloc[1] == 0.5
    assert advice.curve["value"].iloc[0] > 0.9
    assert advice.train_sigma == advice.best_train_sigma == advice.upper == 0.1


def test_equal_levels_leave_the_custom():
    data = DataSource.from_arrays(
        "two", np.array([[0.0], [9.0]] * 10), np.array([0, 1] * 10), np.array([[0.0], [9.0]]), np.arange(2)
    )
    advice = advise(data, smooth_sigma=0.5, **options())
    assert advice.curve["train_sigma"].tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert advice.train_sigma == advice.best_train_sigma == 0.5
    assert (advice.lower, advice.upper) == (0, 1)
    text = render_advice(advice, track_record())
    assert "train with α = 0.5" in text
    assert "does not tell the levels apart" in text
    assert "does not tell" not in render_advice(
        advise(rare(), smooth_sigma=2.0, train_sigma=[0.1, 3.0], **options()), track_record()
    )


def gaussians(n=3000):
    rng = np.random.default_rng(0)
    pair = GaussianPair([1, 0.5, 0.25], [-1, -0.5, -0.25], [0.5, 0.1, 0.02])
    (train_x, train_y), (x, y) = pair.sample(n, rng), pair.sample(100, rng)
    return pair, DataSource.from_arrays("gaussians", x, y, train_x, train_y)


def test_surrogates_know_the_best_level_for_a_radius():
    pair, data = gaussians()
    advice = advise(data, smooth_sigma=0.5, train_sigma=[0.25, 0.5], **options(radius=0.5, votes=None))
    found = advice.surrogates["train_sigma"].tolist()
    # 3000 draws know the moments to some percent
    assert found == pytest.approx([pair.optimal_train_sigma(0.5)], rel=0.1)
    assert advice.surrogates["half_distance"].tolist() == pytest.approx([np.sqrt(1 + 0.25 + 0.0625)], rel=0.05)
    assert f"α(r) {found[0]:.3g} (median)" in render_advice(advice, track_record())
    assert advise(data, smooth_sigma=0.5, train_sigma=[0.5], **options()).surrogates.empty
    beyond = advise(data, smooth_sigma=1.0, train_sigma=[0.5], **options(radius=1.5))
    assert beyond.surrogates["train_sigma"].tolist() == [np.inf]
    assert "beyond half the distance" in render_advice(beyond, track_record())


def test_every_pair_of_classes_is_asked():
    advice = advise(
        load_data("digits"), smooth_sigma=0.5, train_sigma=[0.5], **options(radius=0.25, images=10, votes=20)
    )
    assert len(advice.surrogates) == 45
    assert advice.surrogates["first"].lt(advice.surrogates["second"]).all()


def test_votes_grow_with_the_radius():
    _, data = gaussians(200)
    calls = {
        radius: advise(data, smooth_sigma=0.5, train_sigma=[0.5], radius=radius, images=5) for radius in (0.0, 1.0)
    }
    assert calls[0.0].votes == 100
    assert calls[1.0].votes == 440  # 10/Φ(−2)
    with pytest.raises(InvalidInputError, match=r"a radius of 3β needs .*at least 7408 votes"):
        advise(data, smooth_sigma=0.5, train_sigma=[0.5], radius=1.5)
    with pytest.raises(InvalidInputError, match=r"or a larger smooth_sigma$"):  # no votes would do
        advise(data, smooth_sigma=0.5, train_sigma=[0.5], radius=10.0)
    with pytest.raises(InvalidInputError, match="radius of 2β"):
        advise(data, smooth_sigma=0.5, train_sigma=[0.5], radius=1.0, votes=43)
    assert advise(data, smooth_sigma=0.5, train_sigma=[0.5], radius=1.0, votes=44, images=5).votes == 44


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"smooth_sigma": 0}, "smooth_sigma is 0"),
        ({"radius": -1}, "radius is -1"),
        ({"train_sigma": []}, "train_sigma is empty"),
        ({"images": 0}, "images is 0"),
        ({"points": 2}, "take more points"),
    ],
)
def test_bad_input(change, message):
    arguments = {"smooth_sigma": 0.5, "train_sigma": [0.1], **options(), **change}
    with pytest.raises(InvalidInputError, match=message) as caught:
        advise(rare() if "points" in change else mislabelled(), **arguments)
    assert "\n" not in str(caught.value)


# --- the track record


def gaps():
    common = {"predictor": "kernel", "smooth_sigma": 0.5, "predicted_train_sigma": 0.5, "measured_train_sigma": 0.4}
    common |= {"measured_best": 0.9, "predicted": 0.1, "measured": 0.12}
    rows = [
        {**common, "quantity": "risk", "radius": np.nan, "regret": 0.01},
        {**common, "quantity": "certified_accuracy", "radius": 0.0, "regret": 0.5},
        {**common, "quantity": "certified_accuracy", "radius": 0.25, "regret": 0.03, "measured_train_sigma": 0.7},
        # out of the votes' reach: every level is as good as any other
        {**common, "quantity": "certified_accuracy", "radius": 2.0, "regret": 0.0, "measured_best": 0.0},
        {**common, "quantity": "acr", "radius": np.nan, "regret": 0.6},
        {**common, "quantity": "risk", "radius": np.nan, "regret": 0.7, "predictor": "gaussian"},
        {**common, "quantity": "risk", "radius": np.nan, "regret": 0.8, "smooth_sigma": 0.0},
    ]
    return pd.DataFrame(rows)


def test_the_packaged_record_can_be_read():
    assert tuple(track_record().columns) == RECORD_COLUMNS


def test_no_record_yet():
    advice = advise(mislabelled(), smooth_sigma=0.1, train_sigma=[0.1], **options())
    empty = pd.DataFrame(columns=list(RECORD_COLUMNS))
    assert render_advice(advice, empty).endswith("track record: no record yet\n")


def test_a_record_is_built_kept_and_quoted(tmp_path):
    path = tmp_path / "record.csv"
    rows = record_rows(gaps(), data="mnist", model="cnn", source="grid")
    assert rows["radius"].tolist() == [0, 0.25]
    assert rows["regret"].tolist() == [0.01, 0.03]
    # accuracies: a risk is turned round
    assert rows["predicted"].tolist() == pytest.approx([0.9, 0.1])
    assert rows["measured"].tolist() == pytest.approx([0.88, 0.12])
    add_to_record(rows, path)
    add_to_record(rows.assign(regret=[0.02, 0.04]), path)  # measured anew
    whole = add_to_record(rows.assign(model="mlp"), path)
    assert len(whole) == 4
    kept = track_record(path)
    assert kept.loc[kept["model"] == "cnn", "regret"].tolist() == [0.02, 0.04]
    advice = advise(mislabelled(), smooth_sigma=0.1, train_sigma=[0.1], **options())
    text = render_advice(advice, kept)
    assert (
        "mnist, cnn, kernel rule: 2 cases, |Δα| median 0.15, largest 0.2; regret median 0.0300, largest 0.0400" in text
    )
    assert "measured best α = 1.1 β (median)" in text
    assert "no record" not in text


def record_of(errors, data="a", predictor="kernel"):
    rows = pd.DataFrame({"predicted": 0.5, "measured": 0.5 + np.asarray(errors)})
    return rows.assign(data=data, predictor=predictor)


def test_the_band_comes_from_other_data_sets():
    record = pd.concat(
        [
            record_of(np.arange(-20, 21) / 100, "other"),
            record_of([0.4] * 50, "mnist:3,8"),  # the data set itself, some classes of it
            record_of([0.4] * 50, "other", "quadratic"),
        ]
    )
    found = band(record, "mnist", "kernel", 0.5)
    # two of 41 cases are left out at either end
    assert (found.lower, found.upper) == pytest.approx((0.32, 0.68))
    assert (found.cases, found.sets, found.share) == (41, ("other",), 0.9)
    assert band(record, "mnist", "kernel", 0.9).upper == 1
    assert band(record, "mnist", "convolutional", 0.5) is None
    assert band(record, "other", "quadratic", 0.5) is None
    with pytest.raises(InvalidInputError, match="share is 1"):
        band(record, "mnist", "kernel", 0.5, share=1)


def test_both_levels_are_advised_for_a_radius():
    _, data = gaussians()
    advice = advise(data, **options(radius=0.5, votes=None, predictor="quadratic"))
    assert advice.curves["smooth_sigma"].unique().tolist() == [0.25, 0.35, 0.5, 0.7, 1]
    assert advice.curves.groupby("smooth_sigma").size().tolist() == [8] * 5
    chosen = advice.curves[advice.curves["recommended"]]
    assert len(chosen) == 5
    assert advice.value == chosen["value"].max()
    assert (advice.smooth_sigma, advice.train_sigma) in set(
        zip(chosen["smooth_sigma"], chosen["train_sigma"], strict=True)
    )
    # a half-space certifies the same at every β, but for chance
    assert chosen["value"].max() - chosen["value"].min() < 0.1
    text = render_advice(advice, track_record())
    assert f"r = 0.5: smooth with β = {advice.smooth_sigma:g} and train with α = {advice.train_sigma:g}" in text
    assert "      β       α   predicted" in text
    # the same curve as with the level given
    alone = advise(
        data, smooth_sigma=0.5, train_sigma=[0.0, 0.25], **options(radius=0.5, votes=None, predictor="quadratic")
    )
    both = advice.curves[(advice.curves["smooth_sigma"] == 0.5) & advice.curves["train_sigma"].isin([0.0, 0.25])]
    assert both["value"].tolist() == alone.curve["value"].tolist()
    with pytest.raises(InvalidInputError, match="radius is 0 and smooth_sigma not given"):
        advise(data, **options())


def test_images_are_advised_by_the_convolutional_rule_too():
    asked = options(predictor="convolutional", images=5, votes=10, points=200)
    advice = advise(load_data("digits"), smooth_sigma=0.5, train_sigma=[0.5], **asked)
    assert (advice.predictor, advice.points) == ("convolutional", 200)
    with pytest.raises(InvalidInputError, match="choose the quadratic rule"):
        advise(gaussians(50)[1], smooth_sigma=0.5, train_sigma=[0.5], **{**asked, "points": 40})


def test_other_files_are_no_record(tmp_path):
    path = tmp_path / "record.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInputError, match="has columns a, b; expected data"):
        add_to_record(record_rows(gaps(), data="d", model="m", source="s"), path)
    assert path.read_text() == "a,b\n1,2\n"
    with pytest.raises(InvalidInputError, match="no row for the record"):
        add_to_record(record_rows(gaps()[1:2], data="d", model="m", source="s"), path)


# --- interference


@pytest.fixture(scope="module")
def cloud():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(300, 6)).astype(np.float32) + 5
    points[7] = points[201]
    return points, rng.integers(0, 3, 300)


def test_nearest_points_are_those_of_a_search(cloud, monkeypatch):
    points, labels = cloud
    asked = np.array([3, 7, 250, 201])
    distance = cdist(points.astype(float), points.astype(float))
    np.fill_diagonal(distance, np.inf)
    expected = np.stack([[distance[i, labels == c].min() for c in range(3)] for i in asked])
    crowd = [[special.ndtr(-0.5 * distance[i, labels != labels[i]] / s).sum() for i in asked] for s in (0.3, 1.0)]
    for block in (1 << 22, 1):
        monkeypatch.setattr("noiseaug.bridge.interference._BLOCK_FLOATS", block)
        found = nearest(points, labels, inputs=asked, sigmas=(0.3, 1.0))
        np.testing.assert_allclose(found.distance, expected, rtol=1e-12)
        np.testing.assert_allclose(found.crowd, crowd, rtol=1e-3)
        assert found.labels.tolist() == labels[asked].tolist()
    assert found.distance[1, labels[201]] == 0  # a twin
    assert found.same.tolist() == [expected[i, labels[row]] for i, row in enumerate(asked)]
    assert found.other.tolist() == [np.delete(expected[i], labels[row]).min() for i, row in enumerate(asked)]


def test_noise_confuses_two_points_by_half_their_distance():
    """Φ(−D/2σ), whatever the dimension: what the table says, and what noise does."""
    points = np.zeros((4, 50))
    points[1, :4], points[2, 0], points[3, 0] = 1.0, -9.0, -9.5  # D = 2 between the first two
    found = nearest(points, np.array([0, 1, 0, 1]), inputs=[0], sigmas=(1.0,))
    row = noise_table(found).iloc[0]
    assert row["confusion"] == row["confusion_worst"] == pytest.approx(special.ndtr(-1))
    assert row["half_distances_in_sigmas"] == pytest.approx(1)
    assert row["noise_norm"] == pytest.approx(np.sqrt(50))
    assert row["share_within_norm"] == 1
    assert row["union_bound"] == pytest.approx(special.ndtr(-1) + special.ndtr(-4.75))
    noisy = np.random.default_rng(2).standard_normal((20_000, 50))
    closer = np.sum((noisy - points[1]) ** 2, axis=1) < np.sum(noisy**2, axis=1)
    assert_frequency(int(closer.sum()), 20_000, special.ndtr(-1))


def test_pairs_of_classes(cloud):
    points, labels = cloud
    found = nearest(points, labels)
    table = pair_distances(found, ["a", "b", "c"])
    assert len(table) == 9
    row = table[(table["first"] == "b") & (table["second"] == "c")].iloc[0]
    column = found.distance[labels == 1, 2]
    assert row["inputs"] == len(column)
    assert row["distance_min"] == column.min()
    assert row["distance_05"] == pytest.approx(np.quantile(column, 0.05))
    assert row["half_distance"] == pytest.approx(0.5 * np.median(column))
    with pytest.raises(InvalidInputError, match="names are 2"):
        pair_distances(found, ["a", "b"])


def test_the_picture_compares_like_with_like():
    import matplotlib.pyplot as plt

    found = study(load_data("digits"), points=200, inputs=50, sigmas=[0.5])
    assert (len(found.labels), found.points, found.dim) == (50, 200, 64)
    figure = draw_interference(found, pair_distances(found), "digits")
    heat, spread = figure.axes[:2]
    assert heat.get_xlabel() == "class of the nearest point"
    assert "half the distance" in spread.get_xlabel()
    # on an axis of D/2: σ itself, and half of σ√d
    marks = [line.get_xdata()[0] for line in spread.lines if line.get_label().startswith(("σ", "½"))]
    assert marks == [0.5, 2.0]
    assert [label.get_text() for label in spread.get_xticklabels(which="minor") if label.get_text()] == []
    assert {"0.5", "1", "2"} <= {label.get_text() for label in spread.get_xticklabels()}
    plt.close(figure)


@pytest.mark.parametrize(
    ("points", "labels", "sigmas", "message"),
    [
        (np.zeros((3, 2)), [0, 1], [1.0], "labels are int64 of shape"),
        (np.zeros((3, 2)), [0, 1, 1], [1.0], r"have \[1, 2\] points"),
        (np.zeros((4, 2)), [0, 0, 1, 1], [0.0], "sigmas is 0"),
        (np.zeros((4, 2)), [0, 0, 0, 0], [1.0], "K ≥ 2"),
    ],
)
def test_bad_points(points, labels, sigmas, message):
    with pytest.raises(InvalidInputError, match=message):
        nearest(points, np.array(labels), sigmas=sigmas)


def test_neighbours_are_plain_values():
    found = Neighbours(np.array([0, 1]), np.array([[1.0, 4.0], [3.0, 2.0]]), np.zeros((0, 2)), (), 1, 4)
    assert found.same.tolist() == [1, 2]
    assert found.other.tolist() == [4, 3]


# --- the commands


def run(*arguments):
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    bridge.register(app)
    advise_command.register(app)
    return _inside(app, arguments)


def test_advise_command(tmp_path):
    out = tmp_path / "curve.csv"
    done = run(
        *("advise", "--data", "digits", "--smooth-sigma", 0.5, "--radius", 0.25, "--train-sigma", "0,0.25,0.5"),
        *("--images", 30, "--votes", 50, "--out", out, "--plot", tmp_path / "curve.png"),
    )
    assert done.status == 0, done.err
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "band from the track record: " in done.out
    assert done.out.startswith("digits, β = 0.5, r = 0.25: train with α = ")
    assert "Gaussian surrogates of 45 pairs" in done.out
    curve = pd.read_csv(out)
    assert curve["train_sigma"].tolist() == [0, 0.25, 0.5]
    assert curve["recommended"].sum() == 1
    assert f"train with α = {curve.loc[curve['recommended'], 'train_sigma'].iloc[0]:g}\n" in done.out


def test_interference_command(tmp_path):
    done = run("interference", "--data", "digits", "--images", 40, "--points", 200, "--pairs", "--out", tmp_path)
    assert done.status == 0, done.err
    assert "40 inputs among 200 training inputs, d = 64" in done.out
    assert {path.name for path in tmp_path.iterdir()} == {"noise.csv", "pairs.csv", "interference.png"}
    assert pd.read_csv(tmp_path / "noise.csv")["sigma"].tolist() == [0.25, 0.5, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["advise", "--smooth-sigma", 0.5, "--train-sigma", "0;1"], "--train-sigma is '0;1'"),
        (["advise", "--smooth-sigma", 0.5, "--out", "nowhere/curve.csv"], "no folder nowhere"),
        (
            ["advise", "--smooth-sigma", 0.5, "--predictor", "linear"],
            "predictor is 'linear'; expected one of convolutional, quadratic, kernel",
        ),
        (["advise", "--smooth-sigma", -1], "smooth_sigma is -1"),
        (["advise"], "radius is 0 and smooth_sigma not given"),
        (["advise", "--smooth-sigma", 0.5, "--record", "nowhere.csv"], "nowhere.csv"),
        (["advise", "--smooth-sigma", 0.5, "--data", "letters"], "data is 'letters'"),
        (["interference", "--sigma", "0", "--out", "x"], "sigmas is 0"),
    ],
)
def test_bad_commands_get_one_line(tmp_path, arguments, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.status == 2
    assert message in done.complaint
    assert not list(tmp_path.iterdir())
