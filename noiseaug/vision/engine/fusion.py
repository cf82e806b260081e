"""Rewriting a network in evaluation mode: batch normalisation folded away, layers fused with what follows them.

Wherever torch.fx can trace a network, or parts of it, batch normalisation is folded into the layer before it, and on a
CPU a convolution or linear layer becomes one call of oneDNN together with the addition and the ReLU that follow it,
with weights in the layout that its kernels want. What cannot be traced stays as it is.
"""

from __future__ import annotations

import operator
import threading
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node, Tracer
from torch.fx.passes.shape_prop import ShapeProp

from noiseaug.errors import first_line

__all__ = ["fold_batch_norm", "fusing_obstacle", "rewritten"]


def rewritten(module: nn.Module, inputs: dict[str, torch.Size], dtype: torch.dtype, *, fused: bool) -> nn.Module:
    """The module, whole or part by part; the parts of the one that is given are used up.

    Args:
        module: in evaluation mode and single precision.
        inputs: shape of what a module in it gets, by the name of the module, of those that get one tensor.
        dtype: precision in which the result will run; what is fused has it already.
        fused: whether to fuse layers, for a CPU.
    """
    return _rewritten_parts(module, "", inputs, dtype, fused)


def _rewritten_parts(
    module: nn.Module, name: str, inputs: dict[str, torch.Size], dtype: torch.dtype, fused: bool
) -> nn.Module:
    children = dict(module.named_children())
    if not children or isinstance(module, torch.jit.ScriptModule):
        return module
    if name in inputs and not any(_is_hooked(part) for part in module.modules()):
        try:
            traced = _traced(module)
        except Exception:  # a forward in plain Python may raise anything when it is called with a proxy
            traced = None
        if traced is not None:
            fold_batch_norm(traced)
            if fused:
                _fuse(traced, inputs[name], dtype)
            return traced
    for child, part in children.items():
        setattr(module, child, _rewritten_parts(part, f"{name}.{child}".lstrip("."), inputs, dtype, fused))
    return module


_TRACING = threading.Lock()


