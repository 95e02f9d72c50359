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
from .temporary import as_planned

__all__ = [
    "CatalogueEntry",
    "ModelSpec",
    "Shapes",
    "as_planned",
    "build",
    "catalogue",
    "described_shapes",
    "example_inputs",
    "resolve",
    "with_shapes",
]
