"""Plans for the devices of PyTorch, GPUs or CPUs: the machine file, its costs, and one stage on each device."""

from __future__ import annotations

from .file import parse, read_machine
from .kinds import TorchDevice, TorchMachine
from .options import check_options, ipus_only

__all__ = ["TorchDevice", "TorchMachine", "check_options", "ipus_only", "parse", "read_machine"]
