"""The planner of graphs that puts the work in a row and cuts the row.

Read ``planner`` (the answer), ``orders`` (which rows), ``row`` (what any run of a row costs) and ``split`` (the best
cut).
"""

from __future__ import annotations

from .planner import Linear, search

__all__ = ["Linear", "search"]
