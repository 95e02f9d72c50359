"""The benchmark's peers choose what the packages choose that they are named after.

The expected splits were returned by the packages' own code on CPU: torchgpipe 0.0.7 (`balance.blockpartition.solve`),
deepspeed 0.19.8 and 0.8.3 (`runtime.utils.partition_balanced`) and accelerate 1.15.0 (`infer_auto_device_map`, with
`get_balanced_memory` before it where balanced) on a model of one meta tensor per layer; "disk" is written as the last
device. 400 random rows for the first three, and 396 calls for accelerate, agreed as well.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace

import pytest

from benchmarks.chains import everything, scattered, tight, transformer
from benchmarks.peers import (
    PEERS,
    Peer,
    balanced_capacities,
    block_partition,
    infer_device_map,
    partition_balanced,
    partition_balanced_by_bisection,
)
from planners import Feasible, Infeasible, Problem, solve
from planners.greedy import Greedy


@pytest.mark.parametrize(
    ("weights", "parts", "torchgpipe", "deepspeed", "deepspeed_083"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 3, [5, 7, 9], [5, 7, 9], [5, 7, 9]),
        ([9, 1, 1, 1, 1, 1, 1, 9], 3, [2, 4, 8], [1, 7, 8], [1, 7, 8]),
        ([5, 1, 1, 1, 1, 1], 2, [3, 6], [1, 6], [1, 6]),
        ([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5], 4, [3, 6, 8, 11], [5, 7, 9, 11], [5, 7, 10, 11]),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 4, [2, 4, 6, 10], [3, 6, 8, 10], [3, 6, 9, 10]),
        ([2.5, 0.5, 0.5, 8.25, 1.75, 3.0, 0.25, 6.5], 3, [2, 4, 8], [3, 5, 8], [3, 5, 8]),
        ([7, 7, *[1] * 14, 14, 3], 4, [4, 17, 17, 18], [1, 6, 16, 18], [2, 16, 17, 18]),
    ],
)
def test_splits_are_those_of_the_packages(
    weights: list[float], parts: int, torchgpipe: list[int], deepspeed: list[int], deepspeed_083: list[int]
) -> None:
    assert block_partition(weights, parts) == torchgpipe
    assert partition_balanced(weights, parts) == deepspeed
    assert partition_balanced_by_bisection(weights, parts) == deepspeed_083


@pytest.mark.parametrize(
    ("sizes", "capacities", "auto", "limits", "balanced"),
    [
        ([4] * 8, [20, 20, 20], [0, 0, 0, 0, 1, 1, 1, 1], [15, 15, 20], [0, 0, 1, 1, 1, 2, 2, 2]),
        ([10, 4, 4, 4, 4, 4, 4, 10], [30, 30, 30], [0, 0, 0, 1, 1, 1, 1, 1], [20, 20, 30], [0, 1, 1, 1, 1, 1, 2, 2]),
        (
            [5, 1, 0, 7, 3, 2, 2, 6, 1, 1], [16, 16, 16],
            [0, 0, 0, 1, 1, 1, 1, 2, 2, 2], [12, 12, 16], [0, 1, 1, 1, 1, 2, 2, 2, 2, 2],
        ),
        (
            [5, 1, 0, 7, 3, 2, 2, 6, 1, 1], [10, 8, 9],
            [1, 1, 1, 2, 2, 2, 2, 2, 2, 2], [10, 8, 9], [1, 1, 1, 2, 2, 2, 2, 2, 2, 2],
        ),
        ([3, 3, 3], [12], [0, 0, 0], [12], [0, 0, 0]),
    ],
)  # fmt: skip
def test_device_maps_are_those_of_accelerate(
    sizes: list[int], capacities: list[int], auto: list[int], limits: list[int], balanced: list[int]
) -> None:
    def devices(ends: list[int]) -> list[int]:
        return [bisect_right(ends, item) for item in range(len(sizes))]

    assert devices(infer_device_map(sizes, capacities)) == auto
    assert balanced_capacities(sizes, capacities) == limits
    assert devices(infer_device_map(sizes, limits)) == balanced


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_tied_head_is_moved_home(peer: Peer) -> None:
    problem = transformer(11, 4)
    found = solve(problem, peer)
    assert isinstance(found, Feasible)
    assert found.assignment[0] == found.assignment[-2] == found.assignment[-1] == 0
    assert found.planner == peer.name


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_what_a_peer_does_not_know_is_judged(peer: Peer) -> None:
    chain = scattered(40, 4, seed=1)
    small = replace(chain, devices=tuple(replace(device, capacity_bytes=10**7) for device in chain.devices))
    found = solve(small, peer)
    assert isinstance(found, Infeasible)
    assert found.assignment is not None
    assert found.shortfall_bytes > 0
    pinned = solve(replace(chain, pins=((1, 3),)), peer)
    assert isinstance(pinned, Infeasible)
    assert pinned.assignment is None


def test_fewer_items_than_devices_is_an_answer() -> None:
    found = solve(transformer(1, 8), PEERS[0])
    assert isinstance(found, Infeasible)
    assert "3 items for 8 parts" in found.reason


@pytest.mark.parametrize(
    "problem", [transformer(11, 4), scattered(40, 4, seed=1), scattered(40, 4, seed=1, rich=True), everything(60, 6, 1)]
)
def test_tight_problems_leave_little_room(problem: Problem) -> None:
    found = tight(problem)
    assert isinstance(solve(found, Greedy((100,))), Feasible)
    less = tuple(replace(device, capacity_bytes=device.capacity_bytes * 8 // 10) for device in found.devices)
    assert isinstance(solve(replace(found, devices=less), Greedy((100,))), Infeasible)
