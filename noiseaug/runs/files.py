"""Reading regular files and nothing else, and writing files whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from noiseaug.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "check_regular",
    "expanded",
    "make_folder",
    "naming",
    "open_file",
    "read_file",
    "refuse_clashes",
    "save_figure",
    "write_atomically",
]

_LARGEST_FILE = 1 << 36  # bytes that are read into memory at once; sparse files claim any size


def open_file(path: Path) -> BinaryIO:
    """Opens a file for reading, without waiting for it: nobody may ever write into a FIFO.

    Raises:
        InvalidInputError: for a directory, a FIFO, a device, and names that no file can have.
        OSError: where it is not there, or may not be read.
    """
    try:
        stream = open(path, "rb", opener=_at_once)  # noqa: SIM115  (the caller closes it)
    except IsADirectoryError:
        raise InvalidInputError(f"{path} is a directory; expected a file") from None
    except ValueError as error:  # a NUL in the name
        raise InvalidInputError(f"{str(path)!r} is no name of a file: {error}") from None
    try:
        check_regular(stream.fileno(), path)
    except BaseException:
        stream.close()
        raise
    return stream


def read_file(path: Path) -> bytes:
    """All that a file holds; errors as of :func:`open_file`, and a file that is too large for memory is refused."""
    with open_file(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > _LARGEST_FILE:
            raise InvalidInputError(f"{path} has {size:.2g} bytes; expected at most {_LARGEST_FILE:.2g}")
        return stream.read()


def check_regular(handle: int, path: Path) -> None:
    """Refuses an open file that is no regular one, such as a FIFO or a device.

    Raises:
        InvalidInputError: for such a file.
    """
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise InvalidInputError(f"{path} is no regular file; choose another file")


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def expanded(path: Path | str) -> Path:
    """A path in which ``~`` stands for a home directory.

    Raises:
        InvalidInputError: for the home of a user that is not there.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InvalidInputError(f"{path} is in the home of a user that is not there") from None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader sees the old content or the new one, whatever happens in between.

    A link is replaced by the file, not followed. What is written goes into a new file under a name that nobody can
    guess, so that no link can wait there.

    Raises:
        InvalidInputError: where something else than a file is in the place, such as a device, or a link to one.
        OSError: where it could not be written.
    """
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"{path} is no regular file; choose another file")
    with naming(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with naming(path), os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())  # as any new file; mkstemp makes it private
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_clashes(outputs: Mapping[str, Iterable[Path]], inputs: Mapping[str, Iterable[Path]]) -> None:
    """Refuses outputs that would replace something that is still needed; to be called before the work.

    Two paths are the same where they lead to one file: as they are spelt, through links, or as hard links.

    Args:
        outputs: files to be written, by the option that names them.
        inputs: files to be read, likewise.

    Raises:
        InvalidInputError: for an output that is an input or another output as well, or that is a device, a pipe or
            anything else that is neither a file nor a folder.
    """
    written = [(name, path) for name, paths in outputs.items() for path in paths]
    read = [(name, path) for name, paths in inputs.items() for path in paths]
    for number, (name, path) in enumerate(written):
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InvalidInputError(f"{name}: {path} is no regular file; choose another file")
        for other, place in read:
            if _same_file(path, place):
                raise InvalidInputError(f"{name} would overwrite {place}, which {other} reads; choose another {name}")
        for other, place in written[:number]:
            if _same_file(path, place):
                raise InvalidInputError(f"{name} and {other} would both write {path}; choose another {name}")


def _same_file(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return os.path.realpath(one) == os.path.realpath(other)


@cache
def _umask() -> int:
    """The process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, which ``Path.mkdir`` does by recursion that deep paths exceed.

    Raises:
        InvalidInputError: where a file is in its place.
        OSError: where it cannot be made.
    """
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    if not path.is_dir():
        raise InvalidInputError(f"{path} is a file; expected a folder")
    for each in reversed(missing):
        each.mkdir(exist_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets an error of the disk say which file it is about."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, whole or not at all."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=200)
    write_atomically(path, content.getvalue())
