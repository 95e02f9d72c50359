"""The exact planner of graphs against every assignment there is, and its limits."""

from __future__ import annotations

import itertools
import random
import re
import sys
import threading
import time
from dataclasses import replace
from math import inf

import pytest

from planners.graph.blocks import blocks_of
from planners.graph.judge import evaluate_graph
from planners.graph.problem import GraphProblem, Kind, Node, PricedTensor
from planners.graph.race import Race
from planners.problem import Device, SharedGroup

pytest.importorskip("numba")

from planners.ideals import Ideals, jit, search
from planners.ideals.reduced import Reduction
from planners.ideals.scale import Scale, graph_of
from planners.ideals.sweeping import Sweeping
from planners.ideals.tables import table_of
from planners.registry import PlannerError

TIE = 1e-9


def test_best_of_all_assignments() -> None:
    infeasible = 0
    for seed in range(250):
        problem = random_problem(random.Random(seed))
        best = least_us(problem)
        race = searched(problem)
        infeasible += best == inf
        assert race.value_us == pytest.approx(best, rel=TIE), seed
        assert race.bound_us == inf if best == inf else best * (1 - TIE) <= race.bound_us <= best * (1 + 1e-12), seed
    assert 10 < infeasible < 150


def test_idle_blocks_change_nothing() -> None:
    left = 0
    for seed in range(150):
        rng = random.Random(2000 + seed)
        problem = random_problem(rng)
        problem = replace(problem, nodes=tuple(_idle(node) if rng.random() < 0.6 else node for node in problem.nodes))
        blocks, best = blocks_of(problem), least_us(problem)
        left += len(blocks.members) - len(Reduction(blocks).blocks.members)
        assert searched(problem).value_us == pytest.approx(best, rel=TIE), seed
    assert left > 100


def test_good_incumbents_and_bounds_change_nothing() -> None:
    for seed in range(60):
        problem = random_problem(random.Random(1000 + seed))
        best = least_us(problem)
        race = Race(blocks_of(problem), 60)
        race.prove(0.9 * best if best < inf else 0)
        race.value_us = best * 1.05
        search(race)
        assert race.solved
        if best < inf:
            assert race.value_us == pytest.approx(best, rel=TIE), seed


def test_a_sweep_proves_its_limit_or_finds_the_best() -> None:
    for seed in range(60):
        problem = random_problem(random.Random(3000 + seed))
        best = least_us(problem)
        for share in (0.5, 0.9, 0.999, 1.001, 1.5) if 0 < best < inf else ():
            race = Race(blocks_of(problem), 60)
            assert Sweeping(race, Reduction(race.blocks), share * best, 10**6).run()
            assert race.bound_us == pytest.approx(min(share, 1) * best, rel=TIE), seed
            assert race.value_us == pytest.approx(best if share > 1 else inf, rel=TIE), seed


def test_infeasible() -> None:
    acc = Kind("acc")
    nowhere = GraphProblem((Node("a", (None,)),), (acc,), (Device(9),), (0,))
    too_large = GraphProblem((Node("a", (1,), 6), Node("b", (1,), 6)), (acc,), (Device(9),), (0,))
    for problem in (nowhere, too_large):
        race = searched(problem)
        assert race.stages is None
        assert race.bound_us == inf


def test_more_devices_than_blocks() -> None:
    problem = GraphProblem((Node("a", (3,)), Node("b", (2,))), (Kind("acc"),), (Device(0),) * 5, (0,) * 5)
    assert Ideals()(problem).evaluation.objective_us == 3


def test_devices_of_several_kinds_in_any_order() -> None:
    """The second stage of three is the only one that the free device can take."""
    kinds = (Kind("acc"), Kind("cpu", pays=False, bounded=False))
    nodes = (Node("a", (10, 40), 1), Node("b", (None, 10), 50), Node("c", (10, 40), 1))
    tensors = (PricedTensor(0, (1,), 1), PricedTensor(1, (2,), 1))
    problem = GraphProblem(nodes, kinds, (Device(5), Device(5), Device(0)), (0, 0, 1), tensors)
    race = searched(problem)
    assert race.stages == ((0, (0,)), (1, (1,)), (0, (2,)))
    assert race.value_us == 11


def test_time_limit_is_kept_and_bound_is_true() -> None:
    problem = wide(towers=6, height=12, devices=5)
    searched(random_problem(random.Random(0)))
    for seconds in (0.0, 0.2, 1.0):
        race = Race(blocks_of(problem), seconds)
        race.prove(100)
        begun = time.perf_counter()
        search(race)
        assert time.perf_counter() - begun < seconds + 0.5
        assert 100 <= race.bound_us <= race.value_us


def test_memory_limit_is_kept() -> None:
    """Past it the search returns at once, and what was proved by then stays true."""
    problem = wide(towers=6, height=12, devices=5)
    race = Race(blocks_of(problem), 60)
    race.prove(1)
    search(race, memory_bytes=10**6)
    assert not race.over
    assert 1 <= race.bound_us < race.value_us


def test_table_takes_no_more_than_it_may() -> None:
    graph = graph_of(blocks_of(wide(2, 12, 5)), Scale(100.0, 100), list(range(24)))
    table = table_of(graph, 10**6)
    assert 0.5 * 10**6 < sum(array.nbytes for array in table) < 10**6


