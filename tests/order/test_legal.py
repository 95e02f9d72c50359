"""Any legal order computes what the program does: all small families in random orders, and ops that work in place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import fx, nn

from ipu_partition.cost.segments import segments
from ipu_partition.cost.tensors import op_name
from ipu_partition.errors import UsageError
from ipu_partition.models import resolve
from ipu_partition.order.pieces import Pieces, modules, operations
from ipu_partition.order.problems import in_order
from ipu_partition.prepare import Prepared, as_shaped, prepare
from ipu_partition.request import Request
from ipu_partition.split import bind, draws, example_values, real_model
from ipu_partition.split.copying import Copying
from ipu_partition.workload import Mode, Target
from tests.end_to_end.families import FAMILIES, small_options

ORDERS = 3


def shuffled(pieces: Pieces, draw: random.Random) -> list[int]:
    """A legal order of the pieces."""
    left, found = dict.fromkeys(range(len(pieces.parts))), []
    before: dict[int, set[int]] = {piece: set() for piece in left}
    for early, late in pieces.pairs:
        before[late].add(early)
    while left:
        ready = [piece for piece in left if before[piece].isdisjoint(left)]
        found.append(draw.choice(ready))
        del left[found[-1]]
    return found


def copied(prepared: Prepared, nodes: Sequence[fx.Node], leaves: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Run in this order as the split runs it."""
    flow = in_order(prepared.flow, tuple(nodes))
    graph, _ = Copying(flow, dict.fromkeys(nodes, 0), {}).graph(nodes)
    root = prepared.traced.nodes[0].graph.owning_module
    module = fx.GraphModule(root if root is not None else {}, graph)
    names = [node.name for node in graph.nodes if node.op == "placeholder"]
    with torch.no_grad(), draws(3):
        return list(module(*[leaves[name].clone() if name in leaves else None for name in names]))


