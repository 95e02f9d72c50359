"""Text from outside in Markdown: it shows as it is, and can become neither markup, nor HTML, nor a link."""

from __future__ import annotations

import keyword
import re

from ..report.text import clean

_PLAIN = frozenset(" .,;/()+-%='\"?!")
_WEB = re.compile(r"www(?=\.)", re.IGNORECASE)


def escaped(text: str, limit: int = 160) -> str:
    """`text` on one line, for a paragraph or a cell of a table: all but letters, digits and a few signs become
    character references, which Markdown never takes for markup; what is longer than `limit` is cut."""
    if not text.strip():
        return "''"
    short = clean(text if len(text) <= limit else text[: limit - 3] + "...")
    shown = "".join(c if _stays(short, at) else f"&#{ord(c)};" for at, c in enumerate(short))
    return _WEB.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", shown)


def identifier(text: str | None) -> str | None:
    """`text` where it is a name that may stand in Python code."""
    fine = text is not None and text.isascii() and text.isidentifier() and not keyword.iskeyword(text)
    return text if fine else None


def _stays(text: str, at: int) -> bool:
    c = text[at]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if c == "_":  # inside a word it is no emphasis
        return before.isalnum() and after.isalnum()
    return c.isalnum() or c in _PLAIN or (c == ":" and after != "/")
