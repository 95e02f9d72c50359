"""Devices of PyTorch in plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import UsageError

KINDS = ("cuda", "cpu")
PRECISIONS = {"float32": 4, "float16": 2}
"""Formats whose rate a device has -> bytes of a number."""


@dataclass(frozen=True, slots=True)
class TorchDevice:
    """One device, as a program reaches it: rates measured or published, whichever the file holds."""

    kind: str
    """As `torch.device` calls it."""
    memory_bytes: int
    flops_per_s: Mapping[str, float]
    """Matrix products, by format; at least one of :data:`PRECISIONS`."""
    bytes_per_s: float
    """To and from its memory."""
    op_overhead_us: float = 0.0
    """Of one op, beside its arithmetic and traffic."""
    link_bytes_per_s: float | None = None
    """To the next device, one way; None where there is no other."""
    link_latency_us: float = 0.0
    """Of one transfer, whatever its size."""
    reserved_bytes: int = 0
    """Of its memory, taken by what is no part of the model: the framework's context, other programs."""


@dataclass(frozen=True, slots=True)
class TorchMachine:
    """Devices in the order in which stages are put on them."""

    name: str
    devices: tuple[TorchDevice, ...]

    def first(self, count: int | None) -> TorchMachine:
        """The first `count` devices, or all. UsageError where there are fewer."""
        if count is not None and count > len(self.devices):
            raise UsageError(
                f"{count} devices were asked for, machine {self.name!r} has {len(self.devices)}. Ask for at most "
                f"{len(self.devices)}, or list more in its file."
            )
        return self if count is None else replace(self, devices=self.devices[:count])

    @property
    def alike(self) -> bool:
        return len({repr(device) for device in self.devices}) == 1

    def slowest_link(self) -> tuple[float, float]:
        """(bytes per second, latency in microseconds) that every copy is planned with; (inf, 0) for one device."""
        rates = [d.link_bytes_per_s for d in self.devices if d.link_bytes_per_s is not None]
        if len(self.devices) < 2:
            return float("inf"), 0.0
        return min(rates), max(device.link_latency_us for device in self.devices)


def rate(device: TorchDevice, float_bytes: int) -> float:
    """Floating-point operations per second on numbers of `float_bytes`. UsageError where the device has none."""
    name = next(name for name, width in PRECISIONS.items() if width == float_bytes)
    if name not in device.flops_per_s:
        raise UsageError(
            f"flops_per_s of a {device.kind} device has {', '.join(device.flops_per_s)} alone, but the precision asked "
            f"for needs {name}. Add it to the machine file, or ask for another --precision."
        )
    return device.flops_per_s[name]