def replayed(prepared: Prepared, nodes: Sequence[fx.Node], leaves: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Run in this order as it stands, in place where the program is."""
    traced = prepared.traced
    values: dict[fx.Node, Any] = {
        leaf: leaves[leaf.name].clone() for leaf in (*traced.reads, *traced.inputs.values()) if leaf.name in leaves
    }
    root = traced.nodes[0].graph.owning_module

    def value(node: fx.Node) -> Any:
        return getattr(root, str(node.target)) if node.op == "get_attr" else values[node]

    with torch.no_grad():
        for node in nodes:
            assert callable(node.target)
            values[node] = node.target(*fx.map_arg(node.args, value), **fx.map_arg(node.kwargs, value))
    return [values[node] for node in traced.outputs]


@cache
def opened(family: str, mode: Mode) -> tuple[Prepared, dict[str, torch.Tensor]]:
    """With real weights, and the values of all leaves."""
    request = Request(**small_options(family))  # type: ignore[arg-type]
    spec = as_shaped(resolve(FAMILIES[family], config=request.config), request)
    model = real_model(spec, training=mode is Mode.TRAINING)
    made = prepare(spec, request, mode, Target.TORCH, lambda _: None, model=model)
    return made, leaves_of(made, model)


def leaves_of(made: Prepared, model: nn.Module) -> dict[str, torch.Tensor]:
    inputs, weights = example_values(made.flow), bind(made.traced, model)
    found = {node.name: inputs[name] for name, node in made.traced.inputs.items()}
    return found | {node.name: weights[name].detach() for node, name in made.traced.reads.items()}


def pieces_of(made: Prepared, granularity: str) -> Pieces:
    if granularity == "op":
        return operations(made.flow)
    return modules(made.flow, segments(made.traced, made.layout.starts))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("family", FAMILIES)
def test_families_compute_the_same_in_any_legal_order(family: str, mode: Mode) -> None:
    made, leaves = opened(family, mode)
    wanted = copied(made, made.traced.nodes, leaves)
    draw, moved = random.Random(family), 0
    for granularity in ("op", "module"):
        pieces = pieces_of(made, granularity)
        for _ in range(ORDERS):
            order = shuffled(pieces, draw)
            nodes = [node for part in pieces.ordered(order) for node in part.nodes]
            assert sorted(map(str, nodes)) == sorted(map(str, made.traced.nodes))
            assert pieces.legal.obeyed(nodes)
            moved += order != sorted(order)
            for found, expected in zip(copied(made, nodes, leaves), wanted, strict=True):
                torch.testing.assert_close(found, expected, rtol=0, atol=0)
            if mode is Mode.INFERENCE:
                before = replayed(made, made.traced.nodes, leaves)
                torch.testing.assert_close(replayed(made, nodes, leaves), before, rtol=0, atol=0)
    assert moved


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("family", FAMILIES)
def test_program_order_is_legal_and_given_back(family: str, mode: Mode) -> None:
    made, _ = opened(family, mode)
    pieces = pieces_of(made, "module")
    assert pieces.legal.obeyed(made.traced.nodes)
    assert [node for part in pieces.ordered(range(len(pieces.parts))) for node in part.nodes] == [*made.traced.nodes]
    ops = operations(made.flow)
    costed = [n for n in made.traced.nodes if n not in ops.legal.floating and not made.flow.ignored(n)]
    assert [next(n for n in part.nodes if n in set(costed)) for part in ops.parts] == costed


class InPlace(nn.Module):
    """Memory that is written through a view, read before and after, and shared by a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(6, 6) for _ in range(3))
        self.register_buffer("seen", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.first(x)
        early = a * 2.0
        a[:, 1:3] = 7.0
        between = self.second(a)
        row = a.view(-1)
        row.add_(1.0)
        late = self.third(a)
        kept = torch.zeros(4, 6)
        kept[1] = 3.0
        copy = late.clone()
        late.add_(1.0)
        again = self.second(copy)
        late.mul_(2.0)
        return early + between * late + kept + a.sum() + again + copy


X = torch.linspace(-1, 1, 24).view(4, 6)


def in_place(training: bool = False) -> tuple[Prepared, dict[str, torch.Tensor]]:
    torch.manual_seed(2)
    model = InPlace().train(training)
    spec = resolve(model, example_inputs={"x": X}, loss=(lambda out: out.sum()) if training else None)
    made = prepare(spec, Request(), Mode.TRAINING if training else Mode.INFERENCE, Target.TORCH, lambda _: None)
    leaves = leaves_of(made, model)
    return made, leaves | {node.name: X for node in made.traced.inputs.values()}


@pytest.mark.parametrize("granularity", ["op", "module"])
def test_what_is_written_in_place_keeps_its_order(granularity: str) -> None:
    made, leaves = in_place()
    torch.manual_seed(2)
    with torch.no_grad():
        wanted = InPlace()(X)
    pieces, draw = pieces_of(made, granularity), random.Random(4)
    orders = {tuple(shuffled(pieces, draw)) for _ in range(40)}
    for order in orders:
        nodes = [node for part in pieces.ordered(order) for node in part.nodes]
        torch.testing.assert_close(replayed(made, nodes, leaves)[0], wanted, rtol=0, atol=0)
        torch.testing.assert_close(copied(made, nodes, leaves)[0], wanted, rtol=0, atol=0)
    assert granularity == "module" or len(orders) > 1


def test_without_the_hazards_an_order_would_compute_something_else() -> None:
    """The edges of the graph alone let the sum of a tensor be taken before it is written to."""
    made, leaves = in_place()
    nodes = list(made.traced.nodes)
    total = next(node for node in nodes if op_name(node) == "sum")
    written = next(node for node in nodes if op_name(node) == "fill_" or op_name(node) == "copy_")
    nodes.remove(total)
    nodes.insert(nodes.index(written), total)
    assert all(n in nodes[: nodes.index(total)] for n in total.all_input_nodes)
    assert not pieces_of(made, "op").legal.obeyed(nodes)
    changed, right = replayed(made, nodes, leaves)[0], replayed(made, made.traced.nodes, leaves)[0]
    assert not torch.allclose(changed, right)


class Counting(nn.Module):
    """A buffer that the forward pass writes to is no constant."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.register_buffer("seen", torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add_(x.sum(0))
        early = self.layer(x + self.seen)
        self.seen.mul_(0.5)
        return early * self.seen


def test_a_buffer_that_is_written_to_is_no_constant() -> None:
    made = prepare(
        resolve(Counting(), example_inputs={"x": X}), Request(), Mode.INFERENCE, Target.TORCH, lambda _: None
    )
    seen = next(node for node, name in made.traced.reads.items() if name == "seen")
    assert not made.flow.constant(seen)
    names = [op_name(node) for node in made.traced.nodes]
    pieces = pieces_of(made, "op")
    for order in {tuple(shuffled(pieces, random.Random(seed))) for seed in range(10)}:
        nodes = [node for part in pieces.ordered(order) for node in part.nodes]
        found = [op_name(node) for node in nodes if op_name(node) in ("add_", "add", "mul_", "mul")]
        assert found == [name for name in names if name in found]


def test_an_order_that_is_not_legal_is_refused() -> None:
    made, _ = in_place()
    pieces = pieces_of(made, "op")
    early, late = pieces.pairs[0]
    order = list(range(len(pieces.parts)))
    order[early], order[late] = late, early
    with pytest.raises(UsageError, match=f"Unit {late} cannot run before unit {early}"):
        pieces.ordered(order)
    with pytest.raises(UsageError, match="holds each once"):
        pieces.ordered(order[1:])
