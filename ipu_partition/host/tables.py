"""Which large tables a class works on in pieces, and in how many it can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..cost.graph import CostGraph, ParameterCost
from ..errors import UsageError
from ..families.table import FamilyRule, Layer, Serialised
from ..workload import Serialisation

LAYERS: tuple[Layer, ...] = ("embedding", "projection")
MOST_PIECES = 64
"""Factors that are offered; a class takes more."""
SHOWN = 8
"""Factors that an error names."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table that is to be worked on in more than one piece, or that a list of pieces places."""

    layer: Layer
    how: Serialised
    parameter: ParameterCost
    pieces: int
    splits: tuple[int, ...] = ()
    """Pieces on each IPU; empty: all where the class has the table."""


def factor_name(layer: Layer) -> str:
    return f"{layer}_serialization_factor"


def splits_name(layer: Layer) -> str:
    return f"serialized_{layer}_splits_per_ipu"


def serialisation_choices(rule: FamilyRule | None, graph: CostGraph) -> dict[str, tuple[int, ...]]:
    """Option -> the factors above 1 that the class can work with on this model, ascending, at most
    :data:`MOST_PIECES`. Options that do nothing, or fail, are left out."""
    found = {}
    for layer in LAYERS:
        how = rule.serialised.get(layer) if rule else None
        if how is None or how.fails or (how.if_tied == "refused" and rule and _is_tied(rule, graph)):
            continue
        parameter = table_parameter(graph, how.parameter)
        if parameter is not None and (factors := _factors(how, parameter)):
            found[factor_name(layer)] = factors
    return found


def tables(rule: FamilyRule | None, graph: CostGraph, wanted: Serialisation) -> tuple[Table, ...]:
    """The tables of `graph` that `wanted` serialises. UsageError where the class does not do it."""
    asked: tuple[tuple[Layer, int, tuple[int, ...]], ...] = (
        ("embedding", wanted.embedding, wanted.embedding_splits),
        ("projection", wanted.projection, wanted.projection_splits),
    )
    return tuple(_table(rule, graph, layer, pieces, splits) for layer, pieces, splits in asked if pieces > 1 or splits)


def _table(rule: FamilyRule | None, graph: CostGraph, layer: Layer, pieces: int, splits: tuple[int, ...]) -> Table:
    option = splits_name(layer) if splits else factor_name(layer)
    if rule is None:
        raise UsageError(
            f"{option} is obeyed by classes of optimum-graphcore, and this plan obeys none. Leave it out, or try "
            "--target optimum with a model that has such a class."
        )
    how = rule.serialised.get(layer)
    parameter = table_parameter(graph, how.parameter) if how else None
    if how is None or parameter is None:
        other = " or ".join(serialisation_choices(rule, graph)) or "none"
        raise UsageError(
            f"{rule.optimum_class} ignores {option}. Leave it out; of the serialisation factors it obeys {other}."
        )
    _check(rule, graph, how, option, splits)
    if not how.pads and parameter.rows % pieces:
        raise UsageError(
            f"{option} asks for {pieces} pieces of {how.parameter}, whose {parameter.rows} rows they do not divide. "
            f"Those that do: {_listed(_factors(how, parameter))}."
        )
    return Table(layer, how, parameter, pieces, splits)


def _check(rule: FamilyRule, graph: CostGraph, how: Serialised, option: str, splits: Sequence[int]) -> None:
    name = rule.optimum_class
    if how.fails:
        raise UsageError(f"{name} cannot be trained with {option}: {how.fails}. Leave it out.")
    if splits and how.splits is None:
        raise UsageError(f"{name} fails with {option}; expected the number of pieces alone. Give the factor instead.")
    busy = sum(n > 0 for n in splits)
    if how.splits == "place" and busy > 1:
        raise UsageError(f"{name} has all pieces on one IPU; {option} names {busy}. Keep one number above 0.")
    tied = how.if_tied != "allowed" and _is_tied(rule, graph)
    if tied and (how.if_tied == "refused" or splits):
        raise UsageError(f"{name} refuses {option} where input and output embeddings are tied. Leave it out.")


def _is_tied(rule: FamilyRule, graph: CostGraph) -> bool:
    """Whether two of the class's tables are one parameter."""
    found = [table_parameter(graph, how.parameter) for how in rule.serialised.values()]
    return len({p.name for p in found if p}) < sum(p is not None for p in found)


def table_parameter(graph: CostGraph, name: str) -> ParameterCost | None:
    """The parameter of that name, or tied to it; None where the graph has none."""
    return next((p for p in graph.parameters.values() if name in (p.name, *p.aliases)), None)


def _factors(how: Serialised, parameter: ParameterCost) -> tuple[int, ...]:
    rows = parameter.rows
    return tuple(n for n in range(2, min(MOST_PIECES, rows) + 1) if how.pads or rows % n == 0)


def _listed(factors: Sequence[int]) -> str:
    more = ", ..." if len(factors) > SHOWN else ""
    return ", ".join(map(str, factors[:SHOWN])) + more if factors else f"none up to {MOST_PIECES}"
