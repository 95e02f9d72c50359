"""How fast a planner's answer would run."""

from __future__ import annotations

from .blocks import blocks_of
from .machine import schedule, update_us
from .machine.schedule import Throughput
from .solve import Solved
from .workload import Mode


def throughput(solved: Solved) -> Throughput | None:
    """Of the plan, or of the assignment that comes nearest to fitting; None where there is neither.

    Raises :class:`UsageError` where the accumulation asked for is less than the pipeline needs.
    """
    evaluation, work = solved.evaluation, solved.workload
    if evaluation is None:
        return None
    if work.mode is not Mode.TRAINING:
        return schedule.inference(work, evaluation.objective_us)
    ipus = [block.ipu for block in blocks_of(solved)]
    return schedule.training(work, ipus, evaluation.objective_us, update_us(solved.costing))
