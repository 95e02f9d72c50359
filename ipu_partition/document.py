"""What the documents of the project have in common: canonical JSON out, strict reading with plain errors in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UsageError

_SHOWN_ERRORS = 3

Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(ge=1, strict=True)]
Number = Annotated[float, Field(ge=0, strict=True)]
Proportion = Annotated[float, Field(ge=0, le=1, strict=True)]


class Document(BaseModel):
    """A part of a document: no unknown keys, no NaN or infinity, immutable after validation."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


def canonical_json(data: Mapping[str, Any]) -> str:
    """Sorted keys, two spaces, ASCII, a newline at the end: same data, same bytes."""
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_object(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in the file `path`; UsageError names `what` was expected."""
    try:
        return parse_object(path.read_bytes(), f"{path}", what)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read ({reason}); expected {what}.") from error


def parse_object(text: str | bytes, origin: str, what: str) -> dict[str, Any]:
    """The JSON object in `text`, which came from `origin`; UsageError names `what` was expected."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{origin} is not JSON ({error}); expected {what}.") from error
    if not isinstance(data, dict):
        raise UsageError(f"{origin} holds a JSON {type(data).__name__}, expected an object: {what}.")
    return data


def describe(error: ValidationError) -> str:
    """The first few things wrong with a document, on one line."""
    found = error.errors(include_url=False, include_context=False)
    lines = [f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']} (found {_short(e['input'])})" for e in found]
    more = f"; and {len(lines) - _SHOWN_ERRORS} more" if len(lines) > _SHOWN_ERRORS else ""
    return "; ".join(lines[:_SHOWN_ERRORS]) + more


def _short(value: Any, limit: int = 60) -> str:
    text = ascii(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
