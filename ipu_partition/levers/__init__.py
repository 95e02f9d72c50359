"""What saves memory: changes of the request, each planned again before it is named."""

from __future__ import annotations

from .changes import Change, Ladder, described, ladders
from .names import option, options_text, plain, text_of
from .singles import levers
from .trials import SHAPES, Trial, Trials

__all__ = [
    "SHAPES",
    "Change",
    "Ladder",
    "Trial",
    "Trials",
    "described",
    "ladders",
    "levers",
    "option",
    "options_text",
    "plain",
    "text_of",
]
