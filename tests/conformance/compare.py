"""What the host did against what the plan says. Pure functions of the two halves' documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("differences.json")
REFUSAL = "PlanMismatchError"
"""What parallelize.py raises for a cut that the plain model cannot have."""
Home = tuple[int, int]
"""(IPU, pipeline stage)"""


@dataclass
class Compared:
    """One run of the host: what differs, and how much was compared."""

    problems: list[str] = field(default_factory=list)
    parameters: int = 0
    calls: int = 0
    """Modules whose calls the plan gives one by one."""
    inside: int = 0
    """Modules of the host alone, held to where the plan has the module around them."""


@cache
def table() -> Mapping[str, Any]:
    """Known differences between the versions, each with its reason."""
    found: Mapping[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def compare(run: Mapping[str, Any], job: Mapping[str, Any]) -> Compared:
    """`run` of the host half, `job` of the plan half."""
    result, mode = Compared(), job["modes"][run["mode"]]
    refused = run["side"] == "plain" and mode["optimum_only"]
    if run["error"] is not None or refused:
        error = (run["error"] or "nothing").strip().splitlines()[-1]
        if not (refused and REFUSAL in error):
            result.problems.append(f"raised {error}" + (f", expected {REFUSAL}" if refused else ""))
        return result
    expected = mode["expected"]
    result.problems += [f"rule {rule}: {text}" for rule, text in run["rules"]] + run["files"]
    if not run["again"]:
        result.problems.append("after deparallelize(), parallelize() places otherwise than before")
    parameters = expected["parameters"]
    if run["side"] == "plain":
        parameters = _with_whole(parameters, expected["whole"], run["parameters"])
    _parameters(result, run["parameters"], parameters)
    _Calls(result, run["side"], job, expected).check(run["calls"])
    if run["side"] == "plain":
        _checkpoints(result, run["checkpoints"], mode["checkpoints"])
    for name, value in mode["options"].items():
        if run["options"][name] != value:
            result.problems.append(f"option {name} is {run['options'][name]}, the plan says {value}")
    return result


def _checkpoints(result: Compared, found: Sequence[Sequence[str]], planned: Sequence[str]) -> None:
    """parallelize.py keeps the outputs of exactly the modules that the plan names."""
    kept = [{name for host in names for name in _names(host)} for names in found]
    strangers = [names[0] for names, known in zip(found, kept, strict=True) if not known.intersection(planned)]
    result.problems += [f"the output of {name} is kept, the plan does not say so" for name in strangers]
    missing = sorted(set(planned).difference(*kept))
    result.problems += [f"the output of {name} is not kept, the plan says so" for name in missing]


def _with_whole(parameters: Sequence[Any], whole: Sequence[Any], found: Sequence[Any]) -> list[Any]:
    """Without the pieces of tables, which the plain model has whole."""
    names = {name for names, _ in found for name in names}
    return [row for row in parameters if not whole or names.intersection(row[0])] + list(whole)


def _parameters(result: Compared, found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Every parameter is read on exactly the IPUs of the plan. Where the host has several for one of the plan, they are
    together."""
    rows = {name: i for i, (names, _) in enumerate(expected) for name in names}
    read: dict[int, set[int]] = {}
    for names, ipus in found:
        known = {rows[name] for host in names for name in _names(host) if name in rows}
        for row in known:
            read.setdefault(row, set()).update(ipus)
        if ipus and not known:
            result.problems.append(f"parameter {names[0]} is read on IPUs {ipus}, the plan does not know it")
    for row, (names, ipus) in enumerate(expected):
        if row not in read and ipus:
            result.problems.append(f"parameter {names[0]}, by the plan read on IPUs {ipus}, is not on the host")
        elif sorted(read.get(row, ())) != ipus:
            result.problems.append(f"parameter {names[0]} is read on IPUs {sorted(read[row])}, the plan says {ipus}")
        result.parameters += row in read and bool(ipus)


def _modules(section: str, side: str, architecture: str) -> list[str]:
    """Those that a section of the table has for a class."""
    rows = table()[section]
    return [row["module"] for row in rows if row["side"] == side and re.fullmatch(row["classes"], architecture)]


class _Calls:
    """The calls of one run against the plan."""

    def __init__(self, result: Compared, side: str, job: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        self.result = result
        self.head = job["masked_head"]
        self.spans = {module: [tuple(home) for home in homes] for module, homes in expected["spans"].items()}
        self.ipus = {name.rpartition(".")[0]: ipus for names, ipus in expected["parameters"] for name in names}
        self.fewer = _modules("fewer_calls", side, job["architecture"])
        self.replaced = _modules("no_calls", side, job["architecture"])
        self.calls: dict[str, list[tuple[int, Home]]] = {}
        self.before: dict[str, list[Home]] = {}
        for module, position, home, before in expected["calls"]:
            self.calls.setdefault(module, []).append((position, tuple(home)))
            self.before.setdefault(module, []).append(tuple(before))

    def check(self, found: Iterable[Any]) -> None:
        """`found` has every module of the host: one that is never called has no homes."""
        for names, homes in found:
            got = [tuple(home) for home in homes]
            known = {name for host in names for name in _names(host) if name in self.calls}
            if known:
                self._check_calls(names[0], got, known)
            elif got:
                self._check_inside(names[0], got)

    def _check_calls(self, name: str, got: list[Any], known: Iterable[str]) -> None:
        """One by one, in the order of execution; a module with several names has the calls of all."""
        self.result.calls += 1
        wanted = [home for _, home in sorted(call for name in known for call in self.calls[name])]
        fewer = name in self.fewer and len(got) < len(wanted) and set(got) == set(wanted)
        replaced = not got and any(re.fullmatch(pattern, name) for pattern in self.replaced)
        if not (got == wanted or fewer or replaced):
            self.result.problems.append(f"module {name} is called on (IPU, stage) {got}, the plan says {wanted}")

    def _check_inside(self, name: str, got: list[Any]) -> None:
        """A module that no operation of the planned model runs in: with its own weights, or in the module around it."""
        self.result.inside += 1
        if name in self.ipus:
            if any(ipu not in self.ipus[name] for ipu, _ in got):
                self.result.problems.append(f"module {name} is called on {got}, the plan says IPUs {self.ipus[name]}")
            return
        around = [a for outer in _outer(name) for a in _names(outer) if a in self.spans]
        rows = [row for row in table()["before_the_head"] if re.fullmatch(row["pattern"], name)]
        if rows:
            wanted = self.before.get(self.head, [])
            if got != wanted:
                self.result.problems.append(f"module {name} is called on {got}, the plan has the head after {wanted}")
        elif not around:
            self.result.problems.append(f"module {name} is called on {got}, the plan does not know it")
        elif not set(got) <= set(self.spans[around[0]]):
            self.result.problems.append(
                f"module {name} is called on {got}, the plan has {around[0]} on {self.spans[around[0]]}"
            )


def _outer(name: str) -> Iterator[str]:
    """The modules around it, innermost first, without the model itself."""
    while name := name.rpartition(".")[0]:
        yield name


def _names(host: str) -> Iterator[str]:
    """What the host calls `host`, and its name in the planned model."""
    yield host
    renamed = host
    for row in table()["renames"]:
        renamed = re.sub(row["host"], row["plan"], renamed)
    if renamed != host:
        yield renamed
