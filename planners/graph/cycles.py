"""Strongly connected components, without recursion."""

from __future__ import annotations

from collections.abc import Mapping, Set


def components(after: Mapping[int, Set[int]]) -> dict[int, int]:
    """Per node of a directed graph the least node that it is on a cycle with; itself where it is on none.

    Source: Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1 (1972), in the iterative form.
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    found: dict[int, int] = {}
    for start in sorted(after):
        if start in index:
            continue
        index[start] = low[start] = len(index)
        stack.append(start)
        path = [(start, iter(sorted(after[start])))]
        while path:
            node, rest = path[-1]
            late = next((n for n in rest if n not in found), None)
            if late is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    found.update(_popped(stack, node))
            elif late in index:
                low[node] = min(low[node], index[late])
            else:
                index[late] = low[late] = len(index)
                stack.append(late)
                path.append((late, iter(sorted(after[late]))))
    return found


def _popped(stack: list[int], node: int) -> dict[int, int]:
    """All from ``node`` to the top, with the least of them."""
    component = [stack.pop()]
    while component[-1] != node:
        component.append(stack.pop())
    return dict.fromkeys(component, min(component))
