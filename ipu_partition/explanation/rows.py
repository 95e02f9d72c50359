"""Which units are layers."""

from __future__ import annotations

from ..prepare import Prepared
from .longer import Row


def layer_rows(prepared: Prepared) -> dict[str, list[Row]]:
    """Layers of the model by the list they stand in (`transformer.h`), in order; lists of at least two."""
    modules = prepared.layout.layers or prepared.layout.checkpoints
    found: dict[str, list[Row]] = {}
    for module in modules:
        if (row := _row(prepared, module)) is not None:
            found.setdefault(_list(module), []).append(row)
    return {name: sorted(rows, key=lambda r: r.start) for name, rows in found.items() if len(rows) > 1}


def _list(module: str) -> str:
    """What stands before the last index of the path."""
    parts = module.split(".")
    last = max((i for i, part in enumerate(parts) if part.isdecimal()), default=len(parts))
    return ".".join(parts[:last])


def _row(prepared: Prepared, module: str) -> Row | None:
    """The neighbouring units that begin in the module."""
    names = [unit.name for unit in prepared.graph.units]
    start = next((i for i, name in enumerate(names) if name == module or name.startswith(f"{module}.")), None)
    if start is None:
        return None
    stop = start + 1
    while stop < len(names) and names[stop].startswith(f"{module}."):
        stop += 1
    return Row(start, stop)
