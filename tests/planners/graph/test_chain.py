"""A chain is the graph whose order leaves no choice; with another order its graph bounds it from below."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement, pairwise, permutations
from random import Random

import pytest

from ipu_partition.testing.problems import random_problem
from planners import Optimal, Preference, Problem, Schedule, evaluate, solve
from planners.brute import Brute
from planners.graph.chain import as_graph
from planners.graph.judge import stage_order

PIPELINED = [schedule for schedule in Schedule if schedule is not Schedule.SHARDED]
PROBLEMS = [random_problem(Random(f"graph of chain {seed}"), 6, PIPELINED) for seed in range(300)]


def _in_order(problem: Problem) -> list[tuple[int, ...]]:
    """Assignments that visit each device once, in order; devices may be empty."""
    return list(combinations_with_replacement(range(len(problem.devices)), len(problem.units)))


@pytest.mark.parametrize("schedule", PIPELINED)
def test_judge_of_chains_and_judge_of_graphs_agree(schedule: Schedule) -> None:
    compared = 0
    for problem in (p for p in PROBLEMS if p.schedule is schedule):
        graph = as_graph(problem)
        tied = {group.members for group in problem.groups if group.colocate}
        for assignment in _in_order(problem):
            chain, found = evaluate(problem, assignment), evaluate(graph, assignment)
            cut = any(assignment[u] != assignment[u + 1] for u in problem.forbidden_cuts)
            parted = any(len({assignment[u] for u in members}) > 1 for members in tied)
            assert found.valid is not (cut or parted)
            for whole, part in zip(chain.devices, found.devices, strict=True):
                assert part.copy_us == whole.copy_us
                assert part.time_us <= whole.time_us
                assert schedule is Schedule.TRAINING or part.time_us == whole.time_us
                assert part.memory.total <= whole.memory.total
                assert (part.memory.base, part.memory.shared) == (whole.memory.base, whole.memory.shared)
            compared += 1
    assert compared > 500


def test_program_order_leaves_runs_of_units_only() -> None:
    for problem in PROBLEMS[:60]:
        graph = replace(as_graph(problem), groups=())
        count = len(problem.devices)
        for assignment in set(permutations([i % count for i in range(len(problem.units))])):
            runs = 1 + sum(a != b for a, b in pairwise(assignment))
            assert evaluate(graph, assignment).valid is (runs == len(set(assignment)))


def test_what_is_proved_of_the_graph_bounds_the_chain() -> None:
    bounded = 0
    for problem in (p for p in PROBLEMS if p.prefer.value == "time" and not p.schedule.returns):
        best = Brute()(problem)
        if not isinstance(best, Optimal):
            continue
        in_order = solve(as_graph(problem), "brute")
        made = {(t.producer, r) for t in problem.tensors for r in t.readers if t.producer is not None}
        free = solve(as_graph(problem, made), "brute")
        assert isinstance(in_order, Optimal)
        assert isinstance(free, Optimal)
        assert free.lower_bound <= in_order.lower_bound <= best.lower_bound
        bounded += 1
    assert bounded > 20


def test_a_chain_of_what_graphs_know_has_the_same_optimum() -> None:
    """Forward only, bytes that add up, alike devices: a graph may visit others in any order."""
    compared = 0
    for problem in PROBLEMS:
        plain = replace(
            problem,
            prefer=Preference.TIME,
            schedule=Schedule.INFERENCE,
            units=tuple(replace(u, transient_bytes=0, live_bytes=0, checkpoint_bytes=0) for u in problem.units),
            devices=(replace(problem.devices[0], min_units=1, layers=None),) * len(problem.devices),
            tensors=tuple(t for t in problem.tensors if not t.bytes),
            groups=tuple(replace(group, update_bytes=0) for group in problem.groups if not group.colocate),
            pins=(),
            sequential=frozenset(range(len(problem.units))),
            allow_empty=True,
            micro_batches=None,
        )
        chain, graph = solve(plain, "brute"), solve(as_graph(plain), "linear")
        assert type(chain) is Optimal or graph.assignment is None
        if isinstance(chain, Optimal):
            assert graph.evaluation is not None
            assert graph.evaluation.objective_us == chain.lower_bound
            compared += 1
    assert compared > 100


def test_stages_have_an_order_that_obeys_the_tensors() -> None:
    for problem in PROBLEMS:
        graph = as_graph(problem, ())
        for assignment in _in_order(problem):
            place = {device: index for index, device in enumerate(stage_order(graph, assignment))}
            makers = [(t.producer, r) for t in graph.tensors for r in t.readers if t.producer is not None]
            assert all(place[assignment[maker]] <= place[assignment[reader]] for maker, reader in makers)


def test_a_sharded_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="sharded schedule runs one device at a time"):
        as_graph(replace(PROBLEMS[0], schedule=Schedule.SHARDED))
