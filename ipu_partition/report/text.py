"""Numbers and names as people read them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

MEBIBYTE = 1 << 20

_INDEX = re.compile("0|[1-9][0-9]{0,5}")


def clean(text: str) -> str:
    """`text` without characters that move the cursor, hide or reorder text: they show as escapes such as \\x1b."""
    return "".join(c if c == " " or unicodedata.category(c)[0] not in "CZ" else ascii(c)[1:-1] for c in text)


def mebibytes(bytes_: int) -> str:
    """`1048576` is `1.0`."""
    return f"{bytes_ / MEBIBYTE:,.1f}"


def size(bytes_: int | None) -> str:
    """In MiB; `-` where there is no number."""
    return "-" if bytes_ is None else f"{mebibytes(bytes_)} MiB"


def milliseconds(us: float | None) -> str:
    """Microseconds as milliseconds; `-` where there is no number."""
    return "-" if us is None else f"{us / 1000:,.3f} ms"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def count(number: int) -> str:
    """`354823168` is `354.8 M`."""
    for limit, unit in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if number >= limit:
            return f"{number / limit:.1f}{unit}"
    return str(number)


def yes(flag: bool) -> str:
    return "yes" if flag else "no"


def ranges(numbers: Iterable[int]) -> str:
    """`[0, 1, 2, 5]` is `0-2, 5`."""
    return ", ".join(_span(first, last) for first, last in _runs(list(numbers)))


def module_ranges(modules: Sequence[str]) -> str:
    """`h.0`, `h.1`, `h.2`, `ln_f` are `h.0-2, ln_f`; names are cleaned."""
    parts = [_split(clean(module)) for module in modules]
    found: list[str] = []
    start = 0
    for end in range(1, len(parts) + 1):
        if end < len(parts) and _follows(parts[end - 1], parts[end]):
            continue
        (head, first, tail), last = parts[start], parts[end - 1][1]
        found.append(head if first is None or last is None else f"{head}{_span(first, last)}{tail}")
        start = end
    return ", ".join(found)


_Name = tuple[str, int | None, str]


def _split(module: str) -> _Name:
    """The name around its last index."""
    parts = module.split(".")
    for at in range(len(parts) - 1, -1, -1):
        if _INDEX.fullmatch(parts[at]):
            head, tail = "".join(f"{p}." for p in parts[:at]), "".join(f".{p}" for p in parts[at + 1 :])
            return head, int(parts[at]), tail
    return module, None, ""


def _follows(one: _Name, other: _Name) -> bool:
    return one[1] is not None and other == (one[0], one[1] + 1, one[2])


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
