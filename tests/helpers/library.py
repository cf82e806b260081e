"""Small data sets in the place of the published ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from dataclasses import replace

import numpy as np

from noiseaug.data import DATASETS
from noiseaug.data.downloads import DataFile

RNG = np.random.default_rng(0)
IMAGES = {"train": RNG.integers(0, 256, (30, 28, 28), np.uint8), "test": RNG.integers(0, 256, (12, 28, 28), np.uint8)}
LABELS = {"train": np.arange(30) % 10, "test": np.arange(12)[::-1] % 10}


# --- small copies of the published files


def idx(array):
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def text(value):
    return b"U" + bytes([len(value)]) + value


def array_in_a_pickle(array):
    """As Python 2 and numpy 1 wrote it: names of modules that have moved since, integers where flags are wanted."""
    shape = b"".join(b"M" + struct.pack("<H", length) for length in array.shape)
    kind = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    blank = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    body = b"T" + struct.pack("<I", array.size) + array.tobytes()
    return blank + b"(K\x01(" + shape + b"t" + kind + b"\x89" + body + b"tb"


def batch(images, labels):
    """A batch of CIFAR-10, byte for byte in the style of the published ones."""
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    pixels = array_in_a_pickle(images.reshape(len(images), -1))
    return (
        b"\x80\x02}(" + text(b"data") + pixels + text(b"labels") + numbers + text(b"batch_label") + text(b"x") + b"u."
    )


def published(path, content, plain=None):
    digests = [hashlib.sha256(part).hexdigest() for part in (content, plain) if part is not None]
    return DataFile(path, len(content), *digests)


class Library:
    """Small data sets in the place of the large ones, with the folders that they are published in."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.contents = {}
        self.set_idx()
        self.set_cifar()

    def replace(self, name, **changes):
        self.monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], **changes))

    def set_idx(self, images=IMAGES, labels=LABELS, packed=gzip.compress, name="mnist", folder="MNIST"):
        files = {}
        for split, stem in (("train", "train"), ("test", "t10k")):
            files[split] = []
            for what, array in (
                (f"{stem}-images-idx3-ubyte", images[split]),
                (f"{stem}-labels-idx1-ubyte", labels[split]),
            ):
                plain = array if isinstance(array, bytes) else idx(array)
                path = f"{folder}/raw/{what}.gz"
                self.contents[path] = packed(plain)
                files[split].append(published(path, self.contents[path], plain))
        self.replace(name, files={split: tuple(found) for split, found in files.items()}, mirrors=())

    def set_cifar(self, images=None, labels=None):
        rng = np.random.default_rng(1)
        self.colour = rng.integers(0, 256, (6, 4, 3, 32, 32), np.uint8) if images is None else images
        self.kinds = rng.integers(0, 10, (6, 4)) if labels is None else labels
        names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
        paths = [f"cifar-10-batches-py/{name}" for name in names]
        for path, pixels, kinds in zip(paths, self.colour, self.kinds, strict=True):
            self.contents[path] = batch(pixels, kinds)
        self.contents["cifar-10-batches-py/batches.meta"] = b"meta"
        files = [published(path, self.contents[path]) for path in paths]
        meta = published("cifar-10-batches-py/batches.meta", b"meta")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for path in [*reversed(paths), meta.path, "cifar-10-batches-py/readme.html", "../outside"]:
                member = tarfile.TarInfo(path)
                body = self.contents.get(path, b"else")
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
        self.archive = buffer.getvalue()
        self.replace(
            "cifar10",
            files={"train": tuple(files[:5]), "test": (files[5],)},
            archive=published("cifar-10-python.tar.gz", self.archive),
            companions=(meta,),
            mirrors=(),
        )

    def fill(self, root, *names):
        """Puts the files of data sets into a root, those of all by default."""
        for path, body in self.contents.items():
            if not names or path in names:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(body)
        return root
