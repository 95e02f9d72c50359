"""The rules of ``planners.evaluate`` once more, unit by unit and step by step, with nothing shared but the problem."""

from __future__ import annotations

from collections.abc import Sequence

from planners.problem import Problem, Schedule, Tensor


class Literal:
    def __init__(self, problem: Problem, assignment: Sequence[int]) -> None:
        self.p, self.a = problem, list(assignment)
        self.n, self.training = len(problem.units), problem.schedule is Schedule.TRAINING
        self.stage = [0]
        for before, after in zip(self.a, self.a[1:], strict=False):
            self.stage.append(self.stage[-1] + (before != after))
        self.last = self.stage[-1]

    def units(self, device: int) -> list[int]:
        return [u for u in range(self.n) if self.a[u] == device]

    def time(self, device: int) -> float:
        work = 0.0
        for u in self.units(device):
            unit = self.p.units[u]
            work += unit.forward_us
            if self.training:
                work += unit.backward_us + unit.forward_us * self.recomputed(u)
        return work / self.p.devices[device].speed + self.copied(device) * self.p.copy_us_per_byte

    def recomputed(self, u: int) -> bool:
        later = [v for v in range(u, self.n) if self.stage[v] == self.stage[u] and self.p.units[v].checkpoint_bytes > 0]
        return self.stage[u] < self.last or bool(later)

    def maker(self, tensor: Tensor) -> int:
        return self.a[min(tensor.readers)] if tensor.producer is None else self.a[tensor.producer]

    def moved(self, tensor: Tensor) -> int:
        return tensor.bytes + self.training * tensor.gradient_bytes

    def received(self, device: int) -> int:
        here = [t for t in self.p.tensors if any(self.a[r] == device for r in t.readers)]
        return sum(self.moved(t) for t in here if self.maker(t) != device)

    def copied(self, device: int) -> int:
        made = [t for t in self.p.tensors if self.maker(t) == device and any(self.a[r] != device for r in t.readers)]
        sent = 0 if self.p.schedule is Schedule.SHARDED else sum(self.moved(t) for t in made)
        return self.received(device) + sent

    def steps(self, first: int, reader: int) -> int:
        """Pipeline steps in which a tensor is needed that one stage has from its forward pass on and another reads.

        Stage ``s`` runs forward in step ``s`` and backward in step ``2 * last - s``; the last does both at once.
        """
        if self.p.schedule is Schedule.SHARDED:
            return 1
        if not self.training:
            return len(range(first, reader + 1))
        alive = len(range(first, 2 * self.last - reader + 1))
        return alive if alive > 1 else 0

    def stash(self, device: int) -> int:
        total = 0
        for u in self.units(device) if self.training else ():
            total += self.p.units[u].checkpoint_bytes * self.steps(self.stage[u], self.stage[u])
        for t in self.p.tensors:
            made = None if t.producer is None or self.a[t.producer] != device else self.stage[t.producer]
            reading = sorted({self.stage[r] for r in t.readers if self.a[r] == device} - {made})
            if reading:
                total += t.bytes * self.steps(reading[0] if made is None else made, reading[0])
        return total

    def working(self, device: int) -> int:
        """Every window of units of one stage without a checkpoint before its end is live at some time."""
        peaks, updates = [0], [0]
        for u in self.units(device):
            window: list[int] = []
            for v in range(u, self.n):
                if self.stage[v] != self.stage[u]:
                    break
                window.append(v)
                live = sum(self.p.units[w].live_bytes for w in window) if self.training else 0
                peaks.append(live + max(self.p.units[w].transient_bytes for w in window))
                if self.p.units[v].checkpoint_bytes and self.training:
                    break
            updates.append(self.p.units[u].update_bytes)
            updates += [g.update_bytes for g in self.p.groups if u in g.members]
        return max(peaks + updates) if self.training else max(peaks)

    def memory(self, device: int) -> int:
        units = self.units(device)
        if not units:
            return 0
        own = sum(self.p.units[u].resident_bytes + self.p.units[u].code_bytes for u in units)
        shared = sum(g.bytes for g in self.p.groups if any(m in units for m in g.members))
        return self.p.devices[device].base_bytes + own + shared + self.stash(device) + self.working(device)
