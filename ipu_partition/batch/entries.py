"""A list of models: a text file with a model on each line, JSON Lines, or a JSON list. Nothing in it is executed."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..document import parse_object
from ..errors import SAID, UsageError, one_line
from ..models.builtin import catalogue, close_names, find
from .options import from_json, from_text

MOST_BYTES = 4 << 20
MOST_MODELS = 10_000
LONGEST_NAME = 1_000
_WHAT = "a list of models: a name on each line, JSON Lines or a JSON list"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model and what is asked of it alone."""

    model: str
    """As the catalogue calls it, where it is there."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of `partition`."""
    origin: str = "the catalogue"


def of_catalogue(names: Sequence[str]) -> list[Entry]:
    """The built-in models of these names, all of them where none is named. UsageError for another name."""
    for name in names:
        if find(name) is None:
            close = close_names(name)
            near = f"Did you mean {' or '.join(close)}?" if close else "`ipu-partition models` lists them."
            raise UsageError(f"The catalogue has no model {name[:80]!r}. {near}")
    return _once([_entry(name, {}, "the catalogue") for name in names or [entry.name for entry in catalogue()]])


def read_entries(path: str | Path) -> list[Entry]:
    """The models that the file `path` lists, each once.

    Raises :class:`UsageError` for a file that is no such list, naming the line, or the number in a JSON list.
    """
    origin = str(path)
    text = _text(Path(path), origin)
    start = text.lstrip()[:1]
    read = _json_list if start == "[" else _json_lines if start == "{" else _lines
    found = _once(list(read(text, origin)))
    if not found:
        raise UsageError(f"{origin} names no model; expected {_WHAT}.")
    return found


def _text(path: Path, origin: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{origin[:200]} cannot be read ({reason}); expected {_WHAT}.") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{origin} has more than {MOST_BYTES:,} bytes; expected {_WHAT}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{origin} is no text in UTF-8; expected {_WHAT}.") from None
    if "\0" in text:
        raise UsageError(f"{origin} is no text (it has null characters); expected {_WHAT}.")
    return text


def _lines(text: str, origin: str) -> Iterator[Entry]:
    def read(line: str) -> tuple[str, dict[str, Any]] | None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"{one_line(str(error), SAID)}; close the quotation marks.") from None
        return (words[0], from_text(words[1:])) if words else None

    return _each(text.split("\n"), lambda n: f"{origin}, line {n}", read)


def _json_lines(text: str, origin: str) -> Iterator[Entry]:
    def read(line: str) -> tuple[str, dict[str, Any]] | None:
        return _of_object(parse_object(line, "it", _WHAT)) if line.strip() else None

    return _each(text.split("\n"), lambda n: f"{origin}, line {n}", read)


def _json_list(text: str, origin: str) -> Iterator[Entry]:
    try:
        values = json.loads(text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{origin} is not JSON ({one_line(str(error), SAID)}); expected {_WHAT}.") from None

    def read(value: object) -> tuple[str, dict[str, Any]]:
        if isinstance(value, str):
            return value, {}
        return _of_object(parse_object(_again(value), "it", _WHAT))

    return _each(values, lambda n: f"{origin}, model {n}", read)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has a key twice: {', '.join(ascii(name)[:40] for name, _ in pairs)}")
    return found


def _again(value: object) -> str:
    """As text, to be read by the stricter rules of documents."""
    try:
        return json.dumps(value)
    except RecursionError:
        raise UsageError(f"it is nested too deeply; expected {_WHAT}.") from None


def _of_object(value: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    model = value.get("model")
    if not isinstance(model, str):
        raise UsageError('it has no "model" that is a text; expected {"model": "gpt2", "sequence_length": 512}.')
    return model, from_json({name: v for name, v in value.items() if name != "model"})


def _each(
    items: Sequence[Any], where: Callable[[int], str], read: Callable[[Any], tuple[str, dict[str, Any]] | None]
) -> Iterator[Entry]:
    """What `read` makes of each item; its errors say where it is."""
    count = 0
    for number, item in enumerate(items, start=1):
        try:
            found = read(item)
            entry = None if found is None else _entry(*found, where(number))
        except UsageError as error:
            raise UsageError(f"{where(number)}: {error}") from None
        if entry is None:
            continue
        count += 1
        if count > MOST_MODELS:
            raise UsageError(f"{where(number)}: more than {MOST_MODELS:,} models; split the list.")
        yield entry


def _entry(model: str, options: Mapping[str, Any], origin: str) -> Entry:
    if not model.strip() or len(model) > LONGEST_NAME or not model.isprintable():
        raise UsageError(f"{model[:80]!a} is no name of a model; expected a catalogue name, a Hub id or a folder.")
    built_in = None if "revision" in options else find(model)
    return Entry(model if built_in is None else built_in.name, options, origin)


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """Without what is asked for twice; `m/x` and `./m/x` are the same where there is such a folder."""
    found: list[Entry] = []
    seen: set[str] = set()
    for entry in entries:
        here = find(entry.model) is None and os.path.exists(entry.model)
        key = json.dumps([os.path.abspath(entry.model) if here else entry.model, entry.options], sort_keys=True)
        if key not in seen:
            seen.add(key)
            found.append(entry)
    return found
