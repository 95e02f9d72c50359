from __future__ import annotations

from dataclasses import replace

import pytest

from ipu_partition.machine.constants import MEMORY, TIME
from ipu_partition.machine.kinds import machine
from ipu_partition.machine.time import (
    accumulate_us,
    backward_us,
    copy_us_per_byte,
    forward_us,
    unit_backward_us,
    unit_forward_us,
)
from ipu_partition.machine.update import update_us
from ipu_partition.workload import PRECISIONS, Mode, Workload

from .synthetic import Shape, bert_base, gpt2, head_unit, layer_unit, parameter, passing, product

MK2, BOW = machine("mk2"), machine("bow")
HALF = PRECISIONS["16.16"]


def tflops(shape: Shape) -> float:
    """Achieved TFLOP/s of one layer forward, recomputed and backward."""
    unit = layer_unit(shape, 0)
    us = 2 * unit_forward_us(unit, HALF, BOW, TIME) + unit_backward_us(unit, HALF, BOW, TIME)
    return (2 * unit.forward_flops + unit.backward_flops) / us / 1e6


def test_share_of_peak_grows_with_the_tokens_of_a_micro_batch() -> None:
    """A few per cent of peak at 128 tokens, about a third from 1000 to 4000."""
    assert tflops(bert_base()) / 350 == pytest.approx(0.08, abs=0.03)
    assert tflops(bert_base(batch=32)) / 350 == pytest.approx(0.37, abs=0.05)


@pytest.mark.parametrize("sequence", [128, 1024])
def test_tied_head_of_gpt2_is_slower_than_four_layers(sequence: int) -> None:
    shape = gpt2(sequence=sequence)
    layer, head = layer_unit(shape, 0), head_unit(shape)
    four = 4 * (2 * unit_forward_us(layer, HALF, MK2, TIME) + unit_backward_us(layer, HALF, MK2, TIME))
    assert unit_forward_us(head, HALF, MK2, TIME) + unit_backward_us(head, HALF, MK2, TIME) > four


def test_a_product_is_compute_plus_exchange_plus_overhead() -> None:
    work = product("linear", 4096, 768, 3072, 2)
    compute = work.forward_flops / (TIME.matmul_efficiency * MK2.fp16_flops_per_s) * 1e6
    overhead = TIME.op_overhead_cycles / MK2.clock_hz * 1e6
    assert compute + overhead < forward_us(work, HALF, MK2, TIME) < 1.5 * (compute + overhead)
    assert backward_us(work, HALF, MK2, TIME) == pytest.approx(2 * forward_us(work, HALF, MK2, TIME))
    frozen = replace(work, backward_flops=work.forward_flops)
    assert backward_us(frozen, HALF, MK2, TIME) == pytest.approx(forward_us(work, HALF, MK2, TIME))


def test_nothing_flows_back_for_free() -> None:
    mask = replace(passing("elementwise", "eq", 10**6, 2), backward_bytes=0)
    assert backward_us(mask, HALF, MK2, TIME) == 0.0


def test_traffic_bounds_what_is_not_a_product() -> None:
    softmax = passing("softmax", "softmax", 10**9, 2)
    seconds = softmax.forward_bytes / (TIME.elementwise_share * MK2.sram_bytes_per_s)
    assert forward_us(softmax, HALF, MK2, TIME) == pytest.approx(seconds * 1e6, rel=0.01)


def test_single_precision_computes_at_a_quarter_of_the_rate() -> None:
    work = product("linear", 10**5, 4096, 4096, 4)
    half = forward_us(product("linear", 10**5, 4096, 4096, 2), HALF, MK2, TIME)
    assert 3.0 < forward_us(work, PRECISIONS["32.32"], MK2, TIME) / half < 4.0


def test_bow_is_faster_by_its_clock() -> None:
    """Measured 1.35 to 1.37 over whole runs (wenet conformer, graphcore/examples@09b7c67)."""
    unit = layer_unit(bert_base(), 0)
    ratio = unit_forward_us(unit, HALF, MK2, TIME) / unit_forward_us(unit, HALF, BOW, TIME)
    assert ratio == pytest.approx(1.39, rel=0.01)


def test_a_megabyte_between_ipus() -> None:
    assert copy_us_per_byte(MK2) * 1e6 == pytest.approx(3.125)


def test_accumulation_costs_an_op_for_each_trained_parameter() -> None:
    trained, frozen = parameter("a", 10), parameter("b", 10, trainable=False)
    assert accumulate_us([trained, frozen], HALF, MK2, TIME) == accumulate_us([trained], HALF, MK2, TIME) > 0


def test_update_streams_state_and_sums_gradients() -> None:
    table = [parameter("table", 10**8)]
    alone = Workload(Mode.TRAINING, ipus=4)

    def us(**changes: object) -> float:
        return update_us(table, replace(alone, **changes), MK2, MEMORY, TIME)  # type: ignore[arg-type]

    assert us() == 0.0
    away = us(optimizer_state_offchip=True)
    assert away == pytest.approx(2 * 6 * 10**8 / (TIME.offchip_share * MK2.host_bytes_per_s) * 1e6)
    summed = us(replicas=2)
    assert summed > 0
    both = us(replicas=2, replicated_tensor_sharding=True, optimizer_state_offchip=True)
    assert both == pytest.approx(summed + away / 2)
    assert update_us(table, replace(alone, mode=Mode.INFERENCE), MK2, MEMORY, TIME) == 0.0
