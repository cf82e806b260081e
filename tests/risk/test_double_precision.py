"""Where double precision ends: right as far as it goes, refused beyond."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from noiseaug import NoiseaugError, sweep, tasks
from noiseaug.estimates import Estimate
from noiseaug.tables import QUANTITIES


@pytest.mark.parametrize("length", [1e-20, 1e-100, 1e-170])
@pytest.mark.parametrize("prior", [0.5, 0.9])
def test_classes_that_hardly_differ(length, prior):
    """The Bayes rule of two Gaussians so close is the prior's: its risk is the smaller share."""
    task = tasks.GaussianPair([length], [-length], 1.0, prior)
    found = sweep(task, train_sigma=0, smooth_sigma=0.25, radii=0.1, quantities=list(QUANTITIES)).set_index("quantity")
    assert found.loc["risk", "value"] == pytest.approx(1 - prior, rel=1e-12)
    if prior == 0.5:
        # half-spaces through the mean of a standard normal
        assert found.loc["certified_accuracy", "value"] == pytest.approx(special.ndtr(-0.1), rel=1e-12)
        assert found.loc["acr", "value"] == pytest.approx(1 / np.sqrt(2 * np.pi), rel=1e-12)
    else:
        # class 1 everywhere, as far as points are
        boundary = special.logit(prior) / (2 * length)
        assert found.loc["certified_accuracy", "value"] == pytest.approx(prior, rel=1e-12)
        assert found.loc["acr", "value"] == pytest.approx(prior * boundary, rel=1e-9)
        assert found.loc["finite_sample_certified_accuracy", "value"] == pytest.approx(prior, rel=1e-9)


def test_an_accuracy_is_at_most_1():
    task = tasks.ConcentricGaussians(2, 1e-3, 1e3)
    found = sweep(task, train_sigma=0, smooth_sigma=[1e-3, 1e-2], radii=[0, 1e-3], quantities=list(QUANTITIES))
    shares = found[~found["quantity"].isin(["acr", "excess_risk"])]
    assert ((shares["lower"] <= shares["value"]) & (shares["value"] <= shares["upper"])).all()
    assert (shares["upper"] <= 1).all()
    assert Estimate.numeric(1 + 3e-15, 1e-14, floor=0.0, ceiling=1.0).value == 1


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        (tasks.ConcentricGaussians(3, 1e-300, 0.4), {}, "leaves the range of double precision"),
        (tasks.ConcentricGaussians(3, 0.3, 1e308), {}, "leaves the range of double precision"),
        (tasks.ConcentricGaussians(3, 0.3, 0.4), {"train_sigma": 1e308}, r"train_sigma is 1e\+308; expected 0, or a"),
        (tasks.ConcentricGaussians(3, 0.3, 0.4), {"smooth_sigma": 1e-160}, "smooth_sigma is 1e-160; expected 0, or a"),
        (tasks.ConcentricGaussians(3, 0.3, 0.4), {"n": 10**13}, "draws a second they take"),
        (tasks.ConcentricGaussians(3, 0.3, 0.4), {"seed": 2**63}, "expected an integer of at most"),
        (tasks.ConcentricGaussians(3, 0.3, 0.4), {"failure_prob": 1e-300}, "expected at least 1e-100"),
    ],
)
def test_what_double_precision_does_not_reach(task, change, message):
    with pytest.raises(NoiseaugError, match=message):
        sweep(task, **{"train_sigma": 0.0, "smooth_sigma": 0.25, **change})
