"""The soft smoothed classifier as a torch module, which lets other attack libraries at a smoothed classifier."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.vision.attacks.soft import noisy_logits

__all__ = ["SmoothedModule"]


class SmoothedModule(nn.Module):
    """log G(x), G(x) = (1/m) Σ_j softmax F(x + βε_j): differentiable, and fit to stand where logits are expected.

    The noise vectors ε_1 … ε_m are shared by all images of a batch and drawn on the CPU, so that an image's answer
    depends on the seed alone, not on the rest of the batch or the device. G is the soft classifier that attacks climb
    (Salman et al. 2019), not the majority vote that certificates are about.

    Where a gradient is wanted and the copies do not fit one batch, activations are not kept but computed again in the
    backward pass: memory is that of one batch, for a third more time.

    Args:
        base: maps ``(n, *shape)`` to logits (n, K). It is put into eval mode.
        smooth_sigma: β ≥ 0, in input units.
        samples: m ≥ 1.
        seed: of the noise.
        fresh: draw new noise in each call, from the seed and the number of the call, in place of the same each time.
        batch: largest number of noisy copies in one call of the base; it is never called with less than one for each
            image.
        num_classes: K, where the base has no attribute of that name.

    Attributes:
        num_classes: K.

    Raises:
        InvalidInputError: for numbers out of range, or where the number of classes is not known.
    """

    def __init__(
        self,
        base: nn.Module,
        smooth_sigma: float,
        samples: int = 128,
        *,
        seed: int = 0,
        fresh: bool = False,
        batch: int = 1024,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.smooth_sigma = validation.nonnegative("smooth_sigma", smooth_sigma)
        self.samples = validation.integer("samples", samples)
        self.seed = validation.integer("seed", seed, at_least=0)
        self.fresh = fresh
        self.batch = validation.integer("batch", batch)
        self.num_classes = _classes(base, num_classes)
        self._calls = 0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities of shape (b, K) for images of shape ``(b, *shape)``."""
        noise = self._noise(x)
        size = max(1, self.batch // max(1, len(x)))
        parts = list(noise.split(size))
        recompute = len(parts) > 1 and torch.is_grad_enabled()
        sums = []
        for part in parts:
            if recompute:
                sums.append(checkpoint(self._log_sum, x, part, use_reentrant=False, preserve_rng_state=False))
            else:
                sums.append(self._log_sum(x, part))
        return torch.stack(sums).logsumexp(0) - math.log(self.samples)

    def _log_sum(self, x: Tensor, noise: Tensor) -> Tensor:
        return noisy_logits(self.base, x, noise).log_softmax(-1).logsumexp(0)

    def _noise(self, x: Tensor) -> Tensor:
        """Shape ``(samples, 1, *shape)``."""
        number, self._calls = self._calls if self.fresh else 0, self._calls + 1
        (word,) = np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(word >> np.uint64(1)))
        noise = torch.randn((self.samples, 1, *x.shape[1:]), generator=generator, dtype=x.dtype)
        return (self.smooth_sigma * noise).to(x.device)


def _classes(base: Any, given: int | None) -> int:
    own = getattr(base, "num_classes", None)
    if given is None and not isinstance(own, int):
        raise InvalidInputError("the number of classes is not known; give it as num_classes=...")
    count = validation.integer("num_classes", own if given is None else given, at_least=2)
    if isinstance(own, int) and own != count:
        raise InvalidInputError(f"num_classes is {count}; the classifier has {own} classes")
    return count
