"""What the user decides instead of the planner: layers and modules of single IPUs, and what comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from planners import Preference

from .errors import UsageError

WILDCARD = -1


@dataclass(frozen=True, slots=True)
class Demands:
    """Checked as far as that needs no model."""

    layers: tuple[int, ...] = ()
    """Layers on each IPU, :data:`WILDCARD` where the planner chooses; empty: it chooses everywhere."""
    pins: tuple[tuple[str, int], ...] = ()
    """(module, IPU), IPUs from 0, in order of module."""
    prefer: Preference = Preference.TIME
    idle: bool = False
    """An IPU may be left without work, as hand-written layers may leave one."""

    @property
    def layers_option(self) -> str:
        return f"--layers {','.join(map(str, self.layers))}"

    @property
    def options(self) -> str:
        """What restricts the plan, as on the command line."""
        pins = [pin_option(module, ipu) for module, ipu in self.pins]
        return " ".join([self.layers_option, *pins] if self.layers else pins)

    @property
    def least_ipus(self) -> int:
        """The smallest number of IPUs that has all that are named."""
        return max((ipu + 1 for _, ipu in self.pins), default=1)


NONE = Demands()


def demands(layers: object, pins: object, prefer: object, idle: bool = False) -> Demands:
    """From the keywords of `partition`. UsageError where they make no sense."""
    known = [preference.value for preference in Preference]
    if not isinstance(prefer, str) or prefer not in known:
        raise UsageError(f"prefer is {prefer!r}, expected one of {', '.join(known)}.")
    return Demands(_layers(layers), _pins(pins), Preference(prefer), idle)


def pin_option(module: str, ipu: int) -> str:
    return f"--pin {module}={ipu}"


def ipus_named(wanted: Demands, ipus: int | None) -> int | None:
    """How many IPUs the user asks for, by number or by a list of layers. UsageError where the two differ."""
    count = len(wanted.layers)
    if count and ipus not in (None, count):
        plural = "IPU" if count == 1 else "IPUs"
        raise UsageError(f"--layers names {count} {plural}, --ipus says {ipus}. Leave one out, or make them agree.")
    return ipus or count or None


def ipus_listed(lists: Mapping[str, object]) -> int | None:
    """How many IPUs the lists with one value for each IPU have. UsageError where they differ."""
    found = {name: len(value) for name, value in lists.items() if isinstance(value, Sequence)}
    if len({*found.values()}) > 1:
        raise UsageError(f"These lists have one value for each IPU, but differ in length: {found}.")
    return next(iter(found.values()), None)


def check_pins(wanted: Demands, ipus: int) -> None:
    """UsageError where a pin names an IPU that is not among `ipus`."""
    for module, ipu in wanted.pins:
        if ipu >= ipus:
            there = f"the IPUs are 0 to {ipus - 1}" if ipus > 1 else "the only IPU is 0"
            raise UsageError(f"{pin_option(module, ipu)} names IPU {ipu}, but {there}.")


def _layers(layers: object) -> tuple[int, ...]:
    if layers is None:
        return ()
    if isinstance(layers, str) or not isinstance(layers, Sequence) or not layers:
        raise UsageError(f"layers is {layers!r}, expected one number for each IPU such as (3, 7, 7, 7).")
    wrong = [n for n in layers if isinstance(n, bool) or not isinstance(n, int) or n < WILDCARD]
    if wrong:
        raise UsageError(f"layers names {wrong[0]!r}, expected counts of at least 0, or -1 where the planner chooses.")
    return tuple(layers)


def _pins(pins: object) -> tuple[tuple[str, int], ...]:
    if pins is None:
        return ()
    if not isinstance(pins, Mapping):
        raise UsageError(f'pins is {pins!r}, expected a mapping of modules to IPUs such as {{"lm_head": 0}}.')
    for module, ipu in pins.items():
        if not isinstance(module, str) or not module:
            raise UsageError(f"pins names the module {module!r}, expected a path such as 'lm_head'.")
        if isinstance(ipu, bool) or not isinstance(ipu, int) or ipu < 0:
            raise UsageError(f"{module!r} is pinned to {ipu!r}, expected an IPU counted from 0.")
    return tuple(sorted(pins.items()))
