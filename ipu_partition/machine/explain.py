"""A planner's answer in named terms: what the memory of a device is made of."""

from __future__ import annotations

from planners.evaluate import Evaluation
from planners.problem import Schedule

from . import update
from .memory import TERMS, add, gaps_bytes
from .problem import Costing


def units_on(evaluation: Evaluation, device: int) -> tuple[int, ...]:
    """Units of the device's stages, ascending."""
    return tuple(u for s in evaluation.stages if s.device == device for u in range(s.start, s.stop))


def device_terms(costing: Costing, evaluation: Evaluation, device: int) -> dict[str, int]:
    """Bytes of one IPU by term, in the order of `memory.TERMS`, all terms present.

    They sum to the planner's total. An IPU without units has zeros.
    """
    memory = evaluation.devices[device].memory
    units = units_on(evaluation, device)
    working = {
        "received" if costing.problem.schedule is Schedule.SHARDED else "stash": memory.stash,
        "recompute": memory.live,
        "temporaries": memory.transient,
        "weight_update": memory.update_excess,
    }
    terms = add(always_live(costing, units), working)
    return {name: terms.get(name, 0) for name in TERMS}


def gaps_beside(costing: Costing, total_bytes: int) -> int:
    """Bytes between the variables of an IPU whose terms sum to `total_bytes`. A plan fits exactly where on no IPU both
    together exceed `Machine.capacity_bytes`."""
    return gaps_bytes(total_bytes, costing.memory_model)


def needed_bytes(costing: Costing, total_bytes: int) -> int:
    """What an IPU whose terms sum to `total_bytes` must hold: them and the gaps."""
    return total_bytes + gaps_beside(costing, total_bytes)


def lacking_bytes(costing: Costing, evaluation: Evaluation) -> int:
    """What the fullest IPU lacks, gaps included; 0 where everything fits."""
    return max(0, needed_bytes(costing, peak_bytes(evaluation)) - costing.machine.capacity_bytes)


def peak_bytes(evaluation: Evaluation | None) -> int:
    """Bytes of the fullest IPU; 0 where nothing was placed."""
    return 0 if evaluation is None else evaluation.peak_bytes


def always_live(costing: Costing, units: tuple[int, ...]) -> dict[str, int]:
    """Parameters and code of an IPU that holds `units`, by term: the planner's base, resident, shared and code."""
    if not units:
        return {}
    groups = zip(costing.problem.groups, costing.groups, strict=True)
    shared = [terms.shared for group, terms in groups if not set(units).isdisjoint(group.members)]
    own = [table for u in units for table in (costing.units[u].resident, costing.units[u].code)]
    return add(costing.base, *shared, *own)


def update_us(costing: Costing) -> float:
    """Microseconds of one weight update, after the pipeline has drained; 0.0 in inference."""
    parameters = costing.graph.parameters.values()
    return update.update_us(parameters, costing.workload, costing.machine, costing.memory_model, costing.time_model)
