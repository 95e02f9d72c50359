"""IPU kinds, their memory and time models, and the pipeline schedule: a cost graph in, a planner's problem out."""

from .explain import device_terms, peak_bytes, update_us, with_imbalance
from .kinds import Machine, machine, machine_names
from .memory import TERMS
from .placement import Placement
from .problem import Costing, make_problem

__all__ = [
    "TERMS",
    "Costing",
    "Machine",
    "Placement",
    "device_terms",
    "machine",
    "machine_names",
    "make_problem",
    "peak_bytes",
    "update_us",
    "with_imbalance",
]
