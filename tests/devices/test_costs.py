"""The roofline and the bytes of autograd, against sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ipu_partition.cost.graph import Audit, CostGraph, ParameterCost, TensorCost, UnitCost, Work
from ipu_partition.devices import TorchDevice, TorchMachine
from ipu_partition.devices.costs import Costs
from ipu_partition.devices.problem import make_problem, unevenness
from ipu_partition.devices.solve import update_us
from ipu_partition.errors import UsageError
from ipu_partition.workload import OPTIMIZERS, PRECISIONS, Mode, Target, Workload
from planners import Preference, Schedule, evaluate, solve
from tests.machine.synthetic import gpt2
from tests.machine.synthetic import graph as synthetic

DEVICE = TorchDevice("cuda", 1 << 40, {"float32": 1e12}, 1e9, 5.0, 1e8, 100.0, 1000)
"""A flop takes 1e-6 us, a byte of memory 1e-3 us, a byte of the link 1e-2 us."""
PRODUCT = Work("matmul", "linear", 2, 3_000_000_000, 6_000_000_000, 1000, 2000)
PASSING = Work("elementwise", "add", 1, 0, 0, 40_000, 80_000)
UNITS = (
    UnitCost("a", ("a",), (PRODUCT, PASSING), ("w", "table"), 700, 100, 900, 1500, 0),
    UnitCost("b", ("b",), (PASSING,), ("frozen", "table"), 50, 100, 30, 60, 0),
)
GRAPH = CostGraph(
    units=UNITS,
    parameters={
        "w": ParameterCost("w", (), 100, 400, True),
        "table": ParameterCost("table", (), 1000, 4000, True),
        "frozen": ParameterCost("frozen", (), 10, 40, False),
    },
    tensors=(TensorCost("x", 0, (1,), 200, 200), TensorCost("ids", None, (0, 1), 8, 0)),
    audit=Audit(),
    training=True,
)
WORK = Workload(mode=Mode.TRAINING, ipus=2, gradient_accumulation=4, precision=PRECISIONS["32.32"], target=Target.TORCH)
FORWARD = replace(WORK, mode=Mode.INFERENCE, gradient_accumulation=None)


def machine(*devices: TorchDevice) -> TorchMachine:
    return TorchMachine("test", devices)


def test_the_roofline() -> None:
    costs = Costs(GRAPH, WORK)
    assert costs.forward_us(UNITS[0], DEVICE) == pytest.approx(2 * (5 + 3000) + 5 + 40)
    accumulated = (5 + 3 * 400e-3) + (5 + 3 * 4000e-3)
    backward = 2 * (2 * 5 + 6000) + 5 + 80
    assert costs.backward_us(UNITS[0], DEVICE) == pytest.approx(backward + accumulated)
    assert Costs(GRAPH, FORWARD).backward_us(UNITS[0], DEVICE) == 0.0


def test_the_bytes_of_a_parameter() -> None:
    costs = Costs(GRAPH, WORK)
    assert costs.parameter_terms(GRAPH.parameters["w"]) == {"weights": 400, "gradients": 400, "optimizer_state": 800}
    plain = Costs(GRAPH, replace(WORK, optimizer=OPTIMIZERS["sgd"]))
    assert plain.parameter_terms(GRAPH.parameters["w"])["optimizer_state"] == 0
    still = {"weights": 40, "gradients": 0, "optimizer_state": 0}
    assert costs.parameter_terms(GRAPH.parameters["frozen"]) == still
    assert Costs(GRAPH, FORWARD).parameter_terms(GRAPH.parameters["frozen"]) == still


def test_temporaries_are_what_is_alive_beside_the_saved() -> None:
    costs = Costs(GRAPH, WORK)
    assert costs.transient_bytes(UNITS[0]) == 1500 + 4000 - 700
    assert Costs(GRAPH, FORWARD).transient_bytes(UNITS[0]) == 900


def test_memory_is_made_of_terms_that_add_up() -> None:
    costed = make_problem(GRAPH, WORK, machine(DEVICE, DEVICE), Preference.TIME)
    found = evaluate(costed.problem, (0, 1))
    assert costed.terms(found, 0) == {
        "reserved": 1000,
        "weights": 4400,
        "gradients": 4400,
        "optimizer_state": 8800,
        "inputs": 4 * 8,
        "activations": 2 * 700,
        "received": 0,
        "temporaries": 4800,
        "weight_update": 0,
    }
    assert costed.terms(found, 1)["weights"] == 4040
    assert costed.terms(found, 1)["received"] == 200
    for index in range(2):
        assert sum(costed.terms(found, index).values()) == found.devices[index].memory.total


@pytest.mark.parametrize("training", [True, False])
def test_terms_add_up_for_a_whole_model(training: bool) -> None:
    model = synthetic(gpt2(width=4, training=training))
    work = WORK if training else FORWARD
    costed = make_problem(model, work, machine(DEVICE, DEVICE, DEVICE), Preference.TIME)
    found = solve(costed.problem, "inline").evaluation
    assert found is not None
    for index, load in enumerate(found.devices):
        assert sum(costed.terms(found, index).values()) == load.memory.total


def test_the_problem() -> None:
    costed = make_problem(GRAPH, WORK, machine(DEVICE, replace(DEVICE, link_bytes_per_s=5e7)), Preference.TIME)
    problem = costed.problem
    assert problem.schedule is Schedule.ONE_F_ONE_B
    assert (problem.micro_batches, problem.copy_us, problem.copy_us_per_byte) == (4, 100.0, pytest.approx(2e-2))
    assert problem.sequential == {0, 1}
    groups = [(g.name, g.colocate, g.bytes) for g in problem.groups]
    assert groups == [("input ids", False, 32), ("weight table", False, 16_000)]
    found = evaluate(problem, (0, 1))
    assert found.devices[1].copy_us == pytest.approx(2 * 100 + 400 * 2e-2)
    assert make_problem(replace(GRAPH, training=False), FORWARD, machine(DEVICE), Preference.TIME).problem.schedule is (
        Schedule.INFERENCE
    )


def test_what_is_read_later_passes_all_stages_between() -> None:
    units = (*UNITS, replace(UNITS[1], name="c"), replace(UNITS[1], name="d"))
    far = replace(GRAPH, units=units, tensors=(TensorCost("x", 0, (3,), 200, 200),))
    costed = make_problem(far, WORK, machine(DEVICE, DEVICE, DEVICE), Preference.TIME)
    found = evaluate(costed.problem, (0, 1, 1, 2))
    assert [d.copy_us > 0 for d in found.devices] == [True, True, True]
    assert found.devices[1].memory.stash == 2 * 200


def test_costs_of_the_other_mode_are_refused() -> None:
    with pytest.raises(UsageError, match="the costs are those of training, the workload asks for inference"):
        make_problem(GRAPH, FORWARD, machine(DEVICE), Preference.TIME)


def test_speed_is_how_much_faster_the_whole_model_runs() -> None:
    twice = replace(DEVICE, flops_per_s={"float32": 2e12}, bytes_per_s=2e9, op_overhead_us=2.5)
    costed = make_problem(GRAPH, WORK, machine(DEVICE, twice), Preference.TIME)
    assert [d.speed for d in costed.problem.devices] == [1.0, pytest.approx(2.0)]
    assert unevenness(costed) == {}


def test_units_that_a_device_runs_otherwise_are_told() -> None:
    """Ten times the memory bandwidth helps one of two units that matter alike."""
    units = (replace(UNITS[0], work=(PRODUCT,)), replace(UNITS[1], work=(replace(PASSING, count=200),)))
    wide = replace(DEVICE, bytes_per_s=1e10)
    costed = make_problem(replace(GRAPH, units=units), WORK, machine(DEVICE, wide), Preference.TIME)
    least, most = unevenness(costed)[1]
    assert least < 1 < most
    assert most > 1.25


def test_an_update_reads_and_writes_and_sums_what_is_copied() -> None:
    costed = make_problem(GRAPH, WORK, machine(DEVICE, DEVICE), Preference.TIME)
    step = (5 + 7 * 400e-3) + (5 + 7 * 4000e-3)
    copies = 2 * (100 + 4000e-2)
    assert update_us(costed, evaluate(costed.problem, (0, 1))) == pytest.approx(step + copies)
    forward = make_problem(replace(GRAPH, training=False), FORWARD, machine(DEVICE, DEVICE), Preference.TIME)
    assert update_us(forward, evaluate(forward.problem, (0, 1))) == 0.0
