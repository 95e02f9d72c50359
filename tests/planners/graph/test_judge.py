"""The judge of graphs against the rules said once more: 6,000 random assignments, every number of every device."""

from __future__ import annotations

from random import Random

import pytest

from planners.evaluate import evaluate
from planners.graph.validation import validate_graph
from tests.planners.graph.literal import Literal
from tests.planners.graph.problems import assignments, problem

SHARDS, PROBLEMS, TRIES = 6, 250, 4


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_number_equals_that_of_the_oracle(shard: int) -> None:
    for seed in range(shard * PROBLEMS, (shard + 1) * PROBLEMS):
        random = Random(seed)
        built = problem(random)
        validate_graph(built)
        for _ in range(TRIES):
            assignment = assignments(random, built)
            judged, said = evaluate(built, assignment), Literal(built, assignment)
            where = (seed, assignment)
            assert judged.valid == said.valid(), where
            assert judged.fits == said.fits(), where
            assert judged.objective_us == float(said.value()), where
            for device, load in enumerate(judged.devices):
                assert load.time_us == float(said.time(device)), where
                assert load.memory.total == said.memory(device), where
                assert load.shortfall_bytes == said.lack(device), where


@pytest.mark.parametrize("wrong", [[], [0], [0] * 8, [-1] * 7, [99] * 7])
def test_assignments_of_the_wrong_shape_are_violations(wrong: list[int]) -> None:
    built = next(p for p in map(problem, map(Random, range(999))) if len(p.nodes) == 7)
    judged = evaluate(built, wrong)
    assert not judged.valid
    assert not Literal(built, wrong).valid()
    assert judged.objective_us == float("inf")
