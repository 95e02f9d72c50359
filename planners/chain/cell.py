"""Time, memory and legality of one device's first segment, for all spans at once, given a skeleton."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..problem import Device
from .spans import Bools, Floats, Ints


@dataclass(frozen=True)
class Cell:
    """Tables for a device that holds the span and, beside it, the returns of the skeleton. Copies only of it are known.

    Of a skeleton to which returns may yet be added, time without sending and memory are lower bounds.
    """

    device: Device
    us_per_byte: float
    legal: Bools
    work_us: Floats
    received_bytes: Ints
    sent_bytes: Ints
    memory_bytes: Ints

    @cached_property
    def time_us(self) -> Floats:
        return self.work_us + (self.received_bytes + self.sent_bytes) * self.us_per_byte

    @cached_property
    def fitting(self) -> Bools:
        fits: Bools = self.legal & (self.memory_bytes <= self.device.capacity_bytes)
        return fits

    @cached_property
    def lack_bytes(self) -> Floats:
        """Memory above capacity (below 0: room), infinite where illegal."""
        return np.where(self.legal, self.memory_bytes - self.device.capacity_bytes, np.inf)

    @cached_property
    def fitting_us(self) -> Floats:
        """Time, infinite where illegal or too large."""
        return np.where(self.fitting, self.time_us, np.inf)

    @cached_property
    def least_us(self) -> Floats:
        """As ``fitting_us`` without what is sent, which more returns may make unnecessary."""
        return np.where(self.fitting, self.work_us + self.received_bytes * self.us_per_byte, np.inf)
