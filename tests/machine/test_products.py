from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipu_partition.cost.graph import Work
from ipu_partition.machine.kinds import machine
from ipu_partition.machine.products import passes, piece_bytes, spread_bytes
from ipu_partition.workload import PRECISIONS

from .synthetic import product

MK2 = machine("mk2")
HALF = PRECISIONS["16.16"]
HEAD = product("linear", 1024, 768, 50257, 2)


def pieces(work: Work, proportion: float, parts: int = 1) -> int:
    return passes(work, HALF, MK2, proportion, parts)


def needed(work: Work, made_in: int) -> int:
    return piece_bytes(work, HALF, MK2, made_in)


@given(t=st.integers(1, 10**4), k=st.integers(1, 10**4), n=st.integers(1, 10**5), cuts=st.data())
def test_no_cut_into_blocks_spreads_less(t: int, k: int, n: int, cuts: st.DataObject) -> None:
    """The formula is the least of A p_n + B p_t + C p_k over all cuts of the product into as many blocks as tiles."""
    p_t = cuts.draw(st.floats(1, 1472))
    p_k = cuts.draw(st.floats(1, 1472 / p_t))
    p_n = 1472 / p_t / p_k
    spread = 2 * (t * k * p_n + k * n * p_t + t * n * p_k)
    assert spread_bytes(t * k * n, 2 * (t * k + k * n + t * n), HALF, 1472) <= spread * (1 + 1e-9)


def test_half_partials_need_less() -> None:
    macs, operands = 10**9, 10**8
    full = spread_bytes(macs, operands, PRECISIONS["16.32"], 1472)
    assert spread_bytes(macs, operands, HALF, 1472) == pytest.approx(full / 2 ** (1 / 3), rel=1e-6)


@given(proportion=st.floats(0.02, 1.0), parts=st.integers(1, 8))
def test_a_product_is_cut_until_it_is_within_the_proportion_and_no_further(proportion: float, parts: int) -> None:
    made_in = pieces(HEAD, proportion, parts)
    limit = proportion * MK2.capacity_bytes
    assert made_in % parts == 0
    assert needed(HEAD, made_in) <= limit * (1 + 1e-6)
    assert made_in == parts or needed(HEAD, made_in - parts) > limit * (1 - 1e-6)


def test_a_small_product_does_not_look_at_the_proportion() -> None:
    small = product("linear", 128, 768, 768, 2)
    assert [pieces(small, proportion) for proportion in (0.1, 0.3, 1.0)] == [1, 1, 1]


def test_pieces_of_a_product_need_less_and_other_ops_nothing() -> None:
    assert 0 < needed(HEAD, 4) < needed(HEAD, 1)
    assert needed(replace(HEAD, kind="softmax"), 1) == 0
