"""Configurations as the Hub keeps them: a folder without weights, its card, fetching one and pushing one."""

from __future__ import annotations

from .download import located
from .folder import Saved, opened, own_card, save, texts
from .model_card import card
from .publish import Ask, Pushed, push

__all__ = ["Ask", "Pushed", "Saved", "card", "located", "opened", "own_card", "push", "save", "texts"]