class _OwnThread(Tracer):
    """Records what its own thread does.

    Tracing replaces how modules are called in the whole process; a network that another thread runs meanwhile has to go
    on as if nothing had happened.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _traced(module: nn.Module) -> GraphModule:
    # two at once would put back each other's replacements
    with _TRACING:
        tracer = _OwnThread()
        graph = tracer.trace(module)
        return GraphModule(tracer.root, graph)


def _is_hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _called(traced: GraphModule, node: Any, *kinds: type[nn.Module]) -> Any:
    """The module that a node calls with one tensor, if it is of these kinds exactly and called nowhere else."""
    if not isinstance(node, Node) or node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return None
    if sum(other.op == "call_module" and other.target == node.target for other in traced.graph.nodes) > 1:
        return None
    module = traced.get_submodule(str(node.target))
    return module if type(module) in kinds else None


def fold_batch_norm(traced: GraphModule) -> None:
    """Folds batch normalisation in evaluation mode into the convolution or linear layer whose output alone it takes.

    γ(Wx + b − μ)/s + δ = (γ/s)W x + (γ/s)(b − μ) + δ with s = √(variance + ε), in double precision; in place.
    """
    for node in list(traced.graph.nodes):
        norm = _called(traced, node, nn.BatchNorm1d, nn.BatchNorm2d)
        layer = _called(traced, node.args[0], nn.Conv2d, nn.Linear) if norm is not None else None
        if layer is None or len(node.args[0].users) > 1 or norm.running_var is None:
            continue
        gain = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.weight is not None:
            gain = gain * norm.weight.double()
        bias = -norm.running_mean.double() if layer.bias is None else layer.bias.double() - norm.running_mean.double()
        shift = 0.0 if norm.bias is None else norm.bias.double()
        weight = layer.weight.double() * gain.reshape(-1, *[1] * (layer.weight.ndim - 1))
        layer.weight = nn.Parameter(weight.to(layer.weight.dtype), requires_grad=False)
        layer.bias = nn.Parameter((bias * gain + shift).to(layer.weight.dtype), requires_grad=False)
        node.replace_all_uses_with(node.args[0])
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()


class _Fused(nn.Module):
    """A convolution or linear layer and what follows it, as one call of oneDNN.

    Attributes:
        relu: whether ReLU comes last.
        overwrites: whether the tensor that is added may be overwritten with the result.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, inputs: torch.Size, dtype: torch.dtype) -> None:
        super().__init__()
        ops = torch.ops.mkldnn
        weight = layer.weight.data.to(dtype)
        self.bias = None if layer.bias is None else layer.bias.data.to(dtype)
        self.relu = self.overwrites = False
        # opaque to torch, so neither parameter nor buffer: a cast of the module must leave it alone
        self.geometry: list[Any] = []
        if isinstance(layer, nn.Conv2d):
            self.geometry = [list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups]
            self.weight = ops._reorder_convolution_weight(weight, *self.geometry, list(inputs))
        else:
            self.weight = ops._reorder_linear_weight(weight, inputs[0])

    def forward(self, x: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        ops, relu = torch.ops.mkldnn, "relu" if self.relu else "none"
        layer = (self.weight, self.bias, *self.geometry)
        if not self.geometry:
            return ops._linear_pointwise(x, *layer, relu, [], "")
        if other is None:
            return ops._convolution_pointwise(x, *layer, relu, [], "")
        rest: tuple[Any, ...] = ("add", 1.0, "relu" if self.relu else None, [], "")
        if self.overwrites:
            return ops._convolution_pointwise_.binary(other, x, *layer, *rest)
        return ops._convolution_pointwise.binary(x, other, *layer, *rest)


_RELU_FUNCTIONS = {torch.relu, torch.relu_, nn.functional.relu, nn.functional.relu_}
_ADDITIONS = {operator.add, operator.iadd, torch.add}


def _fuse(traced: GraphModule, inputs: torch.Size, dtype: torch.dtype) -> None:
    """Replaces convolutions and linear layers by calls of oneDNN that do the following addition and ReLU too."""
    ShapeProp(traced).propagate(torch.zeros(inputs))
    graph = traced.graph
    for node in list(graph.nodes):
        layer = _called(traced, node, nn.Conv2d, nn.Linear)
        if layer is None or (isinstance(layer, nn.Conv2d) and not _is_plain(layer)):
            continue
        fused = _Fused(layer, _shape(node.args[0]), dtype)
        chain: list[Node] = [node]
        arguments: list[Any] = [node.args[0]]
        while len(chain[-1].users) == 1 and not fused.relu:
            after = next(iter(chain[-1].users))
            other = _addend(after, chain[-1]) if isinstance(layer, nn.Conv2d) and len(arguments) == 1 else None
            if other is not None:
                arguments.append(other)
            elif _is_relu(traced, after):
                fused.relu = True
            else:
                break
            chain.append(after)
        name = f"fused_{node.name}"
        traced.add_submodule(name, fused)
        with graph.inserting_before(chain[-1]):
            new = graph.call_module(name, tuple(arguments))
        new.meta = chain[-1].meta
        chain[-1].replace_all_uses_with(new)
        for done in reversed(chain):
            graph.erase_node(done)
    for node in graph.nodes:
        if node.op == "call_module" and len(node.args) == 2:
            made: Any = traced.get_submodule(str(node.target))
            made.overwrites = _is_last_use(traced, node)
    traced.delete_all_unused_submodules()
    graph.lint()
    traced.recompile()


def _is_plain(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _is_relu(traced: GraphModule, node: Node) -> bool:
    if node.op == "call_module":
        return type(traced.get_submodule(str(node.target))) is nn.ReLU
    named = node.op == "call_method" and node.target in ("relu", "relu_")
    return named or (node.op == "call_function" and node.target in _RELU_FUNCTIONS)


def _addend(node: Node, term: Node) -> Node | None:
    """What a node adds to a term, if it is another tensor of the same shape and the node is an addition."""
    named = node.op == "call_method" and node.target in ("add", "add_")
    if not (named or node.target in _ADDITIONS) or len(node.args) != 2 or node.kwargs:
        return None
    other = node.args[1] if node.args[0] is term else node.args[0]
    return other if isinstance(other, Node) and other is not term and _shape(other) == _shape(term) else None


def _shape(node: Any) -> Any:
    return getattr(node.meta.get("tensor_meta"), "shape", None)


def _is_last_use(traced: GraphModule, node: Any) -> bool:
    """Whether what a fused node adds is fresh memory that nothing looks at afterwards."""
    x, other = node.args
    order = {each: number for number, each in enumerate(traced.graph.nodes)}

    def is_fused(each: Any) -> bool:
        return each.op == "call_module" and isinstance(traced.get_submodule(str(each.target)), _Fused)

    users = [user for user in other.users if user is not node]
    return x is not other and is_fused(other) and all(is_fused(user) and order[user] < order[node] for user in users)


_TRIAL_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.01}  # relative


@cache
def fusing_obstacle(dtype: torch.dtype) -> str:
    """Why the oneDNN calls that fused layers make do not work here in a precision; empty where they do.

    Found out by a trial: the calls exist in every build of torch with oneDNN, but refuse a precision for which the
    processor lacks the instructions, and which instructions those are differs between versions.
    """
    if not torch.backends.mkldnn.is_available():
        return "this build of torch has no oneDNN"
    generator = torch.Generator().manual_seed(0)
    convolution, linear = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 4)
    for layer in (convolution, linear):
        for parameter in layer.parameters():
            parameter.data = torch.rand(parameter.shape, generator=generator) - 0.5
    image, row = torch.rand(2, 4, 8, 8, generator=generator), torch.rand(2, 4, generator=generator)
    with torch.inference_mode():
        cases = (
            (convolution, image, None, convolution(image)),
            (convolution, image, image, convolution(image) + image),
            (linear, row, None, linear(row)),
        )
        for layer, x, addend, expected in cases:
            try:
                fused = _Fused(layer, x.shape, dtype)
                found = fused(x.to(dtype), None if addend is None else addend.to(dtype)).float()
            except (RuntimeError, AttributeError) as error:  # refused by the processor; absent from this build
                return first_line(error)
            off = float((found - expected).abs().max() / expected.abs().max())
            if not off <= _TRIAL_TOLERANCE[dtype]:
                return f"a fused {type(layer).__name__} is off by {off:.1g} in {dtype}"
    return ""
