"""Modules on several devices that compute with tensors of more than one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import fx

    from ...trace import TracedModel


def mixed(traced: TracedModel, homes: Mapping[str, int], paths: Mapping[str, int]) -> Iterator[str]:
    """What is to be said of each. accelerate moves what a module in `paths` is given to its device, and nothing that a
    module around it computes; the code of a model may, which no trace tells. `homes`: device of each tensor.
    """
    at: dict[fx.Node, frozenset[int]] = {
        node: frozenset({homes[name]}) for node, name in traced.reads.items() if name in homes
    }
    told: set[str] = set()
    for node in traced.nodes:
        owner = next(iter(reversed(traced.owner(node))), "")
        home = _home(owner, paths)
        given = frozenset[int]().union(*(at.get(source, frozenset()) for source in node.all_input_nodes))
        at[node] = given if home is None else frozenset({home})
        if home is None and len(given) > 1:
            at[node] = frozenset({min(given)})
            if owner not in told:
                told.add(owner)
                devices = " and ".join(map(str, sorted(given)))
                yield (
                    f"{owner or 'the model'} computes with tensors of devices {devices} outside of its modules: unless "
                    "its code moves them, keep it whole, or plan fewer devices."
                )


def _home(path: str, paths: Mapping[str, int]) -> int | None:
    """The device of the module in `paths` that runs it; None where none does."""
    names = path.split(".") if path else []
    prefixes = (".".join(names[:stop]) for stop in range(len(names) + 1))
    return next((paths[prefix] for prefix in prefixes if prefix in paths), None)
