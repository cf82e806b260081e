"""Tables with a column of labels, from files and from frames."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from noiseaug.data import DataSource, load_data
from tests.helpers.errors import complaint

FRAME = pd.DataFrame({"size": [1.0, 2, 3, 6], "count": [1, 0, 1, 0], "species": ["owl", "tit", "owl", "tit"]})


def test_a_csv_file(tmp_path):
    path = tmp_path / "birds.csv"
    FRAME.to_csv(path, index=False)
    found = load_data(str(path), label="species")
    assert found.train is None
    np.testing.assert_array_equal(found.test.inputs, FRAME[["size", "count"]].to_numpy(np.float32))
    assert (found.test.classes, found.test.labels.tolist()) == (("owl", "tit"), [0, 1, 0, 1])
    assert found.test.description["classes"] == ["owl", "tit"]
    (tmp_path / "birds.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    FRAME.to_csv(tmp_path / "birds.tsv", index=False, sep="\t")
    for name in ("birds.csv.gz", "birds.tsv"):
        assert load_data(str(tmp_path / name), label="species").test.digest == found.test.digest
    # the name alone says it all, also with classes
    chosen = load_data(f"{path}?label=species:tit,owl")
    assert (chosen.test.classes, chosen.test.labels.tolist()) == (("owl", "tit"), [0, 1, 0, 1])


def test_splits_come_from_a_column_or_from_two_files(tmp_path):
    frame = FRAME.rename(columns={"species": "label"})
    frame.assign(split=["train", "test", "train", "test"]).to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "folder").mkdir()
    frame[::2].to_csv(tmp_path / "folder" / "train.csv", index=False)
    frame[1::2].to_csv(tmp_path / "folder" / "test.csv", index=False)
    for name in ("a.csv", "folder"):
        found = load_data(str(tmp_path / name))
        assert (found.test.rows()[:, 0].tolist(), found.train.rows()[:, 0].tolist()) == ([2, 6], [1, 3])
        assert (found.test.labels.tolist(), found.train.labels.tolist()) == ([1, 1], [0, 0])


def test_scaling_is_recorded(tmp_path):
    data = DataSource.from_frames("birds", FRAME[1:], FRAME[:1].assign(size=4.0), label="species", scale="standard")
    # the mean is that of the training rows; their deviation is 0, and then nothing is divided
    np.testing.assert_array_equal(data.test.inputs, [[-2, -1], [-1, 0], [2, -1]])
    assert data.test.description["scaling"] == {"mean": [4.0, 1.0], "std": [1.0, 1.0]}
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    alone = load_data(str(tmp_path / "a.csv"), label="species", scale="standard").test
    np.testing.assert_allclose(alone.inputs.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(alone.inputs.std(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (FRAME, {}, "which column of {} is the label? Give it as label=...; the columns are size, count, species"),
        (FRAME, {"label": "kind"}, "{} has no column kind; it has size, count, species"),
        (FRAME, {"label": "count"}, "{}: column species holds 'owl'; expected numbers"),
        (FRAME, {"label": "species", "scale": "log"}, "scale is 'log'; expected one of none, standard"),
        (FRAME, {"label": "species", "centre_crop": "8"}, "table has no parameter centre_crop"),
        (FRAME[["species"]], {"label": "species"}, "{} has no column beside species"),
        (FRAME.assign(size=[1, None, 2, 3]), {"label": "species"}, "{}: column size has gaps"),
        (FRAME.assign(species=[1, None, 2, 3]), {"label": "species"}, "{}: column species has gaps"),
        (FRAME.assign(size=1e300), {"label": "species"}, "inputs run from 0 to inf; expected finite numbers"),
        (FRAME[:0], {"label": "species"}, "has no inputs"),
        (FRAME.assign(split="dev"), {"label": "species"}, "{} has no test rows"),
    ],
)
def test_bad_tables(tmp_path, frame, options, message):
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    assert message.format(path) in complaint(lambda: load_data(str(path), **options))


def test_files_that_are_no_tables(tmp_path):
    for name, content in [
        ("a.csv", b""),
        ("a.csv", b"a,b\n1,2,3\n4\n,,,,"),
        ("a.csv.gz", b"no"),
        ("a.csv", b"\xff\xfe"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        assert str(path) in complaint(lambda path=path: load_data(str(path), label="a"))
    (tmp_path / "b").mkdir()
    FRAME.to_csv(tmp_path / "b" / "test.csv", index=False)
    FRAME[["count", "size", "species"]].to_csv(tmp_path / "b" / "train.csv", index=False)
    assert "other columns to train on" in complaint(lambda: load_data(str(tmp_path / "b"), label="species"))


def test_a_split_without_labels_is_refused(tmp_path):
    FRAME.to_csv(tmp_path / "test.csv", index=False)
    FRAME.drop(columns="species").to_csv(tmp_path / "train.csv", index=False)
    assert "has no column species" in complaint(lambda: load_data(str(tmp_path), label="species"))
