"""Radii never print above what they are; the format of Cohen et al. is read with its variants and written."""

from __future__ import annotations

import json
import math
import re
import warnings
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from noiseaug.errors import InvalidInputError
from noiseaug.records import ABSTAIN, outcomes_frame, read_any, read_tsv, write_tsv
from noiseaug.tables import ceil_decimal, ceil_significant, exact_decimal, floor_decimal, floor_radius
from tests.helpers.logs import RUN, outcome, write

RADII = st.floats(0, 1e6, allow_nan=False)


# --- decimals


@given(RADII, st.integers(0, 12))
@example(0.3, 1)
@example(0.29999999999999999, 6)
@example(1e-320, 3)
def test_a_printed_radius_is_at_most_the_radius(radius, digits):
    printed = floor_radius(radius, digits)
    assert Fraction(printed) <= Fraction(radius) < Fraction(printed) + Fraction(1, 10**digits)
    assert float(printed) <= radius
    assert len(printed.partition(".")[2]) == digits


@given(RADII)
@example(0.1)
@example(0.3)
@example(5e-324)
@example(1e22)
def test_a_stored_radius_is_the_same_number_and_no_larger_decimal(radius):
    stored = exact_decimal(radius)
    assert float(stored) == radius == json.loads(stored)
    assert Fraction(stored) <= Fraction(radius)


@given(st.floats(-1e6, 1e6), st.integers(0, 9))
def test_decimals_enclose_the_number(value, digits):
    low, high = floor_decimal(value, digits), ceil_decimal(value, digits)
    assert Fraction(low) <= Fraction(value) <= Fraction(high) <= Fraction(low) + Fraction(1, 10**digits)


def test_decimals_by_hand():
    assert floor_radius(0.3, 3) == "0.299"  # the float lies below the decimal
    assert floor_radius(0.5, 3) == "0.500"
    assert floor_radius(1.9999999, 2) == "1.99"
    assert floor_radius(np.float64(-0.0), 1) == "0.0"
    assert (floor_decimal(-0.25, 1), ceil_decimal(-0.25, 1), ceil_decimal(-0.05, 1)) == ("-0.3", "-0.2", "0.0")
    assert ceil_decimal(Fraction(2, 3), 3) == "0.667"
    assert (ceil_significant(0.12341, 3), ceil_significant(0.125, 3), ceil_significant(1.0, 3)) == (
        "0.124",
        "0.125",
        "1",
    )
    for bad in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="radius is"):
            floor_radius(bad, 3)


# --- the format of Cohen et al.

HEAD = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
ROWS = "0\t3\t3\t0.51\t1\t0:00:14.123456\n20\t8\t-1\t0.0\t0\t0:00:13\n40\t8\t5\t1.23e-05\t0\t1 day, 1:00:01.5\n"


def tsv(tmp_path, content):
    path = tmp_path / "published.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        HEAD + ROWS,
        (HEAD + ROWS).removesuffix("\n"),
        (HEAD + ROWS).replace("\n", "\r\n"),
        "\ufeff" + HEAD + "\n" + ROWS.replace("\n", "\n\n"),
        HEAD + "".join(reversed(ROWS.splitlines(keepends=True))),
        HEAD.replace("\n", "\tnote\n") + ROWS.replace("\n", "\tx\n"),
    ],
)
def test_reading_published_logs(tmp_path, content):
    frame = read_tsv(tsv(tmp_path, content))
    assert frame.to_dict("list") == {
        "index": [0, 20, 40],
        "label": [3, 8, 8],
        "prediction": [3, -1, 5],
        "radius": [0.51, 0.0, 1.23e-05],
        "correct": [True, False, False],
        "seconds": [14.123456, 13.0, 90001.5],
    }
    description, same = read_any(tmp_path / "published.tsv")
    assert description == {}
    pd.testing.assert_frame_equal(frame, same)


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["16.6", "16", "4e-06"], [16.6, 16.0, 4e-06]),  # the early logs of Cohen et al.
        (["0:00:16.600000", "2:01:02", "12 days, 0:00:00.5"], [16.6, 7262.0, 12 * 86_400 + 0.5]),
        (["nan", "", "?"], [math.nan] * 3),
        (None, [math.nan] * 3),  # no such column
    ],
)
def test_times_of_published_logs(tmp_path, cells, seconds):
    head, rows = HEAD, ROWS.splitlines()
    bare = [row.rpartition("\t")[0] for row in rows]
    if cells is None:
        head, rows = head.replace("\ttime", ""), bare
    else:
        rows = [f"{row}\t{cell}" for row, cell in zip(bare, cells, strict=True)]
    path = tsv(tmp_path, head + "\n".join([*rows, ""]))
    frame = read_tsv(path)
    np.testing.assert_array_equal(frame["seconds"], seconds)
    assert frame["radius"].tolist() == [0.51, 0.0, 1.23e-05]
    write_tsv(frame, tmp_path / "back.tsv")
    pd.testing.assert_frame_equal(read_tsv(tmp_path / "back.tsv"), frame)


