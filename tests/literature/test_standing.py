"""Intervals of released runs, and one's own run among them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseaug.confidence import binomial_interval
from noiseaug.errors import InvalidInputError
from noiseaug.literature import RADII, acr_error, column, neighbours, published, standing, with_interval
from noiseaug.report import average_certified_radius, certified_accuracy, earned_radii
from noiseaug.tables import Measure

ACR, CA = Measure("acr"), Measure("certified_accuracy", 0.5)


def run(radii, index=None):
    """Images that are certified right with these radii; NaN: wrong."""
    radii = np.asarray(radii, dtype=float)
    return pd.DataFrame(
        {
            "index": np.arange(len(radii)) if index is None else index,
            "label": 0,
            "prediction": np.where(np.isnan(radii), 1, 0),
            "radius": np.where(np.isnan(radii), 1.0, radii),
        }
    )


def summary(frame):
    """A run as the table of released runs would have it."""
    values = certified_accuracy(frame, RADII)["value"]
    row = {column(Measure("certified_accuracy", r)): v for r, v in zip(RADII, values, strict=True)}
    acr, largest = average_certified_radius(frame), frame["radius"].max()
    return pd.DataFrame([{"images": len(frame), "acr": acr, "largest_radius": largest, **row}])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.floats(0, 3.9), st.just(math.nan)), min_size=1, max_size=40))
def test_the_error_of_an_acr_is_bounded(radii):
    frame = run(radii)
    exact = earned_radii(frame).std() / math.sqrt(len(frame))
    assert acr_error(summary(frame))[0] >= exact * (1 - 1e-9) - 1e-9


def test_the_bound_is_not_far_off():
    rng = np.random.default_rng(0)
    for scale in (0.5, 1.0, 2.0):
        frame = run(np.minimum(rng.exponential(scale, 500), 3.8))
        exact = earned_radii(frame).std() / math.sqrt(500)
        assert exact <= acr_error(summary(frame))[0] <= 1.2 * exact


def test_intervals():
    table = published(data="cifar10", smooth_sigma=0.5, images=500)
    found = with_interval(table, CA)
    count = round(500 * table["ca_0.5"].iloc[0])
    ends = found[["ca_0.5_lower", "ca_0.5_upper"]].iloc[0]
    assert tuple(ends) == pytest.approx(binomial_interval(count, 500, 0.05))
    found = with_interval(table, ACR)
    reach = found["acr_upper"] - found["acr"]
    assert reach.to_numpy() == pytest.approx(1.959964 * acr_error(table), rel=1e-6)
    assert (with_interval(table, ACR, 0.01)["acr_upper"] > found["acr_upper"]).all()


def field(*values, images=500, data="cifar10"):
    """Released runs with these ACRs, whose accuracy is flat up to twice the ACR at a half."""
    rows = []
    for value in values:
        ca = {f"ca_{r:g}": 0.5 if r <= 2 * value else 0.0 for r in RADII}
        rows.append({"images": images, "data": data, "acr": value, "largest_radius": 4.0, "paper": "P", **ca})
    extra = {"method": "gaussian", "pre_training": False, "self_training": False}
    blank = dict.fromkeys(("attack_radius", "attack_steps", "copies", "weight"), math.nan)
    return pd.DataFrame(rows).assign(**extra, **blank)


def test_rank_and_envelope_by_hand():
    released = field(*np.arange(0.1, 1.05, 0.1))  # .1, .2, …, 1
    mine = run([0.5, 0.7] * 50)
    (row,) = standing(mine, released, [ACR]).to_dict("records")
    assert (row["value"], row["rank"], row["runs"], row["best"]) == (pytest.approx(0.6), 5, 10, 1.0)
    # the interval is 0.5803 to 0.6197
    assert (row["rank_lower"], row["rank_upper"]) == (5, 6)
    assert row["best_run"] == "gaussian (P)"
    # certified accuracy 1 at .5 is above everything, and a tie with a rounded number is no loss
    (row,) = standing(mine, released, [CA]).to_dict("records")
    assert (row["rank"], row["best"]) == (1, 0.5)
    (row,) = standing(run([0.59996] * 10), released.assign(acr=0.6), [ACR]).to_dict("records")
    assert row["rank"] == 1


def test_the_same_images_are_compared():
    released = pd.concat([field(*[0.5] * 10), field(*[0.4] * 10, images=10_000), field(0.1, images=250)])
    radii = np.where(np.arange(10_000) % 20 == 0, 1.0, 0.2)
    found = standing(run(radii), released, [ACR]).set_index("field_images")
    assert found.index.tolist() == [500, 10_000]  # one run on 250 images is no field
    assert found["same_images"].tolist() == [True, True]
    assert found["images"].tolist() == [500, 10_000]
    assert found["value"].tolist() == pytest.approx([1.0, 0.24])
    assert found["rank"].tolist() == [1, 11]
    few = standing(run(radii[:300]), released, [ACR]).set_index("field_images")
    assert few["same_images"].tolist() == [False, False]
    assert few["images"].tolist() == [300, 300]


def test_the_nearest_run_of_a_released_run_is_itself():
    released = published(data="cifar10", smooth_sigma=0.5, images=500)
    row = released.iloc[17]
    # a log with the same accuracies: the images that are certified at a radius are certified up to the next
    counts = np.rint(500 * row[[f"ca_{r:g}" for r in RADII]].to_numpy(float)).astype(int)
    radii = np.full(500, math.nan)
    for radius, count in zip(RADII, counts, strict=True):
        radii[:count] = radius
    near = neighbours(run(radii, index=np.arange(0, 10_000, 20)), released, 3)
    assert near["log"].iloc[0] == row["log"]
    assert near["gap"].iloc[0] == pytest.approx(0, abs=1e-9)
    assert near["gap"].is_monotonic_increasing
    assert len(near) == 3


@pytest.mark.parametrize(
    ("released", "complaint"),
    [
        (field(0.5).iloc[:0], "no released run meets these conditions"),
        (pd.concat([field(0.5), field(0.5, data="mnist")]), "the released runs are on cifar10, mnist"),
    ],
)
def test_fields_that_are_none(released, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        standing(run([1.0]), released, [ACR])
    with pytest.raises(InvalidInputError, match=complaint):
        neighbours(run([1.0]), released)
