"""Always-live code memory: codelets once per device and op kind, the rest with the number of ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ..cost.graph import UnitCost, Work
from ..workload import Mode, Workload
from .constants import HEAVY_KINDS, CodeBytes, CodeModel, MemoryModel


def code_model(workload: Workload, model: MemoryModel) -> CodeModel:
    return model.training_code if workload.mode is Mode.TRAINING else model.inference_code


def base_terms(workload: Workload, model: MemoryModel) -> dict[str, int]:
    """Code of the ops outside all units, on every device in use."""
    code = code_model(workload, model)
    return {"vertex_code": code.base_vertex, **asdict(code.base)}


def unit_terms(unit: UnitCost, workload: Workload, model: MemoryModel, trained: int = 0) -> dict[str, int]:
    """Vertex state, exchange and control code of one unit that holds `trained` parameters: proportional to its ops, a
    light one being a quarter."""
    quarters = op_quarters(unit) + collective_quarters(trained, workload)
    return _grown(quarters, workload, model)


def collective_terms(trained: int, workload: Workload, model: MemoryModel) -> dict[str, int]:
    """Code of summing the gradients of `trained` parameters over the replicas; none where there is one replica."""
    quarters = collective_quarters(trained, workload)
    return _grown(quarters, workload, model) if quarters else {}


def collective_quarters(trained: int, workload: Workload) -> int:
    """Each trained parameter is summed over the replicas by a heavy op of its own."""
    return 4 * trained if workload.mode is Mode.TRAINING and workload.replicas > 1 else 0


def _grown(quarters: int, workload: Workload, model: MemoryModel) -> dict[str, int]:
    each: CodeBytes = code_model(workload, model).quarter_op
    return {name: quarters * bytes_ for name, bytes_ in asdict(each).items()}


def op_quarters(unit: UnitCost) -> int:
    """Ops of the unit in quarters of a heavy op."""
    return sum(w.count * (4 if w.kind in HEAVY_KINDS else 1) for w in unit.work)


def kinds(units: Sequence[UnitCost]) -> dict[str, tuple[int, ...]]:
    """Op kind -> units that have it, ascending; kinds sorted."""
    found = sorted({w.kind for unit in units for w in unit.work})
    return {kind: tuple(i for i, u in enumerate(units) if any(w.kind == kind for w in u.work)) for kind in found}


def outlined(units: Sequence[UnitCost], trained: Sequence[int], workload: Workload) -> list[tuple[int, ...]]:
    """Units that do the same work and hold as many `trained` parameters, and may share code; none where nothing is
    outlined."""
    alike: dict[tuple[tuple[Work, ...], int], list[int]] = {}
    if workload.outlined:
        for index, (unit, number) in enumerate(zip(units, trained, strict=True)):
            alike.setdefault((unit.work, number), []).append(index)
    return [tuple(members) for members in alike.values() if len(members) > 1]


def shared_part(terms: Mapping[str, int], model: MemoryModel) -> dict[str, int]:
    """Of the code of an outlined unit: what a device that holds several such units holds once."""
    return {name: bytes_ * model.outlined_permille // 1000 for name, bytes_ in terms.items()}
