"""The models shipped as architecture configurations. Knows neither torch nor transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One built-in model."""

    name: str
    hub_id: str
    model_type: str
    parameters: int
    """Elements of the `counted_class`, tied ones once; the published count where there is one."""
    counted_class: str
    task: str
    """Planned by default."""
    config: Mapping[str, Any] = field(repr=False, hash=False)
    """Architecture fields, without `model_type`."""


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """All built-in models, by family and size."""
    from ..families import default_task

    return tuple(
        CatalogueEntry(
            name=model["name"],
            hub_id=model["hub_id"],
            model_type=document["model_type"],
            parameters=model["parameters"],
            counted_class=model["counted_class"],
            task=default_task(document["model_type"]) or "feature-extraction",
            config=model["config"],
        )
        for document in _documents()
        for model in document["models"]
    )


def find(name: str) -> CatalogueEntry | None:
    """The entry of this name, Hub id or last part of either, or None."""
    return next((entry for entry in catalogue() if name in _names(entry)), None)


def close_names(name: str) -> list[str]:
    """Built-in names that `name` may have meant, best first."""
    names = {alias.lower(): entry.name for entry in reversed(catalogue()) for alias in _names(entry)}
    short = name.rstrip("/").split("/")[-1].lower()
    matches = get_close_matches(name.lower(), names, n=3) + get_close_matches(short, names, n=3)
    return list(dict.fromkeys(names[match] for match in matches))


def _names(entry: CatalogueEntry) -> tuple[str, ...]:
    return (entry.name, entry.hub_id, entry.name.split("/")[-1], entry.hub_id.split("/")[-1])


@cache
def _documents() -> tuple[dict[str, Any], ...]:
    folder = resources.files(__package__).joinpath("catalogue")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return tuple(json.loads(f.read_text(encoding="utf-8")) for f in files)
