"""Time and memory of every device as expressions; ``evaluate`` defines what they must equal.

Where a term is a maximum or an "any of", it is a column that is at least each of them: exact as soon as the column is
pressed down by a limit or an objective.
"""

from __future__ import annotations

from ..problem import Schedule
from .model import Expression, Units, total
from .stash import stash
from .variables import Places
from .working import working


def times(places: Places, units: Units) -> list[Expression]:
    """Per device: work and copies."""
    blocks, problem = places.network.blocks, places.network.blocks.problem
    work, saved = blocks.work_us, blocks.saved_us
    parts: list[list[tuple[Expression, float]]] = [[] for _ in problem.devices]
    for (block, device), slots in sorted(places.slots.items()):
        for slot in slots:
            us = (work[block] - (saved[block] if slot == 0 else 0.0)) / problem.devices[device].speed
            parts[device].append((places.within(block, slot, device), us / units.us))
    found = [total(device) for device in parts]
    if problem.copy_us_per_byte:
        per_byte = problem.copy_us_per_byte * units.moved_bytes / units.us
        copies = zip(received(places, units), _sent(places, units), strict=True)
        for device, (got, sent) in enumerate(copies):
            sharded = problem.schedule is Schedule.SHARDED
            found[device] = total([(found[device], 1.0), (got, per_byte), (sent, 0.0 if sharded else per_byte)])
    return found


def received(places: Places, units: Units) -> list[Expression]:
    """Per device: bytes that other devices send."""
    return _copies(places, units, sending=False)


def _sent(places: Places, units: Units) -> list[Expression]:
    return _copies(places, units, sending=True)


def _copies(places: Places, units: Units, sending: bool) -> list[Expression]:
    """Once per device, however many readers it has (or the maker has, if ``sending``)."""
    blocks = places.network.blocks
    found: list[list[tuple[Expression, float]]] = [[] for _ in blocks.problem.devices]
    for (maker, readers), size in sorted(blocks.flows.items()):
        for device, parts in enumerate(found):
            crossings = [c for reader in readers if (c := _crossing(places, maker, reader, device, sending))]
            parts.append((_any_of(places, crossings), size / units.moved_bytes))
    return [total(parts) for parts in found]


def _crossing(places: Places, maker: int, reader: int, device: int, sending: bool) -> Expression:
    """1 where one of the two is on the device and the other is not; perhaps less than 0 where neither or both are."""
    here, there = (maker, reader) if sending else (reader, maker)
    if reader == maker + 1:
        return places.leaves(reader, device) if sending else places.arrives(reader, device)
    return total([(places.on(here, device), 1.0), (places.on(there, device), -1.0)]) if places.on(here, device) else {}


def _any_of(places: Places, crossings: list[Expression]) -> Expression:
    if len(crossings) == 1 and min(crossings[0].values()) >= 0:
        return crossings[0]
    if not crossings:
        return {}
    found = places.model.variable(upper=1.0)
    for crossing in crossings:
        places.model.at_least(found, crossing)
    return found


def memory(places: Places, units: Units) -> list[Expression]:
    """Per device: all terms of ``MemoryBytes``."""
    blocks, devices = places.network.blocks, places.network.blocks.problem.devices
    found, ties = [], set(blocks.ties)
    for index, device in enumerate(devices):
        parts = [(places.used(index), float(device.base_bytes))] if device.base_bytes else []
        parts += [(places.on(block, index), float(size)) for block, size in enumerate(blocks.kept_bytes) if size]
        for members, size in sorted(blocks.shared.items()):
            tied = members[:1] if members in ties else members
            parts.append((_any_of(places, [on for m in tied if (on := places.on(m, index))]), float(size)))
        parts += [*stash(places, index), *working(places, index, units)]
        found.append(total((expression, size / units.bytes) for expression, size in parts))
    return found
