"""The rules of ``planners.evaluate`` once more, unit by unit and step by step, with nothing shared but the problem."""

from __future__ import annotations

from collections.abc import Sequence

from planners.problem import Preference, Problem, Schedule, Tensor


class Literal:
    def __init__(self, problem: Problem, assignment: Sequence[int]) -> None:
        self.p, self.a = problem, list(assignment)
        self.n, self.training = len(problem.units), problem.schedule in (Schedule.TRAINING, Schedule.ONE_F_ONE_B)
        self.flowing = problem.schedule is Schedule.ONE_F_ONE_B
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
        copies = self.copied(device) * self.p.copy_us_per_byte + self.times_copied(device) * self.p.copy_us
        return work / self.p.devices[device].speed + copies

    def times_copied(self, device: int) -> int:
        count = 0
        for t in self.p.tensors:
            elsewhere = {self.a[r] for r in t.readers} - {self.maker(t)} if t.readers else set()
            sends = (
                self.maker(t) == device and elsewhere and self.p.schedule is not Schedule.SHARDED if t.readers else 0
            )
            count += (1 + bool(self.training and t.gradient_bytes)) * (bool(sends) + (device in elsewhere))
        return count

    def recomputed(self, u: int) -> bool:
        if self.flowing:
            return False
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
        if self.flowing:
            under_way = [first, *range(first + 1, self.last + 1)]
            return len(under_way[: self.p.micro_batches])
        if not self.training:
            return len(range(first, reader + 1))
        alive = len(range(first, 2 * self.last - reader + 1))
        return alive if alive > 1 else 0

    def stash(self, device: int) -> int:
        total = 0
        for u in self.units(device) if self.training and not self.flowing else ():
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
        if self.flowing:
            peaks = [
                sum(self.p.units[u].live_bytes * self.steps(self.stage[u], self.stage[u]) for u in self.units(device))
            ]
            peaks[0] += max(self.p.units[u].transient_bytes for u in self.units(device))
        for u in self.units(device):
            window: list[int] = []
            for v in range(u, self.n):
                if self.stage[v] != self.stage[u]:
                    break
                window.append(v)
                if self.flowing:
                    break
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

    def copied_bytes(self) -> int:
        return sum(self.received(d) for d in range(len(self.p.devices)))

    def key(self) -> tuple[float, float, int, float]:
        devices = range(len(self.p.devices))
        times = [self.time(d) for d in devices]
        slow = sum(times) if self.p.schedule is Schedule.SHARDED else max(times)
        large = max(self.memory(d) for d in devices)
        even = sum(time * time for time in times)
        if self.p.prefer is Preference.MEMORY:
            return large, slow, self.copied_bytes(), even
        return slow, large, self.copied_bytes(), even

    def violations(self) -> list[str]:
        return [*self.constraints(), *self.counts(), *self.visits()]

    def constraints(self) -> list[str]:
        name, a = [repr(unit.name) for unit in self.p.units], self.a
        found = [f"unit {name[u]} is pinned to device {d} but is on {a[u]}" for u, d in self.p.pins if a[u] != d]
        for u in range(self.n - 1):
            if u in self.p.forbidden_cuts and a[u] != a[u + 1]:
                found.append(f"units {name[u]} and {name[u + 1]} may not be parted but are on {a[u]} and {a[u + 1]}")
        for g in self.p.groups:
            on = [d for d in range(len(self.p.devices)) if any(a[m] == d for m in g.members)]
            if g.colocate and len(on) > 1:
                found.append(f"group {g.name!r} must be on one device but is on {on}")
        for u in range(self.n):
            later = [v for v in range(u + 1, self.n) if v in self.p.sequential]
            if u in self.p.sequential and later and a[u] > a[later[0]]:
                v = later[0]
                found.append(f"sequential units {name[u]} and {name[v]} step back from device {a[u]} to {a[v]}")
        return found

    def counts(self) -> list[str]:
        found, devices = [], range(len(self.p.devices))
        empty = [d for d in devices if not self.units(d)]
        if empty and not self.p.allow_empty:
            found.append(f"devices {empty} hold no unit")
        for d in devices:
            least, exact = self.p.devices[d].min_units, self.p.devices[d].layers
            units = len(self.units(d))
            layers = len([u for u in self.units(d) if u in self.p.sequential])
            if units and units < least:
                found.append(f"device {d} holds {units} units, expected at least {least}")
            if exact is not None and layers != exact:
                found.append(f"device {d} holds {layers} sequential units, expected {exact}")
        return found

    def visits(self) -> list[str]:
        found = []
        for s in range(self.last + 1):
            units = [u for u in range(self.n) if self.stage[u] == s]
            device, before = self.a[units[0]], set(self.a[: units[0]])
            span = f"units {units[0]} to {units[-1]}"
            if device in before and self.flowing:
                found.append(f"the stage of {span} returns to device {device}, which runs one stage")
            elif device in before and not any(self.has_reason(u) for u in units):
                found.append(f"the stage of {span} returns to device {device} for no reason")
            if device not in before and before and device < max(before):
                found.append(f"device {device} is first visited after device {max(before)}")
        return found

    def has_reason(self, u: int) -> bool:
        """Pinned to where it is, or tied to a unit in an earlier stage of the same device."""
        tied = [m for g in self.p.groups if g.colocate and u in g.members for m in g.members]
        earlier = [m for m in tied if self.a[m] == self.a[u] and self.stage[m] < self.stage[u]]
        return (u, self.a[u]) in self.p.pins or bool(earlier)
