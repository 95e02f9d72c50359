"""What every unit of a traced model costs, in plain numbers."""

from .build import cost_graph, costed
from .graph import Audit, CostGraph, ParameterCost, TensorCost, UnitCost, Work
from .segments import Start, free_starts

__all__ = [
    "Audit", "CostGraph", "ParameterCost", "Start", "TensorCost", "UnitCost", "Work", "cost_graph", "costed",
    "free_starts",
]  # fmt: skip
