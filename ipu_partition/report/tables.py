"""The few shapes a report is made of. Every cell is a `rich.text.Text`, so markup in names stays text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from .text import clean

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table
    from rich.text import Text

Item = TypeVar("Item")


def words(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(clean(text), style=style, overflow="fold")


def facts(rows: Mapping[str, str]) -> Table:
    """A label and its value on each line."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows.items():
        grid.add_row(words(label, "bold"), words(value))
    return grid


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], left: Iterable[str] = (), wrap: Iterable[str] = ()
) -> Table:
    """A table with a header; columns are aligned right except those in `left` and `wrap`, which may break lines."""
    from rich import box
    from rich.table import Table

    wrapped = set(wrap)
    aligned_left = wrapped.union(left)
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: JustifyMethod = "left" if name in aligned_left else "right"
        made.add_column(words(name), justify=justify, no_wrap=name not in wrapped, overflow="fold")
    for row in rows:
        made.add_row(*(words(cell) for cell in row))
    return made


def chunks(items: Sequence[Item], widest: int, room: int) -> list[Sequence[Item]]:
    """`items` in groups so that columns of `widest` characters fit into `room`."""
    size = max(1, room // widest)
    return [items[start : start + size] for start in range(0, len(items), size)]
