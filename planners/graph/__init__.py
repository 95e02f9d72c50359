"""Problems whose work has only a partial order: nodes and tensors, and devices of several kinds.

Read ``problem`` (the words), ``precedence`` (what must come before what) and ``judge`` (the rules); then ``blocks``
(what planners search in), ``document`` (the public JSON form) and ``chain`` (why a chain is a special case).
"""

from __future__ import annotations

from .problem import GraphProblem, Kind, Node, PricedTensor

__all__ = ["GraphProblem", "Kind", "Node", "PricedTensor"]
