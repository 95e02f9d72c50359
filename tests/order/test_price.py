"""The price of program order: proved against all orders, taken one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import planners
from ipu_partition import UsageError, explain_order
from ipu_partition.devices import TorchMachine, parse
from ipu_partition.devices.solve import workload
from ipu_partition.machine import machine
from ipu_partition.models import resolve
from ipu_partition.order import Subject, chain_of, graph_of, priced
from ipu_partition.order.pieces import Pieces
from ipu_partition.order.words import in_words
from ipu_partition.prepare import Prepared, prepare
from ipu_partition.request import Request
from ipu_partition.solve import workload as ipu_workload
from ipu_partition.workload import Mode, Target
from planners.graph.judge import stage_order
from planners.problem import Schedule
from tests.devices.machines import FLAT, ONE
from tests.end_to_end.families import FAMILIES, small_options
from tests.order.towers import GIVEN, Layer, Towers

COPIES = {**FLAT, "flops_per_s": {"float32": 1e9}, "link_bytes_per_s": 1e8, "link_latency_us": 0.5}
"""Copies matter as much as products."""


def made(model: nn.Module, mode: Mode = Mode.TRAINING, target: Target = Target.TORCH) -> Prepared:
    request = Request(precision="32.32" if target is Target.TORCH else "")
    return prepare(resolve(model, **GIVEN), request, mode, target, lambda _: None)


def subject(model: nn.Module, device: dict[str, Any], count: int, mode: Mode = Mode.TRAINING) -> Subject:
    prepared = made(model, mode)
    kind = parse({"name": "test", "count": count, "device": device}, "a test")
    return Subject(prepared, workload(prepared, Request(precision="32.32"), count), kind)


def every_order(pieces: Pieces) -> Iterator[tuple[int, ...]]:
    """All legal ones."""
    before: dict[int, set[int]] = {piece: set() for piece in range(len(pieces.parts))}
    for early, late in pieces.pairs:
        before[late].add(early)

    def extended(found: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(found) == len(before):
            yield found
        for piece in before:
            if piece not in found and before[piece] <= {*found}:
                yield from extended((*found, piece))

    return extended(())


class Short(Towers):
    """Few enough units to take all orders one by one: every layer is one."""

    def __init__(self, left: tuple[int, ...], right: tuple[int, ...]) -> None:
        super().__init__(left, right)
        self.left = nn.ModuleList(map(Whole, left))
        self.right = nn.ModuleList(map(Whole, right))


class Whole(nn.Module):
    def __init__(self, weight: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.ones(*shape)) for shape in ((8 * weight, 16), (16, 8 * weight)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.relu(x @ self.a.T) @ self.b.T


@pytest.mark.parametrize("device", [FLAT, ONE, COPIES], ids=["flat", "real", "copies"])
@pytest.mark.parametrize(
    ("left", "right", "count"), [((6, 6), (4, 4), 2), ((3, 5, 2), (4, 1), 2), ((2, 5), (3, 3, 1), 3)]
)
def test_as_all_orders_one_by_one(device: dict[str, Any], left: Any, right: Any, count: int) -> None:
    what = subject(Short(left, right), device, count)
    assert len(what.pieces.parts) == len(left) + len(right)
    values = [
        planners.solve(what.chain(order), "inline").evaluation.objective_us  # type: ignore[union-attr]
        for order in every_order(what.pieces)
    ]
    assert len(values) == math.comb(len(left) + len(right) - 1, len(left))  # the last layer also has the loss
    found = priced(what, time_limit=10)
    assert found.program is not None
    assert found.best is not None
    assert found.lower_bound_us <= min(values) * (1 + 1e-9)
    assert found.best.value_us >= min(values) * (1 - 1e-9)
    assert found.best.value_us == pytest.approx(min(values), rel=1e-9)
    assert found.program.value_us == pytest.approx(values[0], rel=1e-9)
    assert found.proved or count > 2  # what stages between hand on is no part of the bound


def test_towers_lose_in_program_order() -> None:
    found = priced(subject(Short((6, 6), (4, 4)), FLAT, 2, Mode.INFERENCE), time_limit=10)
    assert found.loss == pytest.approx(0.2, abs=5e-3)
    assert found.proved
    assert not found.kept
    assert (found.gap, found.most_loss) == (0.0, found.loss)
    assert found.units == 4
    even = priced(subject(Short((5, 5), (5, 5)), FLAT, 2, Mode.INFERENCE), time_limit=10)
    assert even.kept
    assert even.proved
    assert even.loss == 0.0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("granularity", ["module", "op"])
def test_the_bound_holds_for_families(family: str, granularity: str) -> None:
    request = Request(precision="32.32", **small_options(family))  # type: ignore[arg-type]
    prepared = prepare(resolve(FAMILIES[family], config=request.config), request, Mode.TRAINING, Target.TORCH, print)
    kind = parse({"name": "test", "count": 3, "device": ONE}, "a test")
    work = workload(prepared, request, 3)
    chain, graph = (make(prepared, work, kind, granularity) for make in (chain_of, graph_of))
    assert len({node.name for node in graph.nodes}) == len(graph.nodes)
    if granularity == "module" and len(chain.units) == len(prepared.graph.units):
        assert [unit.name for unit in chain.units] == [unit.name for unit in prepared.graph.units]
    program = planners.solve(chain, "inline")
    assert program.evaluation is not None
    assert program.assignment is not None
    relaxed = planners.evaluate(graph, program.assignment)
    assert relaxed.valid
    assert stage_order(graph, program.assignment) == [0, 1, 2]
    for exact, less in zip(program.evaluation.devices, relaxed.devices, strict=True):
        assert less.time_us <= exact.time_us * (1 + 1e-9)
        assert less.memory.total <= exact.memory.total


def test_ipus_with_a_tied_weight() -> None:
    """The weight is copied, so no stage has to return to it."""
    prepared = made(Towers(tied=True), target=Target.POPTORCH)
    tied = [p.name for p in prepared.graph.parameters.values() if len(prepared.graph.readers(p.name)) > 1]
    assert tied == ["left.0.narrow.bias"]
    kind = machine("mk2")
    what = Subject(prepared, ipu_workload(prepared, Request(), 2, Target.POPTORCH), kind)
    assert what.chain().schedule is Schedule.TRAINING
    assert not any(group.colocate for group in what.chain().groups)
    found = priced(what, time_limit=5)
    assert found.best is not None
    said = explain_order(Towers(tied=True), 2, time_limit=5, target="poptorch", **GIVEN)
    assert said.training is not None
    assert said.inference is not None
    assert any("'left.0.narrow.bias' is read by several units" in note for note in said.training.notes)
    assert any("PopTorch begins blocks in the order" in note for note in said.training.notes)
    assert said.training.program_us == pytest.approx(found.program.value_us, abs=1e-3) if found.program else False


def test_sharded_inference_has_no_order_to_gain() -> None:
    said = explain_order(
        FAMILIES["bert"],
        2,
        time_limit=5,
        mode="inference",
        **small_options("bert"),  # type: ignore[arg-type]
    )
    assert said.modes() == {}
    assert said.fits
    assert "one IPU runs at a time" in said.notes[0]


def test_a_declared_loss_stays_last() -> None:
    request = Request(precision="32.32", **small_options("wav2vec2"))  # type: ignore[arg-type]
    spec = resolve(FAMILIES["wav2vec2"], config=request.config)
    prepared = prepare(spec, request, Mode.TRAINING, Target.TORCH, print)
    kind = parse({"name": "test", "count": 2, "device": ONE}, "a test")
    what = Subject(prepared, workload(prepared, request, 2), kind)
    assert what.declared
    assert what.count == len(prepared.graph.units)
    assert what.chain() == chain_of(prepared, what.work, kind)
    loss = what.count - 1
    assert {late for _, late in what.pairs if late == loss} == {loss}
    with pytest.raises(UsageError, match="last unit of every order"):
        what.chain([loss, *range(loss)])
    assert priced(what, time_limit=5).best is not None


def test_what_cannot_be_asked() -> None:
    with pytest.raises(UsageError, match="granularity is 'layer', expected module or op"):
        explain_order(Layer(1), granularity="layer")
    for limit in (0, -1, math.inf, True, "5"):
        with pytest.raises(UsageError, match="expected a number of seconds above 0"):
            explain_order(Layer(1), time_limit=limit)  # type: ignore[arg-type]
    assert isinstance(parse({"name": "one", "count": 1, "device": ONE}, "a test"), TorchMachine)


def test_words() -> None:
    found = priced(subject(Short((6, 6), (4, 4)), FLAT, 2, Mode.INFERENCE), time_limit=10)
    assert in_words(found) == "keeping to program order costs 19.8 %, proven"
    assert found.best is not None
    bound = found.best.value_us * 0.99
    assert in_words(replace(found, lower_bound_us=bound)) == "keeping to program order costs 19.8 % (at most 21.0 %)"
    same = replace(found, best=found.program)
    assert in_words(replace(same, lower_bound_us=0.0)) == (
        "keeping to program order costs nothing that was found (nothing is proved)"
    )
    assert in_words(replace(found, program=None)) == "nothing fits in program order, but another order does"
    nothing = replace(found, program=None, best=None)
    assert in_words(replace(nothing, lower_bound_us=math.inf)) == "nothing fits in any order, proven"
    assert in_words(nothing) == "nothing that fits was found"


def test_memory_that_only_another_order_has() -> None:
    """The bound knows weights and one micro-batch; a machine with less has nothing in any order."""
    poor = subject(Short((6, 6), (4, 4)), {**FLAT, "memory_gib": 1e-5}, 2)
    found = priced(poor, time_limit=5)
    assert found.program is None
    assert found.best is None
    assert found.lower_bound_us == math.inf
    assert found.proved
    assert (found.gap, found.loss) == (None, None)


def test_one_device() -> None:
    found = priced(subject(Short((6, 6), (4, 4)), ONE, 1), time_limit=5)
    assert found.kept
    assert found.proved
    assert in_words(found) == "keeping to program order costs nothing, proven"
