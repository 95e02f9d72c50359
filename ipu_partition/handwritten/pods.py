"""Values that differ by machine, as old files have: `{"pod4": 1, "pod16": 4, "default": 4}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..plan_parts import Finding

_TABLES = (
    "replication_factor",
    "inference_replication_factor",
    "gradient_accumulation_steps",
    "device_iterations",
    "inference_device_iterations",
)
_DEFAULT = "default"


def without_pods(data: Mapping[str, Any], pod: str | None) -> tuple[dict[str, Any], list[Finding]]:
    """`data` with one number for each table: that of `pod`, else of "default", else of the machine that the file gives
    the fewest replicas. UsageError where no table has `pod`, or one has neither it nor a default, or no whole
    numbers."""
    tables = {name: data[name] for name in _TABLES if isinstance(data.get(name), Mapping)}
    if pod is not None and not tables:
        raise UsageError(f"There is no table by machine in this file, so no entry {pod!r}. Leave the pod out.")
    entries = {entry for table in tables.values() for entry in table}
    if pod is not None and pod not in entries:
        known = ", ".join(sorted(map(str, entries)))
        raise UsageError(f"No value by machine has an entry {pod!r}, expected one of {known}.")
    for name, table in tables.items():
        _check(name, table)
    out, found = dict(data), []
    preferred = pod or _smallest(tables.get("replication_factor", {}))
    for name, table in tables.items():
        entry = _entry(name, table, pod, preferred)
        value = table[entry]
        if value:
            out[name] = value
            said = f"{name} is a table by machine, and 0.7.1 wants one number. Taken: {entry!r}, {value}."
            found.append(Finding(mode=None, field=name, text=said, fatal=False))
        else:
            out[name] = 1
            said = f"{name} is 0 for {entry!r}: its authors say that it does not run there. Predicted with 1."
            found.append(Finding(mode=None, field=name, text=said, fatal=True))
    return out, found


def _check(name: str, table: Mapping[Any, Any]) -> None:
    wrong = [v for v in table.values() if isinstance(v, bool) or not isinstance(v, int) or v < 0]
    if wrong or not table or not all(isinstance(key, str) for key in table):
        raise UsageError(f"{name} is {dict(table)!r}, expected a whole number for each machine.")


def _entry(name: str, table: Mapping[str, int], pod: str | None, preferred: str | None) -> str:
    if pod is not None and pod in table:
        return pod
    if pod is not None and _DEFAULT not in table:
        raise UsageError(f"{name} has no entry {pod!r}, expected one of {', '.join(sorted(table))}.")
    if _DEFAULT in table:
        return _DEFAULT
    return preferred if preferred is not None and preferred in table else str(_smallest(table))


def _smallest(table: Mapping[str, Any]) -> str | None:
    """The machine with the fewest replicas of those on which it runs at all."""
    runs = {key: n for key, n in table.items() if n > 0} or dict(table)
    return min(runs, key=lambda key: (runs[key], key), default=None)
