"""What optimum-graphcore 0.7.1 does with each class it pipelines: a table, not code.

The JSON files under `data/` say, per Transformers class, which modules `layers_per_ipu` counts and on which IPU every
other block begins, in terms of the plain Transformers model.
"""

from __future__ import annotations

from .load import config_fields, default_task, rule_for, rules
from .resolve import ResolvedBlock, ResolvedFamily
from .table import Adapter, BlockRule, Checkpoints, FamilyRule, HostTie, MaskedTokens, Serialised

__all__ = [
    "Adapter",
    "BlockRule",
    "Checkpoints",
    "FamilyRule",
    "HostTie",
    "MaskedTokens",
    "ResolvedBlock",
    "ResolvedFamily",
    "Serialised",
    "config_fields",
    "default_task",
    "rule_for",
    "rules",
]
