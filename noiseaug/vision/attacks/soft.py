"""Attacks on a smoothed classifier through its soft version (Salman et al. 2019, "SmoothAdv").

The soft smoothed classifier is G(x) = E softmax F(x + αε), F the logits of the base classifier. Its estimate from m
noise vectors, G(x') = (1/m) Σ_j softmax F(x' + noise_j), is differentiable in x', and an attack looks for an x' near x
that maximises J(x') = −log G_y(x'). The same noise serves all its steps.

    noise = draw_noise(x, copies=8, sigma=0.25, generator=generator)
    attacked = PGD(radius=1.0, steps=10).perturb(model, x, y, noise)

Both attacks climb the log-odds log(1 − G_y) − log G_y in place of J. It is an increasing function of J, image by image,
so that the normalised gradients are the same; but it does not vanish where the classifier is sure of itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from noiseaug import validation
from noiseaug.errors import InvalidInputError
from noiseaug.vision.device import Share
from noiseaug.votes.logits import in_eval_mode

__all__ = [
    "DDN",
    "PGD",
    "draw_noise",
    "frozen",
    "log_odds",
    "mean_log_prob",
    "noisy_logits",
    "soft_log_prob",
]

_MOST_STEPS = 10**5
_LAST_STEP = 0.01  # of DDN's cosine schedule (Rony et al. 2019)
_SLACK = 1e-10  # relative; more than the rounding of a norm in double precision


def draw_noise(
    x: Tensor, copies: int, sigma: float, generator: torch.Generator | None, share: Share | None = None
) -> Tensor:
    """Gaussian noise of standard deviation ``sigma`` for each copy of each image, shape ``(copies, b, *shape)``.

    Drawn on the generator's device and moved to that of ``x``; zero noise takes nothing from the generator. Where ``x``
    is a share of a batch, noise is drawn for all of the batch, and the share's is returned.
    """
    if sigma == 0:
        return x.new_zeros(copies, *x.shape)
    if share is None:
        return _normal((copies, *x.shape), x, generator).mul_(sigma)
    whole = _normal((copies, share.count, *x.shape[1:]), x, generator)
    return whole[:, share.images] * sigma  # which lets go of the rest


def _normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = like.device if generator is None else generator.device
    return torch.randn(shape, dtype=like.dtype, device=device, generator=generator).to(like.device)


def noisy_logits(model: nn.Module, x: Tensor, noise: Tensor | None) -> Tensor:
    """Logits of every noisy copy x + noise_j, in one call of the model, so that batch norm sees all copies together.

    Args:
        model: maps ``(n, *shape)`` to logits (n, K), K ≥ 2.
        x: images, shape ``(b, *shape)``; the copies keep its memory format.
        noise: shape ``(m, b, *shape)`` or one that broadcasts to it, already scaled; None: one copy without noise.

    Returns:
        Logits of shape (m, b, K), in single precision at least.

    Raises:
        InvalidInputError: where the model returns something else.
    """
    if noise is None:
        copies, batch = 1, x
    else:
        copies, batch = len(noise), (x + noise).flatten(0, 1)  # of the memory format of x, the first operand
    logits = model(batch)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(batch) or logits.shape[1] < 2:
        what = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise InvalidInputError(f"the model returned {what}; expected logits of shape ({len(batch)}, classes ≥ 2)")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    return logits.unflatten(0, (copies, len(x)))


def soft_log_prob(model: nn.Module, x: Tensor, noise: Tensor | None) -> Tensor:
    """Logarithm of the mean softmax over the noisy copies, log G, shape (b, K); arguments as in ``noisy_logits``."""
    return mean_log_prob(noisy_logits(model, x, noise))


def mean_log_prob(logits: Tensor) -> Tensor:
    """Logarithm of the mean softmax over the first axis, (m, b, K) to (b, K), without leaving log space."""
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))


def log_odds(log_prob: Tensor, y: Tensor) -> Tensor:
    """log(1 − G_y) − log G_y from log G, shape (b, K) to (b,)."""
    wrong = log_prob.scatter(1, y[:, None], -math.inf).logsumexp(1)
    return wrong - log_prob.gather(1, y[:, None]).squeeze(1)


@dataclass(frozen=True)
class PGD:
    """Projected gradient descent in the ℓ₂ ball (Salman et al. 2019).

    ``steps`` steps along the ℓ₂-normalised gradient, each followed by clipping to [0, 1] and projection to the ball. An
    image whose gradient is zero does not move.

    Attributes:
        radius: ℓ₂ radius ε ≥ 0, in input units.
        steps: T ≥ 1, forward and backward passes.
        random_start: start at a point drawn uniformly from the ball (and clipped) instead of at x.
        step: length of a step; by default 2ε/T.

    Raises:
        InvalidInputError: for numbers out of range.
    """

    radius: float
    steps: int = 10
    random_start: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", validation.nonnegative("radius", self.radius))
        object.__setattr__(self, "steps", validation.affordable("steps", self.steps, _MOST_STEPS, 100, "steps"))
        if self.step is not None:
            object.__setattr__(self, "step", validation.positive("step", self.step))

    def scaled(self, share: float) -> PGD:
        """The same attack with radius and steps shortened to a share in (0, 1] of theirs; 0 for no attack."""
        if share == 0:
            return replace(self, radius=0.0)
        return replace(self, radius=share * self.radius, step=None if self.step is None else share * self.step)

    def perturb(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        noise: Tensor | None,
        *,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:
        """The attacked images.

        The model is in eval mode meanwhile, then in its former mode; its parameters get no gradient.

        Args:
            model: maps ``(n, *shape)`` to logits (n, K).
            x: images in [0, 1], shape ``(b, *shape)``.
            y: class to move away from, shape (b,), int64.
            noise: shape ``(m, b, *shape)``, already scaled; None for the base classifier itself.
            generator: for the random start alone.
            share: of which batch the images are a share; for the random start too.

        Returns:
            x' of the shape of x, detached, in [0, 1], with ‖x' − x‖ ≤ radius, rounding included. For radius 0 it is x
            itself, at no cost.

        Raises:
            InvalidInputError: for images out of [0, 1], or a model that returns no logits.
        """
        x = x.detach()
        if self.radius == 0:
            return x
        _refuse_outside(x)
        length = 2 * self.radius / self.steps if self.step is None else self.step
        delta = torch.zeros_like(x)
        if self.random_start:
            delta = _in_box(x, _in_ball(x, self.radius, generator, share))
        with frozen(model):
            for _ in range(self.steps):
                _, direction = _ascent(model, x + delta, y, noise)
                delta = _projected(_in_box(x, delta + length * direction), self.radius)
        return _rounded(x, delta, self.radius)


@dataclass(frozen=True)
class DDN:
    """Decoupled direction and norm (Rony et al. 2019), as Salman et al. (2019) use it.

    The perturbation keeps to a norm that shrinks by γ after a success and grows by γ after a failure, while steps along
    the normalised gradient turn it; a success is a G whose largest class is not y. The smallest success is
    projected to the ball; an image without success stays as it is. As in Salman et al.'s code the first norm is the
    radius; unlike there, success is judged by G in place of the majority of copies, and nothing is rounded to 8 bits.

    Attributes:
        radius: ℓ₂ radius ε ≥ 0, in input units.
        steps: T ≥ 2, points looked at; the first is x.
        gamma: γ in (0, 1).
        step: length of the first step, at least .01, to which it falls along a cosine.

    Raises:
        InvalidInputError: for numbers out of range.
    """

    radius: float
    steps: int = 10
    gamma: float = 0.05
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", validation.nonnegative("radius", self.radius))
        object.__setattr__(self, "steps", validation.integer("steps", self.steps, at_least=2, at_most=_MOST_STEPS))
        object.__setattr__(self, "gamma", validation.probability("gamma", self.gamma))
        object.__setattr__(self, "step", validation.positive("step", self.step))
        if self.step < _LAST_STEP:
            raise InvalidInputError(f"step is {self.step:g}; expected at least {_LAST_STEP:g}, where it ends")

    def scaled(self, share: float) -> DDN:
        """The same attack with a share in [0, 1] of its radius."""
        return replace(self, radius=share * self.radius)

    def perturb(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        noise: Tensor | None,
        *,
        generator: torch.Generator | None = None,
        share: Share | None = None,
    ) -> Tensor:
        """The attacked images; see :meth:`PGD.perturb`. Nothing is drawn from the generator."""
        x = x.detach()
        if self.radius == 0:
            return x
        _refuse_outside(x)
        norm = x.new_full((len(x),), self.radius)
        farthest = _norms(torch.maximum(x, 1 - x))
        delta, best = torch.zeros_like(x), torch.zeros_like(x)
        smallest = torch.full_like(norm, math.inf)
        with frozen(model):
            for i in range(self.steps):
                succeeded, direction = _ascent(model, x + delta, y, noise)
                size = _norms(delta)
                better = succeeded & (size < smallest)
                smallest = torch.where(better, size, smallest)
                best = torch.where(_per_image(better, x), delta, best)
                fall = (1 + math.cos(math.pi * i / (self.steps - 1))) / 2
                delta = delta + (_LAST_STEP + fall * (self.step - _LAST_STEP)) * direction
                norm = torch.where(succeeded, (1 - self.gamma) * norm, (1 + self.gamma) * norm)
                norm = torch.minimum(norm, farthest)
                delta = _in_box(x, delta * _per_image(norm / _above_zero(_norms(delta)), x))
        return _rounded(x, best, self.radius)


def _ascent(model: nn.Module, point: Tensor, y: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Whether G has left class y, shape (b,), and the unit vector along which the odds against y grow fastest."""
    with torch.enable_grad():
        point = point.detach().requires_grad_()
        log_prob = soft_log_prob(model, point, noise)
        (gradient,) = torch.autograd.grad(log_odds(log_prob, y).sum(), point)
    # a subnormal or huge entry would spoil the squares of a norm
    peak = _above_zero(gradient.flatten(1).abs().amax(1))
    gradient = gradient / _per_image(peak, point)
    direction = gradient / _per_image(_above_zero(_norms(gradient)), point)
    return log_prob.detach().argmax(1) != y, direction


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode, so that batch norm keeps its statistics, and no gradients for parameters; undone at the end."""
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    try:
        for weight in learned:
            weight.requires_grad_(False)
        with in_eval_mode(model):
            yield
    finally:
        for weight in learned:
            weight.requires_grad_(True)


def _refuse_outside(x: Tensor) -> None:
    low, high = torch.stack(x.aminmax()).tolist()  # at once, since a device is waited for
    if not (low >= 0 and high <= 1):
        raise InvalidInputError(
            f"the images run from {low:g} to {high:g}; expected inputs in [0, 1], with normalisation inside the model"
        )


def _per_image(values: Tensor, x: Tensor) -> Tensor:
    """One value an image, shape (b,), as a factor for ``(b, *shape)``."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def _norms(delta: Tensor) -> Tensor:
    return torch.linalg.vector_norm(delta.flatten(1), dim=1)


