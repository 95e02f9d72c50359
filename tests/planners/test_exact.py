"""The exact planners against exhaustion: 5,000 random problems, every field of the score.

Times and bytes are whole numbers, so that equal means equal.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from planners import Problem, confirm
from planners.brute import Brute
from planners.chain import Chain
from planners.milp import Milp
from tests.planners.problems import problems, returning_problems
from tests.planners.same import assert_same

SHARDS = 20
"""Of each of the kinds below; they run in parallel."""
EXAMPLES = 5000 // (4 * SHARDS) + 1
few = st.integers(1, 5)


@st.composite
def alike_devices(draw: st.DrawFn) -> Problem:
    """Equal devices, more than are needed."""
    problem = draw(problems(few, wide=True).filter(lambda p: all(d.layers is None for d in p.devices)))
    pins = problem.pins[:1]
    least = max((device + 1 for _, device in pins), default=2)
    devices = problem.devices[:1] * draw(st.integers(max(2, least), 4))
    return replace(problem, devices=devices, pins=pins, allow_empty=True)


KINDS = {
    "anything": problems(few, wide=True),
    "stages that return": returning_problems(6, wide=True) | returning_problems(6, tight=True, wide=True),
    "little memory": problems(few, most_devices=4, capacity=st.integers(0, 60), wide=True),
    "devices alike": alike_devices(),
}


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("kind", KINDS)
def test_every_field_equals_that_of_the_oracle(kind: str, shard: int) -> None:
    planners = [Chain(), Milp()]

    @seed(shard)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[kind])
    def compare(problem: Problem) -> None:
        best = Brute()(problem)
        for planner in planners:
            found = planner(problem)
            confirm(problem, found)
            assert_same(found, best)

    compare()
