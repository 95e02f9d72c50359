"""The exact planner.

Read ``skeleton`` first, which says the idea; then ``blocks`` (with ``homes``, ``measures``, ``spans``), ``cell`` and
``cells`` (tables of one device), ``lattice`` and ``sweep`` (dynamic programming), ``search`` and ``budgets`` (which
skeletons to try), ``solve`` and ``refine`` (the phases), ``planner`` and ``contradiction`` (the answer).
"""

from __future__ import annotations

from .planner import Chain

__all__ = ["Chain"]
