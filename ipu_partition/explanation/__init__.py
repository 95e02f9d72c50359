"""Why a plan cuts where it does: what binds it, what comes next, and what more it could hold."""

from __future__ import annotations

from .document import Explanation, ModeExplanation
from .mode import explain_mode

__all__ = ["Explanation", "ModeExplanation", "explain_mode"]
