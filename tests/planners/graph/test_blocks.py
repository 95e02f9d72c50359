"""What planners search in is the problem: 2,000 random graphs, all plans against all assignments."""

from __future__ import annotations

from random import Random

import pytest

from planners.evaluate import TIE, evaluate
from planners.graph.blocks import Blocks, blocks_of
from planners.graph.judge import stage_order
from planners.graph.loads import lacks, load_us
from planners.graph.problem import GraphProblem
from planners.graph.race import Race, Stages
from tests.planners.graph.literal import Literal, best
from tests.planners.graph.plans import plans
from tests.planners.graph.problems import assignments, problem

SHARDS, PROBLEMS = 8, 250


def value_us(blocks: Blocks, stages: Stages) -> float | None:
    """``None`` where memory is lacking."""
    if any(lacks(blocks, pool, chosen) for pool, chosen in stages):
        return None
    return max(load_us(blocks, pool, chosen) for pool, chosen in stages)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_best_plan_is_the_best_assignment(shard: int) -> None:
    for seed in range(shard * PROBLEMS, (shard + 1) * PROBLEMS):
        built = problem(Random(seed), most_nodes=6, most_devices=3)
        blocks = blocks_of(built)
        values = [value for stages in plans(blocks) if (value := value_us(blocks, stages)) is not None]
        expected = best(built)
        assert bool(values) == (expected is not None), seed
        if expected is not None:
            assert min(values) == pytest.approx(float(expected), rel=TIE), seed


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_plan_is_an_assignment_of_the_same_value(shard: int) -> None:
    for seed in range(shard * PROBLEMS, (shard + 1) * PROBLEMS):
        random = Random(seed)
        built = problem(random, most_nodes=6, most_devices=3)
        blocks = blocks_of(built)
        every = list(plans(blocks))
        for stages in random.sample(every, min(3, len(every))):
            said = Literal(built, blocks.assignment(stages))
            found = value_us(blocks, stages)
            assert said.valid(), (seed, stages)
            assert said.fits() == (found is not None), (seed, stages)
            if found is not None:
                assert found == pytest.approx(float(said.value()), rel=TIE), (seed, stages)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_valid_assignment_is_a_plan_of_the_same_value(shard: int) -> None:
    seen = 0
    for seed in range(shard * PROBLEMS, (shard + 1) * PROBLEMS):
        random = Random(seed)
        built = problem(random)
        blocks = blocks_of(built)
        for assignment in (assignments(random, built) for _ in range(3)):
            if Literal(built, assignment).valid():
                _same(built, blocks, assignment)
                seen += 1
    assert seen > PROBLEMS


def _same(built: GraphProblem, blocks: Blocks, assignment: list[int]) -> None:
    pool_of = {device: pool for pool, devices in enumerate(blocks.pools) for device in devices.devices}
    homes = [{assignment[node] for node in nodes} for nodes in blocks.members]
    assert all(len(home) == 1 for home in homes)
    stages = [
        (pool_of[device], tuple(block for block, home in enumerate(homes) if home == {device}))
        for device in stage_order(built, assignment)
    ]
    judged = evaluate(built, assignment)
    offered = Race(blocks, 1.0).offer(stages)
    assert offered == pytest.approx(judged.objective_us if judged.fits else float("inf"), rel=TIE)


@pytest.mark.parametrize("seed", range(200))
def test_blocks_are_numbered_and_their_pairs_are_the_fewest(seed: int) -> None:
    blocks = blocks_of(problem(Random(seed), most_nodes=12))
    assert all(early < late for early, late in blocks.before)
    assert list(blocks.members) == [tuple(sorted(nodes)) for nodes in blocks.members]
    for pair in blocks.before:
        rest = [other for other in blocks.before if other != pair]
        assert pair[1] not in _reached(rest, pair[0])
    assert len({touched for touched, _ in blocks.tensors}) == len(blocks.tensors)
    assert all(price > 0 and len(touched) > 1 for touched, price in blocks.tensors)


def _reached(pairs: list[tuple[int, int]], start: int) -> set[int]:
    found = {start}
    for early, late in pairs * len(pairs):
        if early in found:
            found.add(late)
    return found
