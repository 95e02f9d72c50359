"""The exact planner.

Read ``search`` first, which says the idea, with ``branch`` and ``layers`` (what it walks through); then ``phases`` (one
criterion after the other), ``caps`` and ``bounds`` (what limits exclude), ``returning`` (which stages may return);
``blocks``, ``measures``, ``working`` and ``spans`` (the problem in sums over spans), ``tables``, ``costs`` and
``returned`` (what a device costs); ``planner``, ``homes`` and ``contradiction`` (the answer).
"""

from __future__ import annotations

from .planner import Chain

__all__ = ["Chain"]
