"""Configurations that others wrote: read as leniently as their meaning allows, and what is wrong with them."""

from __future__ import annotations

from .layers import Counted, counted
from .legacy import translated
from .pieces import Pieces, pieces
from .read import Handwritten, Source, contents, read
from .sides import Side, side

__all__ = [
    "Counted",
    "Handwritten",
    "Pieces",
    "Side",
    "Source",
    "contents",
    "counted",
    "pieces",
    "read",
    "side",
    "translated",
]
