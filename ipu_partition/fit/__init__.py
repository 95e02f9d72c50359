"""The cheapest set of changes that makes a plan fit."""

from __future__ import annotations

from .choose import Fitted, fit
from .search import cheapest

__all__ = ["Fitted", "cheapest", "fit"]