def _above_zero(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, torch.ones_like(values))


def _in_box(x: Tensor, delta: Tensor) -> Tensor:
    return (x + delta).clamp(0, 1) - x


def _projected(delta: Tensor, radius: float) -> Tensor:
    return delta * _per_image((radius / _above_zero(_norms(delta))).clamp(max=1), delta)


def _in_ball(x: Tensor, radius: float, generator: torch.Generator | None, share: Share | None) -> Tensor:
    """One point an image, uniform in the ball: a direction, and a radius whose d-th power is uniform."""
    count, mine = (len(x), slice(None)) if share is None else (share.count, share.images)
    direction = _normal((count, *x.shape[1:]), x, generator)[mine]
    device = x.device if generator is None else generator.device
    uniform = torch.rand(count, dtype=x.dtype, device=device, generator=generator).to(x.device)[mine]
    dim = max(1, x[0].numel())
    return direction * _per_image(radius * uniform ** (1 / dim) / _above_zero(_norms(direction)), x)


def _rounded(x: Tensor, delta: Tensor, radius: float) -> Tensor:
    """x + delta, projected in double precision and then rounded towards x: rounding must not leave ball or box."""
    wide = _projected(delta.double(), (1 - _SLACK) * radius)
    point = (x + wide).to(x.dtype)
    away = (point.double() - x).abs() > wide.abs()
    return torch.where(away, torch.nextafter(point, x), point)
