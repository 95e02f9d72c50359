"""Columns and rows of an integer program, whatever solves it: binaries, one integer to minimise, rows of "at most"."""

from __future__ import annotations

from collections.abc import Iterable

OBJECTIVE = 0
NEVER = -1
ALWAYS = -2
"""A column, and what stands for one that is known: 0 or 1."""

Term = tuple[int, int]
"""(coefficient, column)."""


class Program:
    """The objective lies between ``least`` and ``most``."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.columns = 1
        self.terms: list[int] = []
        """Columns of all rows."""
        self.values: list[int] = []
        """Their coefficients."""
        self.ends: list[int] = []
        """Where the terms of each row end."""
        self.limits: list[int] = []

    def binary(self) -> int:
        self.columns += 1
        return self.columns - 1

    def row(self, terms: Iterable[Term], limit: int) -> None:
        """The sum is at most the limit. Rows that hold whatever the binaries are, are left out."""
        start, highest = len(self.terms), 0
        for value, column in terms:
            if column == ALWAYS:
                limit -= value
            elif column != NEVER and value:
                self.terms.append(column)
                self.values.append(value)
                highest += max(value * self.least, value * self.most) if column == OBJECTIVE else max(0, value)
        if highest <= limit:
            del self.terms[start:], self.values[start:]
            return
        self.ends.append(len(self.terms))
        self.limits.append(limit)
