"""The one judge of assignments. Planners search as they like; what they report comes from here.

**Stages** are maximal runs of units on one device, numbered in unit order; a device without units has none.

**Validity** (:func:`planners.stages.violations`): length and range; pins; forbidden cuts; tied groups (``colocate``)
on one device; sequential units never step back; every device holds a unit unless ``allow_empty``, no fewer than
``min_units`` if any, and as many sequential units as ``layers`` says; first visits to the
devices run in increasing order (``allow_empty`` may skip any of them); a later stage on a visited device holds a unit
pinned to that device, or a member of a ``colocate`` group that has another member in an earlier stage of that device.
1F1B, no device is visited twice. Lack of memory is no violation but a shortfall per device.

**Time of a device** = sum over its stages / speed + copies. A stage costs, in pipelined training, forward + backward +
forward again (recomputation); in the last stage only the units up to its last checkpoint are recomputed. 1F1B, a stage
costs forward + backward. Forward only, a stage costs its forward. Copies: a tensor costs ``(bytes + gradient_bytes in
training) * copy_us_per_byte``, and ``copy_us`` for it and for its gradient where that has bytes, once on each
device that reads it and does not make it, and once on the maker where any other device reads it. The host gives its
tensors for nothing to the device of their first reader, which from then on counts as the maker. Sharded, only the
receivers pay: nothing overlaps, so a copy is one event.

**Objective**: pipelined, the cycle time = the largest device time; sharded, the latency = the sum of device times.

**Memory of a device** = base + resident + shared groups (each once) + code + stash + working memory.

- Working memory = max(compute peak, update peak). Compute peak = max over recompute segments of (sum of live + largest
  transient); a segment is a run of units within a stage that ends with a checkpoint. 1F1B, it is depth x sum of live +
  largest transient. Forward only, it is the largest transient. Update peak (training) = largest update of the units and
  groups here.
- Stash = depth x bytes (:func:`planners.stages.stash_depth`), of the checkpoints of each stage ``s`` (training: depth
  ``2(S-1-s)+1``, 0 in the last stage), and of each tensor that a stage here reads without making it. For the latter,
  once per tensor and device: ``r`` = the earliest stage here, other than the maker, that reads it; ``h`` = the
  making stage if that is here too, else ``r``. Training: ``2S-1-r-h``, 0 where ``r == h == S-1``. Pipelined inference:
  ``r-h+1``. Sharded: 1. A checkpointed output that returns to its own device is counted twice at worst.
- 1F1B: depth ``min(S-s, micro_batches)`` in stage ``s``: so many micro-batches have run forward there and not backward.

**Order of preference** (:func:`preferred`): lowest objective; then lowest peak memory of a device; then fewest bytes
received; then lowest sum of squared device times. ``prefer`` memory: the first two change places. The first is the
*leading* criterion. Each criterion chooses among all assignments that tie on the ones before. Ties: the two integers
are compared exactly; objective and sum of squares count as equal to the least one if they are at most ``1 + TIE`` times
that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .graph.problem import GraphProblem
from .memory import MemoryBytes, memory_of
from .problem import Preference, Problem, Schedule, Tensor, Unit
from .stages import Stage, stages_of, violations

TIE = 1e-9
"""Relative difference below which two times are one."""


@dataclass(frozen=True, slots=True)
class DeviceLoad:
    """What one device does and holds."""

    time_us: float
    """Work and copies."""
    copy_us: float
    """The part of ``time_us`` that is copies."""
    memory: MemoryBytes
    capacity_bytes: int

    @property
    def shortfall_bytes(self) -> int:
        return max(0, self.memory.total - self.capacity_bytes)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything the rules say about one assignment."""

    violations: tuple[str, ...]
    stages: tuple[Stage, ...]
    devices: tuple[DeviceLoad, ...]
    objective_us: float
    """Cycle time, or latency where sharded."""
    copied_bytes: int
    """Received by devices from devices, gradients included in training."""
    prefer: Preference = Preference.TIME

    @property
    def valid(self) -> bool:
        """Within the search space; it may still lack memory."""
        return not self.violations

    @property
    def fits(self) -> bool:
        return self.shortfall_bytes == 0

    @property
    def shortfall_bytes(self) -> int:
        """The lack of the device that lacks most."""
        return max((device.shortfall_bytes for device in self.devices), default=0)

    @property
    def peak_bytes(self) -> int:
        return max((device.memory.total for device in self.devices), default=0)

    @property
    def evenness(self) -> float:
        """Sum of squared device times (us^2): the lower, the more even."""
        return sum(device.time_us**2 for device in self.devices)

    @property
    def leading(self) -> float:
        """The first criterion: :attr:`objective_us`, or :attr:`peak_bytes` where memory is preferred."""
        return self.key()[0]

    def key(self) -> tuple[float, float, int, float]:
        """The criteria in order. Compare with :func:`preferred`, which knows when times tie."""
        first = (self.objective_us, self.peak_bytes)
        return *(first if self.prefer is Preference.TIME else first[::-1]), self.copied_bytes, self.evenness


