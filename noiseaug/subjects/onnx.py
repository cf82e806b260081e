"""ONNX files as classifiers, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noiseaug.errors import InvalidInputError, first_line

__all__ = ["OnnxClassifier"]


class OnnxClassifier:
    """A network in an ONNX file, from one batch of inputs to logits or scores.

    Args:
        path: the file.
        shape: of one input.

    Attributes:
        num_classes: number of classes; a single logit stands for two.

    Raises:
        InvalidInputError: where onnxruntime is not installed, the file is not there or is no network, or the network
            does not take inputs of this shape or does not return one score for each class.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise InvalidInputError(
                "onnxruntime is not installed, which .onnx files need; pip install 'noiseaug[onnx]'"
            ) from None
        if not path.is_file():
            raise InvalidInputError(f"no file {path}")
        self.path = path
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # of several kinds, none of them public
            raise InvalidInputError(f"{path} is no network for onnxruntime: {first_line(error)}") from None
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(double)", "tensor(float16)"):
            listed = ", ".join(f"{each.name} ({each.type})" for each in inputs)
            raise InvalidInputError(f"{path} takes {listed}; expected one batch of floats")
        self._input = inputs[0].name
        self._dtype = {"tensor(float)": np.float32, "tensor(double)": np.float64}.get(inputs[0].type, np.float16)
        size = inputs[0].shape[0] if inputs[0].shape else None
        self._size = size if isinstance(size, int) else None  # some are exported for a batch of one size
        self._flat = len(inputs[0].shape) == 2 and len(shape) > 1
        self.num_classes = max(2, self._scores(np.zeros((2, *shape), np.float32)).shape[1])

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """The class with the largest score of each input, shape (m,)."""
        scores = self._scores(batch)
        if np.isnan(scores).any():
            raise InvalidInputError(f"{self.path} returned NaN; expected finite scores")
        labels: np.ndarray = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(np.int64)
        return labels

    def _scores(self, batch: np.ndarray) -> np.ndarray:
        """Scores of shape (m, K): the first output that has a float, or a row of them, for each input."""
        count = len(batch)
        rows = batch.reshape(count, -1) if self._flat else batch
        rows = rows.astype(self._dtype)
        size = self._size or count
        padded = np.concatenate([rows, np.zeros((-count % size, *rows.shape[1:]), rows.dtype)])
        try:
            runs = [self._session.run(None, {self._input: padded[i : i + size]}) for i in range(0, len(padded), size)]
        except Exception as error:
            raise InvalidInputError(
                f"{self.path} does not take inputs of shape {'×'.join(map(str, batch.shape[1:]))}: {first_line(error)}"
            ) from None
        fitting = [place for place, each in enumerate(runs[0]) if _is_scores(each, size)]
        if not fitting:
            raise InvalidInputError(f"{self.path} returns no floats of shape (m, K); expected a score for each class")
        return np.concatenate([outputs[fitting[0]].reshape(size, -1) for outputs in runs])[:count]


def _is_scores(output: Any, size: int) -> bool:
    array = isinstance(output, np.ndarray) and output.dtype.kind == "f"
    return array and (output.shape == (size,) or (output.ndim == 2 and len(output) == size))
