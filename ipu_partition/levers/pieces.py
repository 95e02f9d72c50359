"""Large tables in pieces: one after the other, or on several IPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..host.tables import LAYERS, MOST_PIECES, factor_name, serialisation_choices, splits_name
from ..prepare import Prepared
from ..request import Request

SPREADS = (2, 4)
"""IPUs that a table may be spread over."""
PIECES = 8
"""Of a table that is spread, where it can be cut so: the temporaries of one are small then."""


def factors(prepared: Prepared, request: Request) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Option and the factors worth trying, ascending: about the powers of two, as near as the rows can be divided.
    None for a table that the user spreads."""
    choices = serialisation_choices(prepared.rule, _whole(prepared).graph)
    for layer in LAYERS:
        name = factor_name(layer)
        if name in choices and not getattr(request, splits_name(layer)):
            now = getattr(request, name)
            yield name, tuple(n for n in _near_powers(choices[name]) if n > now)


def _near_powers(legal: tuple[int, ...]) -> tuple[int, ...]:
    wanted = (1 << power for power in range(1, MOST_PIECES.bit_length()))
    nearest = (next((n for n in legal if n >= least), None) for least in wanted)
    return tuple(sorted({n for n in nearest if n is not None}))


def spreads(prepared: Prepared, request: Request, ipus: int) -> Iterator[tuple[str, list[Mapping[str, object]]]]:
    """Option and the ways to spread a table over IPUs: an embedding over the first, a projection over the last."""
    choices = serialisation_choices(prepared.rule, _whole(prepared).graph)
    for layer in LAYERS:
        name, how = factor_name(layer), prepared.rule.serialised.get(layer) if prepared.rule else None
        if how is None or how.splits != "cut" or getattr(request, splits_name(layer)):
            continue
        found: list[Mapping[str, object]] = []
        for width in (w for w in SPREADS if w <= ipus):
            legal = [n for n in choices.get(name, ()) if n % width == 0]
            if legal:
                each = next((n for n in legal if n >= PIECES), legal[-1]) // width
                busy, idle = (each,) * width, (0,) * (ipus - width)
                found.append({name: 1, splits_name(layer): busy + idle if layer == "embedding" else idle + busy})
        yield splits_name(layer), found


def _whole(prepared: Prepared) -> Prepared:
    return prepared.whole or prepared
