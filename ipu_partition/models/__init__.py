"""From what the user named to a model that can be built, and to example inputs for it.

`catalogue/` holds architecture configurations of published models; `tables/` says what tasks, inputs, switches and
limits there are. Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from .build import build
from .builtin import CatalogueEntry, catalogue
from .inputs import described_shapes, example_inputs, with_shapes
from .resolve import resolve
from .spec import ModelSpec, Shapes
from .table import stand_ins
from .temporary import as_planned, draws_at_random, host_switches, untying

__all__ = [
    "CatalogueEntry",
    "ModelSpec",
    "Shapes",
    "as_planned",
    "build",
    "catalogue",
    "described_shapes",
    "draws_at_random",
    "example_inputs",
    "host_switches",
    "resolve",
    "stand_ins",
    "untying",
    "with_shapes",
]
