"""Cost graphs of transformers written down analytically, in the conventions of the cost room."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ipu_partition.cost.graph import Audit, CostGraph, ParameterCost, TensorCost, UnitCost, Work


@dataclass(frozen=True)
class Shape:
    """A stack of equal transformer layers. `head`: `tied` or `untied` vocabulary, `span` (two columns)."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int
    sequence: int
    batch: int
    head: str = "tied"
    training: bool = True
    width: int = 2
    positions: int = 1024
    head_tokens: int | None = None
    """Tokens the head works on; None: all."""

    @property
    def tokens(self) -> int:
        return self.batch * self.sequence

    @property
    def head_rows(self) -> int:
        return self.tokens if self.head_tokens is None else self.head_tokens


def bert_base(**changes: object) -> Shape:
    return replace(Shape(12, 768, 12, 3072, 30522, 128, 1, "span", positions=512), **changes)  # type: ignore[arg-type]


def bert_large(**changes: object) -> Shape:
    return replace(Shape(24, 1024, 16, 4096, 30522, 128, 1, "span", positions=512), **changes)  # type: ignore[arg-type]


def gpt2(**changes: object) -> Shape:
    return replace(Shape(12, 768, 12, 3072, 50257, 1024, 1), **changes)  # type: ignore[arg-type]


def product(op: str, t: int, k: int, n: int, width: int, batch: int = 1, weight: bool = True) -> Work:
    flops = 2 * batch * t * k * n
    weights = (k * n + n) * width if weight else 0
    moved = batch * (t * k + t * n) * width + (weights or batch * k * n * width)
    return Work("matmul", op, 1, flops, 2 * flops, moved, 2 * moved, weights)


def passing(kind: str, op: str, elements: int, width: int, count: int = 1, operands: int = 1) -> Work:
    size = elements * width
    return Work(kind, op, count, 0, 0, (operands + 1) * size, 2 * operands * size)


def layer_unit(s: Shape, index: int) -> UnitCost:
    t, h, f, w = s.tokens, s.hidden, s.feed_forward, s.width
    probabilities = s.heads * s.batch * s.sequence**2
    size, heads = h // s.heads, s.heads * s.batch
    work = (
        *(product("linear", t, h, h, w) for _ in range(4)),
        product("matmul", s.sequence, size, s.sequence, w, heads, False),
        product("matmul", s.sequence, s.sequence, size, w, heads, False),
        product("linear", t, h, f, w),
        product("linear", t, f, h, w),
        passing("softmax", "softmax", probabilities, w),
        passing("norm", "layer_norm", t * h, w, 2),
        passing("elementwise", "mul", probabilities, w),
        passing("elementwise", "add", probabilities, w),
        passing("elementwise", "dropout", probabilities, w),
        passing("elementwise", "gelu", t * f, w),
        passing("elementwise", "add", t * h, w, 2, 2),
        passing("elementwise", "dropout", t * h, w, 2),
    )
    saved = (10 * t * h + 2 * t * f + 2 * probabilities) * w
    peak = max((3 * t * h + 2 * t * f), 4 * t * h + 2 * probabilities) * w
    largest = max(x.forward_bytes for x in work if x.kind == "matmul")
    names = (f"layer.{index}.attention", f"layer.{index}.output", f"layer.{index}.up", f"layer.{index}.down")
    gradients = max(2 * t * f, 2 * probabilities) * w
    unit = UnitCost(
        f"layer.{index}", (f"layer.{index}",), work, names, saved, t * h * w, peak, saved + gradients, largest
    )
    return living(unit, s)


def living(unit: UnitCost, s: Shape, freed: int = 0) -> UnitCost:
    """With what is alive beside each op: forward its own activations; backward all that is saved too, less `freed`."""
    saved = unit.saved_bytes - freed if s.training else 0

    def beside(work: Work) -> Work:
        own = work.forward_bytes - work.weight_bytes
        return replace(work, forward_live_bytes=own, backward_live_bytes=saved + own if s.training else 0)

    return replace(unit, work=tuple(map(beside, unit.work)))


def layer_parameters(s: Shape, index: int) -> dict[str, ParameterCost]:
    h, f = s.hidden, s.feed_forward
    sizes = {"attention": 3 * h * h + 3 * h, "output": h * h + 3 * h, "up": h * f + f, "down": h * f + 3 * h}
    return {f"layer.{index}.{n}": parameter(f"layer.{index}.{n}", e, s.width) for n, e in sizes.items()}


def parameter(name: str, elements: int, width: int = 2, rows: int = 0, trainable: bool = True) -> ParameterCost:
    return ParameterCost(name, (), elements, elements * width, trainable, rows)


def embedding_unit(s: Shape) -> UnitCost:
    rows, w = s.tokens * s.hidden, s.width
    work = (
        passing("embedding", "embedding", rows, w, 2),
        passing("elementwise", "add", rows, w, 1, 2),
        passing("norm", "layer_norm", rows, w),
    )
    size = rows * w
    names = ("embed.words", "embed.positions")
    return living(UnitCost("embed", ("embed",), work, names, size, size, 3 * size, 3 * size, 0), s)


def head_unit(s: Shape) -> UnitCost:
    t, h, w = s.head_rows, s.hidden, s.width
    columns = 2 if s.head == "span" else s.vocabulary
    logits = t * columns
    product_ = product("linear", t, h, columns, w)
    loss = Work("loss", "cross_entropy_loss", 1, 0, 0, logits * w, logits * w)
    work = (passing("norm", "layer_norm", t * h, w), product_, loss)
    name = "embed.words" if s.head == "tied" else "head.projection"
    saved = (2 * t * h + 2 * logits) * w
    names = ("head.norm", name)
    peak = (t * h + 2 * logits) * w
    gradients = saved + logits * w
    unit = UnitCost("head", ("head",), work, names, saved, logits * w, peak, gradients, product_.forward_bytes)
    return living(unit, s, freed=logits * w)


def graph(s: Shape) -> CostGraph:
    """Embedding, the layers, the head; one activation from each to the next and a mask read by every layer."""
    units = (embedding_unit(s), *(layer_unit(s, i) for i in range(s.layers)), head_unit(s))
    size = s.tokens * s.hidden * s.width
    last = len(units) - 1
    tensors = (
        TensorCost("input_ids", None, (0,), s.tokens * 4, 0),
        TensorCost("mask", None, tuple(range(1, last)), s.tokens * s.width, 0),
        *(TensorCost(f"hidden.{i}", i, (i + 1,), size, size if s.training else 0) for i in range(last)),
    )
    words = parameter("embed.words", s.vocabulary * s.hidden, s.width, s.vocabulary)
    positions = parameter("embed.positions", s.positions * s.hidden, s.width)
    parameters = {"embed.words": words, "embed.positions": positions}
    for i in range(s.layers):
        parameters |= layer_parameters(s, i)
    parameters["head.norm"] = parameter("head.norm", 2 * s.hidden, s.width)
    if s.head != "tied":
        columns = 2 if s.head == "span" else s.vocabulary
        rows = 0 if s.head == "span" else s.vocabulary
        parameters["head.projection"] = parameter("head.projection", columns * (s.hidden + 1), s.width, rows)
    return CostGraph(units, parameters, tensors, Audit(), s.training)


def assignment(layers_per_ipu: tuple[int, ...], head: int) -> tuple[int, ...]:
    """Embedding on IPU 0, layers as `layers_per_ipu` says, the head on IPU `head`."""
    return (0, *(ipu for ipu, count in enumerate(layers_per_ipu) for _ in range(count)), head)
