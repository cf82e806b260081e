"""Reports: numbers worked out by hand, rounding towards the weaker claim, paired comparisons, drawing."""

from __future__ import annotations

import csv
import io
import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from noiseaug.confidence import binomial_lower
from noiseaug.errors import InvalidInputError
from noiseaug.plotting import plot_certified_accuracy, plot_p_lower
from noiseaug.records import ABSTAIN, Outcome, outcomes_frame, read_tsv
from noiseaug.report import average_certified_radius, certified_accuracy, compare, p_lower, render, summarise
from noiseaug.report.summary import _sequence_lower as sequence_lower

# Ten images as in the logs of Cohen et al. Right: 0.5, 1.25, 0.25, 0.249, 2.0, 0.751, which sum to 5.0; two images
# abstain, two are certified for the wrong class.
PUBLISHED = """idx\tlabel\tpredict\tradius\tcorrect\ttime
0\t3\t3\t0.5\t1\t0:00:14.102
20\t8\t8\t1.25\t1\t0:00:13.9
40\t8\t-1\t0.0\t0\t0:00:14
60\t0\t0\t0.25\t1\t0:00:14
80\t6\t4\t0.75\t0\t0:00:14
100\t6\t6\t0.249\t1\t0:00:14
120\t1\t1\t2.0\t1\t0:00:14
140\t6\t-1\t0.0\t0\t0:00:14
160\t3\t5\t0.1\t0\t0:00:14
180\t1\t1\t0.751\t1\t0:00:14
"""
BY_HAND = {0.0: 6, 0.249: 6, 0.25: 5, 0.5: 4, 1.0: 2, 1.25: 2, 2.0: 1, 2.01: 0}
RUN = {
    "smooth_sigma": 0.5,
    "n": 1000,
    "n0": 10,
    "failure_prob": 0.001,
    "certificate": {"name": "cohen"},
    "num_classes": 2,
}


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "published.tsv"
    path.write_text(PUBLISHED)
    return read_tsv(path)


