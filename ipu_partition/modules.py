"""Which units run a module, by any of the names a user may know it under."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from .cost.segments import segments
from .errors import UsageError
from .prepare import Prepared

SHOWN = 3
"""Near names in an error."""


def units_running(prepared: Prepared, module: str) -> frozenset[int]:
    """Units with operations of `module` or of modules inside it; none where it does nothing in this mode.

    `module` is a path in this model or in another version of Transformers, or the id or name of a block, as plans show
    them. UsageError for anything else.
    """
    running = _running(prepared)
    if module in running:
        return frozenset(running[module])
    if (block := _begun_elsewhere(prepared, module)) is not None:
        return frozenset(running.get(block, ()))
    if module in prepared.traced.call_counts:
        return frozenset()
    near = _near(module, [name for name in (*running, *prepared.traced.call_counts) if name])
    hint = f"Did you mean {_or(near)}?" if near else "The plan's stage table lists the modules."
    raise UsageError(f"{prepared.name} runs no module {module!r}. {hint}")


def _running(prepared: Prepared) -> dict[str, set[int]]:
    """Every name -> units."""
    found: dict[str, set[int]] = {}
    for unit, part in enumerate(_order(prepared)):
        for path in part:
            found.setdefault(path, set()).add(unit)
    own = set(found)
    index = {unit.name: i for i, unit in enumerate(prepared.graph.units)}
    for block in prepared.layout.blocks:
        names = {block.user_id, *(name for other in block.alternatives for name in _with_parents(other))}
        for name in names - own - {""} if block.module in index else ():
            found.setdefault(name, set()).add(index[block.module])
    return found


def _order(prepared: Prepared) -> Iterator[set[str]]:
    """Of each unit: its name and the paths of all modules it runs."""
    parts, units = segments(prepared.traced, prepared.layout.starts), prepared.graph.units
    origins = prepared.layout.origins or [(i,) for i in range(len(units))]
    for unit, origin in zip(units, origins, strict=True):
        nodes = (n for i in origin if i < len(parts) for n in parts[i].nodes)  # declared units run no module
        paths = {path for node in nodes for path in prepared.traced.owner(node)}
        yield {name for path in paths for name in _with_parents(path)} | ({unit.name} - {""})


def _with_parents(path: str) -> Iterator[str]:
    parts = path.split(".")
    return (".".join(parts[:stop]) for stop in range(1, len(parts) + 1))


def _begun_elsewhere(prepared: Prepared, module: str) -> str | None:
    """The block that `module` belongs to under the names of another version of Transformers."""
    parents = set(_with_parents(module))
    blocks = prepared.layout.blocks
    return next((b.module for b in reversed(blocks) if not parents.isdisjoint(b.alternatives)), None)


def _near(module: str, names: list[str]) -> list[str]:
    """Paths that end with it, then those spelt alike."""
    ending = [name for name in names if name.endswith(f".{module}")]
    return list(dict.fromkeys([*ending, *get_close_matches(module, names, SHOWN)]))[:SHOWN]


def _or(names: list[str]) -> str:
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last
