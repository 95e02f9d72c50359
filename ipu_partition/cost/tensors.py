"""What the nodes of a trace hold: memory roots, bytes on the device, what flows from where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import TraceError
from ..trace.model import TracedModel
from .masks import mask_elements
from .rules import CHECK, CONSTANT, IDLE, IN_PLACE, RULES, VIEW, Rule

if TYPE_CHECKING:
    from torch import fx

UNKNOWN = Rule("unknown", "first")
MOST_ELEMENTS = 2**40
"""A bound above this says nothing."""


def op_name(node: fx.Node) -> str:
    """`linear` for `aten.linear.default`, `getitem` and so on for Python's own."""
    target = node.target
    packet = getattr(target, "overloadpacket", None)
    name = str(packet) if packet is not None else str(getattr(target, "__name__", target))
    return name.removeprefix("aten.")


COPIES = ("clone", "lift_fresh_copy")
"""Ops that copy memory; a view suffices where nobody writes to either."""


def _base(node: fx.Node) -> fx.Node:
    """What the node is a view or copy of."""
    while node.op == "call_function" and node.args and isinstance(node.args[0], type(node)):
        rule = RULES.get(name := op_name(node))
        if name not in IN_PLACE and (rule is None or not rule.view):
            break
        node = node.args[0]
    return node


def drops_nothing(node: fx.Node) -> bool:
    """Whether the op is a dropout that passes its input on: outside of training, or with probability 0."""
    if op_name(node).removesuffix("_") not in ("dropout", "feature_dropout", "alpha_dropout"):
        return False
    given = [*node.args[1:], *node.kwargs.values()]
    return not all(given)


