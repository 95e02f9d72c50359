"""Always-live code memory: codelets once per device and op kind, the rest with the number of ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ..cost.graph import UnitCost
from ..workload import Mode, Workload
from .constants import HEAVY_KINDS, CodeBytes, CodeModel, MemoryModel


def code_model(workload: Workload, model: MemoryModel) -> CodeModel:
    return model.training_code if workload.mode is Mode.TRAINING else model.inference_code


def base_terms(workload: Workload, model: MemoryModel) -> dict[str, int]:
    """Code of the ops outside all units: on every device in use."""
    code = code_model(workload, model)
    return {"vertex_code": code.base_vertex, **asdict(code.base)}


def unit_terms(unit: UnitCost, workload: Workload, model: MemoryModel) -> dict[str, int]:
    """Vertex state, exchange and control code of one unit: proportional to its ops, a light one being a quarter.

    No sharing between equal layers is assumed (outlining): see the limits in `docs/cost-model.md`.
    """
    quarters = op_quarters(unit)
    each: CodeBytes = code_model(workload, model).quarter_op
    return {name: quarters * bytes_ for name, bytes_ in asdict(each).items()}


def op_quarters(unit: UnitCost) -> int:
    """Ops of the unit in quarters of a heavy op."""
    return sum(w.count * (4 if w.kind in HEAVY_KINDS else 1) for w in unit.work)


def kinds(units: Sequence[UnitCost]) -> dict[str, tuple[int, ...]]:
    """Op kind -> units that have it, ascending; kinds sorted."""
    found = sorted({w.kind for unit in units for w in unit.work})
    return {kind: tuple(i for i, u in enumerate(units) if any(w.kind == kind for w in u.work)) for kind in found}
