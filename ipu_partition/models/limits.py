"""What a configuration from outside may ask for, checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .table import Bounds, limits

if TYPE_CHECKING:
    import torch


def check_nesting(value: object, where: str) -> None:
    """Raises: UsageError where objects and lists are nested too deeply for what follows."""
    level: list[object] = [value]
    for _ in range(limits().nesting):
        level = [item for outer in level for item in _children(outer)]
        if not level:
            return
    raise UsageError(f"{where} nests objects and lists more than {limits().nesting} deep, expected a configuration.")


def check_fields(fields: Mapping[str, Any], where: str) -> None:
    """Raises: UsageError where an integer is outside what `tables/limits.json` allows its field."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            check_fields(value, where)
            continue
        rules = [rule for rule in limits().fields if rule.match.fullmatch(str(name))]
        for number in _integers(value) if rules else ():
            _check(name, number, rules, where)


@contextmanager
def bounded_construction(what: str) -> Iterator[None]:
    """Stops this thread from building a model of too many parameters or modules, while it is being built.

    Raises:
        UsageError: naming the count and the limit.
    """
    from torch.nn.modules import module as hooks

    thread, elements, modules = get_ident(), 0, 0

    def parameter(_owner: object, _name: str, value: torch.Tensor | None) -> None:
        nonlocal elements
        if get_ident() == thread and value is not None:
            elements += value.numel()
            _refuse(what, elements, limits().parameters, "parameters")

    def module(_owner: object, _name: str, _value: object) -> None:
        nonlocal modules
        if get_ident() == thread:
            modules += 1
            _refuse(what, modules, limits().modules, "modules")

    handles = (
        hooks.register_module_parameter_registration_hook(parameter),
        hooks.register_module_module_registration_hook(module),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check(name: str, number: int, rules: Iterable[Bounds], where: str) -> None:
    for rule in rules:
        if not rule.least <= number <= rule.most:
            raise UsageError(f"{name} is {_short(number)} in {where}, expected {rule.least} to {rule.most}.")


def _refuse(what: str, count: int, most: int, unit: str) -> None:
    if count > most:
        raise UsageError(f"{what} would have more than {most} {unit}; check the sizes in its configuration.")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _integers(value: object) -> Iterator[int]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _integers(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def _short(number: int) -> str:
    return str(number) if abs(number) < 10**18 else "an integer of more than 18 digits"
