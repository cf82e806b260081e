"""The registry of quantities, and what is derived from it."""

from __future__ import annotations

import math
import re

import pytest

from noiseaug import risk, tasks
from noiseaug.errors import InvalidInputError, NoClosedFormError
from noiseaug.plotting import LABELS
from noiseaug.predictors import augmented, smoothed
from noiseaug.tables import QUANTITIES, Measure, Quantity, measures
from tests.helpers.running import ROOT

LINE = tasks.Intervals([[-1, 1]], domain=(-3, 3))


def test_the_glossary_and_the_registry_name_the_same_quantities():
    section = (
        (ROOT / "docs/glossary.md").read_text(encoding="utf-8").partition("## Quantities")[2].partition("\n## ")[0]
    )
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    described = {name.strip(" `"): (units.strip(), radius.strip()) for name, _, _, units, radius in rows}
    assert described == {
        name: ("input" if kind.is_length else "probability", "yes" if kind.takes_radius else "no")
        for name, kind in QUANTITIES.items()
    }


def test_every_quantity_has_a_label():
    assert LABELS.items() >= {(name, kind.label) for name, kind in QUANTITIES.items()}


def test_a_measure_has_a_radius_where_its_quantity_takes_one():
    assert Measure("certified_accuracy", 1) == Measure("certified_accuracy", 1.0)
    assert Measure("certified_accuracy", 0.5).at == 0.5
    assert math.isnan(Measure("risk").at)
    for name, radius in (("certified_accuracy", None), ("risk", 0.1), ("certified_accuracy", -0.1)):
        with pytest.raises(InvalidInputError, match="radius"):
            Measure(name, radius)
    with pytest.raises(InvalidInputError, match=re.escape("quantity is 'luck'; expected one of risk, excess_risk,")):
        Measure("luck")
    expected = [Measure("acr"), Measure("certified_accuracy", 0.0), Measure("certified_accuracy", 0.1)]
    assert measures(["acr", "certified_accuracy"], [0.0, 0.1]) == expected


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({}, "in closed form"),
        ({"method": "sampled", "n": 10}, "by sampling"),
        ({"method": "sampled", "n": 10, "votes_per_point": 10}, "by votes"),
    ],
)
def test_a_quantity_that_a_method_does_not_know_is_refused(monkeypatch, options, how):
    monkeypatch.setitem(QUANTITIES, "luck", Quantity("luck", "luck"))
    with pytest.raises(NoClosedFormError, match=f"luck cannot be evaluated {how}; expected one of risk"):
        risk.evaluate(LINE, smoothed(augmented(LINE, 0.3), 0.4), [Measure("risk"), Measure("luck")], **options)
    with pytest.raises(TypeError, match="votes_for_point"):
        risk.risk(LINE, smoothed(augmented(LINE, 0.3), 0.4), votes_for_point=3)
