"""Reading the table: every JSON file under `data/`, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from .table import (
    Adapter,
    BlockRule,
    Checkpoints,
    EmbedsFirst,
    FamilyRule,
    Fused,
    HostTie,
    MaskedBias,
    MaskedTokens,
    Serialised,
    SinglePrecision,
    StaticFunction,
)

Row = TypeVar("Row")


def rule_for(architecture: str) -> FamilyRule | None:
    """The rule of a Transformers class, or None where optimum-graphcore does not pipeline it."""
    return _by_architecture().get(architecture)


def default_task(model_type: str) -> str | None:
    """The task of a checkpoint that names a class without a head, or None for an unknown `model_type`."""
    document = next((d for d in _documents() if d["model_type"] == model_type), None)
    return None if document is None else str(document["default_task"])


def config_fields(model_type: str) -> frozenset[str]:
    """Configuration fields that the optimum classes of a model type read, and Transformers does not know."""
    masked = (rule.masked_tokens for rule in rules() if rule.model_type == model_type)
    return frozenset(m.config_field for m in masked if m is not None and m.config_field is not None)


@cache
def rules() -> tuple[FamilyRule, ...]:
    """The whole table, by model type, then in the order of its file."""
    return tuple(_rule(document, entry) for document in _documents() for entry in document["classes"])


@cache
def _by_architecture() -> Mapping[str, FamilyRule]:
    return {rule.architecture: rule for rule in rules()}


@cache
def _documents() -> tuple[dict[str, Any], ...]:
    folder = resources.files(__package__).joinpath("data")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return tuple(json.loads(f.read_text(encoding="utf-8")) for f in files)


def _rule(document: Mapping[str, Any], entry: Mapping[str, Any]) -> FamilyRule:
    """One class: what its file says of all its classes, overridden by what it says of this one."""
    fields: dict[str, Any] = {**document["common"], **entry}
    tie = fields.get("host_tie")
    fields.update(
        model_type=document["model_type"],
        source=document["source"],
        layers=tuple(_block({**row, "ipu": "layer"}) for row in fields["layers"]),
        blocks=tuple(_block(row) for row in fields["blocks"]),
        checkpoints=Checkpoints(fields["checkpoints"]["kind"], tuple(fields["checkpoints"]["modules"])),
        frozen=tuple(fields.get("frozen", ())),
        host_config=tuple(sorted(fields.get("host_config", {}).items())),
        host_tie=None if tie is None else HostTie(**tie),
        adapters=tuple(Adapter(**adapter) for adapter in fields.get("adapters", ())),
        static_functions=tuple(StaticFunction(**row) for row in fields.get("static_functions", ())),
        plain_limits=dict(sorted(fields.get("plain_limits", {}).items())),
        masked_tokens=MaskedTokens(**fields["masked_tokens"]) if "masked_tokens" in fields else None,
        fused=_patterns(Fused, fields.get("fused")),
        single_precision=_patterns(SinglePrecision, fields.get("single_precision")),
        masked_bias=_patterns(MaskedBias, fields.get("masked_bias")),
        embeds_first=EmbedsFirst(**fields["embeds_first"]) if "embeds_first" in fields else None,
        serialised={layer: Serialised(**row) for layer, row in sorted(fields.get("serialised", {}).items())},
        small_masks=tuple(fields.get("small_masks", ("optimum", "poptorch"))),
        notes=tuple(fields.get("notes", ())),
    )
    return FamilyRule(**fields)


def _patterns(kind: type[Row], row: Mapping[str, list[str]] | None) -> Row | None:
    """An entry whose fields are lists of names."""
    return None if row is None else kind(**{name: tuple(names) for name, names in row.items()})


def _block(row: Mapping[str, Any]) -> BlockRule:
    ipu = row["ipu"]
    shared = ipu["with"] if isinstance(ipu, dict) else None
    return BlockRule(
        modules=tuple(row["module"]),
        user_id=row["user_id"],
        ipu=ipu if shared is None else "with",
        with_module=shared,
        optional=row.get("optional", False),
        tied_ipu=row.get("tied_ipu"),
    )
