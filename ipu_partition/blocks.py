"""The blocks that carry an assignment, in call order."""

from __future__ import annotations

from collections.abc import Mapping

from .plan_parts import Block
from .solve import Solved


def blocks_of(solved: Solved) -> list[Block]:
    """Blocks in call order: all that the family's class begins; in a free plan, one wherever the stage changes."""
    if solved.assignment is None or solved.evaluation is None:
        return []
    layout, units = solved.prepared.layout, solved.prepared.graph.units
    ipu_of = {unit.name: ipu for unit, ipu in zip(units, solved.assignment, strict=True)}
    stage_of = {u.name: i for i, s in enumerate(solved.evaluation.stages) for u in units[s.start : s.stop]}
    found: list[Block] = []
    for spec in layout.blocks:
        user_id = f"stage{stage_of[spec.module]}" if layout.free and spec.module in stage_of else spec.user_id
        if spec.module not in ipu_of or (layout.free and found and found[-1].user_id == user_id):
            continue
        ipu = ipu_of[spec.module]
        found.append(
            Block(
                module=spec.module,
                ipu=ipu,
                user_id=user_id,
                alternatives=list(spec.alternatives),
                parameters=solved.prepared.elements.get(spec.module),
                rows=_lengths(solved.prepared.rows, spec.module),
            )
        )
    return found


def _lengths(rows: Mapping[str, int], module: str) -> list[int]:
    """Of the lists that the path goes through, outermost first."""
    names = module.split(".")
    lists = [".".join(names[:i]) for i, name in enumerate(names) if name.isdigit()]
    return [rows[name] for name in lists if name in rows]
