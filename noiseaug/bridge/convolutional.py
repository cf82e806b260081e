"""A convolutional model that is solved and not trained, for many training noises at once (docs/math.md 2.8).

Networks differ from Gaussian classes in that they look at patches. Here the patches are fixed: filters are patches of
the training images themselves, and their thresholded responses are averaged over cells of the image. A second layer
compares these averages with those of some training images, by a Gaussian of the distance. Ridge regression on noisy
copies of the training images reads the classes off both layers. For each α that is a system of linear equations. The
features of a noisy test image are the same for all α, so another α costs one more matrix product.

The patches and thresholds follow Coates, Ng & Lee 2011; the second layer is Nyström's approximation of a kernel
(Williams & Seeger 2000). Both are the same for every α.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy import linalg

from noiseaug import validation
from noiseaug.bridge.samples import TrainingRows, inputs_of, principal_axes
from noiseaug.errors import InvalidInputError
from noiseaug.runs.progress import progress_bar
from noiseaug.validation import FloatArray

__all__ = ["SMALLEST", "ConvolutionalFamily", "ConvolutionalFeatures", "Landmarks", "PatchFeatures"]

# Chosen on validation images of MNIST and on one network on CIFAR-10, then frozen.
_SIZES = (1 / 4, 3 / 8)  # of patches, in sides of the image
_CELLS = 3  # along each axis, over which responses are averaged
_PIXEL_CELLS = 4  # along each axis, over which the pixels themselves are
_POSITIONS = 14  # along a side of the image, about
_SOFTNESS = 2.0  # standard deviation of the noise in which a filter tells its patch from the others
_THRESHOLD = 0.5  # in standard deviations of a response
_CALIBRATION = 0.5  # noise at which these are taken
_CONTRAST = 0.4  # share of patches, those of least contrast, that become no filter
_LESS_NOISE = 0.25  # share of the noisy images with a level between 0 and α in place of α
_RIDGE = 1e-3  # in variances of a feature
_LEAST_VARIANCE = 1e-3  # of the mean one, added to the variance of every feature: some hardly vary

_AXES = 200  # principal ones of the averages, in which distances are taken
_SHARPNESS = 4.0  # of the Gaussians, in inverses of the median squared distance

_MOST_FILTERS = 40  # of a size
_FEWEST_FILTERS = 8
_IMAGES_PER_FEATURE = 1  # at least, as far as the fewest filters allow
_LANDMARKS = 2000  # training images with which the second layer compares
_IMAGES_PER_LANDMARK = 10  # at least
_SOME_IMAGES = 6000  # from which the axes are taken
_ROWS = 10_000  # noisy training images of each α, at least
_PATCHES = 20_000  # from which the filters of a size are drawn
_TINY = float(np.finfo(np.float32).tiny)
_BLOCK = 64  # images whose responses are held at a time: they stay in the cache
_ROUND = 512  # images of one update of the normal equations
SMALLEST = 6
"""Pixels that an image has along each side, at least."""


@dataclass(frozen=True, eq=False)
class _Bank:
    """Filters of one size.

    Attributes:
        columns: shape (C · size · size, filters), float32.
        size: pixels along a side.
        stride: pixels between two positions.
        shape: channels, height, width of an image.
        threshold: of each filter, shape (filters,), float32.
    """

    columns: np.ndarray
    size: int
    stride: int
    shape: tuple[int, int, int]
    threshold: np.ndarray

    @cached_property
    def _averages(self) -> np.ndarray:
        """Weights that average over the cells of the positions, shape (cells, positions)."""
        along = [(side - self.size) // self.stride + 1 for side in self.shape[1:]]
        parts = [_cells(count, min(_CELLS, count)) for count in along]
        return np.kron(*parts).astype(np.float32)

    @property
    def width(self) -> int:
        """Features of an image."""
        return 2 * self.columns.shape[1] * len(self._averages)

    def responses(self, images: np.ndarray) -> np.ndarray:
        """Of every filter at every position, shape (m, positions, filters)."""
        margins = [(side - self.size) % self.stride // 2 for side in self.shape[1:]]
        seen = images[:, :, margins[0] :, margins[1] :]
        windows = sliding_window_view(seen, (self.size, self.size), axis=(2, 3))[:, :, :: self.stride, :: self.stride]
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, len(self.columns))
        return (patches @ self.columns).reshape(len(images), -1, self.columns.shape[1])

    def features(self, images: np.ndarray) -> Iterator[np.ndarray]:
        """Responses above the threshold and those below its negative, averaged over cells; each of shape (m, …)."""
        found = self.responses(images)
        part = np.maximum(found, self.threshold)
        yield np.matmul(self._averages, part).reshape(len(images), -1)
        np.minimum(found, -self.threshold, out=part)
        yield np.matmul(self._averages, part).reshape(len(images), -1)


def _cells(count: int, cells: int) -> FloatArray:
    """Averages over ``cells`` consecutive parts of ``count`` places, shape (cells, count)."""
    part = np.arange(count) * cells // count
    members = part == np.arange(cells)[:, None]
    return members / members.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Averages of thresholded responses of patches, and of pixels.

    Attributes:
        shape: channels, height, width of an image.
    """

    shape: tuple[int, int, int]
    _banks: tuple[_Bank, ...]

    @classmethod
    def fit(cls, images: np.ndarray, filters: int, seed: int = 0) -> PatchFeatures:
        """Filters from patches of images.

        Args:
            images: shape (n, C, H, W), float32.
            filters: of each size.
            seed: of the choice of patches.

        Raises:
            InvalidInputError: for images that are too small, or blank.
        """
        shape = images.shape[1:]
        if min(shape[1:]) < SMALLEST:
            raise InvalidInputError(
                f"images have {shape[1]}×{shape[2]} pixels; the convolutional rule needs {SMALLEST}×{SMALLEST}"
            )
        rng, banks = np.random.default_rng([seed, 6]), []
        some = images[rng.integers(len(images), size=_ROUND)]
        noisy = _noisy(some, rng)
        side = min(shape[1:])
        for share in _SIZES:
            size = round(share * side)
            columns = _matched_filters(_patches(images, size, rng), filters, rng).astype(np.float32)
            bank = _Bank(columns, size, max(1, side // _POSITIONS), shape, np.zeros(columns.shape[1], np.float32))
            spread = np.mean([bank.responses(part).std(axis=(0, 1)) for part in _blocks(noisy)], axis=0)
            banks.append(_Bank(columns, size, bank.stride, shape, np.float32(_THRESHOLD) * spread))
        return cls(shape, tuple(banks))

    @cached_property
    def _pixels(self) -> list[np.ndarray]:
        """Averages over cells of rows and of columns of pixels."""
        return [_cells(side, min(_PIXEL_CELLS, side)).astype(np.float32) for side in self.shape[1:]]

    @property
    def width(self) -> int:
        """Features of an image."""
        rows, columns = self._pixels
        return sum(bank.width for bank in self._banks) + self.shape[0] * len(rows) * len(columns)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The features of images of shape (m, C, H, W), float32; shape (m, width)."""
        out = np.empty((len(images), self.width), dtype=np.float32)
        rows, columns = self._pixels
        for block, target in zip(_blocks(images), _blocks(out), strict=True):
            parts = [part for bank in self._banks for part in bank.features(block)]
            parts.append((rows @ block @ columns.T).reshape(len(block), -1))
            np.concatenate(parts, axis=1, out=target)
        return out


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Gaussians of the distances to some training images, in principal axes of the averages.

    Attributes:
        centre: of the averages, shape (width,).
        axes: as columns, shape (width, dim).
        places: of the images in these axes, shape (landmarks, dim).
        rate: by which squared distances are multiplied.
    """

    centre: np.ndarray
    axes: np.ndarray
    places: np.ndarray
    rate: np.float32

    @classmethod
    def fit(cls, patches: PatchFeatures, images: np.ndarray, seed: int = 0) -> Landmarks:
        """Axes from noisy images, landmarks from clean ones.

        Args:
            patches: the first layer.
            images: shape (n, C, H, W), float32.
            seed: of the choice of images and of the noise.
        """
        rng = np.random.default_rng([seed, 8])
        some = images[rng.permutation(len(images))[:_SOME_IMAGES]]
        noisy = patches(_noisy(some, rng))
        centre = noisy.mean(axis=0)
        covariance = np.cov(noisy, rowvar=False)
        axes = principal_axes(covariance, min(_AXES, patches.width))[1].astype(np.float32)
        # a small part of the images: the equations would know the others by heart
        marks = min(_LANDMARKS, -(-len(images) // _IMAGES_PER_LANDMARK))
        places = (patches(some[:marks]) - centre) @ axes
        # the median to noisy images: as far apart as what is compared with them later
        median = np.median(_squared_distances((noisy[:_ROUND] - centre) @ axes, places))
        return cls(centre, axes, places, np.float32(_SHARPNESS / max(float(median), _TINY)))

    def __call__(self, averages: np.ndarray) -> np.ndarray:
        """The second layer of shape (m, landmarks), from the first of shape (m, width)."""
        found = _squared_distances((averages - self.centre) @ self.axes, self.places)
        found *= -self.rate
        return np.exp(found, out=found)


def _squared_distances(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Between rows, shape (m, places)."""
    found = np.square(x).sum(axis=1)[:, None] + np.square(places).sum(axis=1) - 2 * (x @ places.T)
    return np.maximum(found, 0, out=found)


@dataclass(frozen=True, eq=False)
class ConvolutionalFeatures:
    """Both layers beside each other.

    Attributes:
        patches: the first layer.
        landmarks: the second one.
    """

    patches: PatchFeatures
    landmarks: Landmarks

    @classmethod
    def fit(cls, images: np.ndarray, filters: int, seed: int = 0) -> ConvolutionalFeatures:
        """Both from training images, as their parts are."""
        patches = PatchFeatures.fit(images, filters, seed)
        return cls(patches, Landmarks.fit(patches, images, seed))

    @property
    def width(self) -> int:
        """Features of an image."""
        return self.patches.width + len(self.landmarks.places)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The features of images of shape (m, C, H, W), float32; shape (m, width)."""
        first = self.patches(images)
        return np.concatenate([first, self.landmarks(first)], axis=1)


def _noisy(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images with the noise at which thresholds, axes and scales are taken."""
    return images + np.float32(_CALIBRATION) * rng.standard_normal(images.shape, dtype=np.float32)


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]


def _patches(images: np.ndarray, size: int, rng: np.random.Generator) -> FloatArray:
    """Patches at random places, each less its mean, shape (some, C · size · size)."""
    count, _, height, width = images.shape
    windows = sliding_window_view(images, (size, size), axis=(2, 3))
    which = rng.integers(count, size=_PATCHES)
    rows, columns = rng.integers(height - size + 1, size=_PATCHES), rng.integers(width - size + 1, size=_PATCHES)
    patches = windows[which, :, rows, columns].reshape(_PATCHES, -1).astype(float)
    return patches - patches.mean(axis=1, keepdims=True)


def _matched_filters(patches: FloatArray, filters: int, rng: np.random.Generator) -> FloatArray:
    """Unit vectors that tell a patch from the others in noise, as columns, shape (dim, filters).

    For the patch p that is (Σ + s²I)⁻¹p, with the covariance Σ of all patches and noise of standard deviation s.

    Raises:
        InvalidInputError: for blank patches.
    """
    contrast = np.linalg.norm(patches, axis=1)
    if contrast.max() == 0:
        raise InvalidInputError("the training images are blank; the convolutional rule needs patches that differ")
    kept = patches[(contrast > 0) & (contrast >= np.quantile(contrast, _CONTRAST))]
    chosen = kept[rng.permutation(len(kept))[:filters]]
    covariance = patches.T @ patches / len(patches)
    covariance[np.diag_indices_from(covariance)] += _SOFTNESS**2
    matched = linalg.solve(covariance, chosen.T, assume_a="pos")
    return matched / np.linalg.norm(matched, axis=0)


@dataclass(frozen=True, eq=False)
class ConvolutionalFamily(TrainingRows):
    """Ridge regression on responses of patches, one for each training noise α.

    The rules of all α share the filters, the training images and, up to its size, the noise on them: what differs
    between them is due to α.

    Attributes:
        points: training images as rows, shape (n, C · H · W), float32 in [0, 1].
        labels: 0 … K−1, each class present, shape (n,).
        train_sigma: the levels α ≥ 0.
        shape: channels, height, width of an image.
        filters: of each size; by default 40, and fewer for less than some 1 400 images.
        seed: of the choice of patches and of the noise.
        progress: show a bar on standard error while the equations are made.

    Raises:
        InvalidInputError: for rows that are no such images, and images that are too small or blank.
    """

    shape: tuple[int, ...]
    filters: int | None = None
    seed: int = 0
    progress: bool = False

    name: ClassVar[str] = "convolutional"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != 3 or self.dim != np.prod(self.shape):
            raise InvalidInputError(
                f"inputs have shape {tuple(self.shape)}, rows {self.dim} numbers; the convolutional rule needs "
                "images (C, H, W); choose the quadratic rule for others"
            )
        if self.filters is not None:
            validation.integer("filters", self.filters)

    @property
    def width(self) -> int:
        """Numbers held for each input that is classified."""
        return self.features.width + self.num_classes * len(self.train_sigma)

    @property
    def remark(self) -> str:
        """What the rules are of."""
        return f"convolutional rule of {len(self.points)} training images, {self.features.width} features"

    @cached_property
    def features(self) -> ConvolutionalFeatures:
        """The features, from the training images."""
        filters = self.filters
        if filters is None:
            wanted = len(self.points) // (_IMAGES_PER_FEATURE * 2 * len(_SIZES) * _CELLS**2)
            filters = min(max(wanted, _FEWEST_FILTERS), _MOST_FILTERS)
        return ConvolutionalFeatures.fit(self._images(self.points), filters, self.seed)

    def _images(self, rows: np.ndarray) -> np.ndarray:
        return rows.reshape(len(rows), *self.shape)

    @cached_property
    def _solutions(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights, shape (width, levels · K), and what is added, shape (levels · K,)."""
        rng = np.random.default_rng([self.seed, 7])
        some = self._images(self.points[rng.permutation(len(self.points))[:_SOME_IMAGES]])
        noisy = _noisy(some, rng)
        # one scale for every α: a feature that hardly varies under its noise must not be blown up under another
        variances = self.features(noisy).var(axis=0, dtype=float)
        equations = [_NormalEquations(variances, self.num_classes) for _ in self.train_sigma]
        copies = max(1, -(-_ROWS // len(self.points)))
        rounds = [
            part
            for _ in range(copies)
            for part in np.array_split(rng.permutation(len(self.points)), -(-len(self.points) // _ROUND))
        ]
        targets = np.eye(self.num_classes, dtype=np.float32)
        for part in progress_bar(rounds, show=self.progress, desc="convolutional rule, normal equations"):
            noise = rng.standard_normal((len(part), *self.shape), dtype=np.float32)
            # networks trained with much noise stand less of it; what is linear in the features has to be taught
            less = rng.random(len(part), dtype=np.float32)
            less[rng.random(len(part)) >= _LESS_NOISE] = 1
            noise *= less[:, None, None, None]
            images, answers = self._images(self.points[part]), targets[self.labels[part]]
            for level, each in zip(self.train_sigma, equations, strict=True):
                each.add(self.features(images + np.float32(level) * noise), answers)
        solved = [each.solve() for each in equations]
        weights, shifts = (np.concatenate(each, axis=-1) for each in zip(*solved, strict=True))
        return weights.astype(np.float32), shifts.astype(np.float32)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class of each point by each rule, shape (levels, m); ties go to the smaller label.

        Args:
            x: points, shape (m, dim).
        """
        images = self._images(inputs_of(x, self.dim))
        weights, shifts = self._solutions
        out = np.empty((len(self.train_sigma), len(images)), dtype=np.int64)
        for start in range(0, len(images), _ROUND):
            scores = self.features(images[start : start + _ROUND]) @ weights + shifts
            scores = scores.reshape(len(scores), len(self.train_sigma), self.num_classes)
            out[:, start : start + _ROUND] = scores.argmax(axis=2).T
        return out


class _NormalEquations:
    """Sums of ridge regression with an intercept that is not penalised.

    Args:
        variances: of the features, as the penalty sees them, shape (width,).
        num_classes: number of columns of the answers.
    """

    def __init__(self, variances: FloatArray, num_classes: int) -> None:
        width = len(variances)
        self._scale = 1 / np.sqrt(variances + _LEAST_VARIANCE * variances.mean())
        self._products = np.zeros((width, width))
        self._answers = np.zeros((width, num_classes))
        self._sums, self._shares = np.zeros(width), np.zeros(num_classes)
        self._centre, self._count = np.zeros(width, dtype=np.float32), 0

    def add(self, features: np.ndarray, answers: np.ndarray) -> None:
        """Adds rows: features of shape (m, width), answers of shape (m, K)."""
        if not self._count:
            # any point near the mean will do: products of differences keep their digits in float32
            self._centre = features.mean(axis=0)
        rows = features - self._centre
        self._products += rows.T @ rows
        self._answers += rows.T @ answers
        self._sums += rows.sum(axis=0)
        self._shares += answers.sum(axis=0)
        self._count += len(rows)

    def solve(self) -> tuple[FloatArray, FloatArray]:
        """Weights, shape (width, K), and shifts, shape (K,)."""
        mean, shares = self._sums / self._count, self._shares / self._count
        covariance = self._products / self._count - np.outer(mean, mean)
        scale = self._scale
        covariance *= scale[:, None] * scale
        covariance[np.diag_indices_from(covariance)] += _RIDGE
        right = (self._answers / self._count - np.outer(mean, shares)) * scale[:, None]
        weights = linalg.solve(covariance, right, assume_a="pos", overwrite_a=True) * scale[:, None]
        return weights, shares - (mean + self._centre) @ weights
