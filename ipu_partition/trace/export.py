"""`torch.export` of a model as it is: on meta or real, in train or eval mode."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import TraceError
from .model import Parameter, TracedModel

if TYPE_CHECKING:
    import torch
    from torch import fx, nn
    from torch.export import ExportedProgram

WRAPPED = "model"


def trace(
    model: nn.Module,
    inputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor],
    *,
    training: bool,
    loss: Callable[[Any], Any] | None = None,
) -> TracedModel:
    """Trace one forward pass of `model` on `inputs` (keywords or positions; the values are not read).

    `loss` is applied to the model's output where the model computes none of its own. The module is left as it
    was, its training flag included. Raises :class:`TraceError`.
    """
    args, kwargs = ((), dict(inputs)) if isinstance(inputs, Mapping) else (tuple(inputs), {})
    with _mode(model, training), _call_counter(model) as calls:
        program = _export(_with_loss(model, loss), args, kwargs)
    return _traced(program, model, calls, WRAPPED + "." if loss else "", training)


def _export(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    import torch

    try:
        with quiet():
            return torch.export.export(model, args, kwargs, strict=False)
    except Exception as error:  # any exception of the user's forward lands here
        cause = str(error).strip().splitlines() or [""]
        raise TraceError(
            f"{type(model).__name__} cannot be traced with torch.export: {type(error).__name__}: {cause[0][:300]}. "
            "Expected a forward pass whose control flow does not depend on tensor values. Try --mode inference, "
            "another --task, other input shapes, or pass example_inputs= that the module's forward accepts."
        ) from error


def _traced(
    program: ExportedProgram, model: nn.Module, calls: Mapping[str, int], prefix: str, training: bool
) -> TracedModel:
    _strip(program.graph, prefix)
    nodes = tuple(n for n in program.graph.nodes if n.op == "call_function")
    holders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    owned = _owned(model)
    parameters = {p.name: p for p in owned.values() if not p.buffer}
    inputs: dict[str, fx.Node] = {}
    reads: dict[fx.Node, str] = {}
    for spec in program.graph_signature.input_specs:
        node = holders.get(getattr(spec.arg, "name", ""))
        if node is None:
            continue
        if spec.target is None:
            inputs[node.name] = node
            continue
        held = owned.get(spec.target.removeprefix(prefix)) or _constant(spec.target, node)
        parameters.setdefault(held.name, held)
        reads[node] = held.name
    output = next(n for n in program.graph.nodes if n.op == "output")
    outputs = tuple(output.all_input_nodes)
    return TracedModel(nodes, inputs, parameters, reads, outputs, calls, training, dict(program.constants))


def _owned(model: nn.Module) -> dict[str, Parameter]:
    """Every name of every parameter and buffer -> the one object behind it, named by its first name."""
    names: dict[int, list[str]] = {}
    tensors: dict[int, tuple[torch.Tensor, bool]] = {}
    for buffer, named in ((False, model.named_parameters), (True, model.named_buffers)):
        for name, tensor in named(remove_duplicate=False):
            names.setdefault(id(tensor), []).append(name)
            tensors[id(tensor)] = (tensor, buffer)
    held: dict[str, Parameter] = {}
    for key, (tensor, buffer) in tensors.items():
        first, *others = names[key]
        trainable = tensor.requires_grad and not buffer
        one = Parameter(first, tuple(others), tuple(tensor.shape), str(tensor.dtype), trainable, buffer)
        held.update(dict.fromkeys(names[key], one))
    return held


def _constant(target: str, node: fx.Node) -> Parameter:
    """A tensor constant that export lifted out of the forward code."""
    value = node.meta["val"]
    return Parameter(target, (), tuple(value.shape), str(value.dtype), False, True)


def _with_loss(model: nn.Module, loss: Callable[[Any], Any] | None) -> nn.Module:
    if loss is None:
        return model
    from torch import nn

    apply = loss

    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(WRAPPED, model)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return apply(model(*args, **kwargs))

    return WithLoss()


def _strip(graph: fx.Graph, prefix: str) -> None:
    """Take the name of the wrapper that added a loss out of all module paths."""
    if not prefix:
        return
    for node in graph.nodes:
        if stack := node.meta.get("nn_module_stack"):
            node.meta["nn_module_stack"] = {
                key: (path.removeprefix(prefix) if path != WRAPPED else "", kind) for key, (path, kind) in stack.items()
            }


@contextlib.contextmanager
def _call_counter(model: nn.Module) -> Iterator[Counter[str]]:
    """Count the calls that forward pre-hooks see, under every name a module has."""
    counts: Counter[str] = Counter()
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)

    def count(module: nn.Module, _: Any) -> None:
        counts.update(names[module])

    hooks = [module.register_forward_pre_hook(count) for module in names]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def _mode(model: nn.Module, training: bool) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, was in before.items():
            module.training = was


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Tracing makes libraries warn about things that do not matter to a plan."""
    loggers = [logging.getLogger(name) for name in ("transformers", "torch")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
