"""The exact planner by mixed-integer programming.

Read ``network`` first, which says what an assignment is here (with ``blocks`` and ``homes``); then ``variables``,
``constraints``, ``terms``, ``stash`` and ``working`` (columns and rows of a ``model``); ``program`` (with ``goals``)
and ``highs``: one phase; ``loads`` and ``prune``: bounds before any solver; ``search``: what phases do; ``answer``:
which phases, and what may be claimed; ``planner``: the options.
"""

from __future__ import annotations

from .planner import Milp

__all__ = ["Milp"]
