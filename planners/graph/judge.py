"""The rules of a graph, for :func:`planners.evaluate.evaluate`. All sums are exact and rounded once.

**Validity**: a device for every node, of a kind it can run on; ``colocate`` groups on one device; the devices can be
put in an order that :func:`planners.graph.precedence.precedence` obeys, so that each runs one stage. Devices may be
empty.

**Time of a device** = sum of its nodes' times on its kind / speed + copies: a tensor costs its ``copy_us`` on the
device that makes it, if any reader is elsewhere, and on each other device that reads it; one that the host gives, on
each device that reads it, if there are several. Devices of a kind that does not pay have no copies. Nothing overlaps,
and in training forward and backward are one sum.

**Memory of a device** = base, where it holds anything, + bytes of its nodes + groups with a member here, each once.

**Objective**: the largest time of a device. **Copied bytes** are not known, 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from ..evaluate import DeviceLoad, Evaluation
from ..memory import MemoryBytes
from .precedence import precedence, topological
from .problem import GraphProblem, touched


def evaluate_graph(problem: GraphProblem, assignment: Sequence[int]) -> Evaluation:
    """As :func:`planners.evaluate.evaluate`; the evaluation has no runs of units in ``stages``."""
    wrong = malformed(problem, assignment)
    if wrong:
        return Evaluation((wrong,), (), (), float("inf"), 0)
    found = tuple(_violations(problem, assignment))
    work, copies, memory = _work(problem, assignment), _copies(problem, assignment), _memory(problem, assignment)
    devices = tuple(
        DeviceLoad(float(work_us + copy_us), float(copy_us), held, _capacity(problem, index, held))
        for index, (work_us, copy_us, held) in enumerate(zip(work, copies, memory, strict=True))
    )
    return Evaluation(found, (), devices, max(device.time_us for device in devices), 0)


def malformed(problem: GraphProblem, assignment: Sequence[int]) -> str | None:
    if len(assignment) != len(problem.nodes):
        return f"{len(assignment)} devices are given for {len(problem.nodes)} nodes"
    for node, device in zip(problem.nodes, assignment, strict=True):
        if not 0 <= device < len(problem.devices):
            return f"node {node.name!r} is on device {device} of {len(problem.devices)}"
    return None


def stage_order(problem: GraphProblem, assignment: Sequence[int]) -> list[int]:
    """Devices in the order of their stages, the least index first; shorter than all where there is none."""
    pairs = {(assignment[early], assignment[late]) for early, late in precedence(problem)}
    return topological(len(problem.devices), sorted((a, b) for a, b in pairs if a != b))


def _violations(problem: GraphProblem, assignment: Sequence[int]) -> Iterator[str]:
    for node, device in zip(problem.nodes, assignment, strict=True):
        kind = problem.kind_of[device]
        if node.times_us[kind] is None:
            yield f"node {node.name!r} cannot run on {problem.kinds[kind].name!r} devices but is on device {device}"
    for group in problem.groups:
        devices = sorted({assignment[member] for member in group.members})
        if group.colocate and len(devices) > 1:
            yield f"group {group.name!r} must be on one device but is on {devices}"
    ordered = stage_order(problem, assignment)
    if len(ordered) < len(problem.devices):
        stuck = sorted(set(range(len(problem.devices))).difference(ordered))
        yield f"devices {stuck} need each other's results: there is no order of stages"


def _work(problem: GraphProblem, assignment: Sequence[int]) -> list[Fraction]:
    """Per device; nodes that cannot run there take nothing."""
    found = [Fraction()] * len(problem.devices)
    for node, device in zip(problem.nodes, assignment, strict=True):
        found[device] += Fraction(node.times_us[problem.kind_of[device]] or 0)
    return [us / Fraction(device.speed) for us, device in zip(found, problem.devices, strict=True)]


def _copies(problem: GraphProblem, assignment: Sequence[int]) -> list[Fraction]:
    found = [Fraction()] * len(problem.devices)
    pays = [problem.kinds[kind].pays for kind in problem.kind_of]
    for tensor in problem.tensors:
        held = {assignment[node] for node in touched(tensor)}
        for device in held if len(held) > 1 else ():
            found[device] += Fraction(tensor.copy_us) if pays[device] else 0
    return found


def _memory(problem: GraphProblem, assignment: Sequence[int]) -> list[MemoryBytes]:
    used = set(assignment)
    resident, shared = [0] * len(problem.devices), [0] * len(problem.devices)
    for node, device in zip(problem.nodes, assignment, strict=True):
        resident[device] += node.bytes
    for group in problem.groups:
        for device in {assignment[member] for member in group.members}:
            shared[device] += group.bytes
    return [
        MemoryBytes(base=device.base_bytes if index in used else 0, resident=resident[index], shared=shared[index])
        for index, device in enumerate(problem.devices)
    ]


def _capacity(problem: GraphProblem, device: int, held: MemoryBytes) -> int:
    """What it holds where it cannot lack any."""
    return problem.devices[device].capacity_bytes if problem.kinds[problem.kind_of[device]].bounded else held.total
