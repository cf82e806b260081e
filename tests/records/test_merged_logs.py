"""Shards become one log."""

from __future__ import annotations

import pandas as pd
import pytest

import noiseaug
from noiseaug.errors import InvalidInputError
from noiseaug.records import RunLog, merge_logs, outcomes_frame, read_log
from tests.helpers.logs import RUN, outcome, write


def shards(tmp_path, count=3, size=9):
    return [write(tmp_path / f"{i}.log", range(size)[i::count][::-1], shard=f"{i}/{count}") for i in range(count)]


def test_shards_become_one_run(tmp_path):
    merge_logs(shards(tmp_path)[::-1], tmp_path / "all.log")
    description, frame = read_log(tmp_path / "all.log")
    assert description == RUN
    pd.testing.assert_frame_equal(frame, outcomes_frame(map(outcome, range(9))))
    assert (tmp_path / "all.log").read_bytes() == write(tmp_path / "once.log", range(9)).read_bytes()
    RunLog.open(tmp_path / "all.log", RUN, resume=True).close()


def test_merging_refuses(tmp_path):
    one, two, three = shards(tmp_path)
    out = tmp_path / "all.log"

    def refused(paths, complaint):
        with pytest.raises(InvalidInputError, match=complaint) as caught:
            merge_logs(paths, out)
        assert "\n" not in str(caught.value)
        assert not out.exists()

    refused([], "no logs")
    refused([one, three], "shard 1/3 of the run is missing")
    refused([one, two, three, one], "both hold input 6, with equal outcomes")
    refused([one, two, write(tmp_path / "b.log", [2], seed=2, shard="2/3")], "its seed is 2, .*0.log has 1; merge")
    refused([one, write(tmp_path / "c.log", [1])], "shards are 0/3, none; expected i/k")
    refused([one, write(tmp_path / "d.log", [1], shard="3/3")], "shards are 0/3, 3/3")
    refused([one, write(tmp_path / "e.log", [1], shard="1/2")], "are of 2 and 3 shards")
    with RunLog.open(tmp_path / "f.log", {**RUN, "shard": "2/3"}) as log:
        log.append(outcome(0, radius=0.125, seconds=9.0))
    refused([one, two, tmp_path / "f.log"], "both hold input 0, with different outcomes")
    with RunLog.open(tmp_path / "g.log", {**RUN, "shard": "2/3"}) as log:
        log.append(outcome(0, seconds=9.0))
    refused([one, two, tmp_path / "g.log"], "both hold input 0, with equal outcomes")
    old = tmp_path / "old.log"
    old.write_text(three.read_text().replace(f'"noiseaug": "{noiseaug.__version__}"', '"noiseaug": "0.0.1"'))
    refused([one, two, old], "noiseaug is '0.0.1'")
    out.write_text("something")
    with pytest.raises(InvalidInputError, match="exists; choose another"):
        merge_logs([one, two, three], out)
    assert out.read_text() == "something"


def test_a_part_of_the_shards_on_request(tmp_path):
    one, _, three = shards(tmp_path)
    three.write_bytes(three.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=r"2\.log, line 4 is cut off"):
        merge_logs([one, three], tmp_path / "part.log", partial=True)
    assert read_log(tmp_path / "part.log")[1]["index"].tolist() == [0, 3, 5, 6, 8]
