"""What a device keeps of checkpoints and of tensors from elsewhere while micro-batches are on their way.

Counted from the end, a tensor first read in slot ``r`` and held since slot ``h`` (``r`` itself where it is copied in)
is kept ``r + h + 1`` times in training, 0 times where both are 0; forward only, ``h - r + 1`` times; sharded, once.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..stages import stash_depth
from .model import Expression, Part, total
from .variables import Places


def stash(places: Places, device: int) -> Iterator[Part]:
    """The parts of a device's stash."""
    blocks = places.network.blocks
    for block, size in enumerate(blocks.checkpoint_bytes):
        if size:
            yield _deep(places, block, device), float(size)
    for (maker, readers), size in sorted(blocks.stashes.items()):
        yield _kept(places, maker, readers, device), float(size)


def depth(places: Places, reader: int, holder: int) -> int:
    """By slots."""
    stages = holder + 1
    return stash_depth(places.network.blocks.problem.schedule, stages, stages - 1 - reader, stages - 1 - holder)


def _deep(places: Places, block: int, device: int, sign: float = 1.0) -> Expression:
    """Depth of the block's own slot, where it is on the device."""
    slots = places.slots.get((block, device), [])
    return total((places.within(block, slot, device), sign * depth(places, slot, slot)) for slot in slots)


def _kept(places: Places, maker: int, readers: tuple[int, ...], device: int) -> Expression:
    """How many times the tensor is kept: as the earliest stage that reads it and does not make it says."""
    here = [reader for reader in readers if places.on(reader, device)]
    copied = [_copied_in(places, maker, reader, device) for reader in here]
    pairs = list(_held(places, maker, here, device))
    if len(copied) == 1 and not pairs and all(value >= 0 for value in copied[0].values()):
        return copied[0]
    if not here:
        return {}
    kept = places.model.variable()
    for expression in copied:
        places.model.at_least(kept, expression)
    for expression, offset in pairs:
        places.model.at_least(kept, expression, -offset)
    return kept


def _copied_in(places: Places, maker: int, reader: int, device: int) -> Expression:
    """Depth where another device makes it; no more than that where this one does, and 0 where the same stage does."""
    if reader == maker + 1 and maker >= 0:
        slots = places.slots[reader, device]
        return total((places.fresh(reader, slot, device), float(depth(places, slot, slot))) for slot in slots)
    made = _deep(places, maker, device, -1.0) if maker >= 0 else {}
    return total([(_deep(places, reader, device), 1.0), (made, 1.0)])


def _held(places: Places, maker: int, readers: list[int], device: int) -> Iterator[tuple[Expression, int]]:
    """Lower bounds (expression minus offset) where an earlier stage of this device makes it.

    Only the earliest reading stage counts. In training that is the deepest; forward only it is not, so there a reader
    says nothing where an earlier one is here.
    """
    if maker < 0 or device not in places.returnable:
        return
    shallower = not places.network.blocks.training
    for holder in places.slots.get((maker, device), []):
        for number, reader in enumerate(readers):
            later = [slot for slot in places.slots[reader, device] if slot < holder]
            if not later:
                continue
            most = max(depth(places, slot, holder) for slot in later)
            parts = [(places.within(reader, slot, device), float(depth(places, slot, holder))) for slot in later]
            parts.append((places.within(maker, holder, device), float(most)))
            for earlier in readers[:number] if shallower else []:
                slots = [slot for slot in places.slots[earlier, device] if slot < holder]
                parts += [(places.within(earlier, slot, device), -float(most)) for slot in slots]
            yield total(parts), most
