"""CIFAR-10 in half of its size, and back: ``python -m benchmarks.cuda.pack DATA_ROOT FOLDER``, then ``--unpack``.

A file of the published archive becomes one packed file of some 17 MB, so that three of them fit where 60 MB do. What
comes back is the published file byte for byte, checked against its sha256; nothing but numpy and the standard library
is needed. Red and blue are taken relative to green, every value is predicted from its left, upper and upper left
neighbours (the median edge detector of JPEG-LS), and what is left goes through LZMA, in chunks that are decoded on all
cores at once.

Measured on 2 000 images, as the size of all 60 000: this 99 MB, WebP in mosaics 99 MB (it needs Pillow), bzip2 after
the same prediction 105 MB, LZMA with its own delta filter 123 MB, PNG in mosaics 130 MB, uncompressed 184 MB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from noiseaug.data import DATASETS
from noiseaug.data.formats import parse_cifar
from noiseaug.errors import InvalidInputError
from noiseaug.runs import write_atomically

MAGIC = b"noiseaug packed images 1\n"
SUMS = "SHA256SUMS"
_SHAPE = (3, 32, 32)
_CHUNK = 1000  # images
# residuals repeat hardly ever; it is their distribution given the one before that LZMA makes use of
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 4, "lp": 0, "pb": 0, "dict_size": 1 << 22}]


def residuals(images: np.ndarray) -> np.ndarray:
    """What prediction leaves of uint8 images, shape (m, 3, height, width), colour by colour: (3, m, height, width)."""
    planes = _relative(images.transpose(1, 0, 2, 3))
    left, up, corner = np.zeros_like(planes), np.zeros_like(planes), np.zeros_like(planes)
    left[..., 1:], up[..., 1:, :], corner[..., 1:, 1:] = planes[..., :-1], planes[..., :-1, :], planes[..., :-1, :-1]
    # the first row knows its left neighbour alone, the first column its upper one
    up[..., 0, :], corner[..., 0, :] = left[..., 0, :], left[..., 0, :]
    left[..., 0], corner[..., 0] = up[..., 0], up[..., 0]
    return planes - _predicted(left, up, corner)


def restored(left_over: np.ndarray) -> np.ndarray:
    """The images whose :func:`residuals` these are."""
    colours, count, height, width = left_over.shape
    # pixels first, so that every step works on one contiguous piece of all images
    given = np.ascontiguousarray(left_over.transpose(2, 3, 0, 1))
    planes = np.empty_like(given)
    none = np.zeros((colours, count), np.uint8)
    for row in range(height):
        for column in range(width):
            left = planes[row, column - 1] if column else None
            up = planes[row - 1, column] if row else left
            corner = planes[row - 1, column - 1] if row and column else up
            left = up if left is None else left
            known = (none, none, none) if left is None else (left, up, left if corner is None else corner)
            planes[row, column] = given[row, column] + _predicted(*known)
    return _absolute(planes.transpose(2, 3, 0, 1)).transpose(1, 0, 2, 3)


def _relative(planes: np.ndarray) -> np.ndarray:
    """Green, red less green, blue less green, modulo 256 around 128, where differences have no edge."""
    red, green, blue = planes
    return np.stack([green, red - green + np.uint8(128), blue - green + np.uint8(128)])


def _absolute(planes: np.ndarray) -> np.ndarray:
    green, red, blue = planes
    return np.stack([red + green - np.uint8(128), green, blue + green - np.uint8(128)])


def _predicted(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """left + up − corner, but no further than either neighbour."""
    low, high = np.minimum(left, up), np.maximum(left, up)
    plane = left.astype(np.int16) + up - corner
    return np.clip(plane, low, high).astype(np.uint8)


def pack_file(content: bytes, name: str, pool: ThreadPoolExecutor) -> bytes:
    """A pickled batch of CIFAR-10, packed.

    Raises:
        InvalidInputError: where the images do not lie in it as one piece.
    """
    images, _ = parse_cifar(Path(name), content)
    pixels = images.tobytes()
    start = content.find(pixels)
    if start < 0:
        raise InvalidInputError(f"{name} does not hold its images in one piece; expected a batch of CIFAR-10")
    parts = [images[first : first + _CHUNK] for first in range(0, len(images), _CHUNK)]
    rest = content[:start] + content[start + len(pixels) :]
    pieces = list(pool.map(_packed_chunk, parts))
    pieces.append(lzma.compress(rest, lzma.FORMAT_XZ, preset=9))
    header = {
        "name": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "start": start,
        "images": [len(part) for part in parts],
        "sizes": [len(piece) for piece in pieces],
    }
    return MAGIC + json.dumps(header).encode() + b"\n" + b"".join(pieces)


def unpack_file(packed: bytes, what: str, pool: ThreadPoolExecutor) -> tuple[str, bytes]:
    """Name and content of the file that was packed.

    Raises:
        InvalidInputError: for damage of any kind.
    """
    try:
        if not packed.startswith(MAGIC):
            raise ValueError("it does not begin as one")
        line, _, body = packed[len(MAGIC) :].partition(b"\n")
        header = json.loads(line)
        ends = np.cumsum(header["sizes"]).tolist()
        pieces = [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        if ends[-1] != len(body):
            raise ValueError(f"it has {len(body)} of {ends[-1]} bytes")
        images = b"".join(pool.map(_chunk, pieces[:-1], header["images"]))
        rest, start = lzma.decompress(pieces[-1]), header["start"]
        content = rest[:start] + images + rest[start:]
        if hashlib.sha256(content).hexdigest() != header["sha256"]:
            raise ValueError("its content has another sha256")
        name = Path(header["name"]).name
    except (ValueError, LookupError, TypeError, lzma.LZMAError, EOFError) as error:
        raise InvalidInputError(f"{what} is damaged or no packed file ({error}); pack or copy it anew") from None
    return name, content


def _packed_chunk(images: np.ndarray) -> bytes:
    return lzma.compress(residuals(images).tobytes(), lzma.FORMAT_RAW, filters=_FILTERS)


def _chunk(piece: bytes, count: int) -> bytes:
    values = np.frombuffer(lzma.decompress(piece, lzma.FORMAT_RAW, filters=_FILTERS), np.uint8)
    return np.ascontiguousarray(restored(values.reshape(_SHAPE[0], count, *_SHAPE[1:]))).tobytes()


def pack(root: Path, folder: Path) -> None:
    """Packs the files of CIFAR-10 that lie in a data root."""
    folder.mkdir(parents=True, exist_ok=True)
    sums, total = [], 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file in DATASETS["cifar10"].all_files:
            path = root / file.path
            if not path.is_file():
                raise InvalidInputError(f"no file {path}; expected CIFAR-10 in torchvision's layout")
            packed = pack_file(path.read_bytes(), path.name, pool)
            write_atomically(folder / f"{path.name}.packed", packed)
            sums.append(f"{hashlib.sha256(packed).hexdigest()}  {path.name}.packed\n")
            total += len(packed)
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, packed {len(packed) / 1e6:.1f} MB", flush=True)
    write_atomically(folder / SUMS, "".join(sums))
    print(f"{total / 1e6:.1f} MB in all; hashes in {folder / SUMS}")


def unpack(folder: Path, root: Path) -> None:
    """Unpacks what lies in a folder into a data root."""
    packed = sorted(folder.glob("*.packed"))
    if not packed:
        raise InvalidInputError(f"{folder} holds no packed files")
    known = {Path(file.path).name: file for file in DATASETS["cifar10"].all_files}
    (root / "cifar-10-batches-py").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path in packed:
            name, content = unpack_file(path.read_bytes(), str(path), pool)
            if name not in known:
                raise InvalidInputError(f"{path} holds {name}, which is no file of CIFAR-10")
            if hashlib.sha256(content).hexdigest() != known[name].sha256:
                raise InvalidInputError(f"{path} holds another {name} than the published one; pack it anew")
            write_atomically(root / known[name].path, content)
            print(f"{name}: as published", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda.pack", description="CIFAR-10 in half of its size.")
    parser.add_argument("source", type=Path, help="data root with cifar-10-batches-py; with --unpack the packed files")
    parser.add_argument("target", type=Path, help="folder of the packed files; with --unpack the data root")
    parser.add_argument("--unpack", action="store_true", help="the way back")
    options = parser.parse_args(arguments)
    try:
        (unpack if options.unpack else pack)(options.source, options.target)
    except (InvalidInputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
