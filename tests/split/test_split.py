"""The pieces of a model are the model, whatever it does in place, at random or with constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from ipu_partition.cost.segments import Start, segments
from ipu_partition.models import resolve
from ipu_partition.prepare import Prepared, prepare
from ipu_partition.request import Request
from ipu_partition.split import Split, bind, draws, example_values, run_backward, run_forward, split, whole
from ipu_partition.workload import Mode, Target


class Branching(nn.Module):
    """Something of everything that makes a split hard."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.first = nn.Linear(6, 6)
        self.second = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.ReLU(inplace=True))
        self.third = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.table.weight
        self.register_buffer("scale", torch.full((6,), 0.5))

    def forward(self, ids: torch.Tensor) -> Any:
        shifted = ids.new_zeros(ids.shape)
        shifted[:, 1:] = ids[:, :-1]
        causal = torch.ones(ids.shape[1], ids.shape[1])
        causal.tril_()
        x = self.table(shifted)
        a = self.first(x)
        b = self.second(a.add_(1.0))
        top, rest = torch.topk(b, 2, dim=-1)
        c = self.third((causal @ b) * self.scale + self.table(ids) + top.sum() + rest.sum())
        return nn.functional.cross_entropy(self.head(c).flatten(0, 1), ids.flatten()), c.view(-1)


IDS = torch.randint(0, 11, (2, 5), generator=torch.Generator().manual_seed(1))
STARTS = ("first", "second", "third", "head")


def _prepared(model: nn.Module, inputs: Mapping[str, torch.Tensor], starts: tuple[str, ...]) -> Prepared:
    spec = resolve(model, example_inputs=inputs)
    made = prepare(spec, Request(micro_batch_size=2), Mode.TRAINING, Target.POPTORCH, lambda _: None)
    found = tuple(Start(name) for name in starts)
    return replace(made, layout=replace(made.layout, starts=found), graph=_graph(made, found))


def _graph(made: Prepared, starts: tuple[Start, ...]) -> Any:
    from ipu_partition.cost import costed

    assert len(segments(made.traced, starts)) == len(starts)
    return costed(made.flow, starts)


def _ran(prepared: Prepared, pieces: Split, model: nn.Module, seed: int) -> tuple[list[torch.Tensor], dict[str, Any]]:
    parameters = bind(prepared.traced, model)
    with draws(seed):
        run = run_forward(pieces, {"ids": IDS}, parameters)
    results = run.results()
    run_backward(run, {pieces.results[0].name: torch.ones(())})
    gradients = {n: p.grad.clone() for n, p in parameters.items() if p.grad is not None}
    for parameter in parameters.values():
        parameter.grad = None
    return results, gradients


@pytest.mark.parametrize("stages", [[0, 1, 2, 3], [0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1]])
def test_in_place_random_and_constant_ops(stages: list[int]) -> None:
    torch.manual_seed(0)
    model = Branching().train()
    prepared = _prepared(model, {"ids": IDS}, STARTS)
    with draws(3, eager=True):
        loss, rest = model(IDS)
    loss.backward()
    pieces = split(prepared, stages)
    assert len(pieces.pieces) == len(set(stages))
    wanted = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    for parameter in model.parameters():
        parameter.grad = None
    results, gradients = _ran(prepared, pieces, model, 3)
    torch.testing.assert_close(results[0], loss.detach(), check_stride=False)
    torch.testing.assert_close(results[1], rest.detach(), check_stride=False)
    assert gradients.keys() == wanted.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name])


def test_only_what_the_cost_graph_counts_crosses() -> None:
    prepared = _prepared(Branching().train(), {"ids": IDS}, STARTS)
    pieces = split(prepared, [0, 1, 2, 3])
    crossing = {value.name: (value.maker, value.readers) for value in pieces.values}
    counted = {
        t.name: (t.producer, tuple(r for r in t.readers if r != t.producer))
        for t in prepared.graph.tensors
        if t.producer is not None
    }
    assert crossing == counted
    assert all("tril" not in name and "ones" not in name for name in crossing)


def test_draws_depend_on_the_seed_and_the_place_alone() -> None:
    torch.manual_seed(0)
    model = Branching().train()
    prepared = _prepared(model, {"ids": IDS}, STARTS)
    pieces, one = split(prepared, [0, 1, 2, 3]), whole(prepared)
    same, _ = _ran(prepared, pieces, model, 5)
    torch.rand(7)
    again, _ = _ran(prepared, one, model, 5)
    other, _ = _ran(prepared, one, model, 6)
    torch.testing.assert_close(same, again)
    assert not torch.allclose(same[1], other[1])


def test_draws_leave_the_generator_as_it_was() -> None:
    torch.manual_seed(4)
    wanted = torch.rand(3)
    torch.manual_seed(4)
    with draws(1, eager=True):
        torch.rand(5)
    assert torch.equal(torch.rand(3), wanted)


def test_example_values_are_valid() -> None:
    prepared = _prepared(Branching(), {"ids": IDS}, STARTS)
    values = example_values(prepared.flow, 0)
    assert values["ids"].shape == IDS.shape
    assert int(values["ids"].max()) < 11
    assert len(values["ids"].unique()) > 3
    assert torch.equal(values["ids"], example_values(prepared.flow, 0)["ids"])
    assert not torch.equal(values["ids"], example_values(prepared.flow, 1)["ids"])
