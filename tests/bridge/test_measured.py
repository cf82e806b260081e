"""Half a table of a grid is refused, wherever it was cut."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseaug.bridge.measured import read_grid
from noiseaug.errors import InvalidInputError
from noiseaug.tables import read_table
from tests.helpers.running import ROOT

PATH = ROOT / "docs/results/digits_grid.csv"
WHOLE, TABLE = PATH.read_bytes(), read_table(PATH)
ENDS = [place + 1 for place, byte in enumerate(WHOLE) if byte == ord("\n")]


def grid(folder: Path, content: bytes, status: str = "complete") -> Path:
    (folder / "table.csv").write_bytes(content)
    description = {"kind": "grid", **{name: sorted(set(TABLE[name])) for name in ("train_sigma", "smooth_sigma")}}
    (folder / "run.json").write_text(json.dumps({"status": status, "description": description}))
    return folder


@pytest.mark.parametrize("name", ["cifar10_grid", "digits_grid", "mnist_grid"])
def test_whole_tables_are_read(name):
    path = ROOT / f"docs/results/{name}.csv"
    assert read_grid(path).equals(read_table(path))


@settings(max_examples=20, deadline=None)
@given(st.integers(ENDS[0] + 1, len(WHOLE) - 1))
def test_a_cut_table_is_refused(size):
    with tempfile.TemporaryDirectory() as name:
        folder = grid(Path(name), WHOLE[:size])
        places = [folder] if size in ENDS else [folder, folder / "table.csv"]
        for path in places:
            with pytest.raises(InvalidInputError, match=r"table\.csv(, line \d+| has \d+ rows)") as caught:
                read_grid(path)
            assert "\n" not in str(caught.value)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 660),
    st.sampled_from(
        [
            *(("train_sigma", value) for value in ("", "-1", "nan", "x")),
            *(("quantity", value) for value in ("", "accuracy", "\x1b[31m")),
            *(("value", value) for value in ("", "nan", "inf", "7", "-1")),
            *(("votes", value) for value in ("0", "-5", "many")),
            *(("vote_failure_prob", value) for value in ("0", "1.5")),
            *(("seed", value) for value in ("-1", "0.5", "x")),
        ]
    ),
)
def test_a_cell_that_cannot_be_is_refused_with_its_line(number, change):
    column, value = change
    lines = WHOLE.decode().splitlines()
    header = lines[0].split(",")
    cells = lines[number].replace('"mlp, gaussian"', "mlp").split(",")
    cells[header.index(column)] = value
    lines[number] = ",".join(cells)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "table.csv")
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(InvalidInputError, match=rf"table\.csv( is not readable|, line {number + 1}: )") as caught:
            read_grid(path)
        assert "\n" not in str(caught.value)


def test_a_grid_that_is_not_finished_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="is not finished; go on with noiseaug grid --resume"):
        read_grid(grid(tmp_path, WHOLE, "unfinished"))
