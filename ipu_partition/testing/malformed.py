"""Problems that every planner must refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from planners import Device, Problem, SharedGroup, Tensor


def malformed(problem: Problem) -> Iterator[tuple[str, Problem]]:
    """(what is wrong, a problem that is like ``problem`` but for that)"""
    unit, device = problem.units[0], problem.devices[0]
    count = len(problem.units)
    yield "no unit", replace(problem, units=())
    yield "no device", replace(problem, devices=())
    yield "a time that is NaN", replace(problem, units=(replace(unit, forward_us=float("nan")), *problem.units[1:]))
    yield "an infinite time", replace(problem, units=(*problem.units[:-1], replace(unit, backward_us=float("inf"))))
    yield "a negative time", replace(problem, units=(replace(unit, forward_us=-1.0), *problem.units[1:]))
    yield "negative bytes", replace(problem, units=(replace(unit, resident_bytes=-1), *problem.units[1:]))
    yield "a negative capacity", replace(problem, devices=(replace(device, capacity_bytes=-1), *problem.devices[1:]))
    yield "speed 0", replace(problem, devices=(replace(device, speed=0.0), *problem.devices[1:]))
    yield "a negative time of a copy", replace(problem, copy_us=-1.0)
    yield "no micro-batch", replace(problem, micro_batches=0)
    yield "a reader that does not exist", replace(problem, tensors=(Tensor("t", None, (count,), 1),))
    yield "a tensor that its maker reads", replace(problem, tensors=(Tensor("t", 0, (0,), 1),))
    yield "a member that does not exist", replace(problem, groups=(SharedGroup("g", (0, count), 1, False),))
    yield "members out of order", replace(problem, groups=(SharedGroup("g", (0, 0), 1, False),))
    yield "a pin to no device", replace(problem, pins=((0, len(problem.devices)),))
    yield "a pin of no unit", replace(problem, pins=((-1, 0),))
    yield "a cut after the last unit", replace(problem, forbidden_cuts=frozenset({count - 1}))
    yield "a sequential unit that does not exist", replace(problem, sequential=frozenset({count}))
    yield "more devices than units", replace(problem, devices=(Device(1),) * (count + 1), allow_empty=False)
    yield "two devices of one unit", replace(problem, devices=(Device(1),) * 2, allow_empty=True, pins=((0, 0), (0, 1)))
