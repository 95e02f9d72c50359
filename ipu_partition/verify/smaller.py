"""A model of the same structure with fewer layers, for plans whose model does not fit into memory.

Every stage keeps one layer of each list it has layers of, and all else it has; a layer that stages share is kept, as
its inside is where they meet. The stages and their IPUs stay as the plan says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..cost.segments import segments
from ..hosted import as_hosted
from ..order.reordered import reordered
from ..workload import Mode
from .counted import Kept, Key, counting, kept_spec
from .memory import available_bytes, bytes_needed

if TYPE_CHECKING:
    from torch import fx

    from ..models import ModelSpec
    from ..prepare import Prepared
    from ..reopen import Reopened

__all__ = ["Smaller", "available_bytes", "bytes_needed", "shrunk"]

Layers = dict[int, set[int]]
"""Index of a layer -> stages that it runs in."""
_NUMBER = re.compile(r"\.(\d+)(?=\.|$)")


@dataclass(frozen=True, slots=True)
class Smaller:
    """The smaller model and where the plan has its parts."""

    spec: ModelSpec
    prepared: Prepared
    """Its trace, before tables are in pieces."""
    kept: Mapping[str, tuple[tuple[int, ...], int]]
    """List of layers -> those of the whole model that are kept, and how many it has. Lists that stay as they are, are
    not named."""
    units: tuple[int, ...]
    """Unit of the smaller graph (as hosted) -> unit of the whole one (as hosted)."""
    assignment: tuple[int, ...]
    """IPU of each unit of the smaller graph (as hosted)."""
    order: tuple[int, ...] | None = None
    """The units of the smaller graph as they run, where that is not the order of its program."""

    @property
    def note(self) -> str:
        few = ", ".join(f"{len(indices)} of {whole} in {name}" for name, (indices, whole) in sorted(self.kept.items()))
        return f"Run with fewer layers and the same structure: {few}."


def shrunk(reopened: Reopened, mode: Mode, prepared: Prepared) -> Smaller | None:
    """The smallest model with the stages that the plan of `mode` has; `prepared` is the whole one.

    None where there is none: the user gave a module, no number of the configuration counts layers, or all are needed.
    Raises :class:`TraceError` where the smaller model cannot be traced.
    """
    if reopened.spec.module is not None or reopened.spec.config is None:
        return None
    whole = _Whole.of(reopened, mode, prepared)
    reopened.progress(f"looking for a smaller {prepared.name} ({mode.value})")
    spec, kept = _fewer(reopened.spec, mode is Mode.TRAINING, prepared, whole)
    if spec is None:
        return None
    made = reopened.prepared(mode, spec=spec)
    work = reopened.workload(mode)
    small = as_hosted(made, work.serialisation, work.ipus)
    units = whole.matching([unit.name for unit in small.graph.units], kept)
    order = None
    if prepared.order:
        order = tuple(sorted(range(len(units)), key=lambda unit: (units[unit], unit)))
        made = reordered(made, order)
        units = tuple(units[origin[0]] for origin in made.origins)
    if [*dict.fromkeys(whole.stages[unit] for unit in units)] != [*dict.fromkeys(whole.stages)]:
        return None
    sizes = {name: (indices, prepared.rows[name]) for name, indices in kept.items()}
    return Smaller(spec, made, sizes, units, tuple(whole.ipus[unit] for unit in units), order)


@dataclass(frozen=True, slots=True)
class _Whole:
    """The whole model as the plan cuts it; units are those of the graph as hosted."""

    names: Mapping[str, int]
    """Name of a unit -> unit."""
    called: Mapping[str, int]
    """Module -> unit that it is called in."""
    stages: tuple[int, ...]
    """Of each unit."""
    ipus: tuple[int, ...]
    layers: Mapping[str, Layers]
    """By list."""

    @classmethod
    def of(cls, reopened: Reopened, mode: Mode, prepared: Prepared) -> _Whole:
        work = reopened.workload(mode)
        hosted = as_hosted(prepared, work.serialisation, work.ipus)
        ipus = reopened.assignment(mode, prepared)
        planned = reopened.plan.mode(mode.value).stages
        numbered = {unit: stage.index for stage in planned for unit in stage.units}
        stage_of = {unit: numbered[origin[0]] for unit, origin in enumerate(hosted.origins)}
        origins = hosted.layout.origins or tuple((i,) for i in range(len(ipus)))
        unit_of = {origin: unit for unit, made in enumerate(origins) for origin in made}
        called: dict[str, int] = {}
        layers: dict[str, Layers] = {}
        for i, part in enumerate(segments(prepared.traced, prepared.layout.starts)):
            for path in dict.fromkeys(p for node in part.nodes for p in prepared.traced.owner(node)):
                called.setdefault(path, unit_of[i])
                for name, index in _places(path):
                    if name in prepared.rows:
                        layers.setdefault(name, {}).setdefault(index, set()).add(stage_of[unit_of[i]])
        names = {unit.name: i for i, unit in reversed([*enumerate(hosted.graph.units)])}
        alike = _alike(prepared)
        rows = {name: found for name, found in layers.items() if name in alike}
        return cls(names, called, tuple(stage_of[unit] for unit in range(len(ipus))), ipus, rows)

    def matching(self, names: Sequence[str], kept: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """The units that begin where those with `names` of the smaller model do, or hold what they begin with."""
        found: list[int] = []
        for name in names:
            there = _renamed(name, kept)
            before = found[-1] if found else 0
            found.append(self.names.get(there, self.called.get(there, before)))
        return tuple(found)


def _alike(prepared: Prepared) -> set[str]:
    """Lists whose layers all return a tensor of one shape: without one, the next works as before. Convolutions that
    each halve a signal are none."""
    shapes: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    for node in prepared.traced.nodes:
        inside = _held_in(prepared, node)
        for place in inside:
            returned = shapes.setdefault(place, set())
            if any(place not in _held_in(prepared, user) for user in node.users):
                returned.add(prepared.flow.shape(node))
    common: dict[str, set[tuple[int, ...]]] = {}
    for (name, _), returned in shapes.items():
        common[name] = common.get(name, returned) & returned
    return {name for name, shared in common.items() if shared}


def _held_in(prepared: Prepared, node: fx.Node) -> set[tuple[str, int]]:
    """The layers that a node runs in."""
    return {place for path in prepared.traced.owner(node) for place in _places(path)}


def _fewer(
    spec: ModelSpec, training: bool, prepared: Prepared, whole: _Whole
) -> tuple[ModelSpec | None, dict[str, tuple[int, ...]]]:
    """The smaller configuration, and the layers that are kept of each list that is shorter in it."""
    changes: list[Kept] = []
    kept: dict[str, tuple[int, ...]] = {}
    for (key, before), names in _counters(spec, training, whole.layers, prepared.rows).items():
        chosen = _together(sorted(names), whole.layers)
        indices = chosen[min(names)]
        fewer = prepared.rows[min(names)] - len(indices)
        if fewer > 0:
            kept |= chosen
            changes.append(Kept(key, before, before - fewer, indices))
    expected = {name: len(indices) for name, indices in kept.items()}
    return (kept_spec(spec, training, changes, expected) if kept else None), kept


def _counters(
    spec: ModelSpec, training: bool, lists: Iterable[str], lengths: Mapping[str, int]
) -> dict[tuple[Key, int], set[str]]:
    """Numbers of the configuration with their values -> the lists they count, the outermost that any number counts."""
    found: dict[tuple[Key, int], set[str]] = {}
    left = set(lists)
    while left:
        outer = {name for name in left if not _inside(name, left)}
        for number, names in counting(spec, training, outer, lengths).items():
            found.setdefault(number, set()).update(names)
        counted = {name for names in found.values() for name in names}
        left = {name for name in left - outer if not _inside(name, counted)}
    return found


def _inside(name: str, lists: Iterable[str]) -> bool:
    return any(name.startswith(f"{other}.") for other in lists)


def _together(names: Sequence[str], layers: Mapping[str, Layers]) -> dict[str, tuple[int, ...]]:
    """Layers to keep of lists that one number counts: as many of each. Those that are too many stay where they are, the
    last first."""
    chosen = {name: _needed(layers[name]) for name in names}
    count = max(map(len, chosen.values()))
    for name, indices in chosen.items():
        spare = sorted(set(layers[name]) - set(indices))
        chosen[name] = sorted([*indices, *spare[len(spare) - (count - len(indices)) :]])
    return {name: tuple(indices) for name, indices in chosen.items()}


def _needed(layers: Layers) -> list[int]:
    """The first layer, those that stages share, and one of each stage that has none of these."""
    kept = {index for index, stages in layers.items() if len(stages) > 1} | {min(layers)}
    for stage in sorted(set().union(*layers.values())):
        if not any(stage in layers[index] for index in kept):
            kept.add(min(index for index, stages in layers.items() if stages == {stage}))
    return sorted(kept)


def _places(path: str) -> Iterator[tuple[str, int]]:
    """The lists on the way to a module, and the positions in them."""
    for match in _NUMBER.finditer(path):
        yield path[: match.start()], int(match[1])


def _renamed(path: str, kept: Mapping[str, tuple[int, ...]]) -> str:
    """The module of the whole model that `path` of the smaller one stands for."""
    for match in _NUMBER.finditer(path):
        indices = kept.get(path[: match.start()])
        if indices is not None:
            return f"{path[: match.start(1)]}{indices[int(match[1])]}{path[match.end() :]}"
    return path
