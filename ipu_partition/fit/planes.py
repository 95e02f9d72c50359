"""What is changed together with everything else, one value at a time, from the least loss to the greatest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from ..levers import Change, Ladder, Trials, ladders
from ..levers.pieces import spreads

OUTER = (
    "recompute_checkpoint_every_layer",
    "replicas",
    "ipus",
    "serialized_embedding_splits_per_ipu",
    "serialized_projection_splits_per_ipu",
)
"""Ladders that do not save more with every rung, whatever else is changed."""

Options = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Space:
    """All sets of changes that are considered."""

    base: Options
    inner: tuple[Ladder, ...]
    """Whose rungs are combined."""
    groups: tuple[tuple[Options, ...], ...]
    """Of a group all are considered together; of the groups, the first in which anything fits."""
    fewer: tuple[tuple[Options, ...], ...]
    """As `groups`, with fewer replicas."""
    shapes: tuple[Change, ...]
    """Ascending; considered where nothing else helps."""


def space(trials: Trials) -> Space:
    """What the request leaves open: IPUs and the place of the optimizer state only where it does not name them."""
    request, found = trials.request, {ladder.name: ladder for ladder in ladders(trials.solved, trials.request)}
    named = request.optimizer_state_offchip is not None
    if named:
        found.pop("optimizer_state_offchip", None)
    inner = tuple(x for x in found.values() if not x.reshapes and x.name not in OUTER)
    base = {"optimizer_state_offchip": False} if "optimizer_state_offchip" in found else {}
    fewer = [group for rung in _rungs(found, "replicas") for group in _groups(trials, found, rung.options)]
    return Space(base, inner, tuple(_groups(trials, found, {})), tuple(fewer), _shapes(found))


def _groups(trials: Trials, found: Mapping[str, Ladder], replicas: Options) -> Iterator[tuple[Options, ...]]:
    flags = [{}, *(rung.options for rung in _rungs(found, "recompute_checkpoint_every_layer"))]
    for count in _counts(trials):
        alternatives: tuple[list[Options], ...] = ([{}], _ways(trials, count))
        for ways in alternatives:
            if ways:
                yield tuple({**replicas, **count, **way, **flag} for way in ways for flag in flags)


def _ways(trials: Trials, count: Options) -> list[Options]:
    """All ways to spread tables over IPUs, one table or several."""
    ipus = count.get("ipus", trials.solved.workload.ipus)
    assert isinstance(ipus, int)
    tables = [[{}, *ways] for _, ways in spreads(trials.solved.prepared, trials.request, ipus)]
    return [{k: v for way in ways for k, v in way.items()} for ways in product(*tables) if any(ways)]


def _counts(trials: Trials) -> Iterator[Options]:
    """Numbers of IPUs, smallest first."""
    request, prepared = trials.request, trials.solved.prepared
    if request.wanted_ipus is not None or (prepared.rule is not None and prepared.rule.ipus is not None):
        yield {}
        return
    for count in request.ipu_counts():
        if count <= len(prepared.graph.units):
            yield {"ipus": count}


def _shapes(found: Mapping[str, Ladder]) -> tuple[Change, ...]:
    """Smaller micro-batches, then shorter inputs with the smallest micro-batch."""
    batches, lengths = _rungs(found, "micro_batch_size"), _rungs(found, "length")
    least: Options = batches[-1].options if batches else {}
    return (*batches, *(Change({**least, **rung.options}, rung.description) for rung in lengths))


def _rungs(found: Mapping[str, Ladder], name: str) -> tuple[Change, ...]:
    return found[name].rungs if name in found else ()