@dataclass(frozen=True)
class Dataflow:
    """Answers about the nodes of one trace at one precision. All maps are made once, in one pass."""

    traced: TracedModel
    float_bytes: int
    frozen: frozenset[str] = frozenset()
    """Names of parameters that are not trained."""
    small_masks: bool = False
    """Masks are held as small as their inputs; see :mod:`.masks`."""

    def bytes_of(self, node: fx.Node) -> int:
        """Bytes of the value on the device: a float takes the precision's width, an integer 4, a bool 1."""
        return self._bytes[node]

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        return tuple(map(_static, getattr(node.meta.get("val"), "shape", ())))

    def rule(self, node: fx.Node) -> Rule:
        return self._rules[node]

    def is_view(self, node: fx.Node) -> bool:
        """Shares the memory of its first operand; inputs and parameters do not."""
        return node in self._rules and self._rules[node].view

    def passes_on(self, node: fx.Node) -> bool:
        """A view that does no work of its own: what reads it reads its operand."""
        return self.is_view(node) and not self._rules[node].kind

    def root(self, node: fx.Node) -> fx.Node:
        """The node whose memory `node` shares; itself unless it is a view."""
        return self._roots[node]

    def constant(self, node: fx.Node) -> bool:
        """Depends on no input and no trainable weight."""
        return node in self._constants

    def needs_grad(self, node: fx.Node) -> bool:
        return node in self._grads

    def is_real(self, node: fx.Node) -> bool:
        """Holds floating-point numbers."""
        return _floating(node.meta.get("val"))

    def trainable(self, name: str) -> bool:
        parameter = self.traced.parameters[name]
        return parameter.trainable and self.frozen.isdisjoint((parameter.name, *parameter.aliases))

    def operands(self, node: fx.Node) -> list[fx.Node]:
        """Tensor arguments, in order, each once."""
        return [n for n in node.all_input_nodes if self._bytes.get(n)]

    @cached_property
    def _bytes(self) -> Mapping[fx.Node, int]:
        leaves = (*self.traced.inputs.values(), *self.traced.reads)
        whole = {node: self._size(node.meta.get("val")) for node in (*leaves, *self.traced.nodes)}
        if not self.small_masks:
            return whole
        small = {n: held * self.width(str(n.meta["val"].dtype)) for n, held in self.masks.items() if whole[n]}
        return whole | small

    @cached_property
    def masks(self) -> Mapping[fx.Node, int]:
        """Masks that are held small -> elements they are held in."""
        if not self.small_masks:
            return {}
        return mask_elements(self.traced, lambda node: self.rule(node).kind, self.shape, self.constant)

    def _size(self, value: Any) -> int:
        if isinstance(value, tuple | list):
            return sum(self._size(item) for item in value)
        if not hasattr(value, "dtype") or not hasattr(value, "shape"):
            return 0
        return math.prod(map(_static, value.shape)) * self.width(str(value.dtype))

    def width(self, dtype: str) -> int:
        """Bytes of one element of a torch dtype named as `torch.float32`; PopTorch casts int64 to int32 and
        float64 to float32."""
        name = dtype.removeprefix("torch.")
        if name.startswith("complex"):
            return 2 * self.float_bytes
        if name == "float64":
            return max(4, self.float_bytes)
        if name.startswith(("float", "bfloat")):
            return self.float_bytes
        return 1 if name in ("bool", "int8", "uint8") else 4

    @cached_property
    def _rules(self) -> Mapping[fx.Node, Rule]:
        return {node: self._rule(node) for node in self.traced.nodes}

    def _rule(self, node: fx.Node) -> Rule:
        name = op_name(node)
        if name in ("to", "_to_copy", "type_as", "float", "half", "double") and self._same_type(node):
            return Rule("", view=True, reason=VIEW)
        if drops_nothing(node):
            return Rule("", view=True, reason=IDLE)
        if name in COPIES and _base(node) in self._overwritten:
            return Rule("move")
        if name in RULES:
            return RULES[name]
        if name in IN_PLACE:
            base = RULES[IN_PLACE[name]]
            return Rule(base.kind, base.saves, True, base.reason, base.flops, base.differentiable)
        return UNKNOWN if self._size(node.meta.get("val")) else Rule("", reason=CHECK, differentiable=False)

    @cached_property
    def _overwritten(self) -> frozenset[fx.Node]:
        """What ops in place write to, however it is viewed or copied."""
        return frozenset(_base(node) for node in self.traced.nodes if op_name(node) in IN_PLACE)

    def _same_type(self, node: fx.Node) -> bool:
        source = node.args[0]
        before = getattr(getattr(source, "meta", {}).get("val"), "dtype", None)
        after = getattr(node.meta.get("val"), "dtype", None)
        return before == after

    @cached_property
    def _roots(self) -> Mapping[fx.Node, fx.Node]:
        roots: dict[fx.Node, fx.Node] = {n: n for n in (*self.traced.inputs.values(), *self.traced.reads)}
        for node in self.traced.nodes:
            source = node.args[0] if node.args else None
            viewed = self._rules[node].view and source in roots and not self._one_of_several(node)
            roots[node] = roots[source] if viewed else node  # type: ignore[index]
        return roots

    def _one_of_several(self, node: fx.Node) -> bool:
        """Whether it is one result of an op that makes several: memory of its own."""
        source = node.args[0]
        return op_name(node) == "getitem" and not self._rules[source].view  # type: ignore[index]

    @cached_property
    def _constants(self) -> frozenset[fx.Node]:
        filled: set[fx.Node] = set()
        while True:
            constants = self._constants_without(filled)
            more = {self.root(n) for n in self.traced.nodes if op_name(n) in IN_PLACE and n not in constants}
            if not more & constants:
                return constants
            filled |= more

    def _constants_without(self, filled: set[fx.Node]) -> frozenset[fx.Node]:
        """What depends on buffers alone; `filled`: memory that other values are written to."""
        buffers = {n for n, name in self.traced.reads.items() if self.traced.parameters[name].buffer}
        constants = buffers - filled
        random = ("bernoulli", "dropout", "exponential", "normal", "uniform", "rand", "randn", "randint", "randperm")
        for node in self.traced.nodes:
            derived = all(n in constants for n in node.all_input_nodes) and node not in filled
            if derived and not op_name(node).startswith(random):
                constants.add(node)
        return frozenset(constants)

    @cached_property
    def _grads(self) -> frozenset[fx.Node]:
        if not self.traced.training:
            return frozenset()
        grads = {n for n, name in self.traced.reads.items() if self.trainable(name)}
        for node in self.traced.nodes:
            flows = self._rules[node].differentiable and _floating(node.meta.get("val"))
            if flows and op_name(node) not in ("detach", "detach_") and any(n in grads for n in node.all_input_nodes):
                grads.add(node)
        return frozenset(grads)

    def bounded(self, node: fx.Node) -> bool:
        """Has a shape that depends on tensor values, and is costed at the most it can be."""
        return any(map(_depends_on_values, getattr(node.meta.get("val"), "shape", ())))

    def ignored(self, node: fx.Node) -> str:
        """Why `node` costs nothing; '' where it costs something."""
        rule = self._rules[node]
        if not rule.kind:
            return rule.reason
        return CONSTANT if node in self._constants else ""


def _static(dimension: Any) -> int:
    """A dimension; where it depends on tensor values, the most it can be."""
    if not _depends_on_values(dimension):
        return int(dimension)
    most = dimension.node.shape_env.bound_sympy(dimension.node.expr).upper
    if not most.is_finite or most > MOST_ELEMENTS:
        raise TraceError(
            "An operation has a shape that depends on tensor values and has no bound; the IPU compiler needs static "
            "shapes. Try another --task, or change the module so that its shapes follow from the input shapes."
        )
    return int(most)


def _depends_on_values(dimension: Any) -> bool:
    from torch import SymInt

    return isinstance(dimension, SymInt) and not dimension.node.has_hint()


def _floating(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_floating(item) for item in value)
    return bool(getattr(getattr(value, "dtype", None), "is_floating_point", False))