@pytest.mark.parametrize(
    ("indices", "told"),
    [
        ([0, 20, 40, 60], None),
        ([0, 20, 60, 80], r"inputs are missing, 1 of 5 \(0 to 80 in steps of 20\), input 40 for one"),
        ([0, 1, 2, 5], "inputs are missing, 2 of 6"),
        ([3, 10, 100], None),  # no sequence: nothing is known to be missing
        ([0, 1, 50], None),
        ([7], None),
    ],
)
def test_gaps_are_told(tmp_path, indices, told):
    path = tsv(tmp_path, HEAD + "".join(f"{index}\t1\t1\t0.5\t1\t3.2\n" for index in indices))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_tsv(path)["index"].tolist() == indices
    assert len(caught) == (told is not None)
    if told:
        assert re.search(told, str(caught[0].message))


def test_a_curve_is_no_log(tmp_path):
    path = tmp_path / "noise_0.50_acc"
    path.write_text("0.00000\t0.75750\n0.00500\t0.75570\n")
    with pytest.raises(InvalidInputError, match=r"holds accuracies by radius; .* perhaps .*noise_0\.50$"):
        read_any(path)
    with pytest.raises(InvalidInputError, match=r"computed from$"):
        read_any(path.rename(tmp_path / "curve"))


def test_every_cut_of_a_published_log(tmp_path):
    whole = HEAD + ROWS
    for size in range(len(HEAD) + len(ROWS.splitlines()[0]) + 1, len(whole)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frame = read_tsv(tsv(tmp_path, whole[:size]))
        rows = frame["index"].tolist()
        assert rows == [0, 20, 40][: len(rows)]
        assert len(rows) >= whole[:size].count("\n") - 1
        assert frame["radius"].tolist() == [0.51, 0.0, 1.23e-05][: len(rows)]  # nothing cut off is taken
        assert frame["seconds"].tolist() == pytest.approx([14.123456, 13.0, 90001.5][: len(rows)], abs=0.6)
        if caught:
            assert f"line {len(rows) + 2} is cut off" in str(caught[0].message)
        else:
            assert len(rows) == len(whole[:size].splitlines()) - 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no input"),
        (HEAD, "published.tsv: the run has no inputs"),
        ("idx\tlabel\tpredict\tcorrect\ttime\n", "line 1: no column radius"),
        (HEAD.replace("\t", " ") + ROWS, "line 1: no column"),
        (HEAD + "0\t3\t3\t0.51\t1\n", "line 2: 5 columns"),
        (HEAD + ROWS + "60\tcat\t3\t0.51\t1\t0:00:01\n", "line 5: label is 'cat'"),
        (HEAD + "0\t3\t3\tnan\t1\t0:00:01\n", "line 2: radius is nan"),
        (HEAD + "0\t3\t3\t-0.5\t1\t0:00:01\n", "line 2: radius is -0.5"),
        (HEAD + "0\t3\t3\tx\t1\t0:00:01\n", "line 2: radius is 'x'"),
        (HEAD + "0\t3\t-1\t0.5\t0\t0:00:01\n", "although the prediction abstains"),
        (HEAD + "0\t3\t3\t0.5\t0\t0:00:01\n", "correct is '0', but label is 3 and predict 3"),
        (HEAD + "0\t3\t4\t0.5\t1\t0:00:01\n", "correct is '1', but label is 3 and predict 4"),
        (HEAD + "9223372036854775808\t3\t3\t0.5\t1\t0:00:01\n", "line 2: idx is 9223372036854775808; expected"),
        (HEAD + "-1\t3\t3\t0.5\t1\t0:00:01\n", "expected numbers ≥ 0"),
        (HEAD + "0\t3\t3\t0.5\t1\tsoon\n", "time is 'soon'"),
        (HEAD + ROWS + ROWS, "line 5: input 0 stands in an earlier line"),
        (b"\xff\xfe\x00", "is not text"),
    ],
)
def test_bad_published_logs(tmp_path, content, complaint):
    with pytest.raises(InvalidInputError, match=complaint) as caught:
        read_tsv(tsv(tmp_path, content))
    assert "\n" not in str(caught.value)


