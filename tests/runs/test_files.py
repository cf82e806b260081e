"""Files appear whole or not at all, and nothing but a file is replaced or read."""

from __future__ import annotations

import os
import stat

import pytest

from noiseaug.errors import InvalidInputError
from noiseaug.runs import expanded, make_folder, open_file, read_file, write_atomically
from noiseaug.runs.journal import Journal
from tests.helpers.errors import full_disk


def test_a_file_is_written_as_any_other(tmp_path):
    path, other = tmp_path / "table.csv", tmp_path / "other.csv"
    other.write_text("as usual")
    for content in ("first", b"second"):
        write_atomically(path, content)
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.csv", "table.csv"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    with full_disk(), pytest.raises(OSError, match="No space") as error:
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


@pytest.mark.skipif(os.name != "posix", reason="makes a FIFO")
def test_only_regular_files_are_read_and_nobody_waits(tmp_path):
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to("/dev/zero")
    for path, message in (
        (fifo, "is no regular file"),
        (link, "is no regular file"),
        (tmp_path, "is a directory; expected a file"),
        (tmp_path / "a\0b", "is no name of a file"),
    ):
        for use in (open_file, read_file):
            with pytest.raises(InvalidInputError, match=message):
                use(path)
    for path in (fifo, link):
        with pytest.raises(InvalidInputError, match="is no regular file"):
            Journal(path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nothing")
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InvalidInputError, match=r"has 1.1e\+12 bytes; expected at most 6.9e\+10"):
        read_file(tmp_path / "huge")
    (tmp_path / "file").write_bytes(b"as it is")
    assert read_file(tmp_path / "file") == b"as it is"


def test_a_folder_deeper_than_recursion_goes(tmp_path):
    path = tmp_path.joinpath(*["d"] * 1200)
    make_folder(path)
    make_folder(path)
    assert path.is_dir()
    while path != tmp_path:
        path.rmdir()
        path = path.parent
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="file is a file; expected a folder"):
        make_folder(tmp_path / "file")


def test_the_home_of_nobody():
    with pytest.raises(InvalidInputError, match="in the home of a user that is not there"):
        expanded("~nobody-of-that-name/x.npz")
