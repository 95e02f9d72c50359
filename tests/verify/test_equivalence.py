"""A plan's stages compute what the model computes, and keep and exchange the bytes that the plan counts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from ipu_partition import partition
from ipu_partition.reopen import reopen
from ipu_partition.split import Argument, Piece, Split
from ipu_partition.verified_parts import Equivalent
from ipu_partition.verify.equivalence import Executed, compared, equivalent
from ipu_partition.verify.executed import Numbers, run_eagerly, run_split
from ipu_partition.verify.peak import peaked
from ipu_partition.workload import Mode
from tests.end_to_end.families import FAMILIES, small_options

LAYER = "bert.encoder.layer.1"


@cache
def _executed(family: str, mode: str, ipus: int = 4) -> tuple[Equivalent, Executed]:
    plan = partition(FAMILIES[family], ipus=ipus, mode=mode, **small_options(family))
    return equivalent(reopen(plan), Mode(mode), size="full")


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_ten_families(family: str, mode: str) -> None:
    proof, executed = _executed(family, mode)
    assert proof.difference is None
    assert proof.passed
    assert proof.layers == "all"
    assert proof.max_relative is not None
    assert proof.max_relative <= 1e-5
    assert proof.outputs >= 1
    assert (proof.gradients > 50) == (mode == "training")
    assert proof.boundary_tensors >= 3
    assert proof.boundary_bytes == proof.planned_bytes > 0
    peak = peaked(executed)
    assert peak.difference is None
    assert peak.passed
    for row in peak.ipus:
        assert row.saved_bytes == row.planned_saved_bytes
        assert row.stash_bytes == row.planned_stash_bytes
        assert row.received_bytes == row.planned_received_bytes
    assert any(row.saved_bytes for row in peak.ipus) == (mode == "training")


def _again(executed: Executed, pieces: Split) -> Equivalent:
    whole = run_eagerly(executed.subject)
    numbers, run = run_split(executed.subject, pieces)
    return compared(executed.subject, whole, numbers, run)


def _with(pieces: Split, changed: Piece) -> Split:
    return replace(pieces, pieces=tuple(changed if p.index == changed.index else p for p in pieces.pieces))


def test_a_dropped_layer_is_found() -> None:
    _, executed = _executed("bert", "training")
    piece = executed.pieces.pieces[1]
    graph = torch.fx.Graph()
    graph.output(graph.graph_copy(piece.module.graph, {}))
    inside = [n for n in graph.nodes if any(path == LAYER for path, _ in n.meta.get("nn_module_stack", {}).values())]
    before = next(m for n in inside for m in n.all_input_nodes if m.meta["val"].shape == inside[-1].meta["val"].shape)
    assert before not in inside
    inside[-1].replace_all_uses_with(before)
    broken = replace(piece, module=torch.fx.GraphModule(piece.module, graph))
    found = _again(executed, _with(executed.pieces, broken))
    assert not found.passed
    assert "differs by" in str(found.difference)


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_a_swapped_boundary_is_found(mode: str) -> None:
    _, executed = _executed("gpt2", mode)
    pieces = executed.pieces.pieces
    wrong, right = (Argument("value", pieces[i].returns[0]) for i in (0, 1))
    assert right in pieces[2].arguments
    arguments = tuple(wrong if a == right else a for a in pieces[2].arguments)
    found = _again(executed, _with(executed.pieces, replace(pieces[2], arguments=arguments)))
    assert not found.passed
    assert "differs by" in str(found.difference)


def test_an_untied_weight_is_found() -> None:
    _, executed = _executed("gpt2", "training")
    tied = "transformer.wte.weight"
    last = executed.pieces.pieces[-1]
    assert tied in last.reads("parameter")
    subject = executed.subject
    copy = torch.nn.Parameter(subject.parameters[tied].detach().clone())
    untied = replace(subject, parameters={**subject.parameters, "copy": copy})
    other = Argument("parameter", "copy")
    arguments = tuple(other if a == Argument("parameter", tied) else a for a in last.arguments)
    whole = run_eagerly(subject)
    numbers, run = run_split(untied, _with(executed.pieces, replace(last, arguments=arguments)))
    found = compared(subject, whole, numbers, run)
    assert not found.passed
    assert f"the gradient of {tied}" in str(found.difference)


def test_a_weight_that_is_read_in_another_stage_is_found() -> None:
    _, executed = _executed("bert", "inference")
    prepared = executed.subject.prepared
    unread = replace(prepared.graph.units[3], parameters=())
    units = tuple(unread if i == 3 else unit for i, unit in enumerate(prepared.graph.units))
    subject = replace(executed.subject, prepared=replace(prepared, graph=replace(prepared.graph, units=units)))
    numbers, run = run_split(executed.subject, executed.pieces)
    found = compared(subject, run_eagerly(executed.subject), numbers, run)
    assert "reads the weight 'bert.encoder.layer.2." in str(found.difference)


def _compared(whole: list[torch.Tensor], split: list[torch.Tensor]) -> Equivalent:
    _, executed = _executed("bert", "inference")
    return compared(executed.subject, Numbers(whole, {}), Numbers(split, {}), executed.run)


@pytest.mark.parametrize(
    ("whole", "split", "said"),
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        ([1.0, float("-inf")], [1.0, float("-inf")], None),
        ([1.0, float("-inf")], [1.0, 2.0], "differs by inf"),
        ([1.0, float("nan")], [1.0, float("nan")], "is not a number in the model itself"),
        ([0.0, 0.0], [0.0, 1e-30], "differs by 1e-30"),
        ([1.0, 2.0j], [1.0, 0.0j], "differs by 2"),
        ([True, False], [True, True], "differs by 1"),
        ([True, False], [True, False], None),
    ],
)
def test_what_is_a_difference(whole: list[Any], split: list[Any], said: str | None) -> None:
    found = _compared([torch.tensor(whole)], [torch.tensor(split)])
    assert (found.difference is None) == (said is None)
    assert said is None or said in str(found.difference)


def test_a_huge_tensor_hides_no_other() -> None:
    huge, one = torch.tensor([1e30]), torch.tensor([1.0])
    assert "output 1 differs" in str(_compared([huge, one], [huge, -one]).difference)
    _, executed = _executed("bert", "inference")
    gradients = {"huge": huge, **{f"w{i}": one * i for i in range(1, 6)}}
    wrong = {**gradients, "w3": torch.tensor([3.001])}
    found = compared(executed.subject, Numbers([], gradients), Numbers([], wrong), executed.run)
    assert "the gradient of w3 differs" in str(found.difference)


def test_the_module_of_the_user_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    inputs = {"input": torch.randn(3, 4)}
    plan = partition(model, ipus=2, example_inputs=inputs, loss=torch.Tensor.mean, mode="training")
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    found = plan.verify(model, example_inputs=inputs, loss=torch.Tensor.mean)
    assert found.difference is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in model.parameters())  # type: ignore[arg-type]
    assert not model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_tensor_that_the_plan_does_not_count_is_found() -> None:
    _, executed = _executed("gpt2", "inference")
    graph = executed.subject.prepared.graph
    crossing = executed.pieces.values[0].name
    fewer = replace(graph, tensors=tuple(t for t in graph.tensors if t.name != crossing))
    subject = replace(executed.subject, prepared=replace(executed.subject.prepared, graph=fewer))
    numbers, run = run_split(executed.subject, executed.pieces)
    found = compared(subject, run_eagerly(executed.subject), numbers, run)
    assert f"{crossing!r}" in str(found.difference)
    assert "the plan does not count it" in str(found.difference)


def test_bytes_that_are_not_those_of_the_plan_are_found() -> None:
    _, executed = _executed("vit", "training")
    graph = executed.subject.prepared.graph
    more = replace(graph, units=(*graph.units[:2], replace(graph.units[2], saved_bytes=1), *graph.units[3:]))
    assert peaked(executed).passed
    prepared = replace(executed.subject.prepared, graph=more)
    found = peaked(replace(executed, subject=replace(executed.subject, prepared=prepared)))
    assert not found.passed
    assert "unit 2" in str(found.difference)
    assert "the plan counts 1" in str(found.difference)


def test_a_plan_that_returns_to_an_ipu() -> None:
    """GPT-2's head goes back to the IPU of the embedding: five stages on four IPUs, one weight in two of them."""
    _, executed = _executed("gpt2", "training")
    assert executed.subject.homes[0] == executed.subject.homes[-1]
    assert len(executed.pieces.pieces) == 5
    reads = [p.index for p in executed.pieces.pieces if "transformer.wte.weight" in p.reads("parameter")]
    assert reads == [0, 4]
