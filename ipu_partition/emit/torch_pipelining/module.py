"""One stage of a chain as a module that PyTorch's pipeline can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import fx, nn

from .chain import Carried, Link, Weight, keyword

Program = Callable[..., Sequence[torch.Tensor]]


class StageModule(nn.Module):
    """Called with what the stage before sends and, as keywords, the inputs of the model; more of these may be given
    than it reads. Returns what the next stage receives; the last stage returns the loss.

    Its parameters and buffers have the names they have in the model.
    """

    def __init__(self, link: Link, program: Program, tensors: Mapping[str, torch.Tensor]) -> None:
        """`tensors`: the values of the weights, by the first name of each; they are copied."""
        super().__init__()
        self._ipu_link, self._ipu_program = link, (program,)  # in a tuple, so that it is no submodule
        for weight in link.weights:
            _hold(self, weight, tensors[weight.names[0]])

    @property
    def ipu_link(self) -> Link:
        return self._ipu_link

    def forward(
        self, *received: torch.Tensor, draw_seeds: torch.Tensor | None = None, **inputs: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """`draw_seeds`: one whole number, from which everything random of the micro-batch follows; None: PyTorch's
        generator is drawn from as it is."""
        link = self._ipu_link
        known = {carried.name: tensor for carried, tensor in zip(link.receives, received, strict=True)}
        given = [self._given(kind, name, known, inputs) for kind, name in link.arguments]
        with self._drawing(draw_seeds):
            made = self._ipu_program[0](*given)
        known.update(zip(link.returns, made, strict=True))
        sent = tuple(known[carried.name].contiguous() for carried in link.sends)
        return sent[0] if link.last else sent

    def _given(
        self, kind: str, name: str, known: Mapping[str, torch.Tensor], inputs: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        if kind == "value":
            return known[name]
        if kind == "input":
            value, shape = inputs[keyword(name)], self._ipu_link.inputs[name]
            return value if shape else value.reshape(shape)  # a batch has a dimension to be cut along
        return _found(self, name)

    def _drawing(self, draw_seeds: torch.Tensor | None) -> AbstractContextManager[None]:
        if draw_seeds is None or not self._ipu_link.random:
            return nullcontext()
        from ...split import draws

        return draws(int(draw_seeds))


def examples(carried: Sequence[Carried], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Tensors without values that say what a stage receives or sends."""
    made = (torch.empty(c.shape, dtype=getattr(torch, c.dtype), device=device) for c in carried)
    return tuple(tensor.requires_grad_(c.differentiable) for tensor, c in zip(made, carried, strict=True))


def moved(program: fx.GraphModule, device: torch.device | str) -> fx.GraphModule:
    """`program` making its constants on another device than the CPU, and not looking where its tensors are."""
    there = torch.device(device)
    if there.type == "cpu":
        return program
    copy = deepcopy(program)
    for module in copy.modules():
        if isinstance(module, fx.GraphModule):
            _move(module, there)
    return copy


def _move(module: fx.GraphModule, device: torch.device) -> None:
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
        elif node.op == "call_function":
            node.args, node.kwargs = _on(node.args, device), _on(node.kwargs, device)
    module.recompile()


def _on(value: Any, device: torch.device) -> Any:
    """`value`, `device` in the place of every device in it."""
    if isinstance(value, torch.device):
        return device
    if isinstance(value, tuple | list):
        return type(value)(_on(item, device) for item in value)
    if isinstance(value, dict):
        return {name: _on(item, device) for name, item in value.items()}
    return value


def trainable(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that an optimizer changes, each once, under its first name."""
    return ((name, p) for name, p in module.named_parameters() if p.requires_grad)


def _hold(root: nn.Module, weight: Weight, value: torch.Tensor) -> None:
    copy = value.detach().clone(memory_format=torch.contiguous_format)
    held = copy if weight.buffer else nn.Parameter(copy, requires_grad=weight.trainable)
    for name in weight.names:
        *path, leaf = name.split(".")
        owner = root
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        if isinstance(held, nn.Parameter):
            owner.register_parameter(leaf, held)
        else:
            owner.register_buffer(leaf, held, persistent=weight.persistent)


def _found(root: nn.Module, name: str) -> torch.Tensor:
    *path, leaf = name.split(".")
    value: torch.Tensor = getattr(root.get_submodule(".".join(path)), leaf)
    return value
