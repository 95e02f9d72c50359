"""Expanding the table's patterns over the modules of one model. Pure functions of names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..errors import UsageError
from .table import BlockRule, FamilyRule, Ipu

_PLACEHOLDER = re.compile(r"\{([ij])\}")
Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ResolvedBlock:
    """A module whose call begins a block."""

    module: str
    """Its path in this model."""
    alternatives: tuple[str, ...]
    """Its paths under other versions of transformers."""
    user_id: str
    ipu: Ipu
    with_module: str | None = None
    """The module of the block whose IPU this one shares, where `ipu` is `with`."""


@dataclass(frozen=True, slots=True)
class ResolvedFamily:
    """The table for one model.

    Two blocks may name one module object under two paths (T5's embedding in transformers 4.29): it takes one block,
    which begins again at every call.
    """

    layers: tuple[ResolvedBlock, ...]
    """What `layers_per_ipu` counts, in counting order."""
    blocks: tuple[ResolvedBlock, ...]
    """The other blocks, in execution order."""
    checkpoints: tuple[str, ...]
    """Modules whose outputs the optimum class checkpoints, given that it does."""


def resolve(rule: FamilyRule, module_names: Collection[str], tied: bool) -> ResolvedFamily:
    """See `FamilyRule.resolve`."""
    names = frozenset(module_names)
    return ResolvedFamily(
        layers=tuple(b for row in rule.layers for b in _expand(rule, row, names, tied)),
        blocks=tuple(b for row in rule.blocks for b in _expand(rule, row, names, tied)),
        checkpoints=_checkpoints(rule, names),
    )


def matching(patterns: Iterable[str], module_names: Collection[str]) -> list[str]:
    """The modules that patterns name, pattern by pattern, each in numerical order."""
    names = frozenset(module_names)
    return [_fill(pattern, index) for pattern in patterns for index in _indices(pattern, names)]


def _expand(rule: FamilyRule, row: BlockRule, names: frozenset[str], tied: bool) -> list[ResolvedBlock]:
    for pattern in row.modules:
        if indices := _indices(pattern, names):
            return [_block(row, pattern, index, tied) for index in indices]
    if row.optional:
        return []
    wanted = " or ".join(repr(pattern) for pattern in row.modules)
    raise UsageError(
        f"This {rule.architecture} has no module {wanted}, where {rule.optimum_class} begins a block; "
        "expected the class as Transformers defines it. Plan for the target 'poptorch' instead."
    )


def _block(row: BlockRule, pattern: str, index: Index, tied: bool) -> ResolvedBlock:
    return ResolvedBlock(
        module=_fill(pattern, index),
        alternatives=tuple(_fill(other, index) for other in row.modules if other != pattern),
        user_id=_fill(row.user_id, index),
        ipu=row.tied_ipu if tied and row.tied_ipu is not None else row.ipu,
        with_module=row.with_module,
    )


def _checkpoints(rule: FamilyRule, names: frozenset[str]) -> tuple[str, ...]:
    rows = [(p, found) for p in rule.checkpoints.modules if (found := _indices(p, names))]
    without = rows[0][1][-1] if rows and rule.checkpoints.kind in ("all_but_last", "all_but_index") else None
    return tuple(_fill(pattern, i) for pattern, found in rows for i in found if i != without)


def _indices(pattern: str, names: frozenset[str]) -> list[Index]:
    """The indices under which `pattern` exists, in numerical order; one empty index if it has no placeholder."""
    parts = _PLACEHOLDER.split(pattern)[::2]
    regex = re.compile(r"(\d+)".join(re.escape(p) for p in parts))
    return sorted(tuple(int(g) for g in m.groups()) for name in names if (m := regex.fullmatch(name)))


def _fill(template: str, index: Index) -> str:
    """`{i}` is the first index, `{j}` the second."""
    return _PLACEHOLDER.sub(lambda m: str(index["ij".index(m[1])]), template)
