"""Every family, full size, training and inference, on 2, 4 and 8 IPUs: what must hold of any plan."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from ipu_partition.assemble import mode_plan
from ipu_partition.layout import placement
from ipu_partition.machine import machine
from ipu_partition.plan_parts import ModePlan
from ipu_partition.request import Request
from ipu_partition.solve import Solved, solve_for, workload
from ipu_partition.workload import Mode, Target
from planners import evaluate

from .families import FAMILIES, LAYERS, MORE, prepared

COUNTS = [2, 4, 8]
CASES = [
    (family, mode, ipus) for family in FAMILIES for mode in Mode for ipus in COUNTS if family != "lxmert" or ipus == 4
]
CASES += [(family, mode, 4) for family in MORE for mode in Mode]
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
    _family_placement_holds(solved, plan, ipus)
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


def _family_placement_holds(solved: Solved, plan: ModePlan, ipus: int) -> None:
    """What the table says of every block that is no counted layer."""
    ipu_of = {b.module: b.ipu for b in plan.blocks}
    order = list(ipu_of)
    for spec in solved.prepared.layout.blocks:
        if spec.module not in ipu_of:
            continue
        if isinstance(spec.ipu, int):
            assert ipu_of[spec.module] == spec.ipu
        elif spec.ipu == "last":
            assert ipu_of[spec.module] == ipus - 1
        elif spec.ipu == "next":
            assert ipu_of[spec.module] == ipu_of[order[order.index(spec.module) + 1]]
        elif spec.with_module is not None:
            assert ipu_of[spec.module] == ipu_of[spec.with_module]


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
    assert all(a != b for a, b in pairwise(ids))
    if not any(s.joins for s in solved.prepared.layout.starts):
        assert len(set(ids)) == len(ids) == len(plan.stages)
    homes = {i: s.ipu for i, s in enumerate(plan.stages)}
    assert all(b.ipu == homes[int(b.user_id.removeprefix("stage"))] for b in plan.blocks)


def test_on_one_ipu_nothing_is_recomputed() -> None:
    with_, without = (
        solve_for(one, replace(work, recompute_checkpoint_every_layer=every), machine("mk2"), "chain")
        for one in [prepared("bert", Mode.TRAINING, "optimum")]
        for work in [workload(one, Request(ipus=1), 1, Target.OPTIMUM)]
        for every in (True, False)
    )
    assert with_.evaluation == without.evaluation
    assert _plan(with_).checkpoints == []
    units = with_.costing.problem.units
    assert with_.evaluation is not None
    assert with_.evaluation.objective_us == pytest.approx(sum(u.forward_us + u.backward_us for u in units))


@pytest.mark.parametrize("model", ["t5-small", "facebook/bart-base"])
def test_files_are_the_same_bytes_in_every_process(model: str, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "ipu_partition",
            "--model",
            model,
            "--ipus",
            "4",
            "--output",
            str(tmp_path / seed),
        ]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
    for name in ("ipu_config.json", "ipu_partition_plan.json", "parallelize.py"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    ast.parse((tmp_path / "1" / "parallelize.py").read_text(), feature_version=(3, 8))
