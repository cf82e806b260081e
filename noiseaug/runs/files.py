"""Writing files whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from noiseaug.errors import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["naming", "refuse_clashes", "save_figure", "write_atomically"]


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
