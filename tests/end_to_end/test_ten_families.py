"""Every family, full size, training and inference, on 2, 4 and 8 IPUs: what must hold of any plan."""

from __future__ import annotations

import ast

import pytest

from ipu_partition.assemble import mode_plan
from ipu_partition.layout import placement
from ipu_partition.machine import machine
from ipu_partition.plan_parts import ModePlan
from ipu_partition.request import Request
from ipu_partition.solve import Solved, solve_for, workload
from ipu_partition.workload import Mode, Target
from planners import evaluate

from .families import FAMILIES, LAYERS, prepared

COUNTS = [2, 4, 8]
CASES = [
    (family, mode, ipus) for family in FAMILIES for mode in Mode for ipus in COUNTS if family != "lxmert" or ipus == 4
]
pytestmark = pytest.mark.xdist_group("ten-families")


def _solved(family: str, mode: Mode, ipus: int, target: Target = Target.OPTIMUM) -> Solved:
    one = prepared(family, mode, target.value)
    request = Request(ipus=ipus, optimizer_state_offchip=True)
    return solve_for(one, workload(one, request, ipus, target), machine("mk2"), "chain")


def _plan(solved: Solved) -> ModePlan:
    return mode_plan(solved, [], [])


@pytest.mark.parametrize(("family", "mode", "ipus"), CASES)
def test_plan(family: str, mode: Mode, ipus: int) -> None:
    solved = _solved(family, mode, ipus)
    plan = _plan(solved)
    units = solved.prepared.graph.units
    assert solved.assignment is not None
    judged = evaluate(solved.costing.problem, solved.assignment)
    assert judged.violations == ()
    assert judged == solved.evaluation

    placed = [u for stage in plan.stages for u in stage.units]
    assert placed == list(range(len(units)))
    assert {stage.ipu for stage in plan.stages} == set(range(ipus))
    _ties_are_together(solved)
    _blocks_are_in_call_order(solved, plan)
    _layers_obey_the_family(solved, plan, LAYERS[family], ipus)
    for ipu in plan.ipus:
        assert sum(ipu.memory.terms.values()) == ipu.memory.total_bytes
        assert plan.fits == (plan.status != "infeasible")
        if plan.fits:
            assert ipu.memory.total_bytes <= ipu.memory.capacity_bytes
    if plan.fits:
        busiest = max(ipu.cycle_us for ipu in plan.ipus)
        objective = plan.solution.objective_us
        assert objective == plan.solution.lower_bound_us
        expected = busiest if mode is Mode.TRAINING else sum(ipu.cycle_us for ipu in plan.ipus)
        assert objective == pytest.approx(expected, abs=0.01)


def _ties_are_together(solved: Solved) -> None:
    if not solved.workload.pipelined:
        return
    activations = placement(solved.prepared.layout, solved.prepared.graph, solved.workload.ipus).activation_parameters
    graph, assignment = solved.prepared.graph, solved.assignment or ()
    for name in graph.parameters:
        ipus = {assignment[u] for u in graph.readers(name)}
        assert len(ipus) <= 1 or name in activations


def _blocks_are_in_call_order(solved: Solved, plan: ModePlan) -> None:
    order = [call.module for call in solved.prepared.traced.calls]
    positions = [order.index(block.module) for block in plan.blocks]
    assert positions == sorted(positions)
    homes = {m: s.ipu for s in plan.stages for m in s.modules}
    for block in plan.blocks:
        if block.module in homes:
            assert homes[block.module] == block.ipu
    repeated = {b.user_id for b in plan.blocks if [x.user_id for x in plan.blocks].count(b.user_id) > 1}
    assert repeated <= {"Embedding"}


def _layers_obey_the_family(solved: Solved, plan: ModePlan, layers: int | None, ipus: int) -> None:
    if layers is None:
        assert plan.layers_per_ipu is None
        return
    assert plan.layers_per_ipu is not None
    assert len(plan.layers_per_ipu) == ipus
    assert sum(plan.layers_per_ipu) == layers
    counted = [b.ipu for b in plan.blocks if b.module in {s.module for s in _counted(solved)}]
    assert counted == [ipu for ipu, n in enumerate(plan.layers_per_ipu) for _ in range(n)]


def _counted(solved: Solved) -> list[object]:
    return [b for b in solved.prepared.layout.blocks if b.ipu == "layer"]


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "lxmert"])
def test_never_worse_than_uniform(family: str) -> None:
    for ipus in COUNTS:
        solved = _solved(family, Mode.TRAINING, ipus)
        name, uniform = solved.baselines[0]
        assert name == "uniform"
        if solved.fits and uniform.evaluation is not None and uniform.evaluation.fits:
            assert solved.evaluation is not None
            assert solved.evaluation.objective_us <= uniform.evaluation.objective_us * (1 + 1e-9)
        if not solved.fits:
            assert uniform.evaluation is None or not uniform.evaluation.fits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", list(Mode))
def test_free_plans(family: str, mode: Mode) -> None:
    solved = _solved(family, mode, 4, Target.POPTORCH)
    plan = _plan(solved)
    assert plan.layers_per_ipu is None
    assert plan.workload.schedule == f"pipelined-{mode.value}"
    assert evaluate(solved.costing.problem, solved.assignment or ()).violations == ()
    _ties_are_together(solved)
    ids = [b.user_id for b in plan.blocks]
    joined = {s.module for s in solved.prepared.layout.starts if s.joins}
    assert joined or len(set(ids)) == len(ids) == len(plan.stages)


def test_documents_are_deterministic_and_sources_old_enough() -> None:
    from ipu_partition import partition
    from ipu_partition.emit.python_source import python_source

    one, two = (partition("t5-small", ipus=4) for _ in range(2))
    assert one.to_json() == two.to_json()
    assert one.ipu_config().to_json() == two.ipu_config().to_json()
    source = python_source(one)
    assert source == python_source(two)
    ast.parse(source, feature_version=(3, 8))
