"""What the process that was started by the user hands to the ranks, through files in a folder that is theirs alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from ..emit.torch_pipelining import Link
from .files import replaced

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True, slots=True)
class Source:
    """A program of `torch.fx` as text. Pickled by itself, it would be traced again by its reader, and forget where in
    the model it draws random numbers."""

    text: str
    names: Mapping[str, tuple[str, str] | float]
    """Name in the text -> module and name of what it stands for ('' for the module itself), or a number."""
    parts: Mapping[str, Source]
    """Programs that ops of it are given, by the attribute they are."""

    @classmethod
    def of(cls, program: fx.GraphModule) -> Source:
        code = program.graph.python_code("self")
        inner = {str(n.target): program.get_submodule(str(n.target)) for n in program.graph.nodes if n.op == "get_attr"}
        names = {name: _reference(value) for name, value in code.globals.items()}
        return cls(code.src, names, {name: cls.of(part) for name, part in inner.items()})  # type: ignore[arg-type]

    def program(self) -> Callable[..., Any]:
        """What can be called."""
        known = {name: _named(where) for name, where in self.names.items()}
        exec(self.text, known)  # our own text, from a folder that nobody else can write to
        forward = known["forward"]
        made = _Program()
        for name, part in self.parts.items():
            setattr(made, name, part.program())
        return lambda *tensors: forward(made, *tensors)


class _Program:
    """Has the programs that another is given."""


def _reference(value: object) -> tuple[str, str] | float:
    if isinstance(value, float):
        return value
    if isinstance(value, ModuleType):
        return value.__name__, ""
    if value is type(None):
        return "types", "NoneType"
    return value.__module__, value.__qualname__  # type: ignore[attr-defined]


def _named(where: tuple[str, str] | float) -> Any:
    if isinstance(where, float):
        return where
    module = import_module(where[0])
    return getattr(module, where[1]) if where[1] else module


@dataclass(frozen=True, slots=True)
class Job:
    """What all ranks have in common."""

    steps: int
    micro_batches: int
    schedule: str
    seed: int
    learning_rate: float
    device: str
    """`cpu` or `cuda`."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one rank gets."""

    link: Link
    source: Source
    imports: tuple[str, ...] = ()
    """Modules that register ops which the program calls."""


def registering(program: fx.GraphModule, model: torch.nn.Module) -> tuple[str, ...]:
    """What must be imported for the ops of `program` that PyTorch does not have itself: the module of the model's
    class, which has them in use."""
    spaces = {getattr(node.target, "namespace", "aten") for node in program.graph.nodes}
    spaces |= {getattr(argument, "namespace", "aten") for node in program.graph.nodes for argument in node.args}
    module = type(model).__module__
    return () if spaces <= {"aten", "prim", "prims"} or module == "__main__" else (module,)


def write(file: Path, value: object) -> None:
    """As a whole; see :func:`.files.replaced`."""
    with replaced(file) as new:
        new.write_bytes(pickle.dumps(value))


def read(file: Path) -> Any:
    """What :func:`write` wrote, which is to be ours: reading runs what it says."""
    return pickle.loads(file.read_bytes())


def write_tensors(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """As :func:`write`."""
    with replaced(file) as new:
        torch.save({name: tensor.detach() for name, tensor in tensors.items()}, new)


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(file, weights_only=True)
    return found
