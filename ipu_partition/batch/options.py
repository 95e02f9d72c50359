"""The options that a list of models may give to one of them, as text or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..arguments import counts, fields, homes, proportions
from ..errors import UsageError
from ..machine import machine
from ..models import Shapes
from ..models.overrides import parse
from ..request import Request

FLAGS = {"true": True, "yes": True, "false": False, "no": False}
SHAPES = tuple(Shapes.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Kind:
    """How an option is written: `read` takes the texts it has in a line, `takes` says whether JSON has the type."""

    expected: str
    read: Callable[[str, Sequence[str]], Any]
    takes: Callable[[object], bool]


def _single(read: Callable[[str, str], Any]) -> Callable[[str, Sequence[str]], Any]:
    def last(name: str, texts: Sequence[str]) -> Any:
        if len(texts) > 1:
            raise UsageError(f"{name} is given {len(texts)} times; keep one.")
        return read(name, texts[0])

    return last


def _number(kind: type) -> Callable[[str, str], Any]:
    def read(name: str, text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise UsageError(f"{name} is {text[:80]!r}, expected {what}.") from None

    return read


def _flag(name: str, text: str) -> bool:
    if text.lower() not in FLAGS:
        raise UsageError(f"{name} is {text[:80]!r}, expected true or false.")
    return FLAGS[text.lower()]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_int(value) or isinstance(value, float)


def _all(value: object, test: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(test(item) for item in value)


_WORD = Kind("a text", _single(lambda _, text: text), lambda v: isinstance(v, str))
_INT = Kind("a whole number", _single(_number(int)), _is_int)
_FLOAT = Kind("a number", _single(_number(float)), _is_number)
_FLAG = Kind("true or false", _single(_flag), lambda v: isinstance(v, bool))
_COUNTS = Kind(
    "a list of whole numbers", _single(lambda name, text: counts(name)(text)), lambda value: _all(value, _is_int)
)
_PROPORTIONS = Kind(
    "a number, or a list of them",
    _single(lambda _, text: proportions(text)),
    lambda value: _is_number(value) or _all(value, _is_number),
)
_FIELDS = Kind("an object", lambda _, texts: fields(texts), lambda v: isinstance(v, Mapping))
_HOMES = Kind("an object", lambda _, texts: homes(texts), lambda v: isinstance(v, Mapping))

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(
        ("mode", "task", "revision", "optimizer", "precision", "target", "prefer", "planner", "accum_type",
         "first_order_momentum_accum_type", "second_order_momentum_accum_type"),
        _WORD,
    ),
    **dict.fromkeys(
        ("ipus", "sequence_length", "target_length", "image_size", "micro_batch_size", "gradient_accumulation",
         "embedding_serialization_factor", "projection_serialization_factor"),
        _INT,
    ),
    **dict.fromkeys(
        ("optimizer_state_offchip", "replicated_tensor_sharding", "recompute_checkpoint_every_layer", "outlining",
         "fit"),
        _FLAG,
    ),
    **dict.fromkeys(
        ("layers", "serialized_embedding_splits_per_ipu", "serialized_projection_splits_per_ipu"), _COUNTS
    ),
    "audio_seconds": _FLOAT,
    "matmul_proportion": _PROPORTIONS,
    "config": _FIELDS,
    "pins": _HOMES,
}  # fmt: skip
"""Keywords of `partition` that a list may give."""

ELSEWHERE: Mapping[str, str] = {
    "replicas": "they are what the pod has room for",
    "order": "IPUs run in the order of the program; see `ipu-partition explain --order`",
    "machine": "it is said for all models with --machines",
    "trust_remote_code": "code is trusted on the command line alone, with --trust-remote-code",
    "levers": "a summary has no room for them; see `ipu-partition --levers`",
    "example_inputs": "a file holds no tensors",
    "loss": "a file holds no functions",
}
"""Other keywords, and why a list may not give them."""


def from_text(items: Sequence[str]) -> dict[str, Any]:
    """Options written `key=value`. Raises :class:`UsageError`."""
    texts: dict[str, list[str]] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not value:
            raise UsageError(f"{item[:80]!r} is no option; expected key=value such as sequence_length=384.")
        texts.setdefault(known(name.replace("-", "_")), []).append(value)
    return {name: KINDS[name].read(name, found) for name, found in texts.items()}


def from_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them; null is as if the option were not there. Raises :class:`UsageError`."""
    found = {}
    for name, value in values.items():
        kind = KINDS[known(name)]
        if value is None:
            continue
        if not kind.takes(value):
            raise UsageError(f"{name} is {ascii(value)[:80]}, expected {kind.expected}.")
        found[name] = tuple(value) if isinstance(value, list) else value
    return found


def known(name: str) -> str:
    """`name`, where a list may give it; UsageError where not."""
    if name in KINDS:
        return name
    if name in ELSEWHERE:
        raise UsageError(f"{name} cannot be given for one model of a batch: {ELSEWHERE[name]}.")
    close = get_close_matches(name, KINDS, n=3)
    near = f"Did you mean {' or '.join(close)}?" if close else f"Expected one of {', '.join(sorted(KINDS))}."
    raise UsageError(f"Unknown option {name[:80]!r}. {near}")


def request_for(defaults: Mapping[str, Any], options: Mapping[str, Any]) -> Request:
    """What is asked of one model, for no pod yet. Raises :class:`UsageError`."""
    request = Request(**{**defaults, **options})
    Shapes(**{name: getattr(request, name) for name in SHAPES})
    parse(request.config or {})
    machine(request.machine)
    _ = request.serialisation
    return request
