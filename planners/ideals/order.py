"""Blocks in an order in which one branch ends before the next begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..graph.blocks import Blocks


def depth_first(blocks: Blocks) -> list[int]:
    """An order that obeys ``before``: what became possible last comes first."""
    count = len(blocks.members)
    after: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for early, late in blocks.before:
        after[early].append(late)
        waiting[late] += 1
    ready = [block for block in range(count - 1, -1, -1) if not waiting[block]]
    found = []
    while ready:
        block = ready.pop()
        found.append(block)
        for late in reversed(after[block]):
            waiting[late] -= 1
            if not waiting[late]:
                ready.append(late)
    return found
