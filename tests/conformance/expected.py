"""Where a plan says that everything is: the IPUs of every parameter, the IPU and stage of every call of a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ipu_partition.cost.segments import segments
from ipu_partition.host.tables import table_parameter
from ipu_partition.layout import placement

if TYPE_CHECKING:
    from ipu_partition.prepare import Prepared
    from ipu_partition.solve import Solved
    from ipu_partition.trace import TracedModel

Home = tuple[int, int]
"""(IPU, pipeline stage)"""
BEFORE_BLOCKS: Home = (0, 0)
"""Where PopTorch puts what runs before the first block."""


def expected(solved: Solved, homes: Sequence[Home]) -> dict[str, Any]:
    """In terms of the model that is planned, whose units have `homes`:

    `parameters`: [names, IPUs that read it] of each. `whole`: the same of tables that only the optimum class has in
    pieces. `calls`: [module, position, home, the home right before] of each call in which an operation runs, a home
    being (IPU, stage). `spans`: module -> every home that its operations run in.
    """
    prepared = solved.prepared
    parameters = _parameters(solved, homes)
    traced = _traced_homes(prepared, homes)
    return {
        "parameters": parameters,
        "whole": _whole(prepared, {name: ipus for names, ipus in parameters for name in names}),
        "calls": _calls(prepared, traced),
        "spans": _spans(prepared, traced),
    }


def unit_homes(solved: Solved) -> list[Home]:
    """Of each unit of the costed graph. A stage is a run of units on one IPU; units of a block whose id is repeated are
    behind the first's."""
    assert solved.evaluation is not None
    return [(s.device, i) for i, s in enumerate(solved.evaluation.stages) for _ in range(s.start, s.stop)]


def _parameters(solved: Solved, homes: Sequence[Home]) -> list[Any]:
    prepared, found = solved.prepared, []
    made = placement(prepared.layout, prepared.graph, solved.workload.ipus).activation_parameters
    for name, parameter in sorted(prepared.graph.parameters.items()):
        readers = (made[name],) if name in made else prepared.graph.readers(name)
        if not parameter.buffer:
            found.append([[name, *parameter.aliases], sorted({homes[unit][0] for unit in readers})])
    return found


def _whole(prepared: Prepared, ipus: Mapping[str, Sequence[int]]) -> list[Any]:
    """Tables of which `prepared` has the pieces, and all IPUs of the pieces."""
    found = []
    for how in prepared.rule.serialised.values() if prepared.rule and prepared.whole else ():
        table = table_parameter(prepared.whole.graph, how.parameter)  # type: ignore[union-attr]
        if table is not None and table.name not in ipus:
            pieces = [name for i in range(len(ipus)) if (name := f"{how.piece_name(i)}.weight") in ipus]
            found.append([[table.name, *table.aliases], sorted({ipu for name in pieces for ipu in ipus[name]})])
    return found


def _traced_homes(prepared: Prepared, homes: Sequence[Home]) -> dict[int, list[Home]]:
    """Homes of each unit of the traced model, in order: several where a table in pieces is on several IPUs."""
    origins = prepared.layout.origins or [(unit,) for unit in range(len(homes))]
    found: dict[int, list[Home]] = {}
    for home, units in zip(homes, origins, strict=True):
        for unit in units:
            found.setdefault(unit, []).append(home)
    return found


def _calls(prepared: Prepared, homes: Mapping[int, Sequence[Home]]) -> list[tuple[str, int, Home, Home]]:
    """Where the forward of every call begins: in the block that it begins, else in the last one begun before it. A
    table in pieces begins no block, its pieces do."""
    found: list[tuple[str, int, Home, Home]] = []
    positions = {call.module: call.position for call in prepared.traced.calls}
    units = {part.module: i for i, part in enumerate(segments(prepared.traced, prepared.layout.starts))}
    starts = sorted((positions[module], module) for module in units if module in positions)
    blocks = {b.module for b in prepared.layout.blocks if len(homes.get(units.get(b.module, -1), ())) == 1}
    tables = _modules_in_pieces(prepared)
    for (path, _), (position, stack) in _first_operations(prepared.traced).items():
        around = stack[: stack.index(path) + 1]
        before = [homes[units[m]][-1] for at, m in starts if at < position]
        begun = [homes[units[m]][-1] for at, m in starts if at == position and m in around and m in blocks]
        last, home = [BEFORE_BLOCKS, *before][-1], [BEFORE_BLOCKS, *before, *begun][-1]
        if path in tables:
            home = next((first for module, _, _, first in found if tables.get(module) == tables[path]), last)
        found.append((path, position, home, last))
    return found


def _modules_in_pieces(prepared: Prepared) -> dict[str, str]:
    """Module -> the table that it reads, for tables in pieces with blocks of their own: the class uses a table once,
    and calls it before the first piece."""
    traced, whole, found = prepared.traced, prepared.whole, {}
    gone = set(whole.graph.parameters) - set(prepared.graph.parameters) if whole and prepared.layout.origins else set()
    for node in traced.nodes:
        for table in gone.intersection(traced.reads.get(source, "") for source in node.all_input_nodes):
            found[traced.owner(node)[-1]] = table
    return found


def _first_operations(traced: TracedModel) -> dict[tuple[str, str], tuple[int, list[str]]]:
    """(module, name of the call) -> index of the first operation in it, and the modules that run there."""
    found: dict[tuple[str, str], tuple[int, list[str]]] = {}
    for position, node in enumerate(traced.nodes):
        stack = node.meta.get("nn_module_stack") or {}
        paths = [path for path, _ in stack.values()]
        for key, (path, _) in stack.items():
            found.setdefault((path, key), (position, paths))
    return found


def _spans(prepared: Prepared, homes: Mapping[int, Sequence[Home]]) -> dict[str, list[Home]]:
    found: dict[str, set[Home]] = {}
    for unit, part in enumerate(segments(prepared.traced, prepared.layout.starts)):
        for node in part.nodes:
            for path in prepared.traced.owner(node):
                found.setdefault(path, set()).update(homes[unit])
    return {path: sorted(those) for path, those in sorted(found.items())}
