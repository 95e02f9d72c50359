"""What a device costs that holds one span and nothing else: for all spans of a window at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .blocks import Blocks
from .spans import Floats, Ints, Window, inside, summed

FEW_SPANS = 2**16
"""Tables of so many spans are made at once and cut to size."""
KEPT_SPANS = 2**21
"""Spans whose tables are kept for further phases, in all."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Tables that depend neither on the device nor on the number of stages."""

    window: Window
    work_us: Floats
    """At speed 1."""
    received: Floats
    """Bytes."""
    sent: Floats
    """Bytes; where sharded, 0."""
    fixed: Floats
    """Bytes whatever the depth: weights, code, shared groups, working memory."""
    working: Floats
    """Bytes; the part of ``fixed`` that of several stages only the largest takes."""
    deep: Floats
    """Bytes to multiply by the depth of the stage."""
    split: Floats
    """Number of tied groups of which the span holds some but not all."""

    def part(self, window: Window) -> Plain:
        if window == self.window:
            return self
        part = window.within(self.window)
        tables = (self.work_us, self.received, self.sent, self.fixed, self.working, self.deep, self.split)
        return Plain(window, *(table[part] for table in tables))


class Tables:
    """Makes plain tables, and keeps them as long as they are small."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks, self._kept, self._spans = blocks, list[Plain](), 0

    @cached_property
    def everything(self) -> Plain | None:
        """Every span there is, where they are few."""
        count = len(self._blocks)
        return self._make(Window(0, count, 0, count)) if count * count <= FEW_SPANS else None

    def plain(self, window: Window) -> Plain:
        if self.everything is not None:
            return self.everything.part(window)
        for kept in self._kept:
            if kept.window.holds(window):
                return kept.part(window)
        made = self._make(window)
        self._kept = [kept for kept in self._kept if not window.holds(kept.window)]
        self._spans = sum(kept.window.area for kept in self._kept)
        if self._spans + window.area <= KEPT_SPANS:
            self._kept.append(made)
        return made

    def _make(self, window: Window) -> Plain:
        blocks, copied, stashed, shared = self._blocks, self._blocks.copied, self._blocks.stashed, self._blocks.shared
        received = copied.entering(window, copied.size)
        sent = np.zeros(window.shape) if blocks.sharded else copied.inside(window, copied.size, copied.last)
        working = blocks.working.table(window)
        fixed = window.of_prefix(blocks.held_bytes) + working
        fixed += shared.entering(window, shared.size)
        deep = window.of_prefix(blocks.checkpoint_bytes) + stashed.entering(window, stashed.size)
        return Plain(window, blocks.work_us(window), received, sent, fixed, working, deep, self._split(window))

    def _split(self, window: Window) -> Floats:
        """A group counts where the span holds a member, less where it holds the first and the last."""
        tied = self._blocks.tied
        if not len(tied):
            return np.zeros(window.shape)
        begin = inside(window, self._first, np.full(len(tied), len(self._blocks)))
        whole = begin._replace(left=np.maximum(tied.last + 1, window.left) - window.left)
        split: Floats = tied.entering(window, tied.size) - summed(window, 1, whole, tied.size, None)[0]
        return split

    @cached_property
    def _first(self) -> Ints:
        """The first block of each tied group."""
        return np.array([members[0] for members in self._blocks.ties])
