"""The documents of problems, whichever kind of problem they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from . import claims, problem_json, solution_json
from .graph import solution_json as graph_json
from .graph.document import GraphDocument, graph_from_dict, read_exactly
from .graph.problem import GraphProblem
from .problem import Problem
from .solution import Solution

GRAPH_KEYS = ("nodes", "edges", "maxFPGAs", "maxCPUs", "maxSizePerFPGA")


class Document(Protocol):
    """A problem as somebody wrote it."""

    @property
    def problem(self) -> Problem | GraphProblem: ...

    def answer(self, solution: Solution) -> str:
        """The solution in the words of the document."""

    def judgement(self, text: str) -> Mapping[str, Any]:
        """What the judge finds of a solution document; ProblemError where it is none."""


@dataclass(frozen=True, slots=True)
class _Chain:
    problem: Problem

    def answer(self, solution: Solution) -> str:
        return solution_json.to_json(self.problem, solution)

    def judgement(self, text: str) -> Mapping[str, Any]:
        return claims.judgement(self.problem, solution_json.claims_from_json(text))


@dataclass(frozen=True, slots=True)
class _Graph:
    document: GraphDocument

    @property
    def problem(self) -> GraphProblem:
        return self.document.problem

    def answer(self, solution: Solution) -> str:
        return graph_json.to_json(self.document, solution)

    def judgement(self, text: str) -> Mapping[str, Any]:
        return graph_json.judgement(self.document, text)


def read_problem(text: str) -> Document:
    """A graph where it has ``nodes``, or other keys of one and no ``units``, else a chain. ProblemError where it is
    malformed."""
    if any(f'"{key}"' in text for key in GRAPH_KEYS):
        document = read_exactly(text)
        if isinstance(document, dict) and ("nodes" in document or "units" not in document):
            return _Graph(graph_from_dict(document))
    return _Chain(problem_json.from_json(text))
