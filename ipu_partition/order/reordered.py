"""A prepared model whose units run in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from ..cost.build import costed
from ..cost.segments import Segment, Start, segments
from ..declared import LOSS_UNIT
from ..errors import UsageError
from ..prepare import Prepared
from .pieces import modules
from .problems import in_order, with_declared


def reordered(prepared: Prepared, order: Sequence[int]) -> Prepared:
    """`prepared`, which is in the order of the program, with its units in `order`: it computes the same, is costed
    anew, and its `order` says which unit is which.

    UsageError where the order is not legal, or blocks of the model join others.
    """
    if [*order] == [*range(len(prepared.graph.units))]:
        return prepared
    if any(start.joins for start in prepared.layout.starts):
        raise UsageError("A model whose blocks join stages begun before them runs in the order of its class alone.")
    declared = prepared.graph.units[-1].name == LOSS_UNIT
    loss = len(prepared.graph.units) - 1
    if declared and order[-1] != loss:
        raise UsageError("The loss that is declared for this model is the last unit of every order.")
    units = [unit for unit in order if not (declared and unit == loss)]
    moved = modules(prepared.flow, segments(prepared.traced, prepared.layout.starts)).moved(units)
    made = _made(prepared, moved.parts)
    if not declared:
        return replace(made, order=moved.origins)
    logits = next(i for i, origin in enumerate(moved.origins) if loss - 1 in origin)
    return replace(made, order=(*moved.origins, (loss,)), graph=with_declared(made.graph, prepared.graph, logits))


def _made(prepared: Prepared, parts: Sequence[Segment]) -> Prepared:
    begins = dict(zip((p.module for p in parts), accumulate((len(p.nodes) for p in parts), initial=0), strict=False))
    flow = in_order(prepared.flow, tuple(node for part in parts for node in part.nodes), begins)
    blocks = {block.module: block for block in prepared.layout.blocks}
    layout = replace(
        prepared.layout,
        starts=tuple(Start(module) for module in begins),
        blocks=tuple(blocks[module] for module in begins if module in blocks),
    )
    return replace(prepared, traced=flow.traced, flow=flow, layout=layout, graph=costed(flow, layout.starts))
