"""A network prepared for classifying many batches: the same function up to rounding, in fewer and faster steps.

A copy is rewritten (``fusion``), laid out channels-last, and compared with the original on a probe; where the two
differ by more than rounding, the original is run.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from noiseaug.errors import InvalidInputError, first_line
from noiseaug.vision.engine.fusion import fusing_obstacle, rewritten
from noiseaug.vision.models.outputs import LogitsOf

__all__ = ["Network", "agrees", "full_precision", "out_of_memory", "prepare"]

# Largest difference of logits from those of the original in float32, relative to the largest logit of the probe. Honest
# rounding stays far below: some 1e-6 for the deepest network in float32, 1e-2 in bfloat16.
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.2, torch.float16: 0.05}
_PROBE = 6
_FLAGS = threading.RLock()
# Values of the widest layer that a batch may have, and the largest batch. On a CPU they should stay in its caches; and
# glibc hands larger buffers back to the system after each layer and faults them in again page by page, which can cost
# as much as the network itself.
_ON_CPU, _ELSEWHERE = (1 << 20, 2048), (1 << 27, 4096)
_SMALLEST_BATCH = 8
# What a rewritten network may raise when it is built or run: an operation that a precision or processor lacks, a graph
# that does not fit the module's own code any more. Anything else is a defect, and seen.
_REWRITING_ERRORS = (RuntimeError, TypeError, ValueError, AttributeError, LookupError)


@dataclass(frozen=True, eq=False)
class Network:
    """A network ready to classify.

    Attributes:
        module: from inputs, shape ``(m, *shape)``, to logits, shape (m, num_classes).
        num_classes: number of classes.
        device: where it runs.
        dtype: its precision.
        batch: number of inputs that suits it, unless another was asked for.
        way: how it was prepared: ``"fused"``, ``"folded"`` or ``"as given"``.
        obstacles: why each faster way is not the one, by its name.
        tf32: whether a CUDA device may round the factors of float32 products to 10 bits, for speed.
    """

    module: nn.Module
    num_classes: int
    device: torch.device
    dtype: torch.dtype
    batch: int
    way: str
    obstacles: dict[str, str] = field(default_factory=dict)
    tf32: bool = False

    def labels(self, inputs: torch.Tensor) -> torch.Tensor:
        """The class with the largest logit, shape (m,), int64; ``num_classes`` where a logit is NaN. Does not wait.

        Args:
            inputs: shape ``(m, *shape)``, floating point, on the device.

        Raises:
            InvalidInputError: for logits of another shape, and where memory runs out.
        """
        with out_of_memory(len(inputs)), torch.inference_mode(), full_precision(self.device, tf32=self.tf32):
            logits = self.module(_laid_out(inputs, self.dtype))
            _check_logits(logits, len(inputs), self.num_classes)
            largest, labels = logits.max(1)  # NaN where any is
            return labels.masked_fill_(largest.isnan(), self.num_classes)


def prepare(
    model: nn.Module,
    *,
    shape: tuple[int, ...],
    num_classes: int,
    device: torch.device,
    dtype: torch.dtype,
    batch: int | None = None,
) -> Network:
    """Prepares a copy of a network; the original keeps its mode, weights and layout.

    Args:
        model: from float inputs, shape ``(m, *shape)``, to logits, shape (m, num_classes).
        shape: of one input.
        num_classes: number of classes.
        device: where to run.
        dtype: precision of weights and of what passes between layers; that of one of PRECISIONS.
        batch: number of inputs that it will get at once; by default what suits the network.

    Raises:
        InvalidInputError: for a network that cannot be copied, does not take the inputs, returns something else than
            logits, or does not run in this precision.
    """
    original = _copied(model).to(device=device, dtype=torch.float32)
    probe = torch.rand((_PROBE, *shape), generator=torch.Generator().manual_seed(0)).to(device)
    expected, inputs, widest = _observed(original, probe)
    if tuple(getattr(expected, "shape", ())) != (_PROBE, num_classes):
        original = LogitsOf(original, num_classes)
        expected, inputs, widest = _observed(original, probe)
    if batch is None:
        values, largest = _ON_CPU if device.type == "cpu" else _ELSEWHERE
        batch = min(max(values // widest, _SMALLEST_BATCH), largest)

    obstacles: dict[str, str] = {}

    def made(way: str) -> Network:
        module = original if way == "as given" else rewritten(_copied(original), inputs, dtype, fused=way == "fused")
        module = module.to(dtype=dtype)
        if len(shape) == 3:
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return Network(module, num_classes, device, dtype, batch, way, dict(obstacles))

    for way in ("fused", "folded") if device.type == "cpu" else ("folded",):
        obstacle = fusing_obstacle(dtype) if way == "fused" else ""
        if not obstacle:
            try:
                network = made(way)
                if agrees(network, probe, expected, (len(probe), 1)):
                    return network
                obstacle = "its logits differ from the original's by more than rounding"
            except _REWRITING_ERRORS as error:
                obstacle = first_line(error)
        obstacles[way] = obstacle
    try:
        network = made("as given")
        network.labels(probe)
    except (RuntimeError, NotImplementedError) as error:
        raise InvalidInputError(
            f"the network does not run in {str(dtype).removeprefix('torch.')} on {device.type}: {first_line(error)}"
        ) from None
    return network


def _copied(model: nn.Module) -> nn.Module:
    try:
        # torch.nn.utils.weight_norm keeps a weight that it computes anew each time, which torch does not copy
        computed = {
            id(value): value.detach().clone()
            for part in model.modules()
            for value in vars(part).values()
            if isinstance(value, torch.Tensor) and value.grad_fn is not None
        }
        with torch.no_grad():  # a copy of a TorchScript module is otherwise a result with a history
            copied = copy.deepcopy(model, computed).eval()
    except (RuntimeError, TypeError) as error:
        raise InvalidInputError(
            f"the network cannot be copied: {first_line(error)}; expected plain parameters and buffers"
        ) from None
    for parameter in copied.parameters():  # one by one, which a TorchScript module has no method for
        parameter.requires_grad_(False)
    return copied


def _observed(module: nn.Module, probe: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Size], int]:
    """Logits of the probe, what each part of the network got, by name, and the values of the widest layer an input."""
    inputs: dict[str, torch.Size] = {}
    widest = probe[0].numel()

    def keep(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(part: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            nonlocal widest
            if len(given) == 1 and isinstance(given[0], torch.Tensor):
                inputs.setdefault(name, given[0].shape)
            if isinstance(output, torch.Tensor) and output.ndim:
                widest = max(widest, output.numel() // len(probe))

        return hook

    # a TorchScript module takes no hooks
    parts = [(name, part) for name, part in module.named_modules() if not isinstance(part, torch.jit.ScriptModule)]
    hooks = [part.register_forward_hook(keep(name)) for name, part in parts]
    try:
        with out_of_memory(len(probe)), torch.inference_mode(), full_precision(probe.device):
            return module(probe), inputs, widest
    except InvalidInputError:
        raise
    except Exception as error:  # whatever the network's own code runs into
        raise InvalidInputError(
            f"the network does not take inputs of shape {tuple(probe.shape)}: {first_line(error)}; give its shape=..."
        ) from None
    finally:
        for hook in hooks:
            hook.remove()


def agrees(network: Network, probe: torch.Tensor, expected: torch.Tensor, sizes: tuple[int, ...]) -> bool:
    """Whether the logits of the first inputs are the expected ones up to rounding, for these sizes of a batch."""
    for size in sizes:
        with torch.inference_mode(), full_precision(probe.device):
            logits = network.module(_laid_out(probe[:size], network.dtype)).to(expected.dtype)
        error = (logits - expected[:size]).abs().max()
        if not error <= _TOLERANCE[network.dtype] * expected.abs().max():
            return False
    return True


def _laid_out(inputs: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    layout = torch.channels_last if inputs.ndim == 4 else torch.contiguous_format
    return inputs.to(dtype=dtype, memory_format=layout)


def _check_logits(logits: Any, votes: int, num_classes: int) -> None:
    shape = tuple(getattr(logits, "shape", ()))
    if shape != (votes, num_classes):
        what = f"shape {shape}" if shape else type(logits).__name__
        raise InvalidInputError(f"the network returned {what}; expected logits of shape ({votes}, {num_classes})")


@contextmanager
def full_precision(device: torch.device, *, tf32: bool = False) -> Iterator[None]:
    """float32 means float32 unless TF32 is asked for, which cuDNN uses by default; and the same kernels every time."""
    if device.type != "cuda":
        yield
        return
    with _FLAGS:  # the process has one set of them
        try:
            asked, _ = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        except RuntimeError:  # torch's two ways of setting it do not mix
            raise InvalidInputError(
                "TF32 was set through fp32_precision; use torch.set_float32_matmul_precision and cudnn.allow_tf32"
            ) from None
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        try:
            with torch.backends.cudnn.flags(
                enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=tf32
            ):
                yield
        finally:
            torch.set_float32_matmul_precision(asked)


@contextmanager
def out_of_memory(batch: int) -> Iterator[None]:
    """Turns running out of memory into one line that says what to try."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # torch has a class for this on a GPU only; a CPU's allocator tells by its message
        known = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
        if not known and "DefaultCPUAllocator" not in str(error):
            raise
        remedy = f"try batch={batch // 2}" if batch > 1 else "there is no smaller batch; take a smaller network"
        raise InvalidInputError(f"out of memory with {batch} noisy inputs at a time; {remedy}") from None
