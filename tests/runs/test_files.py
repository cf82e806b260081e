"""Files appear whole or not at all, and nothing but a file is replaced."""

from __future__ import annotations

import os
import stat

import pytest

from noiseaug.errors import InvalidInputError
from noiseaug.runs import write_atomically


def test_a_file_is_written_as_any_other(tmp_path):
    path, other = tmp_path / "table.csv", tmp_path / "other.csv"
    other.write_text("as usual")
    for content in ("first", b"second"):
        write_atomically(path, content)
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.csv", "table.csv"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as error:
        write_atomically(path, "new")
    assert error.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_at_the_old_temporary_name_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".table.csv.{os.getpid()}.part").symlink_to(victim)
    write_atomically(tmp_path / "table.csv", "mine")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "table.csv").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_files_and_links_are_replaced(tmp_path):
    pipe, folder, link = tmp_path / "pipe", tmp_path / "folder", tmp_path / "link"
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(folder / "elsewhere")
    for path in (pipe, folder):
        with pytest.raises(InvalidInputError, match="is no regular file"):
            write_atomically(path, "mine")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomically(link, "mine")
    assert not link.is_symlink()
    assert not (folder / "elsewhere").exists()
