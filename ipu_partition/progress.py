"""Long work says, in words, what it is at."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Progress that nobody watches."""
