"""Serialisation of large tables as one mode's fields ask for it, and what the class makes of that."""

from __future__ import annotations

from dataclasses import dataclass

from ..cost import CostGraph
from ..families.table import FamilyRule, Layer, Serialised
from ..host.tables import LAYERS, factor_name, splits_name, table_parameter
from ..plan_parts import Finding
from ..workload import Mode, Serialisation
from .sides import Side

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Pieces:
    """What the class does of what is asked."""

    serialisation: Serialisation
    findings: tuple[Finding, ...]


def pieces(side: Side, training: Side, rule: FamilyRule, graph: CostGraph) -> Pieces:
    """`training` is the file's training side, whose factor most classes obey in both modes.

    Source: optimum/graphcore/models (0.7.1), the `parallelize` of each class.
    """
    found: list[Finding] = []
    asked = [_possible(side, layer, rule, graph, _asked(side, training, rule, layer, found), found) for layer in LAYERS]
    (embedding, embedding_splits), (projection, projection_splits) = asked
    made = Serialisation(embedding, projection, embedding_splits, projection_splits)
    return Pieces(made, tuple(found))


Asked = tuple[int, tuple[int, ...]]
"""Pieces, and those on each IPU."""


def _asked(side: Side, training: Side, rule: FamilyRule, layer: Layer, found: list[Finding]) -> Asked:
    """What the class reads, and what it does not."""
    factor, splits = _fields(side, layer)
    row = rule.serialised.get(layer)
    name, listed = factor_name(layer), side.own(splits_name(layer))
    if row is None:
        if factor > 1 or splits:
            field = listed if splits else side.own(name)
            found.append(side.finding(field, f"{field} does nothing: {rule.optimum_class} does not look at it."))
        return 1, ()
    if not row.per_mode and side.mode is Mode.INFERENCE:
        obeyed, obeyed_splits = _fields(training, layer)
        if factor not in (1, obeyed):
            text = f"{side.own(name)} is {factor}; {rule.optimum_class} obeys {name}, {obeyed}, in both modes."
            found.append(side.finding(side.own(name), text))
        if splits and splits != obeyed_splits:
            found.append(side.finding(listed, f"{listed} does nothing: {rule.optimum_class} does not look at it."))
        factor, splits, listed = obeyed, obeyed_splits, training.own(splits_name(layer))
    if splits and row.splits is None:
        text = f"{rule.optimum_class} fails with {listed}; give {name} instead."
        found.append(side.finding(listed, text, fatal=True))
        return 1, ()
    if row.fails and factor > 1:
        text = f"{rule.optimum_class} fails with {name} above 1: {row.fails}. Predicted with 1."
        found.append(side.finding(name, text, fatal=True))
        return 1, ()
    return (sum(splits), splits) if splits else (factor, ())


def _fields(side: Side, layer: Layer) -> Asked:
    if layer == "embedding":
        return side.embedding_factor, side.embedding_splits
    return side.projection_factor, side.projection_splits


def _possible(
    side: Side, layer: Layer, rule: FamilyRule, graph: CostGraph, asked: Asked, found: list[Finding]
) -> Asked:
    """The pieces, or the next smaller number of them that divides the table."""
    factor, splits = asked
    row = rule.serialised.get(layer)
    rows = 0 if row is None or row.pads else _rows(row, graph)
    if row is None or not rows or rows % factor == 0:
        return asked
    dividing = [n for n in range(1, rows + 1) if rows % n == 0]
    below = max(n for n in dividing if n <= factor)
    more = ", ..." if len(dividing) > _SHOWN else ""
    text = (
        f"{factor} pieces do not divide the {rows} rows of {row.parameter}; those that do are "
        f"{', '.join(map(str, dividing[:_SHOWN]))}{more}. Predicted with {below}."
    )
    field = splits_name(layer) if splits else factor_name(layer)
    field = side.own(field) if row.per_mode else field
    found.append(side.finding(field, text, fatal=True))
    return below, ()


def _rows(row: Serialised, graph: CostGraph) -> int:
    """Of the table; 0 where the graph does not have it."""
    parameter = table_parameter(graph, row.parameter)
    return 0 if parameter is None else parameter.rows
