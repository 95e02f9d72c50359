"""The planner of stages in device order.

Read ``planner`` (the answer), then ``search`` (one criterion after the other) and ``sums``; ``runs``, ``flows`` and
``peaks`` (what any run of units costs); ``places`` (where a run may begin).
"""

from __future__ import annotations

from .planner import Inline

__all__ = ["Inline"]
