"""What every unit of a traced model costs, in plain numbers."""

from .build import cost_graph, costed, costed_parts
from .graph import Audit, CostGraph, ParameterCost, TensorCost, UnitCost, Work
from .segments import Segment, Start, free_starts, segments

__all__ = [
    "Audit", "CostGraph", "ParameterCost", "Segment", "Start", "TensorCost", "UnitCost", "Work", "cost_graph",
    "costed", "costed_parts", "free_starts", "segments",
]  # fmt: skip
