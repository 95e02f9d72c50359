from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipu_partition.errors import UsageError
from ipu_partition.machine.constants import MEMORY
from ipu_partition.machine.explain import device_terms, gaps_beside, peak_bytes, update_us
from ipu_partition.machine.kinds import machine
from ipu_partition.machine.memory import TERMS, gaps_bytes, usable_bytes
from ipu_partition.machine.placement import Placement
from ipu_partition.machine.problem import Costing, make_problem
from ipu_partition.workload import Mode, Target, Workload
from planners.evaluate import evaluate
from planners.problem import Preference, Schedule

from .synthetic import Shape, graph

MK2 = machine("mk2")
SMALL = Shape(6, 256, 4, 1024, 5000, 64, 2, positions=64)
TRAINING = Workload(Mode.TRAINING, ipus=3, micro_batch_size=2)
LAYERS = frozenset(range(1, 7))


def costing(workload: Workload = TRAINING, shape: Shape = SMALL, **placement: object) -> Costing:
    made = graph(replace(shape, training=workload.mode is Mode.TRAINING))
    return make_problem(made, workload, MK2, placement=Placement(**placement))  # type: ignore[arg-type]


@given(total=st.integers(0, 2 * 10**9), capacity=st.integers(1, 2 * 10**9))
def test_the_planner_s_limit_and_the_gaps_agree_to_the_byte(total: int, capacity: int) -> None:
    assert (total <= usable_bytes(capacity, MEMORY)) == (total + gaps_bytes(total, MEMORY) <= capacity)


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("mode", list(Mode))
@given(cuts=st.lists(st.integers(0, 2), min_size=8, max_size=8))
@settings(max_examples=25, deadline=None)
def test_terms_add_up_to_the_planner_s_total(mode: Mode, off: bool, cuts: list[int]) -> None:
    workload = replace(TRAINING, mode=mode, optimizer_state_offchip=off)
    cost = costing(workload, checkpoints=LAYERS)
    evaluation = evaluate(cost.problem, cuts)
    for device, load in enumerate(evaluation.devices):
        terms = device_terms(cost, evaluation, device)
        assert tuple(terms) == TERMS
        assert sum(terms.values()) == load.memory.total
        assert all(v >= 0 for v in terms.values())
        gaps = gaps_beside(cost, load.memory.total)
        assert (load.shortfall_bytes == 0) == (sum(terms.values()) + gaps <= MK2.capacity_bytes)


def test_every_number_of_a_unit_is_the_sum_of_its_table() -> None:
    cost = costing(checkpoints=LAYERS)
    for unit, terms in zip(cost.problem.units, cost.units, strict=True):
        assert unit.resident_bytes == sum(terms.resident.values())
        assert unit.code_bytes == sum(terms.code.values())
    for group, shared in zip(cost.problem.groups, cost.groups, strict=True):
        assert (group.bytes, group.name) == (sum(shared.shared.values()), shared.name)


def test_a_tied_weight_is_a_group_and_no_unit_s_own() -> None:
    cost = costing()
    (tied,) = [g for g in cost.problem.groups if g.name == "weight embed.words"]
    assert (tied.members, tied.colocate) == ((0, 7), True)
    assert tied.bytes == 5000 * 256 * 10
    assert cost.problem.units[0].resident_bytes == 64 * 256 * 10  # the positions alone
    total = sum(u.resident_bytes for u in cost.problem.units) + tied.bytes
    assert total == cost.graph.parameter_count * 10


def test_sharded_inference_copies_a_tied_weight_and_pipelined_refuses() -> None:
    sharded = costing(replace(TRAINING, mode=Mode.INFERENCE))
    pipelined = costing(replace(TRAINING, mode=Mode.INFERENCE, target=Target.POPTORCH))
    assert sharded.problem.schedule is Schedule.SHARDED
    assert pipelined.problem.schedule is Schedule.INFERENCE
    assert [c.problem.groups[0].colocate for c in (sharded, pipelined)] == [False, True]


def test_inference_keeps_weights_only() -> None:
    cost = costing(replace(TRAINING, mode=Mode.INFERENCE), checkpoints=LAYERS)
    assert all(u.backward_us == u.live_bytes == u.checkpoint_bytes == u.update_bytes == 0 for u in cost.problem.units)
    assert all(t.gradient_bytes == 0 for t in cost.problem.tensors)
    resident = sum(u.resident_bytes for u in cost.problem.units) + cost.problem.groups[0].bytes
    assert resident == 2 * cost.graph.parameter_count


def test_codelets_are_paid_once_per_device_that_has_the_kind() -> None:
    cost = costing()
    softmax = next(g for g in cost.problem.groups if g.name == "vertex code softmax")
    assert (softmax.members, softmax.colocate) == ((1, 2, 3, 4, 5, 6), False)


