"""Where the bytes of an IPU come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from planners import Evaluation, Stage
from planners.problem import Schedule
from planners.stages import stash_depth

from ..machine import device_terms, needed_bytes, units_on
from ..solve import Solved
from .document import Fullest, Term

SHOWN = 4


def fullest(solved: Solved, evaluation: Evaluation) -> Fullest:
    """The IPU that uses most memory."""
    ipu = max(range(len(evaluation.devices)), key=lambda i: (evaluation.devices[i].memory.total, -i))
    terms = device_terms(solved.costing, evaluation, ipu)
    used = used_bytes(solved, evaluation, ipu)
    most = sorted((name for name in terms if terms[name]), key=lambda name: (-terms[name], name))[:SHOWN]
    return Fullest(
        ipu=ipu,
        used_bytes=used,
        free_bytes=solved.costing.machine.capacity_bytes - used,
        terms=[Term(name=name, bytes=terms[name], source=_source(solved, evaluation, ipu, name)) for name in most],
    )


def used_bytes(solved: Solved, evaluation: Evaluation, ipu: int) -> int:
    """All terms of an IPU, and the gaps."""
    return needed_bytes(solved.costing, evaluation.devices[ipu].memory.total)


def _source(solved: Solved, evaluation: Evaluation, ipu: int, term: str) -> str:
    stages = [s for s in evaluation.stages if s.device == ipu]
    if term == "recompute":
        units, _ = _segment(solved, stages)
        return f"activations that the backward pass of {_span(solved, units)} needs at once"
    if term == "temporaries":
        units, transient = _segment(solved, stages)
        problem = solved.costing.problem
        unit = next(u for u in units if problem.units[u].transient_bytes == transient)
        return f"while {_name(solved, unit)} runs"
    if term in ("stash", "received"):
        return _stashed(solved, evaluation, ipu)
    if term == "weight_update":
        return f"while {_updated(solved, units_on(evaluation, ipu))} is updated"
    return _shares(_holders(solved, units_on(evaluation, ipu), term))


def _updated(solved: Solved, units: tuple[int, ...]) -> str:
    problem = solved.costing.problem
    largest = [(problem.units[u].update_bytes, _name(solved, u)) for u in units]
    largest += [(g.update_bytes, g.name) for g in problem.groups if not set(g.members).isdisjoint(units)]
    return max(largest, key=lambda item: item[0])[1]


def _holders(solved: Solved, units: tuple[int, ...], term: str) -> Mapping[str, int]:
    """What holds bytes of a term that is always there."""
    costing = solved.costing
    found = {_name(solved, u): {**costing.units[u].resident, **costing.units[u].code}.get(term, 0) for u in units}
    for group, terms in zip(costing.problem.groups, costing.groups, strict=True):
        if not set(group.members).isdisjoint(units):
            found[group.name] = found.get(group.name, 0) + terms.shared.get(term, 0)
    found["what every program has"] = costing.base.get(term, 0)
    return {name: bytes_ for name, bytes_ in found.items() if bytes_}


def _shares(holders: Mapping[str, int]) -> str:
    if not holders:
        return ""
    most = max(holders, key=lambda name: holders[name])
    share = holders[most] / sum(holders.values())
    return f"{share:.0%} of it {most}" if len(holders) > 1 else most


def _stashed(solved: Solved, evaluation: Evaluation, ipu: int) -> str:
    problem = solved.costing.problem
    if problem.schedule is Schedule.SHARDED:
        return "activations that come from other IPUs"
    last = len(evaluation.stages)
    depths = {
        s: stash_depth(problem.schedule, last, s, s) for s, stage in enumerate(evaluation.stages) if stage.device == ipu
    }
    training = problem.schedule is Schedule.TRAINING
    kept = sum(problem.units[u].checkpoint_bytes > 0 for u in units_on(evaluation, ipu)) if training else 0
    deepest = max(depths.values())
    text = f"{kept} checkpoints and " if kept else ""
    return f"{text}what arrives from other stages, kept {deepest} micro-batches deep"


def _segment(solved: Solved, stages: list[Stage]) -> tuple[list[int], int]:
    """Units of the recompute segment that needs most, and its largest temporary."""
    problem = solved.costing.problem

    def need(units: list[int]) -> tuple[int, int]:
        live = sum(problem.units[u].live_bytes for u in units) if problem.schedule is Schedule.TRAINING else 0
        return live, max(problem.units[u].transient_bytes for u in units)

    best = max((segment for stage in stages for segment in _segments(solved, stage)), key=lambda s: sum(need(s)))
    return best, need(best)[1]


def _segments(solved: Solved, stage: Stage) -> Iterator[list[int]]:
    problem, found = solved.costing.problem, list[int]()
    for unit in range(stage.start, stage.stop):
        found.append(unit)
        if problem.units[unit].checkpoint_bytes and problem.schedule is Schedule.TRAINING:
            yield found
            found = []
    if found:
        yield found


def _span(solved: Solved, units: list[int]) -> str:
    first, last = _name(solved, units[0]), _name(solved, units[-1])
    return first if first == last else f"{first} to {last}"


def _name(solved: Solved, unit: int) -> str:
    return solved.costing.problem.units[unit].name or "what runs before the first block"
