"""Cut Hugging Face Transformers models into pipeline stages for Graphcore IPUs.

    from ipu_partition import partition
    plan = partition("gpt2-medium", ipus=8)
    plan.save("plan/")

Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import PartitionError, TraceError, UsageError, VerificationError

if TYPE_CHECKING:
    from .api import explain, explain_order, partition
    from .checked import check
    from .compared import Comparison, compare
    from .ipu_config import IPUConfig, IPUConfigError
    from .plan import PartitionPlan

__version__ = "0.1.0"
__all__ = [
    "Comparison",
    "IPUConfig",
    "IPUConfigError",
    "PartitionError",
    "PartitionPlan",
    "TraceError",
    "UsageError",
    "VerificationError",
    "check",
    "compare",
    "explain",
    "explain_order",
    "partition",
]

_LAZY = {
    "partition": "api",
    "explain": "api",
    "explain_order": "api",
    "check": "checked",
    "compare": "compared",
    "Comparison": "compared",
    "PartitionPlan": "plan",
    "IPUConfig": "ipu_config",
    "IPUConfigError": "ipu_config",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_LAZY[name]}", __name__), name)