def test_a_weight_turned_into_an_activation_stays_with_its_maker() -> None:
    cost = costing(activation_parameters={"embed.words": 0})
    assert not [g for g in cost.problem.groups if g.name.startswith("weight")]
    assert cost.problem.units[0].resident_bytes == (5000 + 64) * 256 * 10
    (made,) = [t for t in cost.problem.tensors if t.name == "weight embed.words"]
    assert (made.producer, made.readers, made.bytes, made.gradient_bytes) == (0, (7,), 2_560_000, 2_560_000)


def test_company_is_a_group_without_bytes() -> None:
    (pair,) = [g for g in costing(together=((5, 2), (2, 5), (3, 3))).problem.groups if g.name.startswith("units")]
    assert (pair.members, pair.bytes, pair.colocate) == ((2, 5), 0, True)


def test_checkpoints_are_where_the_placement_and_the_workload_want_them() -> None:
    marked = costing(checkpoints=frozenset({2})).problem.units
    assert [u.checkpoint_bytes for u in marked] == [0, 0, 64 * 2 * 256 * 2, 0, 0, 0, 0, 0]
    off = costing(replace(TRAINING, recompute_checkpoint_every_layer=False), checkpoints=frozenset({2}))
    assert all(u.checkpoint_bytes == 0 for u in off.problem.units)


def test_pieces_shrink_the_temporaries_of_the_head() -> None:
    whole, cut = (costing(serialised={"embed.words": n}).problem for n in (1, 4))
    assert cut.units[7].transient_bytes < whole.units[7].transient_bytes
    assert cut.groups[0].update_bytes * 4 == whole.groups[0].update_bytes
    assert cut.units[1] == whole.units[1]


def test_constraints_are_handed_on() -> None:
    problem = costing(
        pins=((7, 0), (0, 0)), forbidden_cuts=frozenset({0}), sequential=LAYERS, allow_empty=True, ipus=2
    ).problem
    assert problem.pins == ((0, 0), (7, 0))
    assert (problem.forbidden_cuts, problem.sequential, problem.allow_empty) == (frozenset({0}), LAYERS, True)
    assert len(problem.devices) == 2
    assert problem.devices[0].capacity_bytes == usable_bytes(MK2.capacity_bytes, MEMORY)


def test_layers_and_the_preference_are_handed_on() -> None:
    free = costing(sequential=LAYERS).problem
    assert ([d.layers for d in free.devices], free.prefer) == ([None] * 3, Preference.TIME)
    asked = make_problem(
        graph(SMALL), TRAINING, MK2,
        placement=Placement(sequential=LAYERS, layers=(4, None, 1)), prefer=Preference.MEMORY,
    ).problem  # fmt: skip
    assert ([d.layers for d in asked.devices], asked.prefer) == ([4, None, 1], Preference.MEMORY)
    assert replace(asked, devices=free.devices, prefer=free.prefer) == free


def test_the_fullest_device_and_what_an_idle_one_needs() -> None:
    cost = costing(checkpoints=LAYERS)
    evaluation = evaluate(cost.problem, [0, 0, 0, 1, 1, 1, 2, 0])
    assert peak_bytes(evaluation) == max(sum(device_terms(cost, evaluation, i).values()) for i in range(3))
    assert peak_bytes(None) == gaps_beside(cost, 0) == 0


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        ({"layers": (3, 3)}, "layers of 2 IPUs, but there are 3"),
        ({"activation_parameters": {"no": 0}}, "'no'"),
        ({"activation_parameters": {"embed.words": 3}}, r"units \[0\] read it before"),
        ({"serialised": {"embed.words": 0}}, "0 pieces"),
        ({"checkpoints": frozenset({8})}, r"units \[8\], but the model has 8"),
        ({"forbidden_cuts": frozenset({7})}, r"units \[8\]"),
        ({"pins": ((-1, 0),)}, r"units \[-1\]"),
        ({"together": ((0, 9),)}, r"units \[9\]"),
    ],
)
def test_a_placement_that_contradicts_the_graph_is_refused(placement: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        costing(**placement)


def test_costs_of_the_other_mode_are_refused() -> None:
    with pytest.raises(UsageError, match=r"those of inference, .* asks for training"):
        make_problem(graph(replace(SMALL, training=False)), TRAINING, MK2)


def test_weight_update_takes_time_where_state_is_off_chip() -> None:
    assert update_us(costing()) == 0.0
    assert update_us(costing(replace(TRAINING, optimizer_state_offchip=True))) > 0.0


def test_same_input_same_problem() -> None:
    assert costing(checkpoints=LAYERS).problem == costing(checkpoints=LAYERS).problem