def evaluate(problem: Problem | GraphProblem, assignment: Sequence[int]) -> Evaluation:
    """Judge an assignment by the rules of this module; of a graph by those of :mod:`planners.graph.judge`.

    An assignment of the wrong length or with a device out of range has no loads and an infinite objective;
    any other is measured even where it breaks rules.
    """
    if isinstance(problem, GraphProblem):
        from .graph.judge import evaluate_graph

        return evaluate_graph(problem, assignment)
    found = violations(problem, assignment)
    if len(assignment) != len(problem.units) or not all(0 <= d < len(problem.devices) for d in assignment):
        return Evaluation(found, (), (), float("inf"), 0, problem.prefer)
    stages = stages_of(assignment)
    copied, received = _copied(problem, assignment)
    work, memory = _work(problem, stages), memory_of(problem, stages)
    copies = [moved * problem.copy_us_per_byte + times * problem.copy_us for moved, times in copied]
    devices = tuple(
        DeviceLoad(work_us + copy_us, copy_us, held, device.capacity_bytes)
        for device, work_us, copy_us, held in zip(problem.devices, work, copies, memory, strict=True)
    )
    times = [device.time_us for device in devices]
    objective = sum(times) if problem.schedule is Schedule.SHARDED else max(times)
    return Evaluation(found, stages, devices, objective, received, problem.prefer)


def preferred(evaluations: Sequence[Evaluation]) -> int:
    """Index of the best by the order of preference above; the first of equals. ValueError where there is none."""
    keys = [evaluation.key() for evaluation in evaluations]
    left = list(range(len(keys)))
    by_time = not evaluations or evaluations[0].prefer is Preference.TIME
    for criterion, tie in enumerate((TIE, 0.0, 0.0, TIE) if by_time else (0.0, TIE, 0.0, TIE)):
        values = [keys[i][criterion] for i in left]
        most = min(values) * (1 + tie)
        left = [i for i, value in zip(left, values, strict=True) if value <= most]
    return left[0]


def _work(problem: Problem, stages: Sequence[Stage]) -> list[float]:
    """Per device: time of its stages, copies not included."""
    work_us = [0.0] * len(problem.devices)
    for stage in stages:
        work_us[stage.device] += stage_us(problem, stage)
    return [us / device.speed for us, device in zip(work_us, problem.devices, strict=True)]


def stage_us(problem: Problem, stage: Stage) -> float:
    """Time of a stage at speed 1, copies not included."""
    units = problem.units[stage.start : stage.stop]
    forward_us = sum(unit.forward_us for unit in units)
    if not problem.schedule.trains:
        return forward_us
    if problem.schedule is Schedule.ONE_F_ONE_B:
        return forward_us + sum(unit.backward_us for unit in units)
    again = units if stage.stop < len(problem.units) else _recomputed_in_last(units)
    return forward_us + sum(unit.backward_us for unit in units) + sum(unit.forward_us for unit in again)


def _recomputed_in_last(units: Sequence[Unit]) -> Sequence[Unit]:
    last = max((i for i, unit in enumerate(units) if unit.checkpoint_bytes), default=-1)
    return units[: last + 1]


def _copied(problem: Problem, assignment: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
    """Bytes that each device sends and receives and in how many copies, and the bytes that all receive together.

    Nothing is charged to the sender where the schedule is sharded.
    """
    moved, times, received = [0] * len(problem.devices), [0] * len(problem.devices), 0
    for tensor in problem.tensors:
        if not tensor.readers:
            continue
        maker = assignment[tensor.readers[0] if tensor.producer is None else tensor.producer]
        others = {assignment[reader] for reader in tensor.readers} - {maker}
        received += len(others) * moved_bytes(problem, tensor)
        for device in others | ({maker} if others and problem.schedule is not Schedule.SHARDED else set()):
            moved[device] += moved_bytes(problem, tensor)
            times[device] += copies_of(problem, tensor)
    return list(zip(moved, times, strict=True)), received


def moved_bytes(problem: Problem, tensor: Tensor) -> int:
    """What one copy of the tensor moves: forward, and in training its gradient back."""
    return tensor.bytes + (tensor.gradient_bytes if problem.schedule.trains else 0)


def copies_of(problem: Problem, tensor: Tensor) -> int:
    """How many copies that is."""
    return 2 if problem.schedule.trains and tensor.gradient_bytes else 1
