"""What the numbers of a plan rest on, as fingerprints: the rules of cost, and the numbers of a machine.

They are taken of the sources themselves, so that no one can forget to count a version up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

COSTING = (
    "cost", "declared.py", "devices", "families", "host", "hosted.py", "layout.py", "machine", "order/legal.py",
    "order/pieces.py", "order/reordered.py", "prepare.py", "proportions.py", "rates.py", "solve.py", "trace",
    "workload.py",
)  # fmt: skip
"""What turns a model into units with costs, and costs into predictions."""
JUDGING = ("evaluate.py", "memory.py", "problem.py", "stages.py")
"""What `planners` measures every assignment with; how one is searched does not matter."""
MACHINES = "machine/data"
HERE = Path(__file__).parent


@cache
def cost_rules() -> str:
    """16 hex digits of all that predicts memory and time, the numbers of machines apart."""
    rooms = [(HERE, name) for name in COSTING] + [(planners_folder(), name) for name in JUDGING]
    return _digest([found for root, name in rooms for found in sources(root, name)])


@cache
def machine_numbers(name: str) -> str | None:
    """16 hex digits of the numbers of the machine called `name`; None for one that is not built in."""
    file = HERE / MACHINES / f"{name}.json"
    return _digest([(name, file.read_bytes())]) if name.isidentifier() and file.is_file() else None


def planners_folder() -> Path:
    """The folder of `planners`, which need not be imported for it."""
    spec = find_spec("planners")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def sources(root: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Path below `root` and content of the sources and data in a module or a room."""
    place = root / name
    if place.is_file():
        yield name, place.read_bytes()
        return
    for child in sorted(place.iterdir(), key=lambda c: c.name):
        path = f"{name}/{child.name}"
        if path != MACHINES and (child.is_dir() or child.name.endswith((".py", ".json"))):
            yield from sources(root, path)


def _digest(parts: list[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in parts:
        digest.update(f"{name}:{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