CELLS = st.one_of(
    st.sampled_from(
        ["0", "1", "-1", "3", "0.5", "16.6", "0:00:14", "1 day, 0:00:01", "nan", "", "inf", "1e999", "9" * 400]
    ),
    st.from_regex(r"\d{1,400} days, \d{1,400}:[0-5]\d:[0-5]\d(\.\d{0,9})?", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t"), max_size=8),
)
COLUMNS = st.lists(st.sampled_from([*HEAD.split(), "basePredict", "x"]), max_size=8)
LINES = st.lists(st.lists(CELLS, max_size=8), max_size=6)


@settings(max_examples=60, deadline=None)
@given(COLUMNS, LINES, st.booleans(), st.integers(0, 60))
@example(HEAD.split(), [["0", "3", "3", "0.5", "1", "9" * 400 + " days, 0:00:00"]], True, 0)
@example(HEAD.split(), [["9" * 5000, "3", "3", "0.5", "1", "1"]], True, 0)
def test_any_table_is_read_or_refused_in_one_line(tmp_path_factory, columns, lines, ended, cut):
    text = "\n".join("\t".join(cells) for cells in [columns, *lines]) + "\n" * ended
    path = tsv(tmp_path_factory.getbasetemp(), text[: len(text) - cut])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refusal, frame = "", None
        try:
            _, frame = read_any(path)
        except InvalidInputError as error:
            refusal = str(error)
    assert "\n" not in refusal
    if frame is None:
        return
    assert len(frame)
    if "radius" in frame:
        write_tsv(frame, path.with_name("back.tsv"))
        pd.testing.assert_frame_equal(read_tsv(path.with_name("back.tsv")), frame, rtol=0, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 9), RADII, st.integers(0, 10**6)), min_size=1, max_size=9))
def test_every_way_of_writing_a_log_says_the_same(tmp_path_factory, rows):
    """Times in seconds or as a clock, without them, without the last line end, with further columns."""
    path = tmp_path_factory.getbasetemp() / "ways"
    first = None
    for time in (lambda s: f"\t{s}", lambda s: f"\t{s / 10}", lambda s: f"\t{timedelta(seconds=s)}", lambda s: ""):
        head = HEAD if time(0) else HEAD.replace("\ttime", "")
        lines = [
            f"{i}\t{y}\t{c}\t{r if c >= 0 else 0.0}\t{int(y == c)}{time(s)}" for i, (y, c, r, s) in enumerate(rows)
        ]
        for end in ("\n", ""):
            path.write_text(head + "\n".join(lines) + end)
            frame = read_tsv(path).drop(columns="seconds")
            first = frame if first is None else first
            pd.testing.assert_frame_equal(frame, first)


def test_writing_the_format(tmp_path):
    path = tmp_path / "out.tsv"
    rows = [
        outcome(3, label=1, radius=0.3, seconds=14.123456),
        outcome(1, prediction=ABSTAIN, radius=0.0, seconds=3600.0),
    ]
    frame = outcomes_frame(rows)
    write_tsv(frame, path, digits=3)
    assert path.read_text() == HEAD + "1\t1\t-1\t0.000\t0\t1:00:00\n3\t1\t1\t0.299\t1\t0:00:14.123456\n"
    write_tsv(frame, path)
    assert "\t0.29999999999999998\t" in path.read_text()
    back = read_tsv(path)
    pd.testing.assert_frame_equal(back, frame[list(back.columns)])
    write_tsv(back, tmp_path / "again.tsv")
    assert (tmp_path / "again.tsv").read_bytes() == path.read_bytes()
    with pytest.raises(InvalidInputError, match="lacks radius"):
        write_tsv(frame.drop(columns="radius"), path)
    with pytest.raises(InvalidInputError, match="no labels"):
        write_tsv(outcomes_frame([outcome(0, label=-1)]), path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.tsv", "out.tsv"]


def test_reading_any_file(tmp_path):
    path = write(tmp_path / "published.tsv", [0])  # the content decides, not the name
    assert read_any(path)[0] == RUN
    with pytest.raises(InvalidInputError, match="is no log of a certification"):
        read_any(tsv(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(InvalidInputError, match="is no log of a certification"):
        read_any(tsv(tmp_path, b"\x89PNG\r\n"))
