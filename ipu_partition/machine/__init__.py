"""IPU kinds, their memory and time models, and the pipeline schedule: a cost graph in, a planner's problem out."""

from .explain import device_terms, gaps_beside, lacking_bytes, needed_bytes, peak_bytes, units_on, update_us
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
    "gaps_beside",
    "lacking_bytes",
    "machine",
    "machine_names",
    "make_problem",
    "needed_bytes",
    "peak_bytes",
    "units_on",
    "update_us",
]
