"""What autograd keeps for the backward pass while pieces run, by the node of the trace that made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from ..cost.memory import saved_by
from ..cost.tensors import Dataflow, op_name
from ..split import Piece
from ..split.pieces import ORIGIN
from ..split.values import tensors_in

Operands = Sequence[tuple[fx.Node, torch.Tensor]]
"""Node of the trace, and its value."""
REASONS = {
    "dropout": "its mask: PopART draws it again",
    "layer_norm": "mean and deviation: made again from the input",
    "group_norm": "mean and deviation: made again from the input",
    "batch_norm": "mean and deviation: made again from the input",
    "_weight_norm": "the norms of the weight: made again from it",
    "cross_entropy_loss": "the sum of the weights of its labels",
    "nll_loss_nd": "the sum of the weights of its labels",
    "max_pool1d": "where the largest were: found again in its input",
    "max_pool2d": "where the largest were: found again in its input",
}
"""Why PyTorch keeps something that is no tensor of the trace."""
SHAPE_ALONE = {"gather": "its input, of which PopART needs the shape alone"}
"""Op whose first operand PyTorch keeps for nothing but its shape."""
POPART_ALONE = frozenset({"adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d"})
"""Ops whose gradient takes their input in PopART (willow/src/op/averagepool.cpp) and may do without in PyTorch."""


class Saved:
    """Filled while pieces run through :meth:`execute`."""

    def __init__(self, flow: Dataflow) -> None:
        self.flow = flow
        self.roots: dict[fx.Node, int] = {}
        """Memory root that is kept -> bytes on the device."""
        self.copies: dict[fx.Node, int] = {}
        """Op that keeps one more tensor as large as its first operand -> bytes on the device."""
        self.extra: Counter[str] = Counter()
        """Op, and why: bytes of what is kept besides."""
        self.unknown: Counter[fx.Node] = Counter()
        """Op -> bytes that it keeps besides for no reason that is known."""
        self._sizes: dict[fx.Node, int] = {}
        """Bytes on the device of what a node made."""
        self.nodes = {node.name: node for node in (*flow.traced.nodes, *flow.traced.reads)}
        self._made: dict[int, fx.Node] = {}
        self._leaves: set[int] = set()
        """Memory of parameters and inputs."""

    def execute(self, piece: Piece, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Run one piece, node by node."""
        self._made.clear()
        holders = [n for n in piece.module.graph.nodes if n.op == "placeholder"]
        for holder, argument, tensor in zip(holders, piece.arguments, tensors, strict=True):
            origin = self.nodes.get(holder.meta[ORIGIN])
            if argument.kind == "value" and origin is not None:
                self._made[_memory(tensor)] = origin
            else:
                self._leaves.add(_memory(tensor))
        made: Sequence[torch.Tensor] = _Watched(self, piece.module).run(*tensors)
        return made

    def note(self, node: fx.Node, result: Any, kept: Sequence[torch.Tensor], given: Operands) -> None:
        """`node` of a piece made `result` of `given`, and autograd kept `kept`."""
        origin = self.nodes.get(node.meta.get(ORIGIN, ""))
        if origin is None:
            return
        for memory, tensor in {_memory(t): t for t in kept if t.numel()}.items():
            maker = self._made.get(memory)
            if maker is not None and self._shape_alone(origin, maker):
                self._besides(origin, SHAPE_ALONE[op_name(origin)], tensor)
            elif maker is not None:
                self._keep(self.flow.root(maker))
            elif memory not in self._leaves:
                self._anonymous(origin, tensor, result, given)
        made = [t for t in tensors_in(result) if _memory(t) not in self._leaves]
        self._sizes.setdefault(origin, sum(self._bytes(t) for t in made))
        one_of_several = op_name(origin) == "getitem" and self.flow.root(origin) is origin
        for tensor in made:
            if one_of_several or _memory(tensor) not in self._made:
                self._made[_memory(tensor)] = origin

    def _keep(self, root: fx.Node) -> None:
        """With the size it had when it was made."""
        flow = self.flow
        if root in flow.traced.reads or root in flow.traced.inputs.values() or flow.constant(root):
            return
        counted = root in flow.masks or flow.bounded(root)
        self.roots[root] = flow.bytes_of(root) if counted else self._sizes[root]

    def _anonymous(self, origin: fx.Node, tensor: torch.Tensor, result: Any, given: Operands) -> None:
        """What has no node: the op's result, a copy of an operand in another layout, or the op's own."""
        flow = self.flow
        copied = next((source for source, value in given if _copy_of(tensor, value)), None)
        mine = next((i for i, t in enumerate(tensors_in(result)) if _memory(t) == _memory(tensor)), None)
        if mine is not None:
            made = origin if isinstance(result, torch.Tensor) else _one_of(origin, mine)
            self._sizes[made] = self._bytes(tensor)
            self._keep(flow.root(made))
        elif copied is not None:
            self._keep(flow.root(copied))
        elif flow.rule(origin).saves == "copy" and tensor.numel() == given[0][1].numel():
            self.copies[origin] = self._bytes(tensor)
        else:
            self._besides(origin, REASONS.get(op_name(origin).removesuffix("_")), tensor)

    def missing(self) -> dict[fx.Node, int]:
        """Memory root that PopART keeps for ops in :data:`POPART_ALONE` and PyTorch did not -> bytes on the device."""
        flow = self.flow
        pools = [n for n in flow.traced.nodes if op_name(n) in POPART_ALONE and flow.needs_grad(n)]
        wanted = {root for node in pools for root in saved_by(flow, node) if root not in flow.traced.inputs.values()}
        return {root: flow.bytes_of(root) for root in wanted if root not in self.roots}

    def _shape_alone(self, origin: fx.Node, maker: fx.Node) -> bool:
        operands = self.flow.operands(origin)
        return op_name(origin) in SHAPE_ALONE and self.flow.root(maker) is self.flow.root(operands[0])

    def _besides(self, origin: fx.Node, why: str | None, tensor: torch.Tensor) -> None:
        if why is None:
            self.unknown[origin] += self._bytes(tensor)
        else:
            self.extra[f"{op_name(origin)}: {why}"] += self._bytes(tensor)

    def _bytes(self, tensor: torch.Tensor) -> int:
        elements = tensor.untyped_storage().nbytes() // tensor.element_size()
        return elements * self.flow.width(str(tensor.dtype))


