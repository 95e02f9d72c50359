"""What the documents of the project have in common: canonical JSON out, strict reading with plain errors in."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import SAID, UsageError, one_line

_SHOWN_ERRORS = 3
MOST_BYTES = 8 << 20
"""Of a document; the plan of an 80-layer model has 0.3 MB."""

Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(ge=1, strict=True)]
Number = Annotated[float, Field(ge=0, strict=True)]
Proportion = Annotated[float, Field(ge=0, le=1, strict=True)]


class Document(BaseModel):
    """A part of a document: no unknown keys, no NaN or infinity, immutable after validation."""

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, frozen=True, json_schema_serialization_defaults_required=True
    )

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema (draft 2020-12) of what is written."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **cls.model_json_schema(mode="serialization"),
        }


def canonical_json(data: Mapping[str, Any]) -> str:
    """Sorted keys, two spaces, ASCII, a newline at the end: same data, same bytes."""
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def digest(text: str) -> str:
    """16 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_object(path: Path, what: str, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in the file `path`, of at most `most_bytes`; UsageError names `what` was expected."""
    return parse_object(read_bytes(path, what, most_bytes), f"{path}", what, most_bytes)


def read_bytes(path: Path, what: str, most_bytes: int = MOST_BYTES) -> bytes:
    """A regular file of at most `most_bytes`; UsageError names `what` was expected."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} cannot be read (it is no regular file); expected {what}.")
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read ({reason}); expected {what}.") from error
    if len(data) > most_bytes:
        raise UsageError(f"{path} has more than {most_bytes:,} bytes; expected {what}.")
    return data


def parse_object(text: str | bytes, origin: str, what: str, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in `text`, which came from `origin`; UsageError names `what` was expected.

    Stricter than JSON: no key twice, no NaN or infinity, no half of a surrogate pair, no more than `most_bytes`.
    """
    if len(text) > most_bytes:
        raise UsageError(f"{origin} has more than {most_bytes:,} bytes; expected {what}.")
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_finite)
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{origin} is not JSON ({one_line(str(error), SAID)}); expected {what}.") from error
    if not isinstance(data, dict):
        raise UsageError(f"{origin} holds a JSON {type(data).__name__}, expected an object: {what}.")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {short(name)} is there twice")
        found[name] = value
    return found


def _finite(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def describe(error: ValidationError) -> str:
    """The first few things wrong with a document, on one line."""
    found = error.errors(include_url=False, include_context=False)
    lines = [f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']} (found {short(e['input'])})" for e in found]
    return few(lines)


def few(lines: Sequence[str]) -> str:
    """The first of them on one line, and how many more there are."""
    more = f"; and {len(lines) - _SHOWN_ERRORS} more" if len(lines) > _SHOWN_ERRORS else ""
    return "; ".join(lines[:_SHOWN_ERRORS]) + more


def short(value: Any, limit: int = 60) -> str:
    """`value` as it would be written, cut at `limit` characters."""
    text = ascii(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
