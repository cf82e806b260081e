"""Published files: whether they are there as they were published, and where to get them otherwise.

A file is known by its size and its sha256. Nothing is handed on whose hash was not checked on the very bytes handed on.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noiseaug.errors import InvalidInputError
from noiseaug.runs import read_file, write_atomically
from noiseaug.runs.progress import progress_bar

__all__ = ["DataFile", "Found", "download", "find", "unpack"]

_TIMEOUTS = (10, 60)  # seconds to connect, and to wait for the next bytes
_CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class DataFile:
    """A file as it was published.

    Attributes:
        path: below the data root, with forward slashes.
        size: its length in bytes.
        sha256: its hash.
        plain_sha256: for a ``.gz`` file, the hash of what it holds, where a copy without ``.gz`` is taken too.
    """

    path: str
    size: int
    sha256: str
    plain_sha256: str = ""


@dataclass(frozen=True)
class Found:
    """What lies where a file is expected.

    Attributes:
        file: which file.
        path: where it is or, if it is missing, where it belongs.
        content: its bytes, checked; None if missing or not as published.
        damage: what is wrong with the file that is there.
    """

    file: DataFile
    path: Path
    content: bytes | None = None
    damage: str = ""

    @property
    def missing(self) -> bool:
        """Whether nothing is there."""
        return self.content is None and not self.damage


def find(file: DataFile, root: Path) -> Found:
    """Looks for a file and checks it."""
    choices = [(file.path, file.sha256)]
    if file.plain_sha256:
        choices.append((file.path.removesuffix(".gz"), file.plain_sha256))
    damaged = None
    for name, expected in choices:
        path = root / name
        try:
            content = read_file(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            damaged = damaged or Found(file, path, damage=f"cannot be read ({error.strerror})")
            continue
        except InvalidInputError:
            damaged = damaged or Found(file, path, damage="cannot be read (no regular file)")
            continue
        if hashlib.sha256(content).hexdigest() == expected:
            return Found(file, path, content)
        damaged = damaged or Found(file, path, damage=_damage(len(content), file.size if name == file.path else None))
    return damaged or Found(file, root / file.path)


def _damage(length: int, expected: int | None) -> str:
    if expected is None or length == expected:
        return "does not have its published sha256"
    return f"has {length} of {expected} bytes" if length < expected else f"has {length} bytes instead of {expected}"


def download(files: Sequence[DataFile], mirrors: Sequence[str], root: Path, *, progress: bool = True) -> None:
    """Downloads files into the data root, each from the first mirror that has it as it was published.

    A file that is there with another hash is replaced. Each appears whole or not at all, so that an interrupted call
    loses one file at most, and several processes may download at once.

    Args:
        files: what to download.
        mirrors: addresses of folders, with a slash at the end, in the order in which they are tried.
        root: the data root.
        progress: show a bar for each file on standard error.

    Raises:
        InvalidInputError: where no mirror has a file, the data root cannot be written, or pooch is not installed.
    """
    for number, file in enumerate(files):
        by_hand = f"put {_listed([root / rest.path for rest in files[number:]])} by hand"
        try:
            import pooch
        except ImportError:
            raise InvalidInputError(f"pooch is not installed; pip install 'noiseaug[vision]', or {by_hand}") from None
        failures = []
        for mirror in mirrors:
            failure = _retrieve(pooch, file, mirror, root, progress)
            if not failure:
                break
            failures.append(f"{mirror} ({failure})")
        else:
            name = Path(file.path).name
            raise InvalidInputError(f"{name} could not be downloaded from {', '.join(failures)}; {by_hand}")


def _listed(paths: Sequence[Path]) -> str:
    """``a, b into FOLDER``: the files of a set share one folder."""
    return f"{', '.join(path.name for path in paths)} into {paths[0].parent}"


def _retrieve(pooch: Any, file: DataFile, mirror: str, root: Path, progress: bool) -> str:
    """Downloads one file from one mirror; returns why not, or nothing."""
    import requests

    target = root / file.path
    try:
        with _quiet(pooch), _bar(target.name, file.size, progress) as bar:
            pooch.retrieve(
                mirror + target.name,
                f"sha256:{file.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUTS),
            )
    except requests.HTTPError as error:
        return f"HTTP status {getattr(error.response, 'status_code', 'unknown')}"
    except requests.Timeout:
        return "no answer in time"
    except requests.ConnectionError:
        return "no connection"
    except requests.exceptions.ChunkedEncodingError:
        return "cut off"
    except requests.RequestException as error:
        return type(error).__name__
    except ValueError:  # pooch's word for a wrong hash
        return "not the published bytes"
    except OSError as error:
        raise InvalidInputError(
            f"cannot write {target}: {error.strerror or error}; choose another data root (NOISEAUG_DATA)"
        ) from None
    return ""


@contextmanager
def _quiet(pooch: Any) -> Iterator[None]:
    """Keeps pooch from announcing what the bars show."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)


class _Progress:
    """A bar as pooch wants to move it: it counts whole chunks and, at the end, starts again and jumps to the total."""

    def __init__(self, bar: Any, size: int) -> None:
        self.bar, self.total = bar, size

    def update(self, count: int) -> None:
        self.bar.update(min(count, self.bar.total - self.bar.n))

    def reset(self) -> None:
        """Nothing, which keeps the rate right."""

    def close(self) -> None:
        """Nothing: a bar is closed by who opened it."""


@contextmanager
def _bar(name: str, size: int, progress: bool) -> Iterator[Any]:
    """A bar that stays when the download is through, and goes when it fails."""
    if not progress:
        yield False
        return
    bar = progress_bar(show=True, desc=name, total=size, unit="B", unit_scale=True)
    try:
        yield _Progress(bar, size)
    except BaseException:
        bar.leave = False
        raise
    finally:
        bar.close()


def unpack(archive: DataFile, files: Sequence[DataFile], root: Path) -> None:
    """Takes files out of a ``.tar.gz`` archive in the data root; each appears whole or not at all.

    Args:
        archive: the archive, checked before.
        files: what to take; a member has the file's path below the root as its name. Nothing else is taken out.
        root: the data root.

    Raises:
        InvalidInputError: where the archive is damaged, lacks a file or holds another one under its name, or the data
            root cannot be written.
    """
    path = root / archive.path
    wanted = {file.path: file for file in files}
    try:
        with tarfile.open(path, "r:gz") as members:
            for member in members:
                stream = members.extractfile(member) if member.name in wanted else None
                if stream is None:
                    continue
                file, content = wanted.pop(member.name), stream.read()
                if hashlib.sha256(content).hexdigest() != file.sha256:
                    raise InvalidInputError(f"{path}: {member.name} does not have its published sha256; delete {path}")
                _write(root / file.path, content)
                if not wanted:
                    break
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InvalidInputError(f"{path} cannot be unpacked: {error}; delete it") from None
    if wanted:
        raise InvalidInputError(f"{path} lacks {', '.join(wanted)}; delete it")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise InvalidInputError(
            f"cannot write {path}: {error.strerror or error}; choose another data root (NOISEAUG_DATA)"
        ) from None
