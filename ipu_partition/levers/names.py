"""Options as they are written on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def option(name: str, value: object) -> str:
    """`--embedding-serialization-factor 4` for the keyword of `partition` and its value."""
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{dashed}" if value else f"--no-{dashed}"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"--{dashed} {text}"


def text_of(options: Mapping[str, object]) -> list[str]:
    """Each of them, in their order."""
    return [option(name, value) for name, value in options.items()]


def options_text(options: Mapping[str, object]) -> str:
    """All of them on one line."""
    return " ".join(text_of(options))


def plain(value: object) -> Any:
    """As JSON has it."""
    return list(value) if isinstance(value, tuple) else value
