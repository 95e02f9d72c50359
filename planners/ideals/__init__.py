"""The exact planner of graphs.

Read ``search`` first, which says the idea; then ``needs`` (which ideals matter), ``sweep`` (the inner loop, with its
arrays in ``words``), ``sweeping`` (one sweep), ``scale`` and ``tables`` (what it works in), ``planner`` (the answer).
"""

from __future__ import annotations

from .planner import Ideals
from .search import search

__all__ = ["Ideals", "search"]
