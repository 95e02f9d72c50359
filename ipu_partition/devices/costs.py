"""What a unit takes on a device of PyTorch: microseconds by the roofline, bytes as autograd keeps them.

An op takes max(flops / rate, bytes / bandwidth) + overhead. Nothing is fitted: the rates are those of the machine file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..cost.graph import CostGraph, ParameterCost, UnitCost, Work
from ..workload import Mode, Workload
from .kinds import TorchDevice, rate

PRODUCTS = frozenset({"matmul", "conv"})


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one model in one mode."""

    graph: CostGraph
    workload: Workload

    @property
    def training(self) -> bool:
        return self.workload.mode is Mode.TRAINING

    @property
    def width(self) -> int:
        """Bytes of a weight, an activation, a gradient, and of each moment of the optimizer."""
        return self.workload.precision.float_bytes

    def forward_us(self, unit: UnitCost, device: TorchDevice) -> float:
        return sum(w.count * self._op_us(w.forward_flops, w.forward_bytes, 1, device) for w in unit.work)

    def backward_us(self, unit: UnitCost, device: TorchDevice) -> float:
        """Without recomputation; with the sum of each weight's gradient and the one before. 0.0 in inference."""
        if not self.training:
            return 0.0
        ops = sum(w.count * self._backward_us(w, device) for w in unit.work)
        trained = [p for p in map(self.graph.parameters.__getitem__, unit.parameters) if p.trainable]
        return ops + sum(self._op_us(p.elements, 3 * self.gradient_bytes(p), 1, device) for p in trained)

    def _backward_us(self, work: Work, device: TorchDevice) -> float:
        """A product has two backward, or one where an operand needs no gradient."""
        if not work.backward_flops and not work.backward_bytes:
            return 0.0
        dense = work.kind in PRODUCTS and work.forward_flops
        launches = max(1, round(work.backward_flops / work.forward_flops)) if dense else 1
        return self._op_us(work.backward_flops, work.backward_bytes, launches, device)

    def _op_us(self, flops: int, traffic: int, launches: int, device: TorchDevice) -> float:
        busy = max(flops / rate(device, self.width), traffic / device.bytes_per_s)
        return launches * device.op_overhead_us + busy * 1e6

    def total_us(self, device: TorchDevice) -> float:
        """The whole model, one micro-batch."""
        return sum(self.forward_us(unit, device) + self.backward_us(unit, device) for unit in self.graph.units)

    def parameter_terms(self, parameter: ParameterCost) -> dict[str, int]:
        """Bytes on every device that reads it: all three in training, frozen ones and inference the weight alone."""
        if not self.training or not parameter.trainable:
            return {"weights": parameter.bytes, "gradients": 0, "optimizer_state": 0}
        state = parameter.elements * self.width * self.workload.optimizer.moments
        return {"weights": parameter.bytes, "gradients": self.gradient_bytes(parameter), "optimizer_state": state}

    def gradient_bytes(self, parameter: ParameterCost) -> int:
        return parameter.elements * self.width if self.training and parameter.trainable else 0

    def transient_bytes(self, unit: UnitCost) -> int:
        """Most bytes beside the saved activations while the unit runs, forward or backward; backward also the largest
        gradient of a weight, which exists whole before it is added to the one before."""
        if not self.training:
            return unit.forward_peak_bytes
        gradient = max((self.gradient_bytes(self.graph.parameters[n]) for n in unit.parameters), default=0)
        backward = unit.backward_peak_bytes + gradient if unit.backward_peak_bytes else 0
        return max(0, max(unit.forward_peak_bytes, backward) - unit.saved_bytes)

    def update_us(self, units: Iterable[int], device: TorchDevice) -> float:
        """The optimizer's step on the weights that the units read: weight and state are read and written, the gradient
        is read. 0.0 in inference."""
        names = {name for unit in units for name in self.graph.units[unit].parameters}
        trained = [p for p in map(self.graph.parameters.__getitem__, sorted(names)) if self.gradient_bytes(p)]
        traffic = 3 + 2 * self.workload.optimizer.moments
        return sum(self._op_us(0, traffic * self.gradient_bytes(p), 1, device) for p in trained)