def run(wins, *, n=1000, labels=None, radii=None):
    """A run whose images have the given counts for class 1, which is always picked."""
    return outcomes_frame(
        Outcome(
            index=i,
            label=1 if labels is None else labels[i],
            prediction=1 if 2 * k > n else ABSTAIN,
            radius=0.0 if 2 * k <= n else 0.25 if radii is None else radii[i],
            selection=(4, 6),
            looks=(n // 10, n),
            counts=((n // 10 - min(k, n // 10), min(k, n // 10)), (n - k, k)),
            seconds=0.5,
        )
        for i, k in enumerate(wins)
    )


def table(correct_radii, index=None, labels=None):
    """A frame of images that are certified right with these radii; NaN: wrong with radius 1."""
    radii = np.array(correct_radii, dtype=float)
    labels = np.zeros(len(radii), dtype=int) if labels is None else np.array(labels)
    return pd.DataFrame(
        {
            "index": np.arange(len(radii)) if index is None else index,
            "label": labels,
            "prediction": np.where(np.isnan(radii), labels + 1, labels),
            "radius": np.where(np.isnan(radii), 1.0, radii),
        }
    )


# --- the numbers


def test_accuracies_by_hand(published):
    found = certified_accuracy(published, list(BY_HAND))
    assert found["certified"].tolist() == list(BY_HAND.values())
    assert found["value"].tolist() == [count / 10 for count in BY_HAND.values()]
    assert (found["images"] == 10).all()
    # Clopper–Pearson at 95 %: 5 of 10 from the tables, 0 of 10 from 1 − 0.025^(1/10)
    half, none = found[found["radius"] == 0.25].iloc[0], found[found["radius"] == 2.01].iloc[0]
    assert (half["lower"], half["upper"]) == pytest.approx((0.1871, 0.8129), abs=5e-5)
    assert (none["lower"], none["upper"]) == (0.0, pytest.approx(1 - 0.025**0.1, rel=1e-9))
    # the interval fails with its probability at most, a half on each side
    for row in found.itertuples():
        assert row.certified == 0 or stats.binom.sf(row.certified - 1, 10, row.lower) <= 0.025
        assert stats.binom.cdf(row.certified, 10, row.upper) <= 0.025


def test_average_radius_by_hand(published):
    assert average_certified_radius(published) == 0.5
    # neither the share of the certified images, nor the wrong ones, nor the abstentions
    assert average_certified_radius(published[published["correct"]]) == pytest.approx(5 / 6)


def test_an_abstention_on_an_unknown_label_is_not_correct():
    frame = run([500, 600], labels=[-1, 1])
    with pytest.raises(InvalidInputError, match="no labels"):
        certified_accuracy(frame, [0.0])
    with pytest.raises(InvalidInputError, match="no labels"):
        average_certified_radius(frame)


def test_bad_frames(published):
    for frame, complaint in (
        (published.iloc[:0], "no finished input"),
        (published.drop(columns="radius"), "lacks radius"),
        (pd.concat([published, published.iloc[:1]]), "holds input 0 twice"),
    ):
        with pytest.raises(InvalidInputError, match=complaint):
            certified_accuracy(frame, [0.0])
    for radii in ([-0.1], [math.nan], ["x"]):
        with pytest.raises((InvalidInputError, ValueError)):
            certified_accuracy(published, radii)


def test_p_lower_of_a_fixed_number_of_votes():
    frame = run([0, 400, 900, 1000])
    found = p_lower(RUN, frame)
    assert found.tolist() == binomial_lower([0, 400, 900, 1000], 1000, 0.001).tolist()
    # of the class that was picked, though another one got more of the votes, and though it abstains
    assert 0.3 < found[1] < 0.4
    assert found[3] == pytest.approx(0.001 ** (1 / 1000), rel=1e-9)


def test_p_lower_where_the_run_could_stop_early():
    frame = run([400, 900, 1000])
    fixed = p_lower(RUN, frame)
    for early in (
        {**RUN, "certificate": {"name": "multi-look"}},
        {**RUN, "certificate": None},
        {**RUN, "n": 5000},  # stopped before
    ):
        bounds = p_lower(early, frame)
        assert (bounds < fixed).all()
        assert (bounds > fixed - 0.03).all()


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.7, 0.95, 0.98])
def test_the_sequence_of_bounds_holds_at_every_look(p):
    # exact, over (votes, wins): the probability that the bound ever exceeds p in 400 votes
    n, failure_prob = 400, 0.05
    alive, failed = np.zeros(n + 2), 0.0
    alive[0] = 1.0
    for votes in range(1, n + 1):
        alive[1:] = alive[1:] * (1 - p) + alive[:-1] * p
        alive[0] *= 1 - p
        wins = np.arange(votes + 1)
        wrong = sequence_lower(wins, np.full(votes + 1, votes), failure_prob) > p
        failed += alive[: votes + 1][wrong].sum()
        alive[: votes + 1][wrong] = 0.0
    assert alive.sum() + failed == pytest.approx(1)
    assert 0.0 < failed <= failure_prob


def test_p_lower_needs_counts(published):
    for description, frame in ((RUN, published), ({**RUN, "failure_prob": None}, run([900]))):
        with pytest.raises(InvalidInputError, match="p_A cannot be bounded"):
            p_lower(description, frame)


# --- the summary and its print


def test_summary(published):
    ours = run([0, 400, 900, 1000], radii=[0, 0, 0.5, 1.0])
    found = summarise({"ours": (RUN, ours), "published": ({}, published)}, [0.25, 0.75])
    first, second = found.to_dict("records")
    assert (first["run"], first["images"], first["abstained"], first["n"], first["n0"]) == ("ours", 4, 2, 1000, 10)
    assert (first["failure_prob"], first["smooth_sigma"], first["certificate"]) == (0.001, 0.5, "cohen")
    assert (first["clean_accuracy"], first["ca_0.25"], first["ca_0.75"], first["acr"]) == (0.5, 0.5, 0.25, 0.375)
    assert first["p_lower_50"] == binomial_lower(400, 1000, 0.001)  # an order statistic
    assert (second["clean_accuracy"], second["ca_0.25"], second["ca_0.75"], second["acr"]) == (0.6, 0.5, 0.3, 0.5)
    assert second["abstained"] == 2
    assert pd.isna(second["n"])
    assert math.isnan(second["p_lower_50"])
    with pytest.raises(InvalidInputError, match=r"published: the run holds no finished"):
        summarise({"published": ({}, published.iloc[:0])}, [])
    with pytest.raises(InvalidInputError, match="no runs"):
        summarise({}, [])


def test_acr_is_never_alone(published):
    one = summarise({"ours": (RUN, run([900]))}, [])
    two = summarise({"ours": (RUN, run([900])), "published": ({}, published)}, [])
    assert "ACR (n=1000, n₀=10, failure prob. 0.001, 1 images)" in render(one, "text")
    assert "| ACR (n=1000/?, n₀=10/?, failure prob. 0.001/?, 1/10 images) |" in render(two, "markdown")
    assert r"ACR (n=1000, n$_0$=10, failure prob. 0.001, 1 images)" in render(one, "latex")
    assert '"acr (n=1000, n0=10, failure_prob=0.001, images=1)"' in render(one, "csv")


def test_what_is_printed_claims_no_more():
    # 2 of 3 images, and a radius whose float lies below the decimal
    found = summarise({"a": ({}, table([0.3, 0.3, math.nan]))}, [0.1])
    row = found.iloc[0]
    text = render(found, "text")
    assert "66.6 [" in text
    assert "66.7" not in text
    cells = next(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert cells["ca_0.1"] == "0.666666"
    assert Fraction(cells["ca_0.1_lower"]) <= Fraction(row["ca_0.1_lower"])
    assert Fraction(cells["ca_0.1_upper"]) >= Fraction(row["ca_0.1_upper"])
    acr = next(value for key, value in cells.items() if key.startswith("acr"))
    assert acr == "0.199999"  # 0.6 / 3, from floats below it
    assert Fraction(acr) <= Fraction(row["acr"])
    assert " 0.199\n" in text
    # a share that is a short decimal stays what it is, although its float lies below it
    exact = summarise({"a": ({}, table([1.0] * 598 + [math.nan] * 402))}, [])
    assert "59.8 [56.6, 62.9]" in render(exact, "text")
    assert next(csv.DictReader(io.StringIO(render(exact, "csv"))))["clean_accuracy"] == "0.598000"


def test_quantiles_are_rounded_down():
    found = summarise({"a": (RUN, run([1000]))}, [])
    assert found["p_lower_90"].iloc[0] == pytest.approx(0.99311605)
    assert "0.9931" in render(found, "text")
    assert ",0.993116," in render(found, "csv")
    assert "0.993117" not in render(found.assign(p_lower_50=0.9931169999), "csv")


def test_formats(published):
    name = "100%_a&b|c {x}\\"
    found = summarise({name: ({}, published), "[b]": ({}, published)}, [0.5])
    latex = render(found, "latex")
    assert r"100\%\_a\&b\textbar{}c \{x\}\textbackslash{} & 10 & 2 &" in latex
    assert "{[}b] & 10" in latex
    assert latex.count(r"\\") == 3
    body = latex[latex.index(r"\midrule") :].splitlines()[1]
    assert body.replace(r"\&", "").count("&") + 1 == latex.split("{tabular}{")[1].index("}")
    markdown = render(found, "markdown").splitlines()
    assert markdown[2].startswith(r"| 100%&#95;a&amp;b\|c {x}&#92; | 10 | 2 |")
    assert len({line.replace(r"\|", "").count("|") for line in markdown[:4]}) == 1
    rows = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert [row["run"] for row in rows] == [name, "[b]"]
    assert rows[0]["n"] == rows[0]["p_lower_50"] == ""
    with pytest.raises(InvalidInputError, match="expected one of text, csv, markdown, latex"):
        render(found, "html")


def test_text_fits_a_terminal(published):
    wide = render(summarise({"a": (RUN, run([900])), "b": ({}, published)}, [0.25, 0.5, 0.75]), "text").splitlines()
    assert wide[0].split() == ["run", "a", "b"]
    assert max(map(len, wide)) <= 120
    narrow = render(certified_accuracy(published, [0.0, 0.25]), "text").splitlines()
    assert narrow[0].split() == ["r", "CA", "%", "certified", "images", "failure", "prob."]
    assert narrow[2].startswith("0.25  50.0 [18.7, 81.3]          5")
    assert narrow[-1] == "CA(r): % of the images, rounded down, with a 95% Clopper–Pearson interval over images."


# --- two runs


def test_mcnemar_by_hand():
    # one image for the first run alone, six for the second alone: 2 (C(7,0) + C(7,1)) / 2⁷ = 0.125
    first = table([1.0] * 3 + [0.1] * 6 + [math.nan])
    second = table([1.0] * 2 + [0.1] + [1.0] * 6 + [math.nan])
    found = compare(first, second, 0.5, seed=0)
    assert (found.both, found.first_only, found.second_only, found.images) == (2, 1, 6, 10)
    assert found.p_value == pytest.approx(0.125, abs=1e-15)
    assert (found.ca_first, found.ca_second, found.ca_difference) == (0.3, 0.8, 0.5)
    assert (found.acr_first, found.acr_second) == pytest.approx((0.36, 0.81))
    assert found.acr_difference == pytest.approx(0.45)
    assert found.acr_difference_lower < 0.45 < found.acr_difference_upper
    assert compare(first, second, 1.0, seed=0).p_value == found.p_value  # at least the radius is enough
    same = compare(first, first, 0.5, seed=0)
    assert (same.p_value, same.acr_difference_lower, same.acr_difference_upper) == (1.0, 0.0, 0.0)


def test_rows_are_paired_by_index():
    rng = np.random.default_rng(0)
    first = table(rng.uniform(0, 1, 50), index=rng.permutation(1000)[:50])
    second = first.assign(radius=first["radius"] + 0.1)
    found = compare(first, second.sample(frac=1, random_state=1), 0.5, seed=3)
    # resampled together: every image gains as much
    assert found.acr_difference == pytest.approx(0.1)
    assert (found.acr_difference_lower, found.acr_difference_upper) == pytest.approx((0.1, 0.1))
    assert found.first_only == 0


def test_the_bootstrap_interval_has_its_level():
    rng = np.random.default_rng(1)
    gains = rng.exponential(1.0, 400)
    first, second = table(np.full(400, 0.5)), table(0.5 + gains)
    found = compare(first, second, 0.5, seed=2, failure_prob=0.1)
    # close to the normal one here
    half = stats.norm.isf(0.05) * gains.std() / 20
    assert found.acr_difference_lower == pytest.approx(gains.mean() - half, abs=0.15 * half)
    assert found.acr_difference_upper == pytest.approx(gains.mean() + half, abs=0.15 * half)
    assert compare(first, second, 0.5, seed=2, failure_prob=0.1) == found
    assert compare(first, second, 0.5, seed=3, failure_prob=0.1) != found
    wider = compare(first, second, 0.5, seed=2, failure_prob=0.001)
    assert wider.acr_difference_lower < found.acr_difference_lower
    # the chunks of the bootstrap are bounded and cover all resamples
    assert compare(first, second, 0.5, seed=2, resamples=7).resamples == 7


def test_bootstrap_in_chunks(monkeypatch):
    from noiseaug.report import comparison

    values = np.arange(10.0)
    whole = comparison._resampled_means(values, 100, 5)
    monkeypatch.setattr(comparison, "_CHUNK", 30)
    assert whole.shape == comparison._resampled_means(values, 100, 5).shape == (100,)
    np.testing.assert_array_equal(comparison._resampled_means(values, 100, 5), whole)


def test_runs_that_cannot_be_paired():
    first = table([1.0, 0.5, 0.2], index=[0, 20, 40])
    for second, complaint in (
        (table([1.0, 0.5], index=[0, 40]), "different images: 1 are in the first alone, input 20"),
        (table([1.0, 0.5, 0.2, 0.1], index=[0, 20, 40, 60]), "1 are in the second alone, input 60"),
        (table([1.0, 0.5, 0.2], index=[0, 20, 40], labels=[0, 1, 0]), "different data: .* of input 20"),
        (first.iloc[:0], "the second run: the run holds no finished"),
    ):
        with pytest.raises(InvalidInputError, match=complaint):
            compare(first, second, 0.5, seed=0)
    with pytest.raises(InvalidInputError, match="radius is -1"):
        compare(first, first, -1, seed=0)


def test_printing_a_comparison():
    first, second = table([1.0, 0.25, 0.25]), table([0.25, 0.25, math.nan])
    text = render(compare(first, second, 0.5, seed=0).frame(), "text")
    lines = {line.split("  ")[0]: line.split()[-1] for line in text.splitlines() if line}
    assert lines["CA difference %"] == "-33.3"
    assert lines["CA first %"] == "33.3"
    assert lines["first only"] == "1"
    assert lines["ACR first (3 images; depends on n)"] == "0.500"
    assert "-0.333 [-0.750, 0.000]" in text  # −1/3 towards 0
    assert "95% bootstrap interval (10000 resamples, seed 0)" in text
    rows = next(csv.DictReader(io.StringIO(render(compare(first, second, 0.5, seed=0).frame(), "csv"))))
    assert (rows["acr_difference"], rows["ca_difference"], rows["seed"]) == ("-0.333333", "-0.333333", "0")


# --- drawing


def test_curves_and_bands(published):
    radii = np.linspace(0, 2, 41)
    axes = Figure().subplots()
    prediction = pd.DataFrame({"radius": [1.0, 0.0], "value": [0.2, 0.6]})
    found = certified_accuracy(published, radii)
    plot_certified_accuracy(axes, {"a": found, "b": found.sample(frac=1, random_state=0)}, reference={"p": prediction})
    assert [line.get_label() for line in axes.get_lines()] == ["a", "b", "p"]
    for line in axes.get_lines()[:2]:
        np.testing.assert_array_equal(line.get_xydata(), found[["radius", "value"]])
        assert line.get_drawstyle() == "default"  # no steps
    np.testing.assert_array_equal(axes.get_lines()[2].get_xydata(), [[0.0, 0.6], [1.0, 0.2]])
    assert len(axes.collections) == 2
    band = axes.collections[0].get_paths()[0].vertices
    assert {found["lower"].iloc[0], found["upper"].iloc[0]} <= set(band[:, 1])
    few = Figure().subplots()
    plot_certified_accuracy(few, {"a": found}, radii=[0.5])
    np.testing.assert_array_equal(few.get_lines()[0].get_xydata(), [[0.5, 0.4]])
    with pytest.raises(InvalidInputError, match="a: the table has no row"):
        plot_certified_accuracy(few, {"a": found}, radii=[7.0])


def test_distribution_of_p_lower():
    axes = Figure().subplots()
    bounds = p_lower(RUN, run([400, 900, 1000]))
    plot_p_lower(axes, {"a": bounds, "b": bounds[:2]})
    drawn = axes.get_lines()[0].get_xydata()
    assert set(bounds) <= set(drawn[:, 0])
    assert drawn[-1, 1] == 1.0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_descriptions_survive_json():
    # as they come from a log
    assert summarise({"a": (json.loads(json.dumps(RUN)), run([900]))}, [0.5])["n"].iloc[0] == 1000
