"""The graphs of the benchmark are what they are said to be, and its table says what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks import graphs
from benchmarks.fresh import ROOT, fresh
from benchmarks.generated import GENERATED, Bert, Document, inception, longer, mirrored, workload
from planners.documents import read_problem

SIZES = {
    "inception-v3 inference": (326, 362),
    "inception-v3 training": (652, 724),
    "gnmt training": (192, 244),
    "resnet50 training": (354, 386),
    "bert-12 operators training": (2013, 2752),
    "bert-12 operators training on 4": (2013, 2752),
}


@pytest.mark.parametrize("name", GENERATED)
def test_graphs_are_the_same_every_time_and_make_sense(name: str) -> None:
    text = json.dumps(GENERATED[name]())
    assert text == json.dumps(GENERATED[name]())
    found = json.loads(text)
    assert (len(found["nodes"]), len(found["edges"])) == SIZES[name]
    assert len(read_problem(text).problem.devices) == found["maxFPGAs"] + found["maxCPUs"] >= 5


def downward_closed(document: Document) -> int:
    """How many sets of nodes hold all that their nodes need."""
    needs, after = Counter[int](), dict[int, list[int]]()
    for edge in document["edges"]:
        needs[edge["destId"]] |= 1 << edge["sourceId"]
        after.setdefault(edge["sourceId"], []).append(edge["destId"])
    seen = {0}
    ready = [(0, frozenset(node["id"] for node in document["nodes"] if not needs[node["id"]]))]
    while ready:
        held, free = ready.pop()
        for node in free:
            more = held | 1 << node
            if more not in seen:
                seen.add(more)
                freed = [late for late in after.get(node, ()) if not needs[late] & ~more]
                ready.append((more, free - {node} | set(freed)))
    return len(seen)


def test_inception_has_as_many_downward_closed_sets_as_is_said() -> None:
    assert downward_closed(inception()) == 35_750
    assert inception.__doc__ is not None
    assert "35,750" in inception.__doc__


def test_training_mirrors_inference() -> None:
    plain, trained = inception(), mirrored(inception())
    forward = {node["id"]: node for node in trained["nodes"] if not node["isBackwardNode"]}
    backward = {node["colorClass"]: node for node in trained["nodes"] if node["isBackwardNode"]}
    assert list(forward.values()) == plain["nodes"]
    for node in plain["nodes"]:
        assert backward[node["colorClass"]]["fpgaLatency"] == 2 * node["fpgaLatency"]
    colour = {node["id"]: node["colorClass"] for node in trained["nodes"]}
    ends = [(edge["sourceId"], edge["destId"]) for edge in trained["edges"]]
    reverse = {(colour[b], colour[a]) for a, b in ends if a not in forward}
    assert reverse == {(a, b) for a, b in ends if a in forward}


def test_a_bert_of_three_layers_is_the_public_one() -> None:
    public = workload("OperatorGraphs_bert_l-3_training")
    assert longer(3) == {**public, "maxFPGAs": 6}


def test_layers_of_a_longer_bert_are_all_alike() -> None:
    """Each has the public layer's edges, and so many from and to elsewhere; nothing skips a layer."""
    found = longer(6)
    step = 1 + max(node["id"] for node in longer(3)["nodes"])
    copies = [{node + copy * step for node in Bert.layer} for copy in range(4)]
    ends = [(edge["sourceId"], edge["destId"]) for edge in found["edges"]]
    for number, copy in enumerate(copies):
        within = sorted((a % step, b % step) for a, b in ends if a in copy and b in copy)
        assert within == sorted((a, b) for a, b in ends if a in copies[0] and b in copies[0])
        assert len([a for a, b in ends if b in copy and a not in copy]) == 9
        elsewhere = [other for other, held in enumerate(copies) if any(a in copy and b in held for a, b in ends)]
        assert elsewhere == [other for other in (number - 1, number, number + 1) if other in range(4)]
    assert len({node["id"] for node in found["nodes"]}) == len(found["nodes"]) == 600 + 3 * 157


def test_the_table_says_what_was_measured() -> None:
    asked = graphs.Asked("linear", 5.0, "bert24_inference")
    (row,) = graphs.public(asked)
    assert row["objective"] == pytest.approx(row["optimum"], rel=0.04)
    assert 0 < row["lower_bound"] <= row["optimum"]
    assert 0 < row["seconds"] < 60
    assert 20 < row["peak_mb"] < 2000
    lines = graphs.rows_table("public", [row]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert f"{row['objective']:.4f}" in lines[-1]
    nothing = {**row, "status": "infeasible", "objective": None, "lower_bound": None, "gap": None}
    assert "nothing fits" in graphs.rows_table("public", [nothing])


def test_the_command_prints_one_table() -> None:
    command = [sys.executable, "benchmarks/graphs.py", "--planner", "linear", "--section", "public"]
    run = subprocess.run([*command, "--only", "bert24"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.count("LayerGraphs_bert24") == 2
    assert "Traceback" not in run.stderr


def test_memory_of_children_counts_and_errors_are_told() -> None:
    child = "import time; x = bytearray(60 << 20); time.sleep(1)"
    start = f"threading.Thread(target=subprocess.run, args=([sys.executable, '-c', {child!r}],)).start()"
    out, seconds, peak = fresh(["-c", f"import subprocess, sys, threading; {start}; print('done')"])
    assert (out, seconds > 1, peak > 70) == ("done\n", True, True)
    with pytest.raises(RuntimeError, match="no good"):
        fresh(["-c", "raise SystemExit('no good')"])