def test_stopped_by_another_thread() -> None:
    race = Race(blocks_of(wide(towers=6, height=12, devices=5)), 60)
    timer = threading.Timer(0.3, race.stop)
    begun = time.perf_counter()
    timer.start()
    search(race)
    assert time.perf_counter() - begun < 2


def test_numbers_far_apart() -> None:
    """Prices of 1e15 beside times of 1e-12, in sums that a double cannot hold."""
    kinds = (Kind("acc"),)
    nodes = tuple(Node(name, (us,)) for name, us in zip("abcd", (1e-12, 3e-12, 2e-12, 2e-12), strict=True))
    tensors = (PricedTensor(0, (1,), 1e15), PricedTensor(1, (2,), 1e-12), PricedTensor(2, (3,), 1e15))
    race = searched(GraphProblem(nodes, kinds, (Device(0),) * 2, (0,) * 2, tensors))
    assert race.stages == ((0, (0, 1)), (0, (2, 3)))
    assert race.value_us == pytest.approx(5e-12, rel=TIE)
    assert race.solved


def test_same_answer_every_time() -> None:
    problem = wide(2, 20, 4)
    assert searched(problem).stages == searched(problem).stages


@pytest.mark.parametrize("options", [{"time_limit": -1}, {"time_limit": float("nan")}, {"memory": 0}])
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="ideals has"):
        Ideals(**options)  # type: ignore[arg-type]


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(PlannerError, match=re.escape("pip install 'ipu-partition[graphs]'")):
        Ideals()(random_problem(random.Random(0)))


def test_where_no_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.caching import CacheImpl

    def double(number: int) -> int:
        return 2 * number

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    assert jit.entry(double)(21) == 42


def wide(towers: int, height: int, devices: int) -> GraphProblem:
    """Parallel chains: more ideals than any memory holds, for some six of them."""
    rng = random.Random(towers)
    nodes = tuple(Node(f"n{i}", (rng.uniform(1, 2),), 1) for i in range(towers * height))
    tensors = tuple(PricedTensor(i, (i + 1,), rng.uniform(0, 0.1)) for i in range(len(nodes) - 1) if (i + 1) % height)
    return GraphProblem(nodes, (Kind("acc"),), (Device(10**6),) * devices, (0,) * devices, tensors)


def _idle(node: Node) -> Node:
    return replace(node, times_us=tuple(None if us is None else 0 for us in node.times_us))


def least_us(problem: GraphProblem) -> float:
    found = inf
    for assignment in itertools.product(range(len(problem.devices)), repeat=len(problem.nodes)):
        evaluation = evaluate_graph(problem, assignment)
        if evaluation.valid and evaluation.fits:
            found = min(found, evaluation.objective_us)
    return found


def searched(problem: GraphProblem, seconds: float = 60, memory_bytes: int = 10**7) -> Race:
    race = Race(blocks_of(problem), seconds)
    search(race, memory_bytes)
    return race


def random_problem(rng: random.Random) -> GraphProblem:
    count, devices = rng.randint(1, 6), rng.randint(1, 3)
    kinds = (Kind("fast"), Kind("free", pays=False, bounded=False), Kind("slow", bounded=rng.random() < 0.5))
    kind_of = tuple(rng.choice([0, 0, 0, 1, 2]) for _ in range(devices))
    nodes = tuple(_node(rng, f"n{i}") for i in range(count))
    capacity = rng.choice([0, 6, 10, 14, 20, 100])
    made = [i for i in range(count - 1) if rng.random() < 0.8]
    tensors = [
        PricedTensor(i, tuple(sorted(rng.sample(range(i + 1, count), rng.randint(1, min(3, count - 1 - i))))), _us(rng))
        for i in made
    ]
    if count > 2 and rng.random() < 0.2:
        tensors.append(PricedTensor(None, tuple(sorted(rng.sample(range(count), 2))), _us(rng)))
    groups = [
        SharedGroup(f"g{i}", tuple(sorted(rng.sample(range(count), 2))), rng.randint(0, 5), rng.random() < 0.4)
        for i in range(rng.choice([0, 0, 1, 2]) if count > 1 else 0)
    ]
    return GraphProblem(
        nodes=nodes,
        kinds=kinds,
        devices=tuple(Device(capacity + rng.choice([0, 0, 3]), rng.choice([1.0, 1.0, 2.0])) for _ in range(devices)),
        kind_of=kind_of,
        tensors=tuple(tensors),
        groups=tuple(groups),
    )


def _node(rng: random.Random, name: str) -> Node:
    us = rng.choice([0, rng.randint(0, 9), rng.uniform(0, 9)])
    times = [us, us * rng.choice([0, 1, 10]), None if rng.random() < 0.1 else rng.randint(0, 9)]
    if rng.random() < 0.1:
        times[0] = None
    return Node(name, tuple(times), rng.randint(0, 6), rng.random() < 0.15)


def _us(rng: random.Random) -> float:
    return rng.choice([0, rng.randint(0, 4), rng.uniform(0, 9), 1000])
