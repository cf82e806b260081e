"""The rules that predict what networks certify, by name; loads none of them before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noiseaug.registry import Entry, Registry

if TYPE_CHECKING:
    from noiseaug.bridge.prediction import RuleFamily

__all__ = ["PREDICTORS"]

PREDICTORS: Registry[type[RuleFamily]] = Registry(
    "predictor",
    {
        "convolutional": Entry(
            "noiseaug.bridge.convolutional:ConvolutionalFamily", "ridge regression on patches of images"
        ),
        "quadratic": Entry("noiseaug.bridge.quadratic:QuadraticFamily", "Gaussian classes"),
        "kernel": Entry("noiseaug.bridge.kernel:KernelFamily", "Gaussian kernels around the training inputs"),
    },
)
"""Every rule by name, the one closest to networks first."""
