"""`ipu_config.json`, the file optimum-graphcore reads: its fields, their defaults and the rules between them.

Source: huggingface/optimum-graphcore:optimum/graphcore/ipu_configuration.py (0.7.1).
"""

from __future__ import annotations

from .config import IPUConfig, IPUConfigError
from .fields import CONFIG_NAME, MODES, WILDCARD, Fields
from .rules import mode_problems

__all__ = ["CONFIG_NAME", "MODES", "WILDCARD", "Fields", "IPUConfig", "IPUConfigError", "mode_problems"]
