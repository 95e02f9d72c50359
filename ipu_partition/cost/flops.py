"""Forward FLOPs of matrix products and convolutions; a multiply-add counts as 2.

Shapes are those of the operands and the result; the formulas are those of `torch.utils.flop_counter`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Shape = tuple[int, ...]
Formula = Callable[[Sequence[Shape], Shape], int]


def matmul(operands: Sequence[Shape], result: Shape) -> int:
    """2 x result elements x contracted size."""
    return 2 * math.prod(result) * operands[0][-1]


def linear(operands: Sequence[Shape], result: Shape) -> int:
    return 2 * math.prod(result) * operands[1][-1]


def addmm(operands: Sequence[Shape], result: Shape) -> int:
    """The first operand is what is added."""
    return matmul(operands[1:], result)


def einsum(equation: str, operands: Sequence[Shape]) -> int:
    """2 x the product of the sizes of all distinct indices; an ellipsis stands for the dimensions it covers."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, operands, strict=True):
        letters = _spelled(term, len(shape))
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return 2 * math.prod(sizes.values())


def _spelled(term: str, dimensions: int) -> list[str]:
    """`a...b` with the ellipsis spelled out, aligned from the right as broadcasting does."""
    if "..." not in term:
        return list(term)
    before, after = term.split("...")
    covered = dimensions - len(before) - len(after)
    return [*before, *(f"...{i}" for i in range(covered, 0, -1)), *after]


def attention(operands: Sequence[Shape], result: Shape) -> int:
    """Q K^T and P V."""
    query, key = operands[0], operands[1]
    scores = (*query[:-1], key[-2])
    return matmul([query], scores) + matmul([scores], result)


def conv(operands: Sequence[Shape], result: Shape) -> int:
    """2 x result elements x input channels of a group x kernel size."""
    return 2 * math.prod(result) * math.prod(operands[1][1:])


def conv_transpose(operands: Sequence[Shape], result: Shape) -> int:
    """Every input element meets every weight of its input channel."""
    return 2 * math.prod(operands[0]) * math.prod(operands[1][1:])


FORMULAS: dict[str, Formula] = {
    "matmul": matmul,
    "linear": linear,
    "addmm": addmm,
    "attention": attention,
    "conv": conv,
    "conv_transpose": conv_transpose,
}
