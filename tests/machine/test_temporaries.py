from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipu_partition.machine.constants import MEMORY
from ipu_partition.machine.kinds import machine
from ipu_partition.machine.temporaries import matmul_temporaries, spread_bytes, transient_bytes
from ipu_partition.workload import PRECISIONS, Mode, Workload

from .synthetic import bert_large, graph, layer_unit, product

MK2 = machine("mk2")
HALF = PRECISIONS["16.16"]
INFERENCE = Workload(Mode.INFERENCE, ipus=1, matmul_proportion=0.6)
TRAINING = Workload(Mode.TRAINING, ipus=4)


def test_bert_large_constant_transient() -> None:
    """51.6 MB beside the weights whatever the number of layers: graphcore/popliner:tests/test_popart_bert_inf.py."""
    layers = [transient_bytes(u, INFERENCE, MK2, MEMORY) for u in graph(bert_large(training=False)).units[1:-1]]
    assert len(set(layers)) == 1
    assert layers[0] == pytest.approx(51.6e6, rel=0.03)


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


def test_the_available_memory_proportion_bounds_a_large_product() -> None:
    head = product("linear", 1024, 768, 50257, 2)
    tight, loose = (replace(INFERENCE, matmul_proportion=p) for p in (0.1, 0.3))
    assert matmul_temporaries(head, tight, MK2, MEMORY) == MK2.capacity_bytes // 10
    assert matmul_temporaries(head, loose, MK2, MEMORY) == int(0.3 * MK2.capacity_bytes)
    small = product("linear", 128, 768, 768, 2)
    assert matmul_temporaries(small, tight, MK2, MEMORY) == matmul_temporaries(small, loose, MK2, MEMORY)


def test_pieces_of_a_product_need_less_and_other_ops_nothing() -> None:
    head = product("linear", 128, 768, 50257, 2)
    wide = replace(INFERENCE, matmul_proportion=1.0)
    assert 0 < matmul_temporaries(head, wide, MK2, MEMORY, 4) < matmul_temporaries(head, wide, MK2, MEMORY)
    assert matmul_temporaries(replace(head, kind="softmax"), wide, MK2, MEMORY) == 0


def test_training_needs_gradients_beside_what_is_saved() -> None:
    unit = layer_unit(bert_large(batch=8), 0)
    without = transient_bytes(unit, TRAINING, MK2, MEMORY)
    assert transient_bytes(unit, TRAINING, MK2, MEMORY, gradient_bytes=10**7) == without + 10**7
    saved_all = replace(unit, work=(), backward_peak_bytes=0, forward_peak_bytes=unit.saved_bytes)
    assert transient_bytes(saved_all, TRAINING, MK2, MEMORY) == 0
    assert transient_bytes(saved_all, INFERENCE, MK2, MEMORY) == unit.saved_bytes
