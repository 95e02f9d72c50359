"""Graphs like those of the public set that are not part of it: made here, the same on every machine.

`inception` is the layer graph of Inception-v3 (Szegedy et al., arXiv:1512.00567) as torchvision builds it, with times
from its shapes. `mirrored` trains an inference graph: a backward node of each node's colour, twice its time, its edges
reversed. `longer` repeats the middle layer of the operator graph of a three-layer BERT. All return documents of the
public form (planners/README.md), with 6 accelerators of 16 GB and 1 CPU. On 6 the output layer alone decides the
longer BERT; on 4 it does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Document = dict[str, Any]
WORKLOADS = Path(__file__).resolve().parent / "workloads"
DEVICES = {"maxSizePerFPGA": 17185374208.0, "maxFPGAs": 6, "maxCPUs": 1}
BATCH = 64
FLOPS_PER_MS = 1e10
"""The rates that the times of the public ResNet-50 follow, roughly."""
BYTES_PER_MS = 7e8
COST_PER_BYTE = 1 / 2**31
"""Price of a byte between devices, as in the public layer graphs."""
CPU_RATIO = 10
"""How much slower a CPU is, as in the public layer graphs."""


def workload(name: str) -> Document:
    """One of the public ones, by the name of its file."""
    loaded: Document = json.loads((WORKLOADS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


class Network:
    """Layers as they are added. A layer is a number; the shape (channels, height, width) is that of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.edges: list[dict[str, Any]] = []
        self.shape: dict[int, tuple[int, int, int]] = {}

    def add(
        self, name: str, sources: Iterable[int], shape: tuple[int, int, int], flops: float = 0.0, weights: int = 0
    ) -> int:
        """Floating-point operations of one sample, weights in bytes."""
        node, given = len(self.nodes) + 1, list(sources)
        moved = sum(self.bytes(source) for source in given) + volume(shape)
        ms = round(flops * BATCH / FLOPS_PER_MS + moved / BYTES_PER_MS, 3)
        self.shape[node] = shape
        self.nodes.append(
            {
                "name": name, "id": node, "supportedOnFpga": 1, "cpuLatency": ms * CPU_RATIO, "fpgaLatency": ms,
                "isBackwardNode": 0, "colorClass": node, "size": float(volume(shape) + weights),
            }
        )  # fmt: skip
        for source in given:
            size = float(self.bytes(source))
            self.edges.append({"sourceId": source, "destId": node, "cost": size * COST_PER_BYTE, "size": size})
        return node

    def bytes(self, node: int) -> int:
        return volume(self.shape[node])

    def conv(
        self, source: int, channels: int, kernel: tuple[int, int] = (1, 1), stride: int = 1, pad: bool = True
    ) -> int:
        """Convolution, batch norm, ReLU."""
        before, height, width = self.shape[source]
        lost = (0, 0) if pad else (kernel[0] - 1, kernel[1] - 1)
        rows, columns = (height - lost[0] - 1) // stride + 1, (width - lost[1] - 1) // stride + 1
        shape, weights = (channels, rows, columns), before * channels * kernel[0] * kernel[1]
        node = self.add("Conv2d", [source], shape, 2.0 * weights * rows * columns, 4 * weights)
        return self.add("ReLU", [self.add("BatchNorm2d", [node], shape, weights=16 * channels)], shape)

    def chain(self, source: int, *layers: tuple[int, tuple[int, int]]) -> int:
        for channels, kernel in layers:
            source = self.conv(source, channels, kernel)
        return source

    def pool(self, source: int, stride: int = 1) -> int:
        """A window of 3; padded where it does not step."""
        channels, height, width = self.shape[source]
        sides = (height, width) if stride == 1 else ((height - 3) // stride + 1, (width - 3) // stride + 1)
        return self.add("Pool2d", [source], (channels, *sides))

    def concat(self, *sources: int) -> int:
        channels = sum(self.shape[source][0] for source in sources)
        return self.add("Concat", sources, (channels, *self.shape[sources[0]][1:]))

    def document(self) -> Document:
        return {**DEVICES, "nodes": self.nodes, "edges": self.edges}


def volume(shape: tuple[int, int, int]) -> int:
    """Bytes of a batch in single precision."""
    return 4 * BATCH * shape[0] * shape[1] * shape[2]


def inception() -> Document:
    """326 nodes, 35,750 downward-closed sets."""
    net = Network()
    image = net.add("Input", [], (3, 299, 299))
    node = net.concat(*(_channel(net, image) for _ in range(3)))
    node = net.conv(net.conv(net.conv(node, 32, (3, 3), 2, False), 32, (3, 3), pad=False), 64, (3, 3))
    node = net.pool(net.conv(net.conv(net.pool(node, 2), 80), 192, (3, 3), pad=False), 2)
    for pooled in (32, 64, 64):
        node = _block_a(net, node, pooled)
    node = _block_b(net, node)
    for channels in (128, 160, 160, 192):
        node = _block_c(net, node, channels)
    node = _block_e(net, _block_e(net, _block_d(net, node)))
    channels = net.shape[node][0]
    node = net.add("Dropout", [net.add("AvgPool2d", [node], (channels, 1, 1))], (channels, 1, 1))
    node = net.add("Flatten", [node], (channels, 1, 1))
    net.add("Softmax", [net.add("Linear", [node], (1000, 1, 1), 2e3 * channels, 4000 * channels)], (1000, 1, 1))
    return net.document()


def _channel(net: Network, image: int) -> int:
    """What `transform_input` does with each channel."""
    node, shape = image, (1, *net.shape[image][1:])
    for name in ("Select", "Unsqueeze", "Mul"):
        node = net.add(name, [node], shape)
    return node


def _block_a(net: Network, node: int, pooled: int) -> int:
    five, three = ((48, (1, 1)), (64, (5, 5))), ((64, (1, 1)), (96, (3, 3)), (96, (3, 3)))
    branches = net.conv(node, 64), net.chain(node, *five), net.chain(node, *three)
    return net.concat(*branches, net.conv(net.pool(node), pooled))


def _block_b(net: Network, node: int) -> int:
    double = net.conv(net.chain(node, (64, (1, 1)), (96, (3, 3))), 96, (3, 3), 2, False)
    return net.concat(net.conv(node, 384, (3, 3), 2, False), double, net.pool(node, 2))


def _block_c(net: Network, node: int, channels: int) -> int:
    row, column = (channels, (1, 7)), (channels, (7, 1))
    seven = net.chain(node, (channels, (1, 1)), row, (192, (7, 1)))
    double = net.chain(node, (channels, (1, 1)), column, row, column, (192, (1, 7)))
    return net.concat(net.conv(node, 192), seven, double, net.conv(net.pool(node), 192))


def _block_d(net: Network, node: int) -> int:
    three = net.conv(net.conv(node, 192), 320, (3, 3), 2, False)
    seven = net.conv(net.chain(node, (192, (1, 1)), (192, (1, 7)), (192, (7, 1))), 192, (3, 3), 2, False)
    return net.concat(three, seven, net.pool(node, 2))


def _block_e(net: Network, node: int) -> int:
    def fork(source: int) -> int:
        return net.concat(net.conv(source, 384, (1, 3)), net.conv(source, 384, (3, 1)))

    branches = net.conv(node, 320), fork(net.conv(node, 384)), fork(net.chain(node, (448, (1, 1)), (384, (3, 3))))
    return net.concat(*branches, net.conv(net.pool(node), 192))


def mirrored(document: Document) -> Document:
    """Training: a backward node sends the largest of what its forward node was given."""
    forward, edges = document["nodes"], document["edges"]
    step = 1 + max(node["id"] for node in forward)
    given: dict[int, dict[str, Any]] = {}
    for edge in edges:
        given[edge["destId"]] = max(given.get(edge["destId"], edge), edge, key=lambda e: e["cost"])
    backward = [
        {
            **node, "id": node["id"] + step, "name": f"{node['name']}grad", "isBackwardNode": 1,
            "cpuLatency": 2 * node["cpuLatency"], "fpgaLatency": 2 * node["fpgaLatency"],
        }
        for node in forward
    ]  # fmt: skip
    ends = [(edge["destId"], edge["sourceId"]) for edge in edges]
    reverse = [{**given[late], "sourceId": late + step, "destId": early + step} for late, early in ends]
    return {**document, "nodes": [*forward, *backward], "edges": [*edges, *reverse]}


class Bert:
    """What the nodes of OperatorGraphs_bert_l-3_training are."""

    layer = frozenset((*range(25, 41), *range(131, 176), *range(382, 478)))
    """The second layer: weights, forward, backward and optimizer."""
    given, made = 128, 173
    """Hidden states before and after it."""
    gradient_given, gradient_made = 381, 477


def longer(layers: int, accelerators: int = 6) -> Document:
    """The training graph of an operator-level BERT with so many layers, at least 3; 600 + 157 (layers - 3) nodes."""
    document = {**workload("OperatorGraphs_bert_l-3_training"), **DEVICES, "maxFPGAs": accelerators}
    copies = layers - 3
    step = 1 + max(node["id"] for node in document["nodes"])
    colours = 1 + max(node.get("colorClass", 0) for node in document["nodes"])
    nodes = [
        {**node, "id": node["id"] + copy * step, "name": f"{node['name']} {copy}", **_colour(node, copy * colours)}
        for copy in range(1, copies + 1)
        for node in document["nodes"]
        if node["id"] in Bert.layer
    ]
    edges = [
        {**edge, "sourceId": source, "destId": reader}
        for copy in range(copies + 1)
        for edge in document["edges"]
        for source, reader in _ends(edge, copy, copies, step)
    ]
    return {**document, "nodes": [*document["nodes"], *nodes], "edges": edges}


def _colour(node: dict[str, Any], shift: int) -> dict[str, int]:
    return {"colorClass": node["colorClass"] + shift} if "colorClass" in node else {}


def _ends(edge: dict[str, Any], copy: int, last: int, step: int) -> Iterator[tuple[int, int]]:
    """What an edge is in a copy of the layer, if anything; copy 0 is the original, with all that is outside."""
    source, reader = edge["sourceId"], edge["destId"]
    made, given = source in Bert.layer, reader in Bert.layer
    if made and given:
        yield source + copy * step, reader + copy * step
    elif made:
        if copy == (last if source == Bert.made else 0):
            yield source + copy * step, reader
    elif given and source == Bert.given and copy:
        yield Bert.made + (copy - 1) * step, reader + copy * step
    elif given and source == Bert.gradient_given and copy < last:
        yield Bert.gradient_made + (copy + 1) * step, reader + copy * step
    elif given:
        yield source, reader + copy * step
    elif not copy:
        yield source, reader


GENERATED: dict[str, Callable[[], Document]] = {
    "inception-v3 inference": inception,
    "inception-v3 training": lambda: mirrored(inception()),
    "gnmt training": lambda: mirrored(workload("LayerGraphs_gnmt_inference")),
    "resnet50 training": lambda: mirrored(workload("LayerGraphs_resnet50_inference")),
    "bert-12 operators training": lambda: longer(12),
    "bert-12 operators training on 4": lambda: longer(12, 4),
}