class _Watched(fx.Interpreter):
    """Keeps every result until the end, so that no memory is given out twice."""

    def __init__(self, saved: Saved, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self._saved = saved

    def run_node(self, n: fx.Node) -> Any:
        if n.op != "call_function":
            return super().run_node(n)
        kept: list[torch.Tensor] = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            result = super().run_node(n)
        self._saved.note(n, result, kept, self._given(n))
        return result

    def _given(self, node: fx.Node) -> Operands:
        nodes = self._saved.nodes
        found = [(nodes.get(m.meta.get(ORIGIN, "")), self.env[m]) for m in node.all_input_nodes]
        return [(origin, value) for origin, value in found if origin is not None and isinstance(value, torch.Tensor)]


def _one_of(origin: fx.Node, index: int) -> fx.Node:
    """The node of one of several results; all of them where the trace takes none."""
    taken = (user for user in origin.users if op_name(user) == "getitem" and user.args[1] == index)
    return next(taken, origin)


def _copy_of(tensor: torch.Tensor, value: torch.Tensor) -> bool:
    """In another layout, or several times, as products broadcast along the batch."""
    if not value.numel() or tensor.numel() % value.numel() or tensor.dtype != value.dtype:
        return False
    once = value.detach().reshape(1, -1)
    return torch.equal(tensor.detach().reshape(-1, value.numel()), once.expand(tensor.numel() // value.numel(), -1))


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
