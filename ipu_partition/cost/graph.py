"""The model as units in execution order, in plain numbers: no torch, JSON in and out.

Bytes are those on the device: a float element takes the precision's width, an integer 4 bytes (PopTorch casts
int64 to int32), a bool 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True, slots=True)
class Work:
    """Ops of one kind and size inside a unit, `count` of them; the numbers are for one."""

    kind: str
    """`matmul`, `conv`, `embedding`, `softmax`, `norm`, `loss`, `elementwise`, `reduce`, `move` ..."""
    op: str
    """The aten op, for reports."""
    count: int
    forward_flops: int
    """A multiply-add counts as 2."""
    backward_flops: int
    forward_bytes: int
    """Bytes read and written by the forward op."""
    backward_bytes: int
    weight_bytes: int = 0
    """Part of `forward_bytes` that is parameters."""
    forward_live_bytes: int = 0
    """Most activations of the unit alive while one of them runs forward, operands and result included."""
    backward_live_bytes: int = 0
    """Most saved activations and activation gradients alive while one of them runs backward."""
    table: str = ""
    """Name of the parameter that a look-up (kind `embedding`) reads; '' for other work."""


@dataclass(frozen=True, slots=True)
class UnitCost:
    """The work between two places where a block may begin. `index` in the graph is its position."""

    name: str
    """Path of the module whose call begins the unit; '' for what runs before the first block."""
    modules: tuple[str, ...]
    """Modules called in it, outermost first, none inside another of the list."""
    work: tuple[Work, ...]
    parameters: tuple[str, ...]
    """Names of the parameters it reads (keys of :attr:`CostGraph.parameters`)."""
    saved_bytes: int
    """Activations made in the unit that the backward pass needs."""
    output_bytes: int
    """What later units read of it: the size of a recompute checkpoint on it."""
    forward_peak_bytes: int
    """Most bytes of activations alive at once while it runs forward, inputs, outputs and saved ones included."""
    backward_peak_bytes: int
    """Most bytes of saved activations and activation gradients alive at once while it runs backward."""
    largest_op_bytes: int
    """Operands and result of its largest matmul or convolution: what bounds its planning temporaries."""
    result_bytes: int = 0
    """Outputs of the model that it makes."""

    @property
    def forward_flops(self) -> int:
        return sum(w.count * w.forward_flops for w in self.work)

    @property
    def backward_flops(self) -> int:
        return sum(w.count * w.backward_flops for w in self.work)


@dataclass(frozen=True, slots=True)
class ParameterCost:
    """One parameter, however many names it has."""

    name: str
    aliases: tuple[str, ...]
    """Other names of the same object (ties)."""
    elements: int
    bytes: int
    trainable: bool
    rows: int = 0
    """Rows where it is an embedding table or makes the logits, else 0."""
    buffer: bool = False
    """A constant of the model: resident, never trained, not among the counted parameters."""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorCost:
    """An activation or input read by a unit that did not make it."""

    name: str
    producer: int | None
    """Index of the unit that makes it; None for a model input."""
    readers: tuple[int, ...]
    bytes: int
    gradient_bytes: int
    """0 where no gradient flows back."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was counted, what was left out and why, what is unknown. Values are numbers of ops."""

    counted: Mapping[str, int] = field(default_factory=dict)
    ignored: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """op: (times, reason)"""
    unknown: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """op: (times, share of all activation traffic)"""
    bounded: Mapping[str, int] = field(default_factory=dict)
    """Ops whose shape depends on tensor values, costed at the most it can be; also among the sets above."""


@dataclass(frozen=True, slots=True)
class CostGraph:
    units: tuple[UnitCost, ...]
    parameters: Mapping[str, ParameterCost]
    tensors: tuple[TensorCost, ...]
    audit: Audit
    training: bool

    @property
    def forward_flops(self) -> int:
        return sum(u.forward_flops for u in self.units)

    @property
    def backward_flops(self) -> int:
        return sum(u.backward_flops for u in self.units)

    @property
    def parameter_count(self) -> int:
        return sum(p.elements for p in self.parameters.values() if not p.buffer)

    def readers(self, parameter: str) -> tuple[int, ...]:
        """Indices of the units that read `parameter`."""
        return tuple(i for i, u in enumerate(self.units) if parameter in u.parameters)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostGraph:
        def tuples(cls_: Any, d: Mapping[str, Any]) -> Any:
            return cls_(**{k: tuple(v) if isinstance(v, list) else v for k, v in d.items()})

        audit = data["audit"]
        return cls(
            units=tuple(tuples(UnitCost, {**u, "work": tuple(Work(**w) for w in u["work"])}) for u in data["units"]),
            parameters={k: tuples(ParameterCost, p) for k, p in data["parameters"].items()},
            tensors=tuple(tuples(TensorCost, t) for t in data["tensors"]),
            audit=Audit(
                dict(audit["counted"]),
                {k: (int(v[0]), str(v[1])) for k, v in audit["ignored"].items()},
                {k: (int(v[0]), float(v[1])) for k, v in audit["unknown"].items()},
                dict(audit["bounded"]),
            ),
            training=bool(data["training"]),
        )

    def to_networkx(self) -> networkx.DiGraph:
        """Units as nodes (attributes: the unit's fields), an edge per unit-to-unit tensor dependency with `bytes`."""
        import networkx as nx

        graph = nx.DiGraph()
        for i, unit in enumerate(self.units):
            graph.add_node(i, **asdict(unit))
        for tensor in self.tensors:
            for reader in tensor.readers if tensor.producer is not None else ():
                old = graph.get_edge_data(tensor.producer, reader, {"bytes": 0})["bytes"]
                graph.add_edge(tensor.producer, reader, bytes=old + tensor.bytes)
        return graph
