"""What is no graph: refused with exit code 2, one line, and the name of what is at fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planners.cli import main

ROOT = Path(__file__).parent.parent.parent.parent
Document = dict[str, Any]


def good() -> Document:
    """Forward nodes 1 to 3, whose classes the backward nodes 11 to 13 share; 14 is of its own."""
    plain = {"supportedOnFpga": 1, "cpuLatency": 3.0, "fpgaLatency": 1.0, "size": 5}
    return {
        "maxSizePerFPGA": 100,
        "maxFPGAs": 2,
        "maxCPUs": 1,
        "nodes": [
            *({"id": i, "isBackwardNode": 0, "colorClass": i, **plain} for i in (1, 2, 3)),
            *({"id": i, "isBackwardNode": 1, "colorClass": i - 10, **plain} for i in (11, 12, 13, 14)),
        ],
        "edges": [
            {"sourceId": a, "destId": b, "cost": 0.5}
            for a, b in ((1, 2), (2, 3), (3, 13), (13, 12), (12, 11), (11, 14))
        ],
    }


def tied(source: object, reader: object) -> Callable[[Document], None]:
    return lambda d: d["edges"].append({"sourceId": source, "destId": reader, "cost": 0.5})


def node(index: int, **values: object) -> Callable[[Document], None]:
    return lambda d: d["nodes"][index].update(values)


def edge(index: int, **values: object) -> Callable[[Document], None]:
    return lambda d: d["edges"][index].update(values)


def whole(**values: object) -> Callable[[Document], None]:
    return lambda d: d.update(values)


def lacking(key: str, part: str | None = None) -> Callable[[Document], None]:
    def drop(d: Document) -> None:
        del (d if part is None else d[part][1])[key]

    return drop


NAN, INFINITE = float("nan"), float("inf")
AMOUNTS, ENDS = ("cpuLatency", "fpgaLatency", "size"), ("sourceId", "destId", "cost")
NUMBERS = (-1, -0.5, NAN, INFINITE, -INFINITE, "3", None, True, [1], 1e300)
WRONG: dict[str, tuple[Callable[[Document], None], tuple[str, ...]]] = {
    "self loop": (tied(2, 2), ("'2'",)),
    "forward cycle": (tied(3, 1), ("'1'", "'2'", "'3'")),
    "cycle through backward nodes": (tied(14, 1), ("'14'", "'1'", "'3'", "'11'")),
    "cycle of backward nodes": (tied(11, 13), ("'11'", "'12'", "'13'")),
    "unknown source": (tied(99, 1), ("99", "7. edge")),
    "unknown reader": (tied(1, "1a"), ("'1a'", "7. edge")),
    "an edge's end of another type": (tied(1.5, 1), ("7. edge", "sourceId")),
    "id twice": (node(5, id=2), ("'2'", "twice")),
    "id as text twice": (node(5, id="2"), ("'2'", "twice")),
    "id that is a list": (node(1, id=[2]), ("2. node", "id")),
    "id that is a fraction": (node(1, id=2.5), ("2. node", "id")),
    "colour that is a list": (node(1, colorClass=[1]), ("'2'", "colorClass")),
    "backward flag of another value": (node(1, isBackwardNode=2), ("'2'", "isBackwardNode")),
    "support flag that is text": (node(1, supportedOnFpga="yes"), ("'2'", "supportedOnFpga")),
    "two costs of one output": (
        lambda d: d["edges"].append({"sourceId": 1, "destId": 3, "cost": 0.75}),
        ("'1'", "0.5", "0.75"),
    ),
    "no devices": (whole(maxFPGAs=0, maxCPUs=0), ("0 devices",)),
    "half a device": (whole(maxFPGAs=1.5), ("maxFPGAs",)),
    "a million devices": (whole(maxFPGAs=10**6), ("devices",)),
    "no nodes": (whole(nodes=[], edges=[]), ("nodes",)),
    "nodes that are no list": (whole(nodes={"1": {}}), ("nodes",)),
    "edges that are no list": (whole(edges=None), ("edges",)),
    "a node that is no object": (lambda d: d["nodes"].insert(1, 7), ("2. node",)),
    "an edge that is no object": (lambda d: d["edges"].insert(1, [1, 2]), ("2. edge",)),
    **{f"{key} missing": (lacking(key), (repr(key),)) for key in ("maxSizePerFPGA", "maxFPGAs", "maxCPUs", "edges")},
    "nodes missing": (lacking("nodes"), ()),
    **{f"a node without {key}": (lacking(key, "nodes"), ("'2'", repr(key))) for key in AMOUNTS},
    "a node without id": (lacking("id", "nodes"), ("2. node", "'id'")),
    **{f"an edge without {key}": (lacking(key, "edges"), ("edge", repr(key))) for key in ENDS},
    **{
        f"{key} {value!r}": (node(1, **{key: value}), ("'2'", key))
        for key in AMOUNTS
        for value in NUMBERS
    },
    **{f"cost {value!r}": (edge(0, cost=value), ("'1'", "'2'", "cost")) for value in NUMBERS},
    **{
        f"{key} {value!r}": (whole(**{key: value}), (key,))
        for key in ("maxSizePerFPGA", "maxFPGAs", "maxCPUs")
        for value in NUMBERS
    },
}  # fmt: skip


def test_the_graph_that_all_of_them_spoil_is_solved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _solve(tmp_path, json.dumps(good())) == 0
    assert json.loads(capsys.readouterr().out)["status"] in ("optimal", "feasible")


@pytest.mark.parametrize("name", WRONG)
def test_bad_graphs_are_refused_and_the_node_is_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, words = WRONG[name]
    document = good()
    spoil(document)
    _refused(_solve(tmp_path, json.dumps(document)), capsys, words)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"nodes": [', '{"nodes": [], "nodes": []}', '{"nodes": 1}', '{"nodes": [{"id": 1, "id": 2}]}',
        '{"nodes": ' + "[" * 100_000, "\ufeff{}", '{"nodes": [{"id": 1e400}]}',
    ],
)  # fmt: skip
def test_text_that_is_no_graph_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _refused(_solve(tmp_path, text), capsys, ())


def _solve(folder: Path, text: str) -> int:
    file = folder / "graph.json"
    file.write_text(text, encoding="utf-8")
    return main(["solve", str(file), "--planner", "linear"])


def _refused(code: int, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    out, error = capsys.readouterr()
    assert (code, out) == (2, ""), error
    assert error.startswith("planners: ")
    assert error.count("\n") == 1
    assert not [word for word in words if word not in error], error


def test_the_program_ends_with_code_2(tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    document = good()
    tied(3, 1)(document)
    file.write_text(json.dumps(document))
    command = [sys.executable, "-m", "planners", "solve", str(file)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout) == (2, "")
    assert "Traceback" not in run.stderr
    assert "needs its own result" in run.stderr
