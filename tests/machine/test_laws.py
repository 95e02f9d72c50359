"""Laws that any memory model obeys, whatever its constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from ipu_partition.machine.constants import MEMORY, MemoryModel
from ipu_partition.machine.explain import device_terms, gaps_beside
from ipu_partition.machine.kinds import machine
from ipu_partition.machine.memory import TERMS
from ipu_partition.machine.placement import Placement
from ipu_partition.machine.problem import make_problem
from ipu_partition.workload import Mode, Target, Workload
from planners.evaluate import evaluate

from .synthetic import Shape, assignment, graph

MK2 = machine("mk2")
SHAPE = Shape(8, 512, 8, 2048, 30000, 128, 2)
SPLIT = (0, 2, 3, 3)
LAYERS = frozenset(range(1, SHAPE.layers + 1))
TRAINING = Workload(Mode.TRAINING, ipus=4, micro_batch_size=2, gradient_accumulation=64)
CODE = ("vertex_code", "vertex_state", "exchange_code", "control_code")
STATIC = ("weights", "gradient_accumulators", "optimizer_state", *CODE)

Table = Mapping[str, int]


def memory(workload: Workload, shape: Shape = SHAPE, model: MemoryModel = MEMORY, **placed: object) -> list[Table]:
    """Terms of each IPU."""
    shape = replace(shape, training=workload.mode is Mode.TRAINING)
    homes = assignment(SPLIT, 0 if shape.head == "tied" else len(SPLIT) - 1)
    placement = Placement(checkpoints=LAYERS, homes=homes, **placed)  # type: ignore[arg-type]
    costing = make_problem(graph(shape), workload, MK2, placement=placement, memory_model=model)
    evaluation = evaluate(costing.problem, homes)
    return [device_terms(costing, evaluation, ipu) for ipu in range(len(SPLIT))]


def total(tables: list[Table], *names: str) -> int:
    return sum(table[name] for table in tables for name in names or table)


WORKLOADS = {
    "training": TRAINING,
    "one checkpoint a stage": replace(TRAINING, recompute_checkpoint_every_layer=False),
    "off chip": replace(TRAINING, optimizer_state_offchip=True),
    "four replicas": replace(TRAINING, replicas=4, replicated_tensor_sharding=True),
    "sharded inference": replace(TRAINING, mode=Mode.INFERENCE),
    "pipelined inference": replace(TRAINING, mode=Mode.INFERENCE, target=Target.POPTORCH),
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_doubling_the_micro_batch_doubles_the_stash_and_leaves_what_is_static_alone(name: str) -> None:
    one = memory(WORKLOADS[name])
    two = memory(replace(WORKLOADS[name], micro_batch_size=4), replace(SHAPE, batch=4))
    for before, after in zip(one, two, strict=True):
        assert [after[term] for term in STATIC] == [before[term] for term in STATIC]
        assert (after["stash"], after["received"]) == (2 * before["stash"], 2 * before["received"])
        assert after["recompute"] == 2 * before["recompute"]


def test_tying_removes_exactly_the_bytes_of_one_table() -> None:
    tied, untied = memory(TRAINING), memory(TRAINING, replace(SHAPE, head="untied"))
    elements = graph(replace(SHAPE, head="untied")).parameter_count - graph(SHAPE).parameter_count
    saved = {name: total(untied, name) - total(tied, name) for name in STATIC[:3]}
    assert saved == {"weights": 2 * elements, "gradient_accumulators": 2 * elements, "optimizer_state": 6 * elements}


@pytest.mark.parametrize("replicas", [1, 4])
def test_moving_the_state_off_chip_removes_exactly_its_bytes(replicas: int) -> None:
    on_chip = replace(TRAINING, replicas=replicas, replicated_tensor_sharding=replicas > 1)
    before, after = memory(on_chip), memory(replace(on_chip, optimizer_state_offchip=True))
    for kept, moved in zip(before, after, strict=True):
        assert moved["optimizer_state"] == 0 < kept["optimizer_state"] or kept["optimizer_state"] == 0
        changed = {name for name in TERMS if kept[name] != moved[name]}
        assert changed <= {"optimizer_state", "weight_update"}
        assert kept["weight_update"] <= moved["weight_update"] <= kept["optimizer_state"] + kept["weight_update"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_more_accumulation_never_changes_memory(name: str) -> None:
    assert memory(WORKLOADS[name]) == memory(replace(WORKLOADS[name], gradient_accumulation=4096))


@pytest.mark.parametrize("off", [False, True])
def test_a_replica_never_reduces_what_an_unsharded_ipu_holds(off: bool) -> None:
    alone = memory(replace(TRAINING, optimizer_state_offchip=off))
    beside = memory(replace(TRAINING, optimizer_state_offchip=off, replicas=8))
    for one, many in zip(alone, beside, strict=True):
        assert all(many[term] >= one[term] for term in TERMS)
        assert sum(many.values()) > sum(one.values())


def test_sharding_divides_the_state_and_nothing_else() -> None:
    whole = memory(replace(TRAINING, replicas=4))
    sharded = memory(replace(TRAINING, replicas=4, replicated_tensor_sharding=True))
    for one, part in zip(whole, sharded, strict=True):
        assert one["optimizer_state"] / 4 <= part["optimizer_state"] < one["optimizer_state"] / 3.9
        assert {t for t in TERMS if one[t] != part[t]} <= {"optimizer_state", "weight_update"}


def test_equal_layers_share_code_where_they_are_outlined() -> None:
    outlined, apart = memory(TRAINING), memory(replace(TRAINING, outlined=False))
    for one, many, layers in zip(outlined, apart, SPLIT, strict=True):
        saved = {name: many[name] - one[name] for name in TERMS if many[name] != one[name]}
        assert set(saved) <= set(CODE[1:])
        assert (sum(saved.values()) > 0) == (layers > 1)


def test_checkpoints_trade_stash_for_recomputation() -> None:
    every, none = memory(TRAINING), memory(replace(TRAINING, recompute_checkpoint_every_layer=False))
    assert total(every, "stash") > total(none, "stash")
    assert total(every, "recompute") < total(none, "recompute")
    assert [t["weights"] for t in every] == [t["weights"] for t in none]


def test_a_lower_proportion_never_needs_more() -> None:
    tables = [memory(replace(TRAINING, matmul_proportion=p)) for p in (0.6, 0.2, 0.1, 0.05)]
    totals = [total(t) for t in tables]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > totals[-1]


def test_each_ipu_has_the_proportion_that_is_its_own() -> None:
    low, high = (memory(replace(TRAINING, matmul_proportion=p)) for p in (0.02, 0.4))
    mixed = memory(replace(TRAINING, matmul_proportion=(0.02, 0.4, 0.02, 0.4)))
    assert mixed == [low[0], high[1], low[2], high[3]]
    assert low[0] != high[0]


def test_gaps_grow_with_what_lies_between_them() -> None:
    costing = make_problem(graph(SHAPE), TRAINING, MK2)
    assert [gaps_beside(costing, total) for total in (0, 10**8, 2 * 10**8)] == [0, 2 * 10**6, 4 * 10**6]
