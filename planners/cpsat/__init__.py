"""The planner of graphs by integer programming, with CP-SAT in a process of its own.

Read ``model`` first, which says what the columns are (with ``places``, ``kinds``, ``cuts``, ``loads`` and ``numbers``;
rows go to a ``program``); then ``solver`` (OR-tools behind one function), ``rounds`` (what is solved when), ``child``
(the process, which ``watch`` ends in time), and on this side ``search`` (what is believed of it) and ``planner``.
"""

from __future__ import annotations

from .planner import CpSat
from .search import search

__all__ = ["CpSat", "search"]
